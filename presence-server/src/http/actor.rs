//! Who asks for something about people or messages, and what they may. Users may what concerns themselves, members what
//! concerns their room, and the backend everything.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName};
use presence_core::id::{RoomId, UserId};
use presence_core::limits::Limits;
use presence_core::port::store::Store;
use presence_core::profile::Profile;
use presence_core::rights::Rooms;

use crate::auth::Access;
use crate::http::answer::HttpError;
use crate::http::query::{bad, parameter};

/// Says for whom a request acts that proves nothing about that: the backend's, and everybody's in dev mode.
const USER_HEADER: HeaderName = HeaderName::from_static("x-user-id");

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Actor {
    /// A user.
    User {
        /// Who.
        id: UserId,
        /// Where they may go.
        rooms: Rooms,
        /// What their token says of them, if there is one.
        said: Option<Arc<Profile>>,
    },
    /// The backend, or anybody in dev mode who does not say who they are; perhaps for somebody.
    Backend {
        /// For whom it acts, if it says so.
        on_behalf_of: Option<UserId>,
    },
}

fn forbidden(field: &'static str, message: &'static str) -> HttpError {
    HttpError::field(StatusCode::FORBIDDEN, "forbidden", field, message)
}

impl Actor {
    /// Who asks by a request.
    ///
    /// # Errors
    /// 400 if it names a user who can not be, 401 if it has to say who it is, 403 if it names another than its token.
    pub(super) fn of(
        access: &Access,
        headers: &HeaderMap,
        query: Option<&str>,
        limits: &Limits,
    ) -> Result<Self, HttpError> {
        let named = named(headers, query, limits)?;
        Ok(match (access, named) {
            (Access::User(grant), Some(named)) if named != *grant.user() => {
                return Err(forbidden("user_id", "`user_id` is not whose token this is"));
            }
            (Access::User(grant), _) => {
                let (rooms, said) = (grant.rooms.clone(), Some(Arc::clone(&grant.profile)));
                Self::User { id: grant.user().clone(), rooms, said }
            }
            (Access::Backend, on_behalf_of) => Self::Backend { on_behalf_of },
            (Access::Anyone | Access::AnyUser, Some(id)) => {
                Self::User { id, rooms: Rooms::Every, said: None }
            }
            (Access::Anyone, None) => Self::Backend { on_behalf_of: None },
            (Access::AnyUser, None) => {
                let message = "say who you are: `X-User-Id`, or `user_id` in the URL";
                return Err(HttpError::new(StatusCode::UNAUTHORIZED, "unauthorized", message));
            }
        })
    }

    /// For whom it acts, if that is anybody.
    pub(super) fn user(&self) -> Option<&UserId> {
        match self {
            Self::User { id, .. } => Some(id),
            Self::Backend { on_behalf_of } => on_behalf_of.as_ref(),
        }
    }

    /// What its token says of that user, if there is one.
    pub(super) fn said(&self) -> Option<&Arc<Profile>> {
        match self {
            Self::User { said, .. } => said.as_ref(),
            Self::Backend { .. } => None,
        }
    }

    /// Where it may go. The backend may everywhere; acting for a user, it is kept from the inboxes of others.
    pub(super) fn rooms(&self) -> Rooms {
        match self {
            Self::User { rooms, .. } => rooms.clone(),
            Self::Backend { .. } => Rooms::Every,
        }
    }

    /// Whether it is the backend.
    pub(super) fn is_backend(&self) -> bool {
        matches!(self, Self::Backend { .. })
    }

    /// Whether it may do what only `user` may.
    ///
    /// # Errors
    /// 403 if not.
    pub(super) fn may_be(&self, user: &UserId, field: &'static str) -> Result<(), HttpError> {
        match self {
            Self::User { id, .. } if id != user => Err(forbidden(field, "this is another user's")),
            Self::User { .. } | Self::Backend { .. } => Ok(()),
        }
    }

    /// Whether it may enter `room`: the same answer whether there is such a room or not (S9).
    ///
    /// # Errors
    /// 403 if not.
    pub(super) fn may_enter(&self, room: &RoomId) -> Result<(), HttpError> {
        match self {
            Self::User { id, rooms, .. } if !rooms.allow(id, room) => {
                Err(forbidden("room", "your token does not let you into this room"))
            }
            Self::User { .. } | Self::Backend { .. } => Ok(()),
        }
    }

