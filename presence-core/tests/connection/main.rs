//! One connection in the words of its client: what it says, what is wanted of others for it, and what it reads.

#![expect(clippy::unwrap_used, reason = "whatever is not as expected fails the test")]

mod becoming_known;
mod client;
mod deliveries;
mod endings;
mod pace;
mod publishing;
mod redeliveries;
mod rooms;
mod syncs;
