//! Real processes under faults: a server, a crowd of clients that write down what they do and see, one fault after the
//! other, and a ledger in the manner of Jepsen of what was lost. `presence-chaos` runs it, and `cargo xtask chaos` that.
//!
//! - [`history`]: what happened, as the clients tell it.
//! - [`ledger`]: what that comes to. It is judged after the run, from the history alone.
//! - [`tab`], [`seat`], [`crowd`]: the clients.
//! - [`site`], [`stage`]: the server, and where a row plays.
//! - [`company`]: clients in a process of their own.
//! - [`row`], [`mount`], [`cable`]: the faults.

pub mod attendance;
pub mod cable;
pub mod company;
pub mod crowd;
mod deeds;
pub mod history;
pub mod ledger;
mod letters;
pub mod mount;
pub mod row;
pub mod seat;
pub mod site;
mod spans;
pub mod stage;
pub mod tab;
