//! The table of routes. The router, the labels of the metrics, `Allow` and the OpenAPI document are all made from it: a
//! new route is one entry here, one arm in the router, and an [`About`] beside what answers it.

use std::borrow::Cow;

use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use presence_core::id::{ConnectionId, RoomId, UserId};
use presence_core::limits::Limits;
use presence_core::people::DocumentKey;

use super::about::About;
use super::answer::HttpError;
use super::people::{Call as People, about};
use super::{
    admin, debug_connections, debug_room, debug_trace, health, kick, messages, openapi, page, people,
    presence, rooms, stats, stream,
};

/// A method at an address.
pub(super) struct Route {
    pub(super) method: Method,
    /// Segments in braces are parameters. `{room}` takes any number of segments, since room ids may contain `/`, all
    /// others take one.
    pub(super) path: &'static str,
    /// What its path begins and ends with; of most routes that tells that they are not meant.
    ends: (&'static str, &'static str),
    pub(super) who: Who,
    pub(super) call: Call,
    pub(super) about: &'static About,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Everybody: it tells nothing about anyone.
    Anyone,
    /// The user whose connection it opens. The route looks at the credentials itself, since they may also come later.
    Connecting,
    /// A user with a token, and the backend.
    User,
    /// The backend, with the server's API key.
    Backend,
    /// Whoever `metrics_access` lets.
    Scraper,
    /// Whoever `debug_access` lets.
    Operator,
}

/// What the router does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Page,
    Admin,
    WebSocket,
    EventStream,
    SharedStream,
    OpenOnShared,
    Post,
    End,
    RoomPresence,
    SendMessage,
    ReadMessages,
    Sync,
    Rooms,
    Stats,
    People(people::Call),
    KickUser,
    KickConnection,
    DebugConnections,
    DebugTrace,
    DebugRoom,
    OpenApi,
    Health,
    Ready,
    Metrics,
}

const fn route(method: Method, path: &'static str, who: Who, call: Call, about: &'static About) -> Route {
    Route { method, path, ends: fixed_ends(path), who, call, about }
}

/// What stands before the first parameter of a pattern, and behind the last one.
const fn fixed_ends(pattern: &'static str) -> (&'static str, &'static str) {
    let bytes = pattern.as_bytes();
    let (mut begin, mut end) = (0, bytes.len());
    while begin < bytes.len() && bytes[begin] != b'{' {
        begin += 1;
    }
    while end > 0 && bytes[end - 1] != b'}' {
        end -= 1;
    }
    (pattern.split_at(begin).0, pattern.split_at(end).1)
}

const fn get(path: &'static str, who: Who, call: Call, about: &'static About) -> Route {
    route(Method::GET, path, who, call, about)
}

const fn post(path: &'static str, who: Who, call: Call, about: &'static About) -> Route {
    route(Method::POST, path, who, call, about)
}

const fn put(path: &'static str, who: Who, call: Call, about: &'static About) -> Route {
    route(Method::PUT, path, who, call, about)
}

const fn patch(path: &'static str, who: Who, call: Call, about: &'static About) -> Route {
    route(Method::PATCH, path, who, call, about)
}

const fn delete(path: &'static str, who: Who, call: Call, about: &'static About) -> Route {
    route(Method::DELETE, path, who, call, about)
}

