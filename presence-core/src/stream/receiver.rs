//! How far a user is through a stream: one place, shared by all their connections. What any of their devices has
//! acknowledged is dealt with; every connected device gets what is new (M12).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Seq;
use crate::planted::{self, Bug};

/// A receiver of a stream. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Receiver(Arc<Places>);

#[derive(Debug)]
struct Places {
    acked: AtomicU64,
    sent: AtomicU64,
}

impl Receiver {
    /// Somebody who has dealt with everything up to `cursor`, and may have been sent everything up to `sent`.
    pub fn new(cursor: Seq, sent: Seq) -> Self {
        let sent = AtomicU64::new(sent.max(cursor).number());
        Self(Arc::new(Places { acked: AtomicU64::new(cursor.number()), sent }))
    }

    /// Everything up to here is dealt with.
    pub fn acked(&self) -> Seq {
        Seq::new(self.0.acked.load(Ordering::Relaxed))
    }

    /// Nothing after this has been sent to any of the user's devices.
    pub fn sent(&self) -> Seq {
        Seq::new(self.0.sent.load(Ordering::Relaxed))
    }

    /// Moves the cursor; never back. Says whether it moved.
    pub fn acknowledge(&self, seq: Seq) -> bool {
        self.note_sent(seq);
        if planted::is(Bug::CursorMovesBack) {
            return self.0.acked.swap(seq.number(), Ordering::Relaxed) != seq.number();
        }
        self.0.acked.fetch_max(seq.number(), Ordering::Relaxed) < seq.number()
    }

    /// Notes what has been sent.
    pub fn note_sent(&self, seq: Seq) {
        self.0.sent.fetch_max(seq.number(), Ordering::Relaxed);
    }
}
