//! Which request goes where.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, StatusCode};
use tracing::debug;

use super::answer::{Answer, HttpError, json, text};
use super::{origin, page, presence};
use crate::config::Config;
use crate::connection::Connections;
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
    metrics: Metrics,
    draining: AtomicBool,
}

/// A route, as metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    WebSocket,
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
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            _ if presence::room_of(path).is_some() => Self::Presence,
            _ if page::get(path).is_some() => Self::Page,
            _ => Self::None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "/ws",
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
    pub fn new(config: Arc<Config>, connections: Arc<Connections>, shards: Shards, metrics: Metrics) -> Self {
        Self { config, connections, shards, metrics, draining: AtomicBool::new(false) }
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
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        let route = Route::of(request.uri().path());
        let id = request_id(&request);
        let method = request.method().clone();
        let mut answer = match self.route(route, request, peer).await {
            Ok(answer) => answer,
            Err(error) => error.answer(),
        };
        let status = answer.status().as_u16();
        self.metrics.http_answered(route.as_str(), status);
        debug!(request = id.to_str().unwrap_or_default(), %method, route = route.as_str(), status, "request answered");
        let headers = answer.headers_mut();
        headers.insert(REQUEST_ID, id);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }

    async fn route(
        &self,
        route: Route,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Answer, HttpError> {
        if route != Route::None && !matches!(*request.method(), Method::GET | Method::HEAD) {
            let message = format!("this address takes GET, not {}", request.method());
            return Err(HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "bad_message", message));
        }
        match route {
            Route::WebSocket => self.web_socket(request, peer),
            Route::Presence => {
                let uri = request.uri();
                let room = presence::room_of(uri.path()).unwrap_or_default();
                presence::get(room, uri.query(), request.headers(), &self.shards).await
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
        }
    }

    #[cfg(feature = "ws")]
    fn web_socket(&self, request: Request<Incoming>, peer: SocketAddr) -> Result<Answer, HttpError> {
        use presence_transport_ws::{WsConfig, upgrade};

        if self.draining.load(Ordering::Relaxed) {
            return Err(HttpError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "the server is going away",
            ));
        }
        origin::check(request.headers(), &self.config.allowed_origins)?;
        let hello = super::query::hello(request.uri().query(), self.config.name_chars_max)?;
        let config = WsConfig {
            message_bytes_max: self.config.message_bytes_max,
            open_deadline: std::time::Duration::from_millis(self.config.header_timeout_ms),
        };
        let connections = Arc::clone(&self.connections);
        let opened =
            upgrade(request, peer, config, move |transport| connections.open(Box::new(transport), hello));
        match opened {
            Ok(switching) => Ok(switching.map(|_| http_body_util::Full::default())),
            Err(error) => Err(HttpError::new(error.status(), "bad_message", error.to_string())),
        }
    }

    #[cfg(not(feature = "ws"))]
    fn web_socket(&self, _: Request<Incoming>, _: SocketAddr) -> Result<Answer, HttpError> {
        let message = "WebSocket is not built into this server: build it with `--features ws`";
        Err(HttpError::new(StatusCode::NOT_FOUND, "not_found", message))
    }
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
