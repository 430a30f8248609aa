//! Which request goes where.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, StatusCode};
use presence_core::limits::Limits;
use tracing::debug;

use super::answer::{Answer, HttpError, json, text};
use super::body::read_body;
use super::connection::{Leave, Reply};
use super::cors::Crossing;
use super::{page, presence, query, stream};
use crate::auth::Auth;
use crate::config::Config;
use crate::connection::{Connections, Hello};
use crate::metrics::Metrics;
use crate::random;
use crate::shard::Shards;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the routes need.
#[derive(Debug)]
pub struct Router {
    config: Arc<Config>,
    connections: Arc<Connections>,
    shards: Shards,
    auth: Arc<Auth>,
    limits: Limits,
    metrics: Metrics,
    draining: AtomicBool,
}

/// A route, as metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    WebSocket,
    EventStream,
    Post,
    Presence,
    Health,
    Ready,
    Metrics,
    Page,
    None,
}

impl Route {
    fn of(path: &str) -> Self {
        match path {
            "/ws" => Self::WebSocket,
            "/sse" => Self::EventStream,
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            _ if connection_of(path).is_some() => Self::Post,
            _ if presence::room_of(path).is_some() => Self::Presence,
            _ if page::get(path).is_some() => Self::Page,
            _ => Self::None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "/ws",
            Self::EventStream => "/sse",
            Self::Post => "/sse/{connection_id}",
            Self::Presence => "/v1/rooms/{room}/presence",
            Self::Health => "/healthz",
            Self::Ready => "/readyz",
            Self::Metrics => "/metrics",
            Self::Page => "page",
            Self::None => "none",
        }
    }
}

impl Router {
    /// Routes to these.
    pub fn new(
        config: Arc<Config>,
        connections: Arc<Connections>,
        shards: Shards,
        auth: Arc<Auth>,
        metrics: Metrics,
    ) -> Self {
        let (limits, draining) = (config.limits(), AtomicBool::new(false));
        Self { config, connections, shards, auth, limits, metrics, draining }
    }

    /// From now on the server is not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// How many connections have left HTTP behind.
    pub(super) fn connection_count(&self) -> usize {
        self.connections.registry().len()
    }

    /// Answers one request; never fails.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Reply {
        let route = Route::of(request.uri().path());
        let id = request_id(&request);
        let method = request.method().clone();
        let crossing = Crossing::of(&request, self.auth.origins());
        let answered = match crossing.answer(&request) {
            Some(answered) => answered.map(Reply::Answer),
            None => self.route(route, request, peer).await,
        };
        let mut reply = answered.unwrap_or_else(|error| Reply::Answer(error.answer()));
        let status = reply.status().as_u16();
        self.metrics.http_answered(route.as_str(), status);
        debug!(request = id.to_str().unwrap_or_default(), %method, route = route.as_str(), status, "request answered");
        let headers = reply.headers_mut();
        headers.insert(REQUEST_ID, id);
        crossing.mark(headers);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        reply
    }

    async fn route(
        &self,
        route: Route,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Reply, HttpError> {
        let method = request.method();
        let (fits, takes) = match route {
            Route::None => (true, ""),
            Route::Post => (*method == Method::POST, "POST"),
            _ => (matches!(*method, Method::GET | Method::HEAD), "GET"),
        };
        if !fits {
            let message = format!("this address takes {takes}, not {method}");
            return Err(HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "bad_message", message));
        }
        let answer = match route {
            Route::WebSocket => return self.open(stream::web_socket, &request, peer).map(Reply::Leave),
            Route::EventStream => return self.open(stream::event_stream, &request, peer).map(Reply::Leave),
            Route::Post => self.post(request).await,
            Route::Presence => {
                let uri = request.uri();
                let room = presence::room_of(uri.path()).unwrap_or_default();
                let access = self.auth.access(request.headers(), uri.query())?;
                presence::get(room, &access, uri.query(), request.headers(), &self.shards).await
            }
            Route::Health => Ok(json(StatusCode::OK, r#"{"status":"alive"}"#)),
            Route::Ready if self.draining.load(Ordering::Relaxed) => {
                Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "draining"))
            }
            Route::Ready => Ok(json(StatusCode::OK, r#"{"status":"ready"}"#)),
            Route::Metrics => {
                Ok(text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.metrics.render()))
            }
            Route::Page => page::get(request.uri().path()).ok_or_else(not_found),
            Route::None => Err(not_found()),
        };
        answer.map(Reply::Answer)
    }

    /// Opens a stream, whichever kind it is, for whomever the request proves or says to be.
    fn open(&self, kind: Opener, request: &Request<Incoming>, peer: SocketAddr) -> Result<Leave, HttpError> {
        if self.draining.load(Ordering::Relaxed) {
            let message = "the server is going away";
            return Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message));
        }
        let (headers, query) = (request.headers(), request.uri().query());
        self.auth.origins().check(headers)?;
        let (hello, said) = query::hello(query, &self.limits)?;
        let hello = Hello { proof: self.auth.proof(headers, query, said)?, ..hello };
        kind(request, peer, hello, &self.config, &self.connections)
    }

    async fn post(&self, request: Request<Incoming>) -> Result<Answer, HttpError> {
        let (head, body) = request.into_parts();
        let connection = connection_of(head.uri.path()).unwrap_or_default();
        let owner = self.connections.registry().owner(connection);
        self.auth.may_post(&head.headers, head.uri.query(), owner)?;
        let timeout = Duration::from_millis(self.config.body_timeout_ms);
        let body = read_body(body, self.config.body_bytes_max, timeout).await?;
        stream::post(connection, &body, &self.config, &self.connections)
    }
}

type Opener =
    fn(&Request<Incoming>, SocketAddr, Hello, &Config, &Arc<Connections>) -> Result<Leave, HttpError>;

/// The connection that a message is posted to.
fn connection_of(path: &str) -> Option<&str> {
    path.strip_prefix("/sse/")
}

fn not_found() -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
}

/// The id that the asker gave its request, if it is a sane one, else a new one.
fn request_id(request: &Request<Incoming>) -> HeaderValue {
    let sane = |id: &&HeaderValue| {
        id.len() <= 128 && id.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(b))
    };
    let given = request.headers().get(REQUEST_ID).filter(sane).cloned();
    given.unwrap_or_else(|| {
        HeaderValue::try_from(format!("{:016x}", random::bits64())).expect("hex digits are a header value")
    })
}
