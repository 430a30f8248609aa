//! Reading a request's body: never more than allowed, never longer than allowed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Body;

use super::answer::HttpError;

/// The whole body, if it is no larger than `bytes_max` and has come within `timeout`. Whoever refuses a body leaves the
/// rest of it unread, and the connection ends with the answer.
pub(super) async fn read_body<B>(body: B, bytes_max: usize, timeout: Duration) -> Result<Bytes, HttpError>
where
    B: Body<Data = Bytes> + Unpin,
{
    // What says that it is too large need not be heard.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    match tokio::time::timeout(timeout, collect(body, bytes_max)).await {
        Ok(collected) => collected,
        Err(_) => Err(HttpError::new(
            StatusCode::REQUEST_TIMEOUT,
            "bad_message",
            format!("the body did not come within {} ms", timeout.as_millis()),
        )),
    }
}

async fn collect<B>(mut body: B, bytes_max: usize) -> Result<Bytes, HttpError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let broken =
            |_| HttpError::new(StatusCode::BAD_REQUEST, "bad_message", "the body ended before its time");
        // Trailers say nothing that anybody asked for.
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if collected.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        // Most bodies come in one piece.
        if collected.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected.freeze())
}

fn too_large(bytes_max: usize) -> HttpError {
    let message = format!("the body may have at most {bytes_max} bytes");
    HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body_util::Full;
    use hyper::body::Frame;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A body that comes in pieces, and then ends or goes on for ever.
    struct Pieces {
        left: Vec<&'static str>,
        ends: bool,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.left.pop() {
                Some(piece) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(piece.as_bytes()))))),
                None if self.ends => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    async fn status(body: impl Body<Data = Bytes> + Unpin, bytes_max: usize, timeout: Duration) -> u16 {
        let read = read_body(body, bytes_max, timeout).await;
        read.map_or_else(|error| error.status.as_u16(), |_| 200)
    }

    #[tokio::test]
    async fn a_body_comes_whole_in_however_many_pieces() {
        let pieces = Pieces { left: vec!["c", "b", "a"], ends: true };
        assert_eq!(read_body(pieces, 3, LONG).await.unwrap(), "abc");
        assert_eq!(read_body(Full::new(Bytes::from_static(b"abc")), 3, LONG).await.unwrap(), "abc");
        assert!(read_body(Full::<Bytes>::default(), 0, LONG).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
        assert_eq!(status(Full::new(Bytes::from_static(b"abc")), 2, LONG).await, 413);
        assert_eq!(status(Pieces { left: vec!["c", "b", "a"], ends: false }, 2, LONG).await, 413);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let silent = Pieces { left: vec!["a"], ends: false };
        assert_eq!(status(silent, 9, Duration::from_millis(1)).await, 408);
    }
}
