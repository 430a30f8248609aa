//! Which request goes where.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{HeaderMap, Method, Request, StatusCode};
use presence_core::id::{ConnectionId, RoomId};
use presence_core::limits::Limits;
use tracing::debug;

use super::actor::Actor;
use super::answer::{Answer, HttpError};
use super::body::read_body;
use super::caller::Caller;
use super::connection::{Leave, Reply};
use super::cors::Crossing;
use super::routes::{self, Call, Found, Parameters, Route, Who};
use super::{
    admin, debug_connections, debug_room, debug_trace, framing, health, kick, messages, openapi, page,
    people, presence, query, rooms, stats, stream,
};
use crate::auth::{Access, Auth};
use crate::config::{Config, Exposure};
use crate::connection::{Connections, Hello};
use crate::limits::{AddressLimits, AddressPlace, Refused, too_many_connections};
use crate::metrics::Metrics;
use crate::random;
use crate::shard::Shards;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the routes need.
#[derive(Debug)]
pub struct Router {
    config: Arc<Config>,
    connections: Arc<Connections>,
    shared: Arc<stream::SharedStreams>,
    shards: Shards,
    auth: Arc<Auth>,
    limits: Limits,
    metrics: Metrics,
    draining: AtomicBool,
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
        let shared = Arc::default();
        Self { config, connections, shared, shards, auth, limits, metrics, draining }
    }

    /// From now on the server is not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.shared.drain();
    }

    /// How many connections have left HTTP behind.
    pub(super) fn connection_count(&self) -> usize {
        self.connections.registry().len() + self.shared.len()
    }

    /// What addresses may do.
    pub(super) fn addresses(&self) -> &Arc<AddressLimits> {
        self.connections.addresses()
    }

    /// Answers one request; never fails.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>, caller: &Caller) -> Reply {
        let caller = caller.of_request(self.addresses(), request.headers());
        let id = request_id(&request);
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let crossing = Crossing::of(&request, self.auth.origins());
        let found = routes::find(&method, &path);
        let label = found.label();
        let framed = framing::check(&request);
        let ambiguous = framed.is_err();
        let allowed = framed.and_then(|()| {
            self.addresses().request(caller.address()).map_err(|refused| self.refuse(refused))
        });
        let replied = match (allowed, crossing.answer(&request)) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(answered)) => answered.map(Reply::Answer),
            (Ok(()), None) => match found {
                Found::Route(route, parameters) => self.route(route, &parameters, request, &caller).await,
                Found::OtherMethods { allow, .. } => Ok(Reply::Answer(other_methods(&method, &allow))),
                Found::Nothing => Err(not_found()),
            },
        };
        let mut reply = replied.unwrap_or_else(|error| Reply::Answer(error.answer()));
        let status = reply.status().as_u16();
        self.metrics.http_answered(label, status);
        debug!(request = id.to_str().unwrap_or_default(), peer = %caller.peer, %method, route = label, status, "request answered");
        let headers = reply.headers_mut();
        if ambiguous {
            // What follows such a request may be no request.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        headers.insert(REQUEST_ID, id);
        crossing.mark(headers);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        reply
    }

    async fn route(
        &self,
        route: &Route,
        parameters: &Parameters<'_>,
        request: Request<Incoming>,
        caller: &Caller,
    ) -> Result<Reply, HttpError> {
        let access = self.admit(route, &request, caller)?;
        let (shards, connections) = (&self.shards, &*self.connections);
        let query = request.uri().query();
        let answer = match route.call {
            Call::WebSocket => return self.open(stream::web_socket, &request, caller).map(Reply::Leave),
            Call::EventStream => return self.open(stream::event_stream, &request, caller).map(Reply::Leave),
            Call::SharedStream => return self.open_shared(&request, caller).map(Reply::Leave),
            Call::OpenOnShared => self.open_on_shared(parameters.text("shared_id"), &request, caller),
            Call::End => self.end(parameters.text("connection_id"), &request, caller),
            Call::DebugTrace => return self.trace(parameters.connection(), caller).map(Reply::Leave),
            Call::Post => self.post(parameters.text("connection_id"), request, caller).await,
            Call::Page => page::get(request.uri().path()).ok_or_else(not_found),
            Call::Admin => admin::get(request.uri().path()).ok_or_else(not_found),
            Call::RoomPresence => {
                presence::get(parameters.room()?, &access, query, request.headers(), shards).await
            }
            Call::SendMessage => self.send(parameters.room()?, &access, request).await,
            Call::ReadMessages => messages::read(&self.asked(&access, &request)?, parameters.room()?).await,
            Call::Sync => messages::sync(&self.asked(&access, &request)?).await,
            Call::Rooms => rooms::list(query, shards).await,
            Call::Stats => stats::get(shards, connections).await,
            Call::People(call) => self.people(call, parameters, &access, request).await,
            Call::KickUser => {
                kick::user(parameters.user(&self.limits)?, &self.auth, shards, connections).await
            }
            Call::KickConnection => kick::connection(parameters.connection(), connections),
            Call::DebugConnections => debug_connections::get(query, shards, connections).await,
            Call::DebugRoom => debug_room::get(parameters.room()?, shards, connections).await,
            Call::OpenApi => Ok(openapi::get()),
            Call::Health => Ok(health::alive()),
            Call::Ready => {
                health::ready(self.draining.load(Ordering::Relaxed), &**self.connections.streams().store())
            }
            Call::Metrics => Ok(health::metrics(&self.metrics)),
        };
        answer.map(Reply::Answer)
    }

    /// Who asks; what users change, they pay for.
    fn actor<B>(&self, access: &Access, request: &Request<B>) -> Result<Actor, HttpError> {
        let actor = Actor::of(access, request.headers(), request.uri().query(), &self.limits)?;
        if let Actor::User { id, .. } = &actor
            && !request.method().is_safe()
        {
            self.connections.pay(id).map_err(Refused::answer)?;
        }
        Ok(actor)
    }

    fn asked<'a, B>(
        &'a self,
        access: &Access,
        request: &'a Request<B>,
    ) -> Result<messages::Asked<'a>, HttpError> {
        let (streams, people) = (self.connections.streams(), self.connections.people());
        let (actor, query) = (self.actor(access, request)?, request.uri().query());
        Ok(messages::Asked { actor, query, limits: &self.limits, streams, people })
    }

    async fn send(
        &self,
        room: RoomId,
        access: &Access,
        request: Request<Incoming>,
    ) -> Result<Answer, HttpError> {
        // A message may be as large here as on a connection.
        let bytes_max = self.config.body_bytes_max.min(self.limits.message_bytes_max);
        let id = request_id(&request);
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head, ());
        let asked = self.asked(access, &request)?;
        let body = read_body(body, bytes_max, Duration::from_millis(self.config.body_timeout_ms)).await?;
        messages::send(&asked, room, &body, id.to_str().unwrap_or_default()).await
    }

    /// Decides whether a request may have what its route gives, for all routes in this one place; what is left to the
    /// routes is which room or user it is about. Where nobody has to prove anything, a stranger's page still must not
    /// change anything for the user who looks at it.
    fn admit(
        &self,
        route: &Route,
        request: &Request<Incoming>,
        caller: &Caller,
    ) -> Result<Access, HttpError> {
        let (headers, query) = (request.headers(), request.uri().query());
        if route.method != Method::GET {
            self.auth.origins().check(headers)?;
        }
        match route.who {
            Who::Anyone | Who::Connecting => Ok(Access::Anyone),
            Who::User => self.proven(caller, || self.auth.access(headers, query)),
            Who::Backend => self.proven(caller, || self.backend(headers, query)),
            Who::Scraper => self.proven(caller, || self.exposed(self.config.metrics_access, headers, query)),
            Who::Operator => self.proven(caller, || self.exposed(self.config.debug_access, headers, query)),
        }
    }

    fn exposed(
        &self,
        exposure: Exposure,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Access, HttpError> {
        match exposure {
            Exposure::Open => Ok(Access::Anyone),
            Exposure::Key => self.backend(headers, query),
            Exposure::Off => Err(not_found()),
        }
    }

    fn backend(&self, headers: &HeaderMap, query: Option<&str>) -> Result<Access, HttpError> {
        let access = self.auth.access(headers, query)?;
        access.require_backend()?;
        Ok(access)
    }

    /// Opens a stream, whichever kind it is, for whomever the request proves or says to be.
    fn open(&self, kind: Opener, request: &Request<Incoming>, caller: &Caller) -> Result<Leave, HttpError> {
        let hello = self.hello(request, caller, caller.place_of_stream(self.addresses()))?;
        kind(request, caller.peer, hello, &self.config, &self.connections)
    }

    fn open_shared(&self, request: &Request<Incoming>, caller: &Caller) -> Result<Leave, HttpError> {
        let hello = self.hello(request, caller, caller.place_of_stream(self.addresses()))?;
        stream::shared_stream(request, hello, &self.config, &self.connections, &self.shared)
    }

    /// Opens a connection that has no socket of its own, and counts as if it had one.
    fn open_on_shared(
        &self,
        shared_id: &str,
        request: &Request<Incoming>,
        caller: &Caller,
    ) -> Result<Answer, HttpError> {
        if self.connection_count() >= self.config.connections_max {
            self.metrics.connection_refused("connections_max");
            return Err(too_many_connections());
        }
        let place = self.addresses().connect(caller.address()).map(Arc::new);
        let hello = self.hello(request, caller, place)?;
        let (config, connections) = (&self.config, &self.connections);
        stream::open_on_shared(shared_id, request, caller.peer, hello, config, connections, &self.shared)
    }

    /// What a request that opens something says and proves.
    fn hello(
        &self,
        request: &Request<Incoming>,
        caller: &Caller,
        place: Result<Arc<AddressPlace>, Refused>,
    ) -> Result<Hello, HttpError> {
        if self.draining.load(Ordering::Relaxed) {
            let message = "the server is going away";
            return Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message));
        }
        let (headers, query) = (request.headers(), request.uri().query());
        self.auth.origins().check(headers)?;
        let (hello, said) = query::hello(query, &self.limits)?;
        let proof = self.proven(caller, || self.auth.proof(headers, query, said))?;
        let mut hello = Hello { proof, ..hello };
        let place = place.map_err(|refused| self.refuse(refused))?;
        hello.places.address = Some(place).filter(|place| place.is_counted());
        Ok(hello)
    }

    async fn people(
        &self,
        call: people::Call,
        parameters: &Parameters<'_>,
        access: &Access,
        request: Request<Incoming>,
    ) -> Result<Answer, HttpError> {
        let actor = self.actor(access, &request)?;
        let (head, body) = request.into_parts();
        let (headers, query) = (&head.headers, head.uri.query());
        let timeout = Duration::from_millis(self.config.body_timeout_ms);
        let body = match call.takes_body() {
            true => read_body(body, self.config.body_bytes_max, timeout).await?,
            false => Bytes::new(),
        };
        let document_bytes_max = self.config.document_bytes_max;
        let (limits, people) = (&self.limits, self.connections.people());
        let asked = people::Asked { actor, query, headers, body, limits, document_bytes_max, people };
        people::answer(call, parameters, asked).await
    }

    /// Opens a trace, which takes up as much of its address as any stream.
    fn trace(&self, id: Option<ConnectionId>, caller: &Caller) -> Result<Leave, HttpError> {
        let place = caller.place_of_stream(self.addresses()).map_err(|refused| self.refuse(refused))?;
        debug_trace::open(id, &self.connections, place)
    }

    /// Counts who fails to prove who it is, and does not even look at what an address brings that has failed too often.
    fn proven<T>(
        &self,
        caller: &Caller,
        prove: impl FnOnce() -> Result<T, HttpError>,
    ) -> Result<T, HttpError> {
        self.addresses().check_auth(caller.address()).map_err(|refused| self.refuse(refused))?;
        prove().inspect_err(|error| {
            if error.status == StatusCode::UNAUTHORIZED {
                self.addresses().failed_auth(caller.address());
            }
        })
    }

    fn refuse(&self, refused: Refused) -> HttpError {
        self.metrics.refused(refused.bound);
        refused.answer()
    }

    async fn post(
        &self,
        connection: &str,
        request: Request<Incoming>,
        caller: &Caller,
    ) -> Result<Answer, HttpError> {
        let (head, body) = request.into_parts();
        self.may_post(connection, &head.headers, head.uri.query(), caller)?;
        let inlet = stream::way_in(connection, &self.connections)?;
        let timeout = Duration::from_millis(self.config.body_timeout_ms);
        let body = read_body(body, self.config.body_bytes_max, timeout).await?;
        stream::post(&*inlet, &body, &self.config)
    }

    fn end(
        &self,
        connection: &str,
        request: &Request<Incoming>,
        caller: &Caller,
    ) -> Result<Answer, HttpError> {
        self.may_post(connection, request.headers(), request.uri().query(), caller)?;
        stream::end(connection, &self.connections)
    }

    fn may_post(
        &self,
        connection: &str,
        headers: &HeaderMap,
        query: Option<&str>,
        caller: &Caller,
    ) -> Result<(), HttpError> {
        let owner = self.connections.registry().owner(connection);
        self.proven(caller, || self.auth.may_post(headers, query, owner))
    }
}

type Opener =
    fn(&Request<Incoming>, SocketAddr, Hello, &Config, &Arc<Connections>) -> Result<Leave, HttpError>;

fn other_methods(method: &Method, allow: &str) -> Answer {
    let message = format!("this address takes {allow}, not {method}");
    let mut answer = HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "bad_message", message).answer();
    let allow = HeaderValue::from_str(allow).expect("names of methods are header values");
    answer.headers_mut().insert(ALLOW, allow);
    answer
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
        HeaderValue::try_from(format!("{:016x}", random::name64())).expect("hex digits are a header value")
    })
}
