//! What outlives the process: which kinds of store there are, and what they have in common.

pub mod cli;
pub mod memory;
mod open;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use presence_core::id::{RoomId, UserId};
use presence_core::port::store::{Gap, GapReason, StoreError};
use presence_core::stream::{MessageKind, NewMessage, Seq};

pub use open::open;
pub(crate) use open::upkeep;

/// What the store's file is called, in the folder for what outlives the process.
pub const FILE: &str = "presence.db";

/// Stretches of missing messages that a stream tells apart; one more and the two oldest become one, with the reason of the
/// later.
const GAPS_MAX: usize = 64;

/// Messages, and ids of messages that are gone, that one call of `expire` removes at most.
const EXPIRE_MAX: usize = 1_000;

const NO_ROSTER: StoreError = StoreError::Conflict("an inbox has no roster");
const NOT_THEIRS: StoreError = StoreError::Conflict("an inbox has one receiver, its owner");
const NO_RECEIVER: StoreError = StoreError::NotFound("the user does not receive this room's messages");
const BEYOND: StoreError = StoreError::Conflict("there is no message with this number yet");
const ID_USED: StoreError = StoreError::Conflict("the sender has used this id for another message");
const ON_ROSTER: StoreError = StoreError::Conflict("the user is on the roster already");
const INVITED: StoreError = StoreError::Conflict("the user is invited already");
const NOTICE_ELSEWHERE: StoreError = StoreError::Conflict("the notice must go to the inbox of the invited");
const NO_INVITATION: StoreError = StoreError::NotFound("there is no such invitation");
const OTHER_REVISION: StoreError = StoreError::Conflict("the document is at another revision");

/// Whether this is the inbox of that user.
fn owns(user: &UserId, room: &RoomId) -> bool {
    room.inbox_of() == Some(user.as_str())
}

/// What a message is known by beside its id: 64-bit FNV-1a of its kind and body. It is stored, so it must stay as it is.
fn digest(message: &NewMessage) -> u64 {
    let kind = match message.kind {
        MessageKind::Message => b'm',
        MessageKind::Invitation => b'i',
    };
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    message.body.iter().fold(step(0xcbf2_9ce4_8422_2325, &kind), step)
}

/// What of these gaps lies after a place.
fn gaps_after(after: u64, gaps: impl Iterator<Item = (u64, u64, GapReason)>) -> Vec<Gap> {
    let seen = gaps.filter(|(_, last, _)| *last > after);
    seen.map(|(first, last, reason)| Gap { from: Seq::new(first.max(after + 1)), to: Seq::new(last), reason })
        .collect()
}

/// The rosters that fit into an answer, given those of which somebody joined, the longest ago first. A roster is whole, unless
/// it alone does not fit. Says whether anything was left out.
fn whole_rosters<T>(rosters: impl Iterator<Item = Vec<T>>, limit: usize) -> (Vec<T>, bool) {
    let mut fitting = Vec::new();
    for mut roster in rosters {
        if fitting.len() + roster.len() > limit {
            if fitting.is_empty() {
                roster.truncate(limit);
                fitting = roster;
            }
            return (fitting, true);
        }
        fitting.append(&mut roster);
    }
    (fitting, false)
}

/// Cuts a list that has one more than asked if there is more. Says whether it did.
fn cut<T>(list: &mut Vec<T>, limit: usize) -> bool {
    let more = list.len() > limit;
    list.truncate(limit);
    more
}
