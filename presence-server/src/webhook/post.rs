//! One request after another to one backend, over a connection that is kept as long as both sides like it.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::settings::Target;
use super::signature;

/// The header with the number of the first event.
const DELIVERY: &str = "presence-delivery";

type Sender = SendRequest<Full<Bytes>>;

const AGENT: &str = concat!("presence-server/", env!("CARGO_PKG_VERSION"));

/// Bytes of an answer that are read, so that the connection can be used again; nobody looks at them.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What is told to the backend at once.
pub(super) struct Letter {
    pub(super) body: Bytes,
    pub(super) signature: String,
    /// The number of its first event.
    pub(super) first: u64,
}

/// Why a backend has not taken a batch. Says nothing of what was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it can not be reached: {0}")]
    Unreachable(#[from] io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("it answered {0}")]
    Refused(StatusCode),
    #[error("it did not answer in time")]
    TimedOut,
}

impl Failure {
    /// As the metrics write it.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Broken(_) => "broken",
            Self::Refused(_) => "refused",
            Self::TimedOut => "timed_out",
        }
    }
}

/// The way to one backend.
pub(super) struct Post {
    target: Target,
    timeout: Duration,
    open: Option<Sender>,
}

impl Post {
    pub(super) fn new(target: Target, timeout: Duration) -> Self {
        Self { target, timeout, open: None }
    }

    /// Posts a batch. Whatever comes back but a 2xx is a failure, a redirect too: the signature is for one address.
    pub(super) async fn deliver(&mut self, letter: &Letter) -> Result<(), Failure> {
        let open = self.open.take();
        let exchange = tokio::time::timeout(self.timeout, exchange(&self.target, open, letter)).await;
        let (open, status) = exchange.map_err(|_| Failure::TimedOut)??;
        self.open = open;
        if status.is_success() { Ok(()) } else { Err(Failure::Refused(status)) }
    }
}

/// One request and its answer. Gives the connection back if it can be used again.
async fn exchange(
    target: &Target,
    open: Option<Sender>,
    letter: &Letter,
) -> Result<(Option<Sender>, StatusCode), Failure> {
    // A backend may close a connection that it has heard nothing on for a while, just when something is said on it.
    let used = match open {
        Some(mut sender) => {
            let answer = match sender.ready().await {
                Ok(()) => sender.send_request(request(target, letter)).await,
                Err(closed) => Err(closed),
            };
            answer.ok().map(|answer| (sender, answer))
        }
        None => None,
    };
    let (sender, answer) = match used {
        Some(answered) => answered,
        None => {
            let mut sender = connect(target).await?;
            let answer = sender.send_request(request(target, letter)).await?;
            (sender, answer)
        }
    };
    let status = answer.status();
    Ok((read_to_end(answer).await.then_some(sender), status))
}

fn request(target: &Target, letter: &Letter) -> Request<Full<Bytes>> {
    Request::post(target.path())
        .header(HOST, target.authority())
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/json")
        .header(signature::HEADER, &letter.signature)
        .header(DELIVERY, letter.first)
        .body(Full::new(letter.body.clone()))
        .expect("an address that was checked and plain texts make a request")
}

async fn connect(target: &Target) -> Result<Sender, Failure> {
    let stream = TcpStream::connect((target.host(), target.port())).await?;
    stream.set_nodelay(true)?;
    match target.tls() {
        None => {
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok(sender)
        }
        Some(tls) => {
            let (sender, connection) = handshake(TokioIo::new(tls.connect(stream).await?)).await?;
            tokio::spawn(connection);
            Ok(sender)
        }
    }
}

/// Whether the answer is over, and was not too long to be waited for.
async fn read_to_end(answer: Response<Incoming>) -> bool {
    Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.is_ok()
}
