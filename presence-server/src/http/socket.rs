//! The socket under HTTP, and the way out of it: a connection that becomes a stream of messages is taken from hyper, which
//! would keep its buffers for as long as it lives.

use std::io::{self, IoSlice};
#[cfg(feature = "tls")]
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Response;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::server::TlsStream;

/// What a client is connected by.
#[derive(Debug)]
pub(super) enum Socket {
    /// As it comes.
    Plain(TcpStream),
    /// Encrypted. Boxed: it is large, and few have one.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// The same socket, registered anew: a waker of hyper's task that stays behind in a registration would keep that
    /// task's memory for as long as the connection lives.
    fn renew(self) -> io::Result<Self> {
        match self {
            Self::Plain(stream) => Ok(Self::Plain(TcpStream::from_std(stream.into_std()?)?)),
            #[cfg(feature = "tls")]
            Self::Tls(mut stream) => {
                // TLS does not give its stream away, so this one's place is taken by another of the same connection.
                // Where no descriptor is left for that it stays, which costs memory only.
                let tcp = stream.get_mut().0;
                if let Ok(same) = tcp.as_fd().try_clone_to_owned() {
                    *tcp = TcpStream::from_std(same.into())?;
                }
                Ok(Self::Tls(stream))
            }
        }
    }

    /// How long the peer may leave bytes unacknowledged, or take none, before the kernel gives it up
    /// (`TCP_USER_TIMEOUT`, RFC 5482). Sockets begin with what the listener has.
    #[cfg(feature = "ws")]
    pub(super) fn set_patience(&self, patience: Duration) {
        match self {
            Self::Plain(stream) => set_patience(stream, patience),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => set_patience(stream.get_ref().0, patience),
        }
    }

    /// Writes the head of an answer that ends HTTP on this socket, and gives the socket back for what follows.
    ///
    /// # Errors
    /// If the client is gone.
    pub(super) async fn leave_http(self, head: &Response<()>) -> io::Result<Self> {
        let mut socket = self.renew()?;
        let mut bytes = format!("HTTP/1.1 {}\r\n", head.status()).into_bytes();
        for (name, value) in head.headers() {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        socket.write_all(&bytes).await?;
        socket.flush().await?;
        Ok(socket)
    }
}

/// As [`Socket::set_patience`], for any socket.
pub(crate) fn set_patience<'s>(socket: impl Into<socket2::SockRef<'s>>, patience: Duration) {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    // Without it the dead are found later, by retransmissions.
    let _ = socket.into().set_tcp_user_timeout(Some(patience));
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let _ = (socket, patience);
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => match Pin::new(stream).poll_read(cx, buffer) {
                // Many clients end a connection without TLS's own goodbye. Everything that is read here says itself
                // where it ends, so that nobody gains by cutting it off.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(()))
                }
                polled => polled,
            },
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    /// Head and body lie in different places; hyper would copy them together for a socket that takes only one.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
