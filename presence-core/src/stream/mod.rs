//! Messages that last: a room has a stream of them, and so has every user's inbox. A stream is numbered without gaps; a
//! receiver is a cursor in it; what lies past the cursor is what waits for them.

mod message;

pub use message::{MessageId, MessageKind, NewMessage, Seq, StoredMessage};