/// Every route. Of several that match, the one with the shortest `{room}` is meant, and then the one with the fewest
/// parameters.
pub(super) static ROUTES: [Route; 40] = [
    get("/", Who::Anyone, Call::Page, &page::ABOUT),
    get(admin::PATH, Who::Anyone, Call::Admin, &admin::ABOUT),
    get("/ws", Who::Connecting, Call::WebSocket, &stream::about::WEB_SOCKET),
    get("/sse", Who::Connecting, Call::EventStream, &stream::about::EVENT_STREAM),
    get("/sse/shared", Who::Connecting, Call::SharedStream, &stream::about::SHARED_STREAM),
    post("/sse/shared/{shared_id}", Who::Connecting, Call::OpenOnShared, &stream::about::OPEN_ON_SHARED),
    post("/sse/{connection_id}", Who::Connecting, Call::Post, &stream::about::POST),
    delete("/sse/{connection_id}", Who::Connecting, Call::End, &stream::about::END),
    get("/v1/rooms", Who::Backend, Call::Rooms, &rooms::LIST),
    get("/v1/rooms/{room}/presence", Who::User, Call::RoomPresence, &presence::ABOUT),
    post("/v1/rooms/{room}/messages", Who::User, Call::SendMessage, &messages::SEND),
    get("/v1/rooms/{room}/messages", Who::User, Call::ReadMessages, &messages::READ),
    get("/v1/sync", Who::User, Call::Sync, &messages::SYNC),
    get("/v1/stats", Who::User, Call::Stats, &stats::ABOUT),
    get("/v1/users", Who::User, Call::People(People::Users), &about::USERS),
    get("/v1/users/{id}", Who::User, Call::People(People::User), &about::USER),
    patch("/v1/users/{id}", Who::User, Call::People(People::Change), &about::CHANGE),
    put("/v1/users/{id}/username", Who::User, Call::People(People::Rename), &about::RENAME),
    put("/users/{id}/username", Who::User, Call::People(People::Rename), &about::RENAME_ALIAS),
    get("/v1/users/{id}/documents/{key}", Who::User, Call::People(People::Document), &about::DOCUMENT),
    put(
        "/v1/users/{id}/documents/{key}",
        Who::User,
        Call::People(People::WriteDocument),
        &about::WRITE_DOCUMENT,
    ),
    delete(
        "/v1/users/{id}/documents/{key}",
        Who::User,
        Call::People(People::DeleteDocument),
        &about::DELETE_DOCUMENT,
    ),
    get(
        "/v1/users/{id}/invites",
        Who::User,
        Call::People(People::InvitationsOfUser),
        &about::INVITATIONS_OF_USER,
    ),
    get("/v1/rooms/{room}/members", Who::User, Call::People(People::Members), &about::MEMBERS),
    put("/v1/rooms/{room}/members/{user}", Who::User, Call::People(People::AddMember), &about::ADD_MEMBER),
    delete(
        "/v1/rooms/{room}/members/{user}",
        Who::User,
        Call::People(People::RemoveMember),
        &about::REMOVE_MEMBER,
    ),
    post("/v1/rooms/{room}/invites", Who::User, Call::People(People::Invite), &about::INVITE),
    get("/v1/rooms/{room}/invites", Who::User, Call::People(People::Invitations), &about::INVITATIONS),
    put("/v1/rooms/{room}/invites/{user}", Who::User, Call::People(People::AnswerInvitation), &about::ANSWER),
    put(
        "/threads/{room}/invites/{user}",
        Who::User,
        Call::People(People::AnswerInvitation),
        &about::ANSWER_ALIAS,
    ),
    delete(
        "/v1/rooms/{room}/invites/{user}",
        Who::User,
        Call::People(People::WithdrawInvitation),
        &about::WITHDRAW,
    ),
    delete("/v1/users/{id}/sessions", Who::Backend, Call::KickUser, &kick::USER),
    delete("/v1/connections/{id}", Who::Backend, Call::KickConnection, &kick::CONNECTION),
    get("/debug/connections", Who::Operator, Call::DebugConnections, &debug_connections::ABOUT),
    get("/debug/connections/{id}/trace", Who::Operator, Call::DebugTrace, &debug_trace::ABOUT),
    get("/debug/rooms/{room}", Who::Operator, Call::DebugRoom, &debug_room::ABOUT),
    get("/openapi.json", Who::Anyone, Call::OpenApi, &openapi::ABOUT),
    get("/healthz", Who::Anyone, Call::Health, &health::ALIVE),
    get("/readyz", Who::Anyone, Call::Ready, &health::READY),
    get("/metrics", Who::Scraper, Call::Metrics, &health::METRICS),
];

/// What is at an address.
pub(super) enum Found<'a> {
    Route(&'static Route, Parameters<'a>),
    /// Something, but not by this method.
    OtherMethods {
        path: &'static str,
        allow: String,
    },
    Nothing,
}

impl Route {
    /// What answers GET answers HEAD, unless it opens a stream.
    fn answers_head(&self) -> bool {
        self.method == Method::GET
            && !matches!(
                self.call,
                Call::WebSocket | Call::EventStream | Call::SharedStream | Call::DebugTrace
            )
    }

    fn takes(&self, method: &Method) -> bool {
        self.method == *method || (*method == Method::HEAD && self.answers_head())
    }
}

