//! A backend that webhooks go to: as much of an HTTP/1.1 server (RFC 9112) as that takes. It answers as it is told, and checks
//! signature and order of whatever it takes.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ring::hmac;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::http::is_whole;

/// How long something may take to be told.
const PATIENCE: Duration = Duration::from_secs(30);

/// The secret that requests have to be signed with.
pub const SECRET: &str = "a secret that only tests have, of 32 bytes or more";

/// What a receiver does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Answers with this status; the events are taken if it is 2xx.
    Status(u16),
    /// Says nothing.
    Silence,
    /// Closes the connection without an answer.
    HangUp,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What was done with it.
    pub reply: Reply,
    /// `Presence-Delivery`.
    pub number: u64,
    /// The body.
    pub body: String,
    /// When it was signed, in Unix seconds.
    pub signed_at: i64,
}

#[derive(Debug, Default)]
struct State {
    next: VecDeque<Reply>,
    otherwise: Option<Reply>,
    deliveries: Vec<Delivery>,
    events: Vec<Value>,
    connections: usize,
    /// The first thing that was not as it must be.
    fault: Option<String>,
}

/// A backend at an address of its own; it is gone with the value.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    news: watch::Sender<()>,
    tls: Option<TlsAcceptor>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Receiver {
    /// A backend that takes everything.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn start() -> Result<Self> {
        Self::start_with(None).await
    }

    /// The same over TLS.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn start_with(tls: Option<TlsAcceptor>) -> Result<Self> {
        let shared = Shared { state: Mutex::default(), news: watch::Sender::new(()), tls };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mut receiver =
            Self { address: listener.local_addr()?, shared: Arc::new(shared), accepting: None };
        receiver.accept(listener);
        Ok(receiver)
    }

    fn accept(&mut self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        self.accepting = Some(tokio::spawn(async move {
            // Connections end with their listener.
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.with(|state| state.connections += 1);
                shared.news.send_replace(());
                let shared = Arc::clone(&shared);
                open.spawn(async move {
                    match shared.tls.clone() {
                        None => serve(&shared, stream).await,
                        // Who does not trust the certificate goes again.
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(&shared, stream).await,
                            Err(_) => Ok(()),
                        },
                    }
                });
            }
        }));
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/hooks/presence", self.address)
    }

    /// Replies to the next requests one by one; then as before.
    pub fn reply_next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.with(|state| state.next.extend(replies));
    }

    /// Replies to all requests from now on.
    pub fn reply(&self, reply: Reply) {
        self.shared.with(|state| state.otherwise = Some(reply));
    }

    /// Is not there any more: connections end, and nobody can make another.
    pub async fn go_down(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            // Then the port is free.
            let _ = accepting.await;
        }
    }

    /// Is there again, at the same address.
    ///
    /// # Errors
    /// If somebody else has the port.
    pub async fn come_back(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.accept(listener);
        Ok(())
    }

    /// Every request so far, however it was answered.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.with(|state| state.deliveries.clone())
    }

    /// How many connections it has had.
    pub fn connections(&self) -> usize {
        self.shared.with(|state| state.connections)
    }

    /// The events that it has taken, each once, as soon as they are as expected.
    ///
    /// # Errors
    /// If they are not in time, or a request was not as it must be.
    pub async fn until(&self, what: &str, expected: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
        self.wait(what, |state| expected(&state.events).then(|| state.events.clone())).await
    }

    /// Until there have been so many requests, however they were answered.
    ///
    /// # Errors
    /// If there are not in time, or a request was not as it must be.
    pub async fn until_asked(&self, times: usize) -> Result<()> {
        let asked = |state: &State| (state.deliveries.len() >= times).then_some(());
        self.wait(&format!("{times} requests"), asked).await
    }

    /// Until the newest request, however it was answered, begins with this event or a later one.
    ///
    /// # Errors
    /// If there is none in time, or a request was not as it must be.
    pub async fn until_asked_from(&self, number: u64) -> Result<()> {
        let asked = |state: &State| state.deliveries.last().filter(|last| last.number >= number).map(drop);
        self.wait(&format!("event {number}"), asked).await
    }

    /// Until somebody has connected so often, whether they had something to say or not.
    ///
    /// # Errors
    /// If they have not in time.
    pub async fn until_met(&self, times: usize) -> Result<()> {
        let met = |state: &State| (state.connections >= times).then_some(());
        self.wait(&format!("{times} connections"), met).await
    }

    async fn wait<T>(&self, what: &str, seen: impl Fn(&State) -> Option<T>) -> Result<T> {
        let mut news = self.shared.news.subscribe();
        let waiting = async {
            loop {
                let outcome = self.shared.with(|state| match &state.fault {
                    Some(fault) => Some(Err(anyhow::anyhow!("{fault}"))),
                    None => seen(state).map(Ok),
                });
                if let Some(outcome) = outcome {
                    return outcome;
                }
                news.changed().await?;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.with_context(|| {
            format!("{what}: not in time; so far {:?}", self.shared.with(|s| s.events.clone()))
        })?
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes a request. Says what to do with it.
    fn take_in(&self, request: &str) -> Reply {
        let reply = self.with(|state| {
            let reply = state.next.pop_front().or(state.otherwise).unwrap_or(Reply::Status(204));
            if let Err(fault) = state.take_in(request, reply) {
                state.fault.get_or_insert(format!("{fault:#}"));
            }
            reply
        });
        self.news.send_replace(());
        reply
    }
}

impl State {
    fn take_in(&mut self, request: &str, reply: Reply) -> Result<()> {
        let (head, body) = request.split_once("\r\n\r\n").context("no end of headers")?;
        ensure!(head.starts_with("POST /hooks/presence HTTP/1.1\r\n"), "{head}");
        let header = |name: &str| {
            let values = head.lines().filter_map(|line| line.split_once(": "));
            let found =
                values.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next();
            found.with_context(|| format!("no {name} in {head}"))
        };
        ensure!(header("content-type")? == "application/json", "{head}");
        let signed_at = verify(header("presence-signature")?, body)?;
        let number = header("presence-delivery")?.parse()?;
        self.deliveries.push(Delivery { reply, number, body: body.to_owned(), signed_at });
        let mut told: Value = serde_json::from_str(body)?;
        let Value::Array(events) = told["events"].take() else { bail!("no events in {body}") };
        ensure!(events.first().is_some_and(|event| event["number"] == number), "{number} is not the first");
        if !matches!(reply, Reply::Status(200..=299)) {
            return Ok(());
        }
        for event in events {
            let place = |event: &Value| event["number"].as_u64();
            // What was taken before may come again.
            if self.events.iter().any(|known| place(known) == place(&event)) {
                continue;
            }
            ensure!(
                self.events.last().is_none_or(|last| place(last) < place(&event)),
                "{event} comes too late"
            );
            self.events.push(event);
        }
        Ok(())
    }
}

/// Checks a signature as the documents tell a backend to. Gives the time that it was made.
fn verify(signature: &str, body: &str) -> Result<i64> {
    let (time, mac) = signature.split_once(",v1=").context("no v1 in the signature")?;
    let time = time.strip_prefix("t=").context("no time in the signature")?;
    let mac = (0..mac.len()).step_by(2).map(|at| u8::from_str_radix(&mac[at..at + 2], 16));
    let mac = mac.collect::<Result<Vec<u8>, _>>()?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let good = hmac::verify(&key, format!("{time}.{body}").as_bytes(), &mac);
    ensure!(good.is_ok(), "the signature is wrong: {signature} of {body}");
    Ok(time.parse()?)
}

/// Answers one request after another.
async fn serve(shared: &Shared, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
    loop {
        let mut request = Vec::new();
        while !is_whole(&request) {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        match shared.take_in(std::str::from_utf8(&request)?) {
            Reply::Status(status) => {
                let answer = format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await?;
            }
            Reply::Silence => std::future::pending().await,
            Reply::HangUp => return Ok(()),
        }
    }
}

/// An acceptor for TLS with a certificate.
///
/// # Errors
/// If certificate and key are none.
pub fn acceptor(certificate: &crate::tls::Certificate) -> Result<TlsAcceptor> {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let chain = vec![CertificateDer::from_pem_slice(certificate.cert_pem.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes())?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
