//! The fields of a request's body: what is wrong with one is said with its name.

use std::fmt::Display;

use hyper::StatusCode;
use presence_core::limits::Limits;
use presence_core::wire;
use serde_json::{Map, Value};

use crate::http::answer::HttpError;
use crate::http::query::bad;

/// A JSON object.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body.
    ///
    /// # Errors
    /// 400 if it is something else.
    pub(super) fn read(body: &[u8], limits: &Limits) -> Result<Self, HttpError> {
        let refused = |rule: &dyn Display| {
            let message = format!("the body must be a JSON object: {rule}");
            HttpError::new(StatusCode::BAD_REQUEST, "bad_json", message)
        };
        let compact = wire::document(body, limits).map_err(|error| refused(&error))?;
        serde_json::from_slice(&compact).map(Self).map_err(|error| refused(&error))
    }

    /// A field, made into what it stands for: `None` if it is not there, `Some(None)` if it is `null`.
    ///
    /// # Errors
    /// 400 if it is no text, or not such a one.
    pub(super) fn change<T, E: Display>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<Option<T>>, HttpError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::String(text)) => {
                parse(text).map(|value| Some(Some(value))).map_err(|rule| bad(name, rule))
            }
            Some(_) => Err(bad(name, "must be a string")),
        }
    }

    /// A field that has to be there.
    ///
    /// # Errors
    /// 400 if it is not, or not such a one.
    pub(super) fn required<T, E: Display>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, HttpError> {
        self.change(name, parse)?.flatten().ok_or_else(|| bad(name, "is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_body_is_said_with_the_field() {
        let limits = Limits::default();
        let code = |body: &[u8]| Fields::read(body, &limits).err().map(|error| error.code);
        assert_eq!([b"".as_slice(), b"[]", b"{\"a\":\"\\ud800\"}"].map(code), [Some("bad_json"); 3]);
        let fields = Fields::read(br#"{"a":"x","b":null,"c":7}"#, &limits).unwrap_or_else(|_| panic!());
        let change = |name| {
            let change =
                fields.change(name, |text| if text == "x" { Ok(text.len()) } else { Err("is not x") });
            change.map_err(|error| error.field)
        };
        assert_eq!(
            ["a", "b", "c", "d"].map(change),
            [Ok(Some(Some(1))), Ok(Some(None)), Err(Some("c")), Ok(None)]
        );
        for missing in ["b", "d"] {
            let required = fields.required(missing, |text| Ok::<_, &str>(text.len()));
            assert_eq!(required.map_err(|error| error.field), Err(Some(missing)));
        }
    }
}
