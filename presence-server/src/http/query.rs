//! What a request's query says.

use std::borrow::Cow;

use hyper::StatusCode;
use percent_encoding::percent_decode_str;
use presence_core::attempt::Attempt;
use presence_core::id::{RoomId, SessionId, UserId};
use presence_core::limits::Limits;
use presence_core::profile::Text;

use super::answer::HttpError;
use crate::connection::Hello;

/// A parameter that breaks a rule.
pub(super) fn bad(field: &'static str, rule: impl std::fmt::Display) -> HttpError {
    HttpError::field(StatusCode::BAD_REQUEST, "bad_message", field, format!("`{field}` {rule}"))
}

fn parsed<T, E: std::fmt::Display>(
    field: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, HttpError> {
    parse(text).map(Some).map_err(|rule| bad(field, rule))
}

/// The value of the query's parameter `name`.
pub(crate) fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The number that the query's parameter `name` gives, from 1 to `max`.
pub(super) fn count(
    query: Option<&str>,
    name: &'static str,
    default: usize,
    max: usize,
) -> Result<usize, HttpError> {
    let Some(text) = parameter(query, name) else { return Ok(default) };
    let count = text.parse().ok().filter(|count| (1..=max).contains(count));
    count.ok_or_else(|| bad(name, format!("must be a whole number from 1 to {max}")))
}

/// The items of the query's parameter `name`, which stand between commas. An encoded comma is part of its item.
pub(super) fn list(query: Option<&str>, name: &str) -> Option<Vec<String>> {
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let values = pairs.filter(|(key, _)| *key == name).flat_map(|(_, value)| value.split(','));
    let decode = |item: &str| percent_decode_str(&item.replace('+', " ")).decode_utf8_lossy().into_owned();
    let items: Vec<String> = values.filter(|item| !item.is_empty()).map(decode).collect();
    (!items.is_empty()).then_some(items)
}

/// Reads `user_name`, `session_id`, `attempt` and `room`, and `user_id`, which nobody should believe who knows better.
pub(super) fn hello(query: Option<&str>, limits: &Limits) -> Result<(Hello, Option<UserId>), HttpError> {
    let (mut hello, mut user) = (Hello::default(), None);
    let name_chars_max = limits.name_chars_max;
    for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*key {
            "user_id" => user = parsed("user_id", &value, |text| limits.user_ids.parse(text))?,
            "session_id" => hello.session = parsed("session_id", &value, SessionId::parse)?,
            "attempt" => hello.attempt = parsed("attempt", &value, Attempt::parse)?,
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
            "user_name" if !value.trim().is_empty() => hello.name = Some(Text::from(&*value)),
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
        let query = Some("user_id=ann&user_name=Ann%20%F0%9F%92%A1&session_id=s1&attempt=7-2&room=a%2Fb&x=y");
        let (hello, user) = hello(query, &Limits::default()).unwrap();
        assert_eq!(user.unwrap().as_str(), "ann");
        assert_eq!(hello.name.as_deref(), Some("Ann 💡"));
        assert_eq!(hello.session.unwrap().as_str(), "s1");
        assert_eq!(hello.attempt, Attempt::parse("7-2").ok());
        assert_eq!(hello.room.unwrap().as_str(), "a/b");
    }

    #[test]
    fn a_list_stands_between_commas_and_an_encoded_comma_is_part_of_its_item() {
        let items = |query| list(Some(query), "ids").unwrap_or_default();
        assert_eq!(items("x=1&ids=a,b%2Cc,d+e&ids=%F0%9F%92%A1"), ["a", "b,c", "d e", "💡"]);
        assert_eq!(items("ids=a=b,c%26d,e%3D"), ["a=b", "c&d", "e="]);
        assert!(items("ids=").is_empty() && list(None, "ids").is_none());
    }

    #[test]
    fn a_count_has_bounds() {
        let limit = |query| count(Some(query), "limit", 7, 9).map_err(|error| error.field);
        assert_eq!([limit("limit=9"), limit("")], [Ok(9), Ok(7)]);
        for wrong in ["limit=0", "limit=10", "limit=x", "limit=-1", "limit="] {
            assert_eq!(limit(wrong), Err(Some("limit")), "{wrong}");
        }
    }

    #[test]
    fn a_bad_parameter_is_named() {
        let field = |query| hello(Some(query), &Limits::default()).unwrap_err().field;
        assert_eq!(field("user_id="), Some("user_id"));
        assert_eq!(field("session_id=%00"), Some("session_id"));
        assert_eq!(field("attempt=7"), Some("attempt"));
        assert_eq!(field("room=a%20b"), Some("room"));
        assert_eq!(hello(Some("room=@"), &Limits::default()).unwrap_err().code, "invalid_room");
    }
}
