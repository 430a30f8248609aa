//! A post's body: one message, or an array of them. Each is cut out as it stands; what it means is not read here.

use bytes::Bytes;
use serde_json::value::RawValue;

/// Why a body holds no messages.
#[derive(Debug, thiserror::Error)]
pub enum PostedError {
    /// Not UTF-8.
    #[error("a post must be UTF-8")]
    Utf8,
    /// Not JSON.
    #[error("a post must be one message or an array of messages, in JSON: {0}")]
    Json(serde_json::Error),
    /// An empty array.
    #[error("a post must hold a message")]
    None,
    /// More messages than one post may hold.
    #[error("a post may hold at most {limit} messages")]
    TooMany {
        /// How many it may hold.
        limit: usize,
    },
}

/// The messages in a body, each a slice of it, at most `limit` of them.
///
/// # Errors
/// If it is something else.
pub fn messages_of(body: &Bytes, limit: usize) -> Result<Vec<Bytes>, PostedError> {
    let text = std::str::from_utf8(body).map_err(|_| PostedError::Utf8)?;
    let many = text.trim_start().starts_with('[');
    let messages: Vec<&RawValue> = if many {
        serde_json::from_str(text).map_err(PostedError::Json)?
    } else {
        vec![serde_json::from_str(text).map_err(PostedError::Json)?]
    };
    if messages.is_empty() {
        return Err(PostedError::None);
    }
    if messages.len() > limit {
        return Err(PostedError::TooMany { limit });
    }
    Ok(messages.into_iter().map(|message| body.slice_ref(message.get().as_bytes())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &'static str) -> Result<Vec<Bytes>, PostedError> {
        messages_of(&Bytes::from_static(body.as_bytes()), 3)
    }

    #[test]
    fn one_message_or_an_array_of_them() {
        assert_eq!(read(r#" {"a":[1]} "#).unwrap(), [r#"{"a":[1]}"#]);
        assert_eq!(read(r#" [{"a":1}, 2 ,"x"]"#).unwrap(), [r#"{"a":1}"#, "2", r#""x""#]);
    }

    #[test]
    fn what_is_neither_is_refused() {
        for body in ["", "{", "[{}", "[]", "[1,2,3,4]", "{}{}", "nul"] {
            assert!(read(body).is_err(), "{body}");
        }
        assert!(matches!(messages_of(&Bytes::from_static(b"\xff"), 3), Err(PostedError::Utf8)));
    }
}
