//! A setting that nobody should see.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// A secret text; empty if it is not set. Neither logs nor the printed configuration show it.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether it is not set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For whoever needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    const fn shown(&self) -> &'static str {
        if self.0.is_empty() { "" } else { "(secret)" }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.shown(), f)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_a_secret_is_neither_shown_nor_written() {
        let secret = Secret::new("canary");
        assert_eq!(format!("{secret:?}"), "\"(secret)\"");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"(secret)\"");
        assert_eq!(serde_json::to_string(&Secret::default()).unwrap(), "\"\"");
    }
}
