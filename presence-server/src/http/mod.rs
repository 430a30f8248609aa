//! HTTP: the listener, the router, and what each route answers.

pub mod accept;
pub(crate) mod answer;
mod body;
mod connection;
mod cors;
pub(crate) mod origin;
mod page;
mod presence;
pub(crate) mod query;
mod router;
mod socket;
mod stream;

pub use router::Router;
pub(crate) use socket::set_patience;
