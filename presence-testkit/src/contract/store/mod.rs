//! What every kind of [`Store`] must do. A kind brings a [`Fixture`], which makes an empty store, and calls [`check`].

mod people;
mod receivers;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use presence_core::id::{RoomId, UserId};
use presence_core::port::store::{
    Appended, Balance, Page, PageLimits, Store, StoreError, StoreHealth, StreamLimits,
};
use presence_core::stream::{MessageId, MessageKind, NewMessage, Seq};
use presence_core::time::WallTime;

/// Makes empty stores of one kind.
#[async_trait]
pub trait Fixture: Sync {
    /// A store with nothing in it.
    async fn store(&self, limits: StreamLimits) -> Result<Arc<dyn Store>>;
}

/// Limits that nothing reaches by chance.
pub const ROOMY: StreamLimits = StreamLimits {
    messages: 100_000,
    bytes: 100_000_000,
    age: Duration::from_secs(1_000),
    dedup: Duration::from_secs(100),
    dedup_ids: 100_000,
};

/// A page that has everything.
pub const ALL: PageLimits = PageLimits { messages: 100_000, bytes: 100_000_000 };

/// Runs the whole contract.
///
/// # Errors
/// Names the first clause that does not hold.
pub async fn check(fixture: &dyn Fixture) -> Result<()> {
    streams::check(fixture).await?;
    receivers::check(fixture).await?;
    people::check(fixture).await?;
    it_is_well(fixture).await.context("it is well, and says how safe it keeps things")
}

async fn it_is_well(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    ensure!(store.health() == StoreHealth::Well, "{:?}", store.health());
    ensure!(["memory", "process", "disk"].contains(&store.durability().as_str()));
    Ok(())
}

/// A room.
///
/// # Panics
/// If it can not be called so.
pub fn room(id: &str) -> RoomId {
    RoomId::parse(id).expect("this is a room's id")
}

/// A user.
///
/// # Panics
/// If they can not be called so.
pub fn user(id: &str) -> UserId {
    UserId::parse(id).expect("this is a user's id")
}

/// A moment.
pub fn at(millis: i64) -> WallTime {
    WallTime::from_unix_millis(millis)
}

/// A message that was taken in at the beginning of time.
///
/// # Panics
/// If something can not be called so.
pub fn message(to: &str, sender: &str, id: &str, body: &str) -> NewMessage {
    NewMessage {
        room: room(to),
        kind: MessageKind::Message,
        sender: user(sender),
        sender_name: Arc::from(format!("{sender} \u{1f642}")),
        id: MessageId::parse(id).expect("this is a message's id"),
        body: Bytes::copy_from_slice(body.as_bytes()),
        correlation: Arc::from(format!("c-{id}")),
        at: at(0),
    }
}

/// The same message, taken in later.
fn later(message: NewMessage, millis: i64) -> NewMessage {
    NewMessage { at: at(millis), ..message }
}

/// Appends a message that is new.
async fn append(store: &dyn Store, message: NewMessage) -> Result<u64> {
    match store.append(message).await? {
        Appended::New { seq } => Ok(seq.number()),
        again => bail!("{again:?} is not new"),
    }
}

async fn page(store: &dyn Store, from: &str, after: u64, limits: PageLimits) -> Result<Page> {
    Ok(store.read(&room(from), Seq::new(after), limits).await?)
}

fn numbers(page: &Page) -> Vec<u64> {
    page.messages.iter().map(|message| message.seq.number()).collect()
}

/// Where a user stands in a room, if they receive it: cursor and newest.
async fn standing(store: &dyn Store, of: &str, who: &str) -> Result<Option<(u64, u64)>> {
    let standings = store.standings(&user(who)).await?;
    let found = standings.into_iter().find(|(id, _)| *id == room(of));
    Ok(found.map(|(_, standing)| (standing.cursor.number(), standing.head.number())))
}

/// Checks the balance, in the order of its fields, and that it balances (M6).
async fn balances(store: &dyn Store, numbers: [u64; 7]) -> Result<()> {
    let [accepted, acked, queued, expired, dropped, dead_lettered, purged] = numbers;
    let wanted = Balance { accepted, acked, queued, expired, dropped, dead_lettered, purged };
    let balance = store.balance().await?;
    ensure!(
        accepted == acked + queued + expired + dropped + dead_lettered + purged,
        "{wanted:?} is no balance"
    );
    ensure!(balance == wanted, "{balance:?} instead of {wanted:?}");
    Ok(())
}

fn is_conflict<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Conflict(_)))
}

fn is_not_found<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::NotFound(_)))
}
