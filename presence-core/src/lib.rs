//! The presence model: many connections say what they are doing in a room, and every other connection in that room
//! agrees on who is there and what they do.
//!
//! Everything here is sans-I/O: state machines take `handle_*(now, input)` and give `poll_output()`; time, randomness
//! and ids come in as arguments. A test is a list of inputs, and so is a bug report.
//!
//! # Code map
//! - [`id`], [`time`], [`limits`], [`rate`], [`error`], [`profile`], [`digest`]: the words.
//! - [`room`]: who is present, by user and session; [`feed`]: what the room says, kept for all who listen;
//!   [`window`]: a part of a large roster, for those who look at no more.
//! - [`shard`]: a set of rooms and the only thing that changes them; grace, hand-outs, snapshots, replays, and what one
//!   life of the server leaves to the next.
//! - [`rights`]: who may; [`attempt`]: which of a client's requests for a connection is the newer one.
//! - [`session`]: one connection's protocol; heartbeat, budget.
//! - [`audit`]: what must be true, as the running server looks at it.
//! - [`wheel`]: many timers, swept at the cost of those that have come due; [`few`]: lists that mostly have one item.
//! - [`wire`]: the one place that knows JSON; [`frame`]: encoded messages.
//! - [`port`]: the seams to the world.
//!
//! # What is not here, on purpose
//! No clock, no runtime, no socket, no environment, no log, no metric. No wall clock in a decision about membership.
//! No map whose iteration order could reach an output. No queue without a bound.

pub mod attempt;
pub mod audit;
pub mod digest;
pub mod error;
pub mod feed;
pub mod few;
pub mod frame;
pub mod id;
pub mod limits;
pub mod people;
pub mod planted;
pub mod port;
pub mod profile;
pub mod rate;
pub mod rights;
pub mod room;
pub mod session;
pub mod shard;
mod slots;
pub mod stream;
pub mod time;
pub mod wheel;
pub mod window;
pub mod wire;
