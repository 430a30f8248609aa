//! Calls to the store that stand in line: each is made as soon as it joins the line, and they are done with in the order in
//! which they joined. So many can be under way, and still the order of submission is the order of places.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

type Call<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Calls in their order.
pub(super) struct Line<T> {
    waiting: VecDeque<Place<T>>,
    /// How many of them, from the front, have been made.
    made: usize,
}

enum Place<T> {
    Call(Call<T>),
    Done(T),
}

impl<T> Line<T> {
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::new(), made: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn join(&mut self, call: impl Future<Output = T> + Send + 'static) {
        self.waiting.push_back(Place::Call(Box::pin(call)));
    }

    /// Makes the calls that have not been made, and gives what is done at the front of the line. Only the front is looked
    /// at again: the store is done in order too.
    pub(super) fn poll_done(&mut self, cx: &mut Context<'_>, done: &mut Vec<T>) -> Poll<()> {
        while self.made < self.waiting.len() {
            let place = &mut self.waiting[self.made];
            place.poll(cx);
            self.made += 1;
        }
        while let Some(front) = self.waiting.front_mut() {
            front.poll(cx);
            match self.waiting.pop_front() {
                Some(Place::Done(result)) => done.push(result),
                Some(call) => {
                    self.waiting.push_front(call);
                    break;
                }
                None => break,
            }
            self.made -= 1;
        }
        if done.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl<T> Place<T> {
    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Self::Call(call) = self
            && let Poll::Ready(result) = call.as_mut().poll(cx)
        {
            *self = Self::Done(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn whoever_is_done_first_waits_for_those_before() {
        let mut line = Line::new();
        let (first, answer) = oneshot::channel();
        line.join(async move { answer.await.unwrap_or(0) });
        line.join(async { 2 });
        let mut done = Vec::new();
        let none = poll_fn(|cx| Poll::Ready(line.poll_done(cx, &mut done).is_pending())).await;
        assert!(none && line.len() == 2);
        first.send(1).unwrap();
        poll_fn(|cx| line.poll_done(cx, &mut done)).await;
        assert_eq!((done, line.len()), (vec![1, 2], 0));
    }
}
