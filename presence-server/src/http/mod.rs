//! HTTP: the listener, the router, and what each route answers.

mod about;
pub mod accept;
mod actor;
mod admin;
pub(crate) mod answer;
mod body;
mod caller;
mod connection;
mod cors;
mod debug_connections;
mod debug_room;
mod debug_trace;
mod framing;
mod health;
mod kick;
mod messages;
mod openapi;
pub(crate) mod origin;
mod packing;
mod page;
mod people;
mod presence;
pub(crate) mod query;
mod rooms;
mod router;
mod routes;
mod shapes;
mod socket;
mod stats;
mod stream;
pub mod tls;

pub use router::Router;
pub(crate) use socket::set_patience;