    /// Whether it is inside of a room's roster: on it, or the backend. What is outside sees the same whether there is a
    /// roster or not.
    ///
    /// # Errors
    /// 403 if it may not even enter, 503 if the store does not say.
    pub(super) async fn is_inside(&self, room: &RoomId, store: &dyn Store) -> Result<bool, HttpError> {
        self.may_enter(room)?;
        match self {
            Self::Backend { .. } => Ok(true),
            Self::User { id, .. } => Ok(store.is_member(room, id).await?),
        }
    }

    /// The same, as a demand.
    ///
    /// # Errors
    /// 403 if it is outside.
    pub(super) async fn require_inside(&self, room: &RoomId, store: &dyn Store) -> Result<(), HttpError> {
        match self.is_inside(room, store).await? {
            true => Ok(()),
            false => Err(forbidden("room", "you are not on the roster of this room")),
        }
    }

    /// Whether it may see who is on a roster: from inside, or with a token that names the room.
    ///
    /// # Errors
    /// 403 if not.
    pub(super) async fn may_see_roster(&self, room: &RoomId, store: &dyn Store) -> Result<(), HttpError> {
        match self {
            Self::User { id, rooms: rooms @ Rooms::Like(_), .. } if rooms.allow(id, room) => Ok(()),
            Self::User { .. } | Self::Backend { .. } => self.require_inside(room, store).await,
        }
    }
}

/// The user whom the request names beside its credentials.
fn named(headers: &HeaderMap, query: Option<&str>, limits: &Limits) -> Result<Option<UserId>, HttpError> {
    let in_header = headers.get(USER_HEADER).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let named = in_header.or_else(|| parameter(query, "user_id"));
    let parse = |text: &str| limits.user_ids.parse(text).map_err(|rule| bad("user_id", rule));
    named.map(|text| parse(&text)).transpose()
}

#[cfg(test)]
mod tests {
    use presence_core::rights::Grant;
    use presence_core::time::WallTime;

    use super::*;

    fn user(text: &str) -> UserId {
        UserId::parse(text).unwrap()
    }

    #[test]
    fn who_acts_is_proved_or_where_nobody_can_said() {
        let profile = Arc::new(Profile::of_user(user("ann")));
        let grant =
            Grant { profile: Arc::clone(&profile), rooms: Rooms::Every, expires: WallTime::default() };
        let token = Access::User(Box::new(grant));
        let ann = |said| Some(Actor::User { id: user("ann"), rooms: Rooms::Every, said });
        let proved = ann(Some(profile));
        let nobody = Some(Actor::Backend { on_behalf_of: None });
        for (access, named, expected) in [
            (&token, None, Ok(proved.clone())),
            (&token, Some("ann"), Ok(proved)),
            (&token, Some("bob"), Err(403)),
            (&Access::Anyone, None, Ok(nobody.clone())),
            (&Access::Anyone, Some("ann"), Ok(ann(None))),
            (&Access::AnyUser, None, Err(401)),
            (&Access::AnyUser, Some("ann"), Ok(ann(None))),
            (&Access::Backend, None, Ok(nobody)),
            (&Access::Backend, Some("ann"), Ok(Some(Actor::Backend { on_behalf_of: Some(user("ann")) }))),
            (&Access::Anyone, Some(""), Err(400)),
        ] {
            let actor = |headers: &HeaderMap, query: Option<&str>| {
                let actor = Actor::of(access, headers, query, &Limits::default());
                actor.map(Some).map_err(|error| error.status.as_u16())
            };
            let query = named.map(|named| format!("user_id={named}"));
            assert_eq!(actor(&HeaderMap::new(), query.as_deref()), expected, "{access:?} {named:?}");
            let mut headers = HeaderMap::new();
            if let Some(named) = named {
                headers.insert(USER_HEADER, named.parse().unwrap());
            }
            assert_eq!(actor(&headers, None), expected, "{access:?} {named:?}");
        }
    }
}
