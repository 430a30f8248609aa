//! HTTP: the listener, the router, and what each route answers.

pub mod accept;
mod answer;
#[cfg_attr(not(test), expect(dead_code, reason = "the routes that take a body are still to come"))]
mod body;
mod origin;
mod page;
mod presence;
mod query;
mod router;

pub use router::Router;
