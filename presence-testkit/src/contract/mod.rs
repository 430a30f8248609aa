//! What every kind of a port must do, written once.

pub mod fake;
pub mod no_store;
pub mod store;
pub mod transport;
