//! JSON that the server keeps and gives back without looking into it.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::json::{Json, ScanError, scan};
use crate::limits::Limits;

/// Why a text is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotText,
    /// Not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(String),
    /// Arrays and objects within each other, more than allowed.
    #[error("it is nested deeper than {0}")]
    TooDeep(usize),
    /// Half of a surrogate pair, which receivers would read differently.
    #[error("it has an escape that is half a surrogate pair")]
    LoneSurrogate,
    /// A number that receivers would read differently.
    #[error("it has a number beyond 1.8e308")]
    HugeNumber,
}

/// Any JSON value, without the white space between its tokens.
///
/// # Errors
/// If it is none.
pub fn document(bytes: &[u8], limits: &Limits) -> Result<Bytes, DocumentError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DocumentError::NotText)?;
    scan(text, limits.json_depth_max).map_err(|error| match error {
        ScanError::TooDeep => DocumentError::TooDeep(limits.json_depth_max),
        ScanError::LoneSurrogate => DocumentError::LoneSurrogate,
        ScanError::HugeNumber => DocumentError::HugeNumber,
    })?;
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|error| DocumentError::NotJson(error.to_string()))?;
    Ok(Bytes::copy_from_slice(Json::compact(raw).as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_json_is_a_document_and_nothing_else_is() {
        let limits = Limits { json_depth_max: 4, ..Limits::default() };
        assert_eq!(document(b" { \"a b\" : [ 1 , null ] } ", &limits).unwrap(), r#"{"a b":[1,null]}"#);
        assert_eq!(document(b"7", &limits).unwrap(), "7");
        assert_eq!(document(b"[[[[[1]]]]]", &limits), Err(DocumentError::TooDeep(4)));
        assert_eq!(document(b"\"\\ud83d\"", &limits), Err(DocumentError::LoneSurrogate));
        assert_eq!(document(b"[1e400]", &limits), Err(DocumentError::HugeNumber));
        assert_eq!(document(b"\"\xff\"", &limits), Err(DocumentError::NotText));
        for bad in ["", "{", "{} {}", "nothing"] {
            assert!(matches!(document(bad.as_bytes(), &limits), Err(DocumentError::NotJson(_))), "{bad}");
        }
    }
}
