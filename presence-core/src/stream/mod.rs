//! Messages that last: a room has a stream of them, and so has every user's inbox. A stream is numbered without gaps; a
//! receiver is a cursor in it; what lies past the cursor is what waits for them.
//!
//! [`Tail`]: what is new, in memory, encoded once. [`Receiver`]: how far a user is, whatever device they use. [`Courier`]:
//! what one connection has been sent, and what goes again. All else is in the store.

mod courier;
mod fetch;
mod message;
mod receiver;
mod tail;

pub use courier::{Acknowledged, Courier, Opened};
pub use fetch::{Fetch, Fetched, Purpose, Told};
pub use message::{MessageId, MessageKind, NewMessage, Seq, StoredMessage};
pub use receiver::Receiver;
pub use tail::{Found, Tail, TailMessage, TailReader};
