//! JSON values that pass through: checked once on the way in, never parsed again, shared on the way out.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON value as the client wrote it, without white space between its tokens.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Takes a value out of a message that [`scan`] has passed.
    pub(super) fn compact(raw: &RawValue) -> Self {
        let text = raw.get();
        // Hardly anybody writes any, and what is as it should be need not be checked again.
        if !text.bytes().any(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            return Self::from(raw.to_owned());
        }
        let mut out = String::with_capacity(text.len());
        let (mut in_string, mut escaped) = (false, false);
        for c in text.chars() {
            if in_string {
                in_string = escaped || c != '"';
                escaped = !escaped && c == '\\';
            } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
                continue;
            } else {
                in_string = c == '"';
            }
            out.push(c);
        }
        let raw = RawValue::from_string(out).expect("white space between tokens carries no meaning");
        Self::from(raw)
    }

    pub(super) fn raw(&self) -> &RawValue {
        &self.0
    }

    /// The value as text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl From<Box<RawValue>> for Json {
    fn from(raw: Box<RawValue>) -> Self {
        Self(Arc::from(raw))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (*self.0).serialize(serializer)
    }
}

/// The `ref` of a client message, which every direct answer repeats.
pub type Reference = Option<Json>;

/// What a session says about itself, field by field.
pub type State = BTreeMap<Box<str>, Json>;

/// Fields to set, and (`None`) to remove.
pub type StatePatch = BTreeMap<Box<str>, Option<Json>>;

/// What is wrong with a text before anyone parses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScanError {
    /// Arrays and objects within each other, more than allowed.
    TooDeep,
    /// Half of a surrogate pair (RFC 8259 section 8.2): no text, and receivers would disagree on it.
    LoneSurrogate,
    /// A number that is infinite for those who read it as most do (RFC 8259 section 6).
    HugeNumber,
}

/// Looks for what a parser would let pass and a receiver might not.
pub(super) fn scan(text: &str, depth_max: usize) -> Result<(), ScanError> {
    if is_harmless(text.as_bytes(), depth_max) { Ok(()) } else { search(text, depth_max) }
}

/// Looks at every byte.
fn search(text: &str, depth_max: usize) -> Result<(), ScanError> {
    let bytes = text.as_bytes();
    let (mut depth, mut i) = (0_usize, 0);
    while i < bytes.len() {
        i += match bytes[i] {
            b'"' => string_len(&bytes[i..])?,
            b'0'..=b'9' => number_len(&text[i..])?,
            b'{' | b'[' if depth == depth_max => return Err(ScanError::TooDeep),
            b'{' | b'[' => {
                depth += 1;
                1
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                1
            }
            _ => 1,
        };
    }
    Ok(())
}

/// Whether [`scan`] would find nothing in a short text, told from bytes that hardly any has. None of this ends early, so that
/// the compiler looks at many bytes at once.
fn is_harmless(bytes: &[u8], depth_max: usize) -> bool {
    // So many brackets are counted in one byte.
    if bytes.len() > usize::from(u8::MAX) {
        return false;
    }
    let opened = bytes.iter().fold(0_u8, |count, byte| count + u8::from(matches!(byte, b'{' | b'[')));
    let escapes = bytes.iter().fold(false, |any, byte| any | (*byte == b'\\'));
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    let exponents = pairs.fold(false, |any, (before, byte)| {
        any | (matches!(byte, b'e' | b'E') & (before.is_ascii_digit() | (*before == b'.')))
    });
    usize::from(opened) <= depth_max && !escapes && !exponents
}

/// Bytes of the string that `bytes` begins with, up to and with its second quote, or to the end if it has none.
fn string_len(bytes: &[u8]) -> Result<usize, ScanError> {
    let mut len = 1;
    while let Some(plain) = bytes.get(len..)
        && let Some(end) = plain.iter().position(|byte| matches!(byte, b'"' | b'\\'))
    {
        len += end;
        if bytes[len] == b'"' {
            return Ok(len + 1);
        }
        len += escape_len(&bytes[len..])?;
    }
    Ok(bytes.len())
}

/// Bytes of the number that `text` begins with; whether it is a good one is for the parser to say.
fn number_len(text: &str) -> Result<usize, ScanError> {
    let is_of_number = |byte: u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    let len = text.bytes().position(|byte| !is_of_number(byte)).unwrap_or(text.len());
    let number = &text[..len];
    // Only these can be huge.
    let suspect = len > 300 || number.bytes().any(|byte| matches!(byte, b'e' | b'E'));
    if suspect && number.parse().is_ok_and(f64::is_infinite) {
        return Err(ScanError::HugeNumber);
    }
    Ok(len)
}

