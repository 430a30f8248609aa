//! The few messages that are said most often, put together piece by piece: serde would look at the name of every member of
//! each of them, whether it has to be escaped.

use serde::Serialize;

use super::json::Json;
use super::server::{MESSAGE_EXPECTED, fitting};
use crate::frame::Message;

/// A message as far as it is written.
pub(super) struct Pieces(Vec<u8>);

impl Pieces {
    /// One that begins so.
    pub(super) fn begin(json: &str) -> Self {
        Self(Vec::with_capacity(MESSAGE_EXPECTED)).json(json)
    }

    /// What is JSON already, or a part of it.
    pub(super) fn json(mut self, json: &str) -> Self {
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    /// A text or a number.
    pub(super) fn value(mut self, value: impl Serialize) -> Self {
        serde_json::to_writer(&mut self.0, &value).expect("texts and numbers can be written");
        self
    }

    /// What a client has said, or `null`.
    pub(super) fn said(self, json: Option<&Json>) -> Self {
        self.json(json.map_or("null", Json::as_str))
    }

    /// All of it.
    pub(super) fn end(self) -> Vec<u8> {
        fitting(self.0)
    }

    /// The same, as a message.
    pub(super) fn message(self) -> Message {
        Message::new(self.end())
    }
}
