//! The seams: what the model asks of the world, as traits. Each has a contract suite in the testkit.

pub mod backlog;
pub mod backplane;
pub mod store;
pub mod transport;
mod whole;
