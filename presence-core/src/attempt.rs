//! Which of a client's requests for a connection is the newer one.

use std::cmp::Ordering;
use std::num::NonZeroU32;

/// A request for a connection, as its client numbers it: the network may bring an older one after a newer one, when the
/// client has long given it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    client: u32,
    number: NonZeroU32,
}

/// A text is not an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be two whole numbers with a hyphen between them: one below 4294967296 that names this life of the client, and the \
     number of the request, from 1 on"
)]
pub struct AttemptError;

impl Attempt {
    /// The `number`th request of this life of a client; whoever loads a page anew has another life.
    pub const fn new(client: u32, number: NonZeroU32) -> Self {
        Self { client, number }
    }

    /// Reads `client-number`.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn parse(text: &str) -> Result<Self, AttemptError> {
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let (client, number) = text.split_once('-').ok_or(AttemptError)?;
        if !is_number(client) || !is_number(number) {
            return Err(AttemptError);
        }
        let client = client.parse().map_err(|_| AttemptError)?;
        Ok(Self { client, number: number.parse().map_err(|_| AttemptError)? })
    }
}

/// Of one client the later one is the greater. Those of two tell nothing of each other.
impl PartialOrd for Attempt {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.client == other.client).then(|| self.number.cmp(&other.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(text: &str) -> Attempt {
        Attempt::parse(text).unwrap()
    }

    #[test]
    fn requests_of_one_life_of_a_client_have_an_order_and_those_of_two_have_none() {
        let last = attempt("4294967295-4294967295");
        assert!(attempt("7-1") < attempt("7-2") && attempt("4294967295-1") < last);
        assert_eq!(attempt("7-2").partial_cmp(&attempt("7-2")), Some(Ordering::Equal));
        assert_eq!(attempt("7-1").partial_cmp(&attempt("8-2")), None);
    }

    #[test]
    fn whatever_is_not_two_numbers_is_no_attempt() {
        for text in [
            "",
            "-",
            "7",
            "7-",
            "-1",
            "7-0",
            "7--1",
            "+7-1",
            "7-+1",
            "7-1-2",
            "4294967296-1",
            "7-4294967296",
            "a-1",
            "7-1 ",
        ] {
            assert_eq!(Attempt::parse(text), Err(AttemptError), "{text}");
        }
    }
}
