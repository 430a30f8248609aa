//! What a request says must be so before anything is changed (RFC 9110 section 13.1), about things that are numbered.

use hyper::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use presence_core::people::Revision;

/// What must be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    /// Nothing.
    Nothing,
    /// There is none yet.
    Absent,
    /// There is one, whichever.
    Present,
    /// It is at one of these revisions; tags of other kinds are no revision of ours and do not fit.
    OneOf(Vec<Revision>),
}

/// The entity tag of a revision.
pub(super) fn tag(Revision(number): Revision) -> String {
    format!("\"{number}\"")
}

fn tags(headers: &HeaderMap, name: HeaderName) -> Vec<&str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',').map(str::trim)).filter(|tag| !tag.is_empty()).collect()
}

fn revision(tag: &str) -> Option<Revision> {
    let number = tag.strip_prefix('"')?.strip_suffix('"')?;
    number.parse().ok().map(Revision).filter(|known| self::tag(*known) == tag)
}

impl Precondition {
    /// What the headers of a writing request say.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let wanted = tags(headers, IF_MATCH);
        if wanted.contains(&"*") {
            return Self::Present;
        }
        if headers.contains_key(IF_MATCH) {
            return Self::OneOf(wanted.into_iter().filter_map(revision).collect());
        }
        if tags(headers, IF_NONE_MATCH).contains(&"*") { Self::Absent } else { Self::Nothing }
    }

    /// Whether it holds of what is there.
    pub(super) fn holds(&self, there: Option<Revision>) -> bool {
        match self {
            Self::Nothing => true,
            Self::Absent => there.is_none(),
            Self::Present => there.is_some(),
            Self::OneOf(revisions) => there.is_some_and(|there| revisions.contains(&there)),
        }
    }
}

/// Whether the asker has this revision already.
pub(super) fn is_known(headers: &HeaderMap, there: Revision) -> bool {
    let known = tags(headers, IF_NONE_MATCH);
    known.iter().any(|known| *known == "*" || known.trim_start_matches("W/") == tag(there))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(HeaderName, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn preconditions_are_read_as_the_standard_says() {
        let one_of = |numbers: &[u64]| Precondition::OneOf(numbers.iter().copied().map(Revision).collect());
        for (given, expected) in [
            (vec![], Precondition::Nothing),
            (vec![(IF_MATCH, "\"7\"")], one_of(&[7])),
            (vec![(IF_MATCH, "\"7\", \"8\"")], one_of(&[7, 8])),
            (vec![(IF_MATCH, "*")], Precondition::Present),
            (vec![(IF_NONE_MATCH, "*")], Precondition::Absent),
            // A weak tag is never the same as anything, a foreign one is none of ours.
            (vec![(IF_MATCH, "W/\"7\"")], one_of(&[])),
            (vec![(IF_MATCH, "\"07\", \"+7\", 7, \"x\"")], one_of(&[])),
            (vec![(IF_MATCH, "")], one_of(&[])),
            (vec![(IF_NONE_MATCH, "\"7\"")], Precondition::Nothing),
        ] {
            assert_eq!(Precondition::of(&headers(&given)), expected, "{given:?}");
        }
        assert!(one_of(&[7]).holds(Some(Revision(7))) && !one_of(&[7]).holds(Some(Revision(8))));
        assert!(!one_of(&[7]).holds(None) && Precondition::Absent.holds(None));
        assert!(!Precondition::Present.holds(None) && !Precondition::Absent.holds(Some(Revision(1))));
        assert!(is_known(&headers(&[(IF_NONE_MATCH, "\"1\", W/\"7\"")]), Revision(7)));
        assert!(!is_known(&headers(&[(IF_NONE_MATCH, "\"1\"")]), Revision(7)));
    }
}
