//! What a connection's URL says about it.

use std::borrow::Cow;

use hyper::StatusCode;
use presence_core::id::{IdError, RoomId, SessionId, UserId};
use presence_core::limits::Limits;

use super::answer::HttpError;
use crate::connection::Hello;

fn bad(field: &'static str, rule: impl std::fmt::Display) -> HttpError {
    HttpError::field(StatusCode::BAD_REQUEST, "bad_message", field, format!("`{field}` {rule}"))
}

fn id<T>(
    field: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, IdError>,
) -> Result<Option<T>, HttpError> {
    parse(text).map(Some).map_err(|rule| bad(field, rule))
}

/// The value of the query's parameter `name`.
pub(crate) fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value)
}

/// Reads `user_name`, `session_id` and `room`, and `user_id`, which nobody should believe who knows better.
pub(super) fn hello(query: Option<&str>, limits: &Limits) -> Result<(Hello, Option<UserId>), HttpError> {
    let (mut hello, mut user) = (Hello::default(), None);
    let name_chars_max = limits.name_chars_max;
    for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*key {
            "user_id" => user = id("user_id", &value, |text| limits.user_ids.parse(text))?,
            "session_id" => hello.session = id("session_id", &value, SessionId::parse)?,
            "room" => {
                let refused = |rule| {
                    let message = format!("`room` {rule}");
                    HttpError::field(StatusCode::BAD_REQUEST, "invalid_room", "room", message)
                };
                hello.room = Some(RoomId::parse(&value).map_err(refused)?);
            }
            "user_name" if value.chars().count() > name_chars_max => {
                return Err(bad("user_name", format!("must be at most {name_chars_max} characters")));
            }
            "user_name" if !value.trim().is_empty() => hello.name = Some(Box::from(&*value)),
            _ => {}
        }
    }
    Ok((hello, user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_says_who_it_is_in_its_url() {
        let query = Some("user_id=ann&user_name=Ann%20%F0%9F%92%A1&session_id=s1&room=a%2Fb&x=y");
        let (hello, user) = hello(query, &Limits::default()).unwrap();
        assert_eq!(user.unwrap().as_str(), "ann");
        assert_eq!(hello.name.as_deref(), Some("Ann 💡"));
        assert_eq!(hello.session.unwrap().as_str(), "s1");
        assert_eq!(hello.room.unwrap().as_str(), "a/b");
    }

    #[test]
    fn a_bad_parameter_is_named() {
        let field = |query| hello(Some(query), &Limits::default()).unwrap_err().field;
        assert_eq!(field("user_id="), Some("user_id"));
        assert_eq!(field("session_id=%00"), Some("session_id"));
        assert_eq!(field("room=a%20b"), Some("room"));
        assert_eq!(hello(Some("room=@"), &Limits::default()).unwrap_err().code, "invalid_room");
    }
}
