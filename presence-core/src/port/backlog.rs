//! What a socket has not taken yet. Transports that write without waiting keep it here, and nothing while there is none.

use std::task::Poll;

/// Bytes that wait for a socket which takes them when it can.
///
/// A socket is a function: given bytes it takes some of them and says how many; given none it flushes what it keeps
/// itself; [`Poll::Pending`] means that it can take nothing now.
#[derive(Debug, Default)]
pub struct Backlog(Option<Box<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    written: usize,
}

impl Backlog {
    /// Whether everything is out.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.bytes.len() - waiting.written)
    }

    /// Writes as much as the socket takes and keeps the rest, after what waits already.
    ///
    /// # Errors
    /// What the socket says.
    pub fn write<E>(
        &mut self,
        bytes: &[u8],
        mut socket: impl FnMut(&[u8]) -> Poll<Result<usize, E>>,
    ) -> Result<(), E> {
        if let Some(waiting) = &mut self.0 {
            waiting.bytes.extend_from_slice(bytes);
            return Ok(());
        }
        let mut written = 0;
        if !drain(bytes, &mut written, &mut socket)? {
            self.0 = Some(Box::new(Waiting { bytes: bytes[written..].to_vec(), written: 0 }));
        }
        Ok(())
    }

    /// Goes on with what waits. Ready once it is all out.
    ///
    /// # Errors
    /// What the socket says.
    pub fn poll_empty<E>(
        &mut self,
        mut socket: impl FnMut(&[u8]) -> Poll<Result<usize, E>>,
    ) -> Poll<Result<(), E>> {
        if let Some(waiting) = &mut self.0 {
            if !drain(&waiting.bytes, &mut waiting.written, &mut socket)? {
                return Poll::Pending;
            }
            self.0 = None;
        }
        Poll::Ready(Ok(()))
    }
}

/// Writes from `written` on, and flushes at the end. Says whether all of it is out.
fn drain<E>(
    bytes: &[u8],
    written: &mut usize,
    socket: &mut impl FnMut(&[u8]) -> Poll<Result<usize, E>>,
) -> Result<bool, E> {
    while *written < bytes.len() {
        match socket(&bytes[*written..]) {
            Poll::Ready(taken) => *written += taken?,
            Poll::Pending => return Ok(false),
        }
    }
    match socket(&[]) {
        Poll::Ready(flushed) => flushed.map(|_| true),
        Poll::Pending => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Takes `room` bytes, three at a time.
    fn socket<'a>(
        room: &'a mut usize,
        out: &'a mut Vec<u8>,
    ) -> impl FnMut(&[u8]) -> Poll<Result<usize, Infallible>> + 'a {
        move |bytes| {
            let taken = bytes.len().min(3).min(*room);
            if taken == 0 && !bytes.is_empty() {
                return Poll::Pending;
            }
            *room -= taken;
            out.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }
    }

    #[test]
    fn what_is_not_taken_waits_and_goes_out_in_order() {
        let (mut backlog, mut out, mut room) = (Backlog::default(), Vec::new(), 8);
        backlog.write(b"hello ", socket(&mut room, &mut out)).unwrap();
        assert!(backlog.is_empty());
        backlog.write(b"wide ", socket(&mut room, &mut out)).unwrap();
        backlog.write(b"world", socket(&mut room, &mut out)).unwrap();
        assert_eq!((backlog.len(), out.len()), (8, 8));
        room = 4;
        assert!(backlog.poll_empty(socket(&mut room, &mut out)).is_pending());
        room = 4;
        assert_eq!(backlog.poll_empty(socket(&mut room, &mut out)), Poll::Ready(Ok(())));
        assert_eq!((backlog.is_empty(), out.as_slice()), (true, &b"hello wide world"[..]));
    }

    #[test]
    fn a_socket_that_cannot_flush_is_not_done() {
        let mut backlog = Backlog::default();
        let stuck = |bytes: &[u8]| match bytes.len() {
            0 => Poll::Pending,
            len => Poll::Ready(Ok::<_, Infallible>(len)),
        };
        backlog.write(b"x", stuck).unwrap();
        assert_eq!((backlog.is_empty(), backlog.len()), (false, 0));
    }
}