impl Found<'_> {
    /// As metrics and logs name it.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Route(Route { path, .. }, _) | Self::OtherMethods { path, .. } => path,
            Self::Nothing => "none",
        }
    }
}

/// Looks an address up.
pub(super) fn find<'a>(method: &Method, path: &'a str) -> Found<'a> {
    let path = match path {
        _ if page::is_file(path) => "/",
        _ if admin::is_file(path) => admin::PATH,
        _ => path,
    };
    let likely = ROUTES.iter().filter(|route| path.starts_with(route.ends.0) && path.ends_with(route.ends.1));
    let matches = likely.filter_map(|route| Some((route, Parameters::of(route.path, path)?)));
    let matches: Vec<_> = matches.collect();
    let Some(closest) = matches.iter().map(|(_, parameters)| parameters.distance()).min() else {
        return Found::Nothing;
    };
    let meant = matches.into_iter().filter(|(_, parameters)| parameters.distance() == closest);
    let (right, others): (Vec<_>, Vec<_>) = meant.partition(|(route, _)| route.takes(method));
    if let Some((route, parameters)) = right.into_iter().next() {
        return Found::Route(route, parameters);
    }
    let mut allow = Vec::new();
    for (route, _) in &others {
        allow.push(route.method.as_str());
        allow.extend(route.answers_head().then_some("HEAD"));
    }
    others.first().map_or(Found::Nothing, |(other, _)| Found::OtherMethods {
        path: other.path,
        allow: allow.join(", "),
    })
}

/// The parameters of a path, still encoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parameters<'a>(Vec<(&'static str, &'a str)>);

/// The name of a parameter, if a pattern's segment is one.
pub(super) fn parameter_of(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

impl<'a> Parameters<'a> {
    /// Holds a path against a pattern.
    fn of(pattern: &'static str, path: &'a str) -> Option<Self> {
        let wanted = pattern.split('/').count();
        let given = path.split('/').count();
        let mut parameters = Vec::new();
        let mut rest = Some(path);
        for segment in pattern.split('/') {
            let here = rest?;
            // A pattern has at most one room, so it takes whatever the other segments leave.
            let segments = if segment == "{room}" { (given + 1).checked_sub(wanted)? } else { 1 };
            let end = here.match_indices('/').map(|(at, _)| at).nth(segments.checked_sub(1)?);
            let taken = end.map_or(here, |end| &here[..end]);
            rest = end.map(|end| &here[end + 1..]);
            match parameter_of(segment) {
                Some(name) => parameters.push((name, taken)),
                None if segment == taken => {}
                None => return None,
            }
        }
        rest.is_none().then_some(Self(parameters))
    }

    /// A parameter as it stands in the path.
    pub(super) fn text(&self, name: &str) -> &'a str {
        self.0.iter().find(|(known, _)| *known == name).map_or("", |(_, encoded)| encoded)
    }

    /// How far a path is from its pattern.
    fn distance(&self) -> (usize, usize) {
        (self.text("room").len(), self.0.len())
    }

    fn decoded(&self, code: &'static str, name: &'static str) -> Result<Cow<'a, str>, HttpError> {
        let text = percent_decode_str(self.text(name)).decode_utf8();
        text.map_err(|_| bad(code, name, "must be UTF-8"))
    }

    /// The room in the path.
    pub(super) fn room(&self) -> Result<RoomId, HttpError> {
        RoomId::parse(&self.decoded("invalid_room", "room")?)
            .map_err(|rule| bad("invalid_room", "room", rule))
    }

    /// The user in the path.
    pub(super) fn user(&self, limits: &Limits) -> Result<UserId, HttpError> {
        self.user_named("id", limits)
    }

    /// The user in the path, by a name of the parameter.
    pub(super) fn user_named(&self, name: &'static str, limits: &Limits) -> Result<UserId, HttpError> {
        limits
            .user_ids
            .parse(&self.decoded("bad_message", name)?)
            .map_err(|rule| bad("bad_message", name, rule))
    }

    /// The key of the document in the path.
    pub(super) fn document(&self) -> Result<DocumentKey, HttpError> {
        DocumentKey::parse(&self.decoded("bad_message", "key")?)
            .map_err(|rule| bad("bad_message", "key", rule))
    }

    /// The connection in the path. The server names connections, so what is no name of its is no connection.
    pub(super) fn connection(&self) -> Option<ConnectionId> {
        ConnectionId::parse(self.text("id")).ok()
    }
}

