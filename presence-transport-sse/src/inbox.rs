//! What has been posted to a stream and not been taken in yet. It costs something only while there is something in it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use presence_core::port::transport::{Departure, Incoming, Inlet, PostError};

use crate::SseConfig;

/// The way from requests that post to the stream that they belong to.
#[derive(Debug)]
pub(crate) struct Inbox {
    config: SseConfig,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    waker: Option<Waker>,
}

/// What comes of an inbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Posted {
    /// A message.
    Text(Bytes),
    /// The peer ends the connection, and nothing more will come.
    Leave,
}

impl Posted {
    /// The same, as a transport says it.
    pub(crate) fn into_incoming(self) -> Incoming {
        match self {
            Self::Text(text) => Incoming::Text(text),
            Self::Leave => Incoming::Left(Departure::GoingAway),
        }
    }
}

#[derive(Debug)]
enum Phase {
    Open(VecDeque<Bytes>),
    /// The peer ends the connection, after these.
    Leaving(VecDeque<Bytes>),
    /// The stream is over, and nobody will take anything in.
    Over,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Open(VecDeque::new())
    }
}

impl Inbox {
    pub(crate) fn new(config: SseConfig) -> Self {
        Self { config, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds an inbox")
    }

    /// The next message that was posted, or the end.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Posted> {
        let mut state = self.state();
        if let Phase::Open(texts) | Phase::Leaving(texts) = &mut state.phase
            && let Some(text) = texts.pop_front()
        {
            if texts.is_empty() {
                *texts = VecDeque::new();
            }
            return Poll::Ready(Posted::Text(text));
        }
        if matches!(state.phase, Phase::Leaving(_)) {
            return Poll::Ready(Posted::Leave);
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Takes nothing more.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.phase = Phase::Over;
        state.waker = None;
    }
}

impl Inlet for Inbox {
    fn post(&self, texts: Vec<Bytes>) -> Result<(), PostError> {
        let SseConfig { message_bytes_max, posts_max } = self.config;
        if texts.iter().any(|text| text.len() > message_bytes_max) {
            return Err(PostError::TooLarge { limit: message_bytes_max });
        }
        let waker = {
            let mut state = self.state();
            let Phase::Open(waiting) = &mut state.phase else { return Err(PostError::Over) };
            if waiting.len() + texts.len() > posts_max {
                return Err(PostError::Full { limit: posts_max });
            }
            waiting.extend(texts);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    fn leave(&self) {
        let waker = {
            let mut state = self.state();
            let Phase::Open(waiting) = &mut state.phase else { return };
            state.phase = Phase::Leaving(std::mem::take(waiting));
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
