//! Large rooms on the wire: how closely a room tells what happens in it, and windows of its roster.

use serde::Serialize;

use super::json::Reference;
use super::server::{RoomStand, encode, encode_loose, fitting, message};
use super::user::User;
use crate::frame::Message;
use crate::id::RoomId;
use crate::room::{Member, Mode};
use crate::window::Window;

/// How many are in a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Users.
    pub users: usize,
    /// Their sessions.
    pub sessions: usize,
}

/// `presence:mode`: from now on the room tells more closely, or less closely, what happens in it.
pub fn mode(room: &RoomId, mode: Mode) -> Message {
    #[derive(Serialize)]
    struct Changed<'a> {
        r#type: &'static str,
        room: &'a str,
        mode: &'static str,
    }
    message(&Changed { r#type: "presence:mode", room: room.as_str(), mode: mode.as_str() })
}

/// One row of a window: a user, encoded once for all windows that show it.
pub fn window_row(member: &Member) -> Vec<u8> {
    encode(&User::from(member))
}

/// `presence:window`: how many are in the room, and the rows that the window shows; without `rows`, they are as they were.
pub fn window<'a, Rows: Iterator<Item = &'a [u8]>>(
    stand: RoomStand<'_>,
    window: Window,
    totals: Totals,
    rows: Option<Rows>,
) -> Message {
    #[derive(Serialize)]
    struct Head<'a> {
        r#type: &'static str,
        room: &'a str,
        epoch: &'a str,
        version: u64,
        mode: &'static str,
        from: usize,
        count: usize,
        total: usize,
        sessions: usize,
    }
    let range = window.rows();
    let mut text = encode_loose(&Head {
        r#type: "presence:window",
        room: stand.room.as_str(),
        epoch: stand.epoch.as_str(),
        version: stand.version.number(),
        mode: stand.mode.as_str(),
        from: range.start,
        count: range.len(),
        total: totals.users,
        sessions: totals.sessions,
    });
    if let Some(rows) = rows {
        text.pop();
        text.extend_from_slice(br#","users":["#);
        for (number, row) in rows.enumerate() {
            if number > 0 {
                text.push(b',');
            }
            text.extend_from_slice(row);
        }
        text.extend_from_slice(b"]}");
    }
    Message::new(fitting(text))
}

/// A message that is the same for many, as the answer to one of them.
pub fn referring(shared: &Message, reference: &Reference) -> Message {
    let Some(reference) = reference else { return shared.clone() };
    let body = shared.text().strip_suffix(b"}").expect("an object ends with its brace");
    Message::new([body, br#","ref":"#, reference.as_str().as_bytes(), b"}"].concat())
}
