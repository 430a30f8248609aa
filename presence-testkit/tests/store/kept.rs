//! The contract of stores, kept by each kind.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use presence_core::port::store::{Store, StreamLimits};
use presence_server::store::memory::MemoryStore;
use presence_testkit::contract::store::{Fixture, check};

struct InMemory;

#[async_trait]
impl Fixture for InMemory {
    async fn store(&self, limits: StreamLimits) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(MemoryStore::new(limits)))
    }
}

#[tokio::test]
async fn memory_keeps_the_contract() -> Result<()> {
    check(&InMemory).await
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_file_keeps_the_contract() -> Result<()> {
    check(&crate::file::Files::default()).await
}
