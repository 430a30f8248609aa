//! What waits for one connection: deliveries from shards, and reasons to look again. It takes the place of a channel,
//! at the cost of a channel only while something is in it.

use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use presence_core::session::Delivery;
use presence_core::time::Timestamp;

use super::status::Asker;
use super::trace::Watcher;

/// Questions that wait for one connection; one more is not taken.
const QUESTIONS_MAX: usize = 16;

/// One connection's mailbox, shared with the shards, the pacemaker and the registry.
#[derive(Debug, Default)]
pub struct Mailbox {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// A feed it reads has news, or a delivery waits.
    news: bool,
    /// Its timer is due.
    timer: bool,
    /// All else, while there is any: it is rarer, and an idle connection should not keep room for it.
    letters: Option<Box<Letters>>,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Letters {
    deliveries: Vec<Delivery>,
    /// Of operators.
    questions: Vec<Question>,
    drain: Option<u64>,
    measure: Option<Timestamp>,
    message: Option<Duration>,
}

impl Inner {
    fn letters(&mut self) -> &mut Letters {
        self.letters.get_or_insert_default()
    }
}

/// What an operator wants to know.
#[derive(Debug)]
pub enum Question {
    /// How the connection is.
    Status(Asker),
    /// What it receives and is sent from now on.
    Watch(Watcher),
}

/// Why a connection should look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// A feed it reads has news, or a delivery waits.
    pub news: bool,
    /// Its timer is due.
    pub timer: bool,
    /// The server drains; come back after so many milliseconds.
    pub drain: Option<u64>,
    /// When the changes behind the news happened, if this connection is to measure how long they took to be written.
    pub measure: Option<Timestamp>,
    /// When the message behind the news arrived, by the finer clock, if this connection is to measure that.
    pub message: Option<Duration>,
}

/// What was in a mailbox.
#[derive(Debug)]
pub struct Mail {
    /// In the order in which they came.
    pub deliveries: Vec<Delivery>,
    /// Why the connection was called.
    pub calls: Calls,
    /// Of operators.
    pub questions: Vec<Question>,
}

impl Mailbox {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds a mailbox")
    }

    fn call(&self, change: impl FnOnce(&mut Inner)) {
        let waker = {
            let mut inner = self.inner();
            change(&mut inner);
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// A feed has news.
    pub fn wake(&self) {
        self.call(|inner| inner.news = true);
    }

    /// A feed has news, and this connection measures how long it took from `since`.
    pub fn wake_and_measure(&self, since: Timestamp) {
        self.call(|inner| {
            inner.news = true;
            inner.letters().measure.get_or_insert(since);
        });
    }

    /// A stream has news, and this connection measures how long it took since the message `arrived`.
    pub fn wake_for_message(&self, arrived: Duration) {
        self.call(|inner| {
            inner.news = true;
            inner.letters().message.get_or_insert(arrived);
        });
    }

    /// The connection's timer is due.
    pub fn ring(&self) {
        self.call(|inner| inner.timer = true);
    }

    /// The server drains.
    pub fn drain(&self, retry_after_millis: u64) {
        self.call(|inner| inner.letters().drain = Some(retry_after_millis));
    }

    /// Puts something in.
    pub fn deliver(&self, delivery: Delivery) {
        self.call(|inner| {
            inner.letters().deliveries.push(delivery);
            inner.news = true;
        });
    }

    /// Asks the connection something. It answers when it looks next, which is at once unless it is stuck.
    pub fn ask(&self, question: Question) {
        self.call(|inner| {
            let questions = &mut inner.letters().questions;
            if questions.len() < QUESTIONS_MAX {
                questions.push(question);
            }
        });
    }

    /// Whether anything is in it that is for the connection's session.
    pub fn has_deliveries(&self) -> bool {
        self.inner().letters.as_ref().is_some_and(|letters| !letters.deliveries.is_empty())
    }

    /// Ready when there is something.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<Mail> {
        let mut inner = self.inner();
        if !inner.news && !inner.timer && inner.letters.is_none() {
            if !inner.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                inner.waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let (news, timer) = (std::mem::take(&mut inner.news), std::mem::take(&mut inner.timer));
        let letters = inner.letters.take().map(|letters| *letters).unwrap_or_default();
        drop(inner);
        let Letters { deliveries, questions, drain, measure, message } = letters;
        let calls = Calls { news, timer, drain, measure, message };
        Poll::Ready(Mail { deliveries, calls, questions })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use presence_core::error::CloseReason;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn many_calls_wake_once_and_are_all_found() {
        let mailbox = Mailbox::default();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        assert!(mailbox.poll(&mut cx).is_pending());
        mailbox.wake();
        mailbox.deliver(Delivery::Evict(CloseReason::Kicked));
        mailbox.ring();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        let Poll::Ready(mail) = mailbox.poll(&mut cx) else { panic!("nothing was found") };
        assert_eq!(mail.calls, Calls { news: true, timer: true, drain: None, measure: None, message: None });
        assert_eq!(mail.deliveries.len(), 1);
        assert!(mailbox.poll(&mut cx).is_pending());
    }

    /// P3: what waits in it is older than what rooms have said since, and is looked for before anything is written.
    #[test]
    fn what_rooms_have_answered_is_seen_to_wait_and_a_mere_call_is_not() {
        let mailbox = Mailbox::default();
        mailbox.wake();
        assert!(!mailbox.has_deliveries());
        mailbox.deliver(Delivery::Evict(CloseReason::Kicked));
        assert!(mailbox.has_deliveries());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(mailbox.poll(&mut cx).is_ready());
        assert!(!mailbox.has_deliveries());
    }
}
