//! Who may: what a token lets its user do, for how long, and which user ids there can be. Whether a token is good is
//! found out elsewhere; here a good one has become a [`Grant`].

use std::fmt;
use std::sync::Arc;

use crate::id::{IdError, RoomId, UserId};
use crate::profile::Profile;
use crate::time::WallTime;

/// A token as a client sent it. Neither checked nor shown to anybody.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl Token {
    /// What somebody says is a token.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// For whoever checks it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A text in which `*` stands for any characters, also none and also `/`; all others stand for themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// A pattern of any text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// A pattern of room ids: what a room id may be made of, and `*`.
    ///
    /// # Errors
    /// Says which rule of room ids it breaks.
    pub fn of_rooms(text: &str) -> Result<Self, IdError> {
        // A star is as good as a letter; whether something is left without it does not matter.
        RoomId::parse(&text.replace('*', "x"))?;
        Ok(Self::new(text))
    }

    /// Whether `text` has this form. Takes at most the product of both lengths.
    pub fn matches(&self, text: &str) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = pieces.next_back() else { return rest.is_empty() };
        // What lies between two stars may as well be found as early as possible.
        for piece in pieces {
            let Some(at) = rest.find(piece) else { return false };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(last)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which user ids a server takes, beyond what holds for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UserIds {
    /// Every one.
    #[default]
    Any,
    /// 24 hex digits, as MongoDB makes them.
    Hex24,
    /// A UUID: 8-4-4-4-12 hex digits.
    Uuid,
    /// Those of a form.
    Like(Pattern),
}

impl UserIds {
    /// Reads a setting: nothing, `hex24`, `uuid`, or a pattern such as `user-*`.
    pub fn named(text: &str) -> Self {
        match text {
            "" | "*" => Self::Any,
            "hex24" => Self::Hex24,
            "uuid" => Self::Uuid,
            pattern => Self::Like(Pattern::new(pattern)),
        }
    }

    /// A user id, if `text` is one that this server takes.
    ///
    /// # Errors
    /// Says which rule it breaks.
    pub fn parse(&self, text: &str) -> Result<UserId, IdError> {
        let id = UserId::parse(text)?;
        let taken = match self {
            Self::Any => true,
            Self::Hex24 => text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit()),
            Self::Uuid => {
                let groups = text.split('-').map(str::len);
                groups.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
            }
            Self::Like(pattern) => pattern.matches(text),
        };
        if taken { Ok(id) } else { Err(IdError::Form) }
    }
}

/// Rooms that somebody may enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rooms {
    /// Every room.
    Every,
    /// Those of one of these forms.
    Like(Arc<[Pattern]>),
}

impl Rooms {
    /// Whether `user` may enter `room` and know who is there. Nobody enters another's inbox, everybody their own.
    pub fn allow(&self, user: &UserId, room: &RoomId) -> bool {
        match (room.inbox_of(), self) {
            (Some(owner), _) => owner == user.as_str(),
            (None, Self::Every) => true,
            (None, Self::Like(patterns)) => patterns.iter().any(|pattern| pattern.matches(room.as_str())),
        }
    }
}

impl Rooms {
    /// Whether `user` may send to `room`. To an inbox who may enter every room, or those of a form that the inbox has too,
    /// such as `@*`.
    pub fn allow_sending(&self, user: &UserId, room: &RoomId) -> bool {
        match self {
            Self::Like(patterns) if room.inbox_of().is_some() => {
                self.allow(user, room) || patterns.iter().any(|pattern| pattern.matches(room.as_str()))
            }
            Self::Like(_) => self.allow(user, room),
            Self::Every => true,
        }
    }
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who it belongs to, and what others see of them unless they say something else.
    pub profile: Arc<Profile>,
    /// Where they may go.
    pub rooms: Rooms,
    /// When all this ends.
    pub expires: WallTime,
}

impl Grant {
    /// Who it belongs to.
    pub fn user(&self) -> &UserId {
        &self.profile.id
    }

    /// Whether its user may enter `room` and know who is there.
    pub fn allows(&self, room: &RoomId) -> bool {
        self.rooms.allow(self.user(), room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_and_the_rest_for_itself() {
        for (pattern, text, fits) in [
            ("doc", "doc", true),
            ("doc", "docs", false),
            ("doc-*", "doc-1", true),
            ("doc-*", "doc-", true),
            ("doc-*", "adoc-1", false),
            ("*", "team/a", true),
            ("team/*/notes", "team/a/b/notes", true),
            ("team/*/notes", "team/notes", false),
            ("*-x-*", "a-x-b", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("**", "", true),
            ("a.c", "abc", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_room_pattern_is_made_of_what_room_ids_are_made_of() {
        for good in ["*", "doc-*", "a/*/b", "lobby"] {
            assert_eq!(Pattern::of_rooms(good).unwrap().to_string(), good);
        }
        assert_eq!(Pattern::of_rooms(""), Err(IdError::Empty));
        assert_eq!(Pattern::of_rooms("a b"), Err(IdError::Character(' ')));
        assert_eq!(Pattern::of_rooms("doc-[0-9]"), Err(IdError::Character('[')));
    }

    #[test]
    fn a_server_may_want_user_ids_of_a_form() {
        let hex24 = UserIds::named("hex24");
        assert!(hex24.parse("507f1f77bcf86cd799439011").is_ok());
        for bad in ["507f1f77bcf86cd79943901", "507f1f77bcf86cd79943901g", "ann"] {
            assert_eq!(hex24.parse(bad), Err(IdError::Form), "{bad}");
        }
        let uuid = UserIds::named("uuid");
        assert!(uuid.parse("67e55044-10b1-426f-9247-bb680e5fe0c8").is_ok());
        assert_eq!(uuid.parse("67e5504410b1426f9247bb680e5fe0c8"), Err(IdError::Form));
        assert_eq!(UserIds::named("u-*").parse("ann"), Err(IdError::Form));
        assert_eq!(UserIds::named("").parse("ann").unwrap().as_str(), "ann");
        assert_eq!(UserIds::named("*").parse("a\u{7}"), Err(IdError::Character('\u{7}')));
    }

    #[test]
    fn s1_an_inbox_is_its_users_whatever_the_patterns_say() {
        let ann = UserId::parse("ann").unwrap();
        let room = |text: &str| RoomId::parse(text).unwrap();
        let nothing = Rooms::Like(Arc::from([]));
        for rooms in [&Rooms::Every, &nothing, &Rooms::Like(Arc::from([Pattern::new("*")]))] {
            assert!(rooms.allow(&ann, &room("@ann")));
            assert!(!rooms.allow(&ann, &room("@bob")));
        }
        assert!(Rooms::Every.allow(&ann, &room("doc")));
        assert!(!nothing.allow(&ann, &room("doc")));
    }

    #[test]
    fn s4_a_token_is_not_shown() {
        assert_eq!(format!("{:?}", Token::new("secret")), "Token(…)");
    }
}
