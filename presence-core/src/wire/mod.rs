//! The wire: the one place that knows JSON. Client messages are decoded here with limits and precise errors, server
//! messages are encoded here; the model in between holds [`Json`] values without looking into them.

mod client;
mod cursor;
mod document;
mod events;
mod json;
mod kept;
mod people;
mod pieces;
mod server;
mod stream;
mod user;
mod window;

pub use client::{ClientMessage, Decoded, Since, SyncRequest, UserClaim, decode, decode_message};
pub use document::{DocumentError, document};
pub use events::*;
pub use json::{Json, Reference, State, StatePatch};
pub use kept::{KeptRoomError, kept_room, read_kept_room};
pub use people::*;
pub use server::*;
pub use stream::*;
pub use window::*;

/// The protocol's version, as `connected` says it.
pub const PROTOCOL: u32 = 1;
