//! What leaves for a client: messages that are encoded once, in frames that are shared by everyone they go to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::id::{Epoch, RoomId, Version};

/// Where a versioned event stands in its room's history; an event stream sends it as the event's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventId {
    /// The room.
    pub room: RoomId,
    /// The room's history.
    pub epoch: Epoch,
    /// The version that the event leads to.
    pub version: Version,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{};{}", self.room.as_str(), self.epoch.as_str(), self.version.number())
    }
}

/// One encoded message: one JSON object, one WebSocket text message, one event of an event stream.
#[derive(Clone, Debug)]
pub struct Message {
    text: Bytes,
    mark: Option<Box<Mark>>,
}

/// What a wire with fields of its own for it says beside the text; others leave it to the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Its place in its room's history.
    Id(EventId),
    /// The stream is about to end; whoever wants to come back should wait so long.
    Retry(Duration),
    /// Nothing for the wire: what the logs call a message that lasts.
    Correlation(Arc<str>),
}

impl Message {
    /// A message that has no place in a history.
    pub fn new(text: impl Into<Bytes>) -> Self {
        Self { text: text.into(), mark: None }
    }

    /// A versioned event.
    pub fn versioned(text: impl Into<Bytes>, id: EventId) -> Self {
        Self { text: text.into(), mark: Some(Box::new(Mark::Id(id))) }
    }

    /// A message before the end, to those who should come back after `wait`.
    pub fn retry(text: impl Into<Bytes>, wait: Duration) -> Self {
        Self { text: text.into(), mark: Some(Box::new(Mark::Retry(wait))) }
    }

    /// A message with something to say beside its text.
    pub fn marked(text: impl Into<Bytes>, mark: Mark) -> Self {
        Self { text: text.into(), mark: Some(Box::new(mark)) }
    }

    /// The JSON object, in UTF-8.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// The version that it leads to, if it is a versioned event.
    pub fn version(&self) -> Option<Version> {
        match self.mark()? {
            Mark::Id(id) => Some(id.version),
            Mark::Retry(_) | Mark::Correlation(_) => None,
        }
    }

    /// What is to be said beside the text.
    pub fn mark(&self) -> Option<&Mark> {
        self.mark.as_deref()
    }
}

/// What a frame is to the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Messages, and nothing else to do.
    Messages,
    /// Messages that ask whether the peer is there: a wire with a ping of its own sends that too, in the same write.
    Heartbeat,
}

/// Messages that leave together, shared by all their receivers: cloning one is a reference count.
#[derive(Clone, Debug)]
pub struct Frame {
    kind: FrameKind,
    messages: Arc<[Message]>,
}

impl Frame {
    /// Messages in the order in which they are to arrive.
    pub fn new(messages: impl Into<Arc<[Message]>>) -> Self {
        Self { kind: FrameKind::Messages, messages: messages.into() }
    }

    /// The same, to be kept for a while: their texts lie in one piece of memory, which is as long as they are together. In
    /// pieces of their own they would leave holes among what stays, when they are forgotten.
    pub fn packed(mut messages: Vec<Message>) -> Self {
        let texts: Vec<&[u8]> = messages.iter().map(|message| &*message.text).collect();
        let mut rest = Bytes::from(texts.concat());
        for message in &mut messages {
            message.text = rest.split_to(message.text.len());
        }
        Self::new(messages)
    }

    /// One message.
    pub fn one(message: Message) -> Self {
        Self::new([message])
    }

    /// The server's ping.
    pub fn heartbeat(ping: Message) -> Self {
        Self { kind: FrameKind::Heartbeat, messages: Arc::new([ping]) }
    }

    /// What it is to the wire.
    pub fn kind(&self) -> FrameKind {
        self.kind
    }

    /// The messages, in order.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Bytes of all its texts, without framing.
    pub fn text_len(&self) -> usize {
        self.messages.iter().map(|message| message.text.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_says_the_same_and_lies_together() {
        let said = ["first", "", "the third"].map(Message::new);
        let frame = Frame::packed(said.to_vec());
        assert!(frame.messages().iter().map(Message::text).eq(said.iter().map(Message::text)));
        let (first, third) = (frame.messages()[0].text(), frame.messages()[2].text());
        assert_eq!(first.as_ptr().wrapping_add(first.len()), third.as_ptr());
        assert!(Frame::packed(Vec::new()).messages().is_empty());
    }
}