/// Bytes of the escape that `bytes` begins with; a surrogate pair counts as one escape.
fn escape_len(bytes: &[u8]) -> Result<usize, ScanError> {
    let unit = |at: usize| -> Option<u16> {
        let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    match unit(0) {
        Some(0xD800..=0xDBFF) => match unit(6) {
            Some(0xDC00..=0xDFFF) => Ok(12),
            _ => Err(ScanError::LoneSurrogate),
        },
        Some(0xDC00..=0xDFFF) => Err(ScanError::LoneSurrogate),
        Some(_) => Ok(6),
        None => Ok(2),
    }
}

/// Members of an object for which room is made before they are read: hardly any has more.
const MEMBERS_EXPECTED: usize = 6;

/// The members of a JSON object in their order, each still raw.
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The value under `name`, unless it is `null`.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, raw)| *raw).filter(|raw| raw.get() != "null")
    }

    /// A name that stands there twice.
    pub(super) fn duplicate(&self) -> Option<&str> {
        // Few are compared with each other faster than they are sorted.
        if self.0.len() <= 8 {
            let names = self.0.iter().enumerate();
            let mut twice =
                names.filter(|(at, (name, _))| self.0[..*at].iter().any(|(other, _)| other == name));
            return twice.next().map(|(_, (name, _))| name.as_ref());
        }
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(MEMBERS_EXPECTED);
                while let Some(Text(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// A string, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The string that `raw` is, borrowed unless it has escapes.
///
/// # Errors
/// If it is something else.
pub(super) fn string(raw: &RawValue) -> serde_json::Result<Cow<'_, str>> {
    let text = raw.get();
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match quoted.filter(|text| !text.contains('\\')) {
        // It is JSON already, so nothing else can be wrong with it.
        Some(text) => Ok(Cow::Borrowed(text)),
        None => serde_json::from_str(text).map(|Text(text)| text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_goes_and_strings_stay() {
        let raw: Box<RawValue> = serde_json::from_str(" { \"a b\" : [ 1 ,\n \"\\\" \\\\\" ] } ").unwrap();
        assert_eq!(Json::compact(&raw).as_str(), r#"{"a b":[1,"\" \\"]}"#);
    }

    #[test]
    fn depth_and_half_surrogates_are_found_outside_and_inside_of_strings() {
        assert_eq!(scan(&"[".repeat(5), 4), Err(ScanError::TooDeep));
        assert_eq!(scan(r#"["[[[[[["]"#, 4), Ok(()));
        assert_eq!(scan(r#"["\ud83d\ude00 \\ud800"]"#, 4), Ok(()));
        assert_eq!(scan(r#"["\ud83d"]"#, 4), Err(ScanError::LoneSurrogate));
        assert_eq!(scan(r#"["\ude00"]"#, 4), Err(ScanError::LoneSurrogate));
    }

    #[test]
    fn a_number_that_is_infinite_for_others_is_found() {
        let long = format!("[{}]", "9".repeat(400));
        for huge in ["1e400", "-1E+309", r#"{"a":[1,1.5e999]}"#, &long] {
            assert_eq!(scan(huge, 4), Err(ScanError::HugeNumber), "{huge}");
        }
        for fine in ["1e308", "-0.1e-400", r#"["1e400"]"#, "123456789012345678901234567890", "[1e, -]", "é1"]
        {
            assert_eq!(scan(fine, 4), Ok(()), "{fine}");
        }
    }

    /// Every text of up to four of these bytes, so that each stands beside each other in every order.
    #[test]
    fn where_a_search_would_find_something_the_short_look_is_not_content() {
        let bytes = b"{[\"\\1.eE-du ]";
        let mut texts: Vec<Vec<u8>> = vec![Vec::new()];
        for _ in 0..4 {
            let longer =
                texts.iter().flat_map(|text| bytes.iter().map(|byte| [&text[..], &[*byte]].concat()));
            texts = longer.collect();
            for text in &texts {
                let text = std::str::from_utf8(text).unwrap();
                assert!(!is_harmless(text.as_bytes(), 2) || search(text, 2) == Ok(()), "{text}");
            }
        }
        assert!(is_harmless(br#"{"type":"presence:cursor","cursor":{"x":1.5,"y":-2}}"#, 2));
        for suspect in ["[[[", "1e400", "1.E400", r"\ud83d", &"9".repeat(400)] {
            assert!(!is_harmless(suspect.as_bytes(), 2), "{suspect}");
        }
    }
}
