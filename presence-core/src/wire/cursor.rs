//! Cursors as nearly all of them are.

use serde::Deserialize;
use serde_json::value::RawValue;

/// Two numbers and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainCursor {
    #[serde(rename = "x")]
    _x: f64,
    #[serde(rename = "y")]
    _y: f64,
}

/// Whether a value is a cursor that says where it is, each number once, and nothing else. So it is known to be good after
/// one look; one that says more, or is wrong, is looked at member by member.
pub(super) fn is_plain_cursor(raw: &RawValue) -> bool {
    // A list of two numbers would do as well otherwise.
    raw.get().starts_with('{') && serde_json::from_str::<PlainCursor>(raw.get()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_are_plain_and_nothing_else_is() {
        let is_plain = |text: &str| is_plain_cursor(serde_json::from_str(text).unwrap());
        for plain in [r#"{"x":1,"y":2}"#, r#"{ "y" : -0.5e3, "x" : 0 }"#, r#"{"\u0078":1,"y":2}"#] {
            assert!(is_plain(plain), "{plain}");
        }
        let others = [
            "[1,2]",
            "{}",
            "7",
            r#"{"x":1}"#,
            r#"{"x":1,"x":1,"y":2}"#,
            r#"{"x":1,"y":null}"#,
            r#"{"x":1,"y":"2"}"#,
            r#"{"x":1,"y":2,"visible":true}"#,
        ];
        for other in others {
            assert!(!is_plain(other), "{other}");
        }
    }
}
