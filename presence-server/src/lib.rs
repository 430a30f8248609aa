//! The presence server: composes the model with transports, HTTP, metrics, logs and a configuration.
//!
//! # Code map
//! - [`app`]: configuration → shards → bind → run → drain.
//! - [`connection`]: drives sessions; [`shard`]: drives shards. Neither decides anything about presence.
//! - [`stream`]: messages that last, on their way to the store and to those who receive them.
//! - [`people`]: who is here at all, who watches whom, and who must hear when what is kept of them changes.
//! - [`http`]: listener, router, page; [`auth`]: who may; [`limits`]: how much.
//! - `handover`, in a `data_dir`: what one server leaves to the next when it stops in good order.
//! - [`store`]: what outlives the process, in a file or in memory.
//! - [`webhook`]: tells a backend what happens.
//! - [`healthcheck`]: asks a running server; [`service`]: tells the service manager.
//! - [`config`], [`metrics`], [`logging`], [`clock`]: as they are called.
//!
//! This is the only crate that knows what time it is, and which transports there are.

#![cfg_attr(
    not(any(feature = "ws", feature = "sse")),
    allow(
        dead_code,
        unused_imports,
        reason = "without a transport nothing opens a connection, and nothing starts"
    )
)]

pub mod app;
pub mod audit;
pub mod auth;
pub mod clock;
pub mod config;
pub mod connection;
mod data_dir;
mod handover;
pub mod healthcheck;
pub mod http;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod people;
mod random;
pub mod service;
pub mod shard;
pub mod store;
pub mod stream;
pub mod webhook;

pub use app::Server;
pub use config::Config;
