//! HTTP: the listener, the router, and what each route answers.

pub mod accept;
mod answer;
mod body;
mod connection;
mod origin;
mod page;
mod presence;
mod query;
mod router;
mod socket;
mod stream;

pub use router::Router;
pub(crate) use socket::set_patience;