fn bad(code: &'static str, field: &'static str, rule: impl std::fmt::Display) -> HttpError {
    HttpError::field(StatusCode::BAD_REQUEST, code, field, format!("`{field}` {rule}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: Method, path: &str) -> (String, Vec<String>) {
        match find(&method, path) {
            Found::Route(route, parameters) => {
                let encoded = parameters.0.iter().map(|(_, encoded)| (*encoded).to_owned());
                (route.path.to_owned(), encoded.collect())
            }
            Found::OtherMethods { allow, .. } => (allow, Vec::new()),
            Found::Nothing => ("nothing".to_owned(), Vec::new()),
        }
    }

    #[test]
    fn a_room_may_have_slashes_in_its_name_encoded_or_not() {
        let presence = "/v1/rooms/{room}/presence";
        for (path, room) in [
            ("/v1/rooms/a/presence", "a"),
            ("/v1/rooms/a/b//c/presence", "a/b//c"),
            ("/v1/rooms/a%2Fb/presence", "a%2Fb"),
            ("/v1/rooms/presence/presence", "presence"),
            ("/v1/rooms//presence", ""),
        ] {
            assert_eq!(found(Method::GET, path), (presence.to_owned(), vec![room.to_owned()]), "{path}");
        }
        assert_eq!(found(Method::GET, "/debug/rooms/a/b").1, ["a/b"]);
        for nowhere in
            ["/v1/rooms/a", "/v1/rooms/presence", "/v1/rooms/a/presence/", "/debug/rooms", "", "/v1/"]
        {
            assert_eq!(found(Method::GET, nowhere).0, "nothing", "{nowhere}");
        }
    }

    #[test]
    fn other_parameters_are_one_segment() {
        assert_eq!(found(Method::GET, "/v1/users/a%2Fb").1, ["a%2Fb"]);
        assert_eq!(found(Method::GET, "/v1/users/a/b").0, "nothing");
        assert_eq!(found(Method::DELETE, "/v1/users/a/sessions").0, "/v1/users/{id}/sessions");
    }

    #[test]
    fn a_name_that_is_a_route_s_own_is_no_parameter() {
        assert_eq!(found(Method::GET, "/sse/shared").0, "/sse/shared");
        assert_eq!(found(Method::POST, "/sse/shared").0, "GET");
        assert_eq!(found(Method::POST, "/sse/shared/x").1, ["x"]);
        assert_eq!(found(Method::POST, "/sse/x").0, "/sse/{connection_id}");
    }

    #[test]
    fn another_method_is_told_which_there_are() {
        assert_eq!(found(Method::DELETE, "/healthz").0, "GET, HEAD");
        assert_eq!(found(Method::GET, "/v1/connections/x").0, "DELETE");
        assert_eq!(found(Method::HEAD, "/healthz").0, "/healthz");
        assert_eq!(found(Method::HEAD, "/sse").0, "GET");
    }

    #[test]
    fn a_bad_parameter_is_named() {
        let parameters = |encoded| Parameters(vec![("room", encoded), ("id", encoded)]);
        assert_eq!(parameters("a%2Fb").room().unwrap().as_str(), "a/b");
        for encoded in ["", "a%20b", "%ff", "@"] {
            let error = parameters(encoded).room().unwrap_err();
            assert_eq!((error.code, error.field), ("invalid_room", Some("room")), "{encoded:?}");
        }
        assert_eq!(parameters("%F0%9F%92%A1").user(&Limits::default()).unwrap().as_str(), "💡");
        let error = parameters("%00").user(&Limits::default()).unwrap_err();
        assert_eq!((error.code, error.field), ("bad_message", Some("id")));
        assert_eq!(parameters("1").connection(), None);
    }

    #[test]
    fn what_is_fixed_in_a_path_stands_at_its_ends() {
        assert_eq!(fixed_ends("/v1/rooms/{room}/members/{user}"), ("/v1/rooms/", ""));
        assert_eq!(fixed_ends("/v1/rooms/{room}/presence"), ("/v1/rooms/", "/presence"));
        assert_eq!(fixed_ends("/healthz"), ("/healthz", "/healthz"));
    }

    #[test]
    fn no_two_routes_are_the_same() {
        let mut all: Vec<_> = ROUTES.iter().map(|route| (route.path, route.method.as_str())).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), ROUTES.len());
    }
}
