//! HTTP: the listener, the router, and what each route answers.

pub mod accept;
mod answer;
mod origin;
mod page;
mod presence;
mod query;
mod router;

pub use router::Router;
