//! Names of things, each a newtype that only parsing makes: what holds one need not check it again. Their texts are shared,
//! and a name is one pointer to its text: a member has some fifteen places that hold one.

use std::borrow::Borrow;
use std::fmt;
use std::num::NonZeroU64;

use arcstr::ArcStr;

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// No characters at all.
    #[error("must not be empty")]
    Empty,
    /// More than [`ID_CHARS_MAX`] characters.
    #[error("must be at most {ID_CHARS_MAX} characters")]
    TooLong,
    /// A character that ids of this kind cannot have.
    #[error("must not contain {0:?}")]
    Character(char),
    /// A room id that is only `@`.
    #[error("must name a user after the @")]
    BareInbox,
    /// Not of the form that this server wants of user ids.
    #[error("is not of the form that this server wants of user ids (`user_id_pattern`)")]
    Form,
    /// Not the shape that the server gives such ids.
    #[error("is not an id of this server")]
    Shape,
}

/// The longest room, user and session id, in Unicode scalar values.
pub const ID_CHARS_MAX: usize = 128;

fn check(text: &str, allowed: impl Fn(char) -> bool) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.chars().count() > ID_CHARS_MAX {
        return Err(IdError::TooLong);
    }
    match text.chars().find(|c| !allowed(*c)) {
        Some(character) => Err(IdError::Character(character)),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(ArcStr);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id! {
    /// A place people are present in: 1–128 of `A–Z a–z 0–9 _ - . : ~ /`, or `@` and a user id for that user's inbox.
    RoomId
}

text_id! {
    /// A person: 1–128 characters, none of them a control character.
    UserId
}

text_id! {
    /// One tab or device of a user: 1–128 characters, none a control character. Means something only beside its user.
    SessionId
}

impl RoomId {
    /// The room that a message without `room` means when the connection's URL names none.
    pub fn lobby() -> Self {
        Self(ArcStr::from("lobby"))
    }

    /// Checks `text` against the rules of room ids.
    ///
    /// # Errors
    /// Says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if let Some(owner) = text.strip_prefix('@') {
            if owner.is_empty() {
                return Err(IdError::BareInbox);
            }
            UserId::parse(owner)?;
        } else {
            check(text, |c| c.is_ascii_alphanumeric() || "_-.:~/".contains(c))?;
        }
        Ok(Self(ArcStr::from(text)))
    }

    /// The inbox of a user.
    pub fn inbox(owner: &UserId) -> Self {
        Self(ArcStr::from(format!("@{owner}")))
    }

    /// Whose inbox this is, if it is one.
    pub fn inbox_of(&self) -> Option<&str> {
        self.0.strip_prefix('@')
    }
}

impl UserId {
    /// The id as a text to be shared.
    pub(crate) fn text(&self) -> &ArcStr {
        &self.0
    }

    /// Checks `text` against the rules of user ids.
    ///
    /// # Errors
    /// Says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        check(text, |c| !c.is_control())?;
        Ok(Self(ArcStr::from(text)))
    }
}

impl SessionId {
    /// Checks `text` against the rules of session ids.
    ///
    /// # Errors
    /// Says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        check(text, |c| !c.is_control())?;
        Ok(Self(ArcStr::from(text)))
    }

    /// The session id that the server chooses when the client gives none.
    pub fn from_random(bits: u128) -> Self {
        Self(ArcStr::from(format!("{bits:032x}")))
    }
}

/// One live link of a session, as people and logs name it: 128 random bits drawn by the driver. Kept as bytes, since a
/// number of that size would have whatever holds it aligned, and so made larger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId([u8; 16]);

impl ConnectionId {
    /// Names a new connection; `bits` must be unguessable.
    pub const fn from_random(bits: u128) -> Self {
        Self(bits.to_be_bytes())
    }

    const fn bits(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// A number that differs between connections, to spread them over time with.
    pub(crate) const fn spread(self) -> u64 {
        self.bits() as u64
    }

    /// Reads what [`fmt::Display`] writes.
    ///
    /// # Errors
    /// [`IdError::Shape`] if it is anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.len() != 32 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(IdError::Shape);
        }
        u128::from_str_radix(text, 16).map(Self::from_random).map_err(|_| IdError::Shape)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every message that is to last has it in its correlation id, and the machinery for numbers of any base is slow.
        let digit = |at: usize| {
            let byte = self.0[at / 2];
            b"0123456789abcdef"[usize::from(if at.is_multiple_of(2) { byte >> 4 } else { byte & 15 })]
        };
        let digits: [u8; 32] = std::array::from_fn(digit);
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

/// Fences one connection of a session against the next: drawn from one growing counter of the node, so it is
/// unique to the connection and every later attach has a higher one. Kept as one more than it is, so that none is kept in
/// no more room than one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(NonZeroU64);

impl Generation {
    /// The `number`th attach of this node.
    pub const fn new(number: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(number))
    }

    /// Which attach of this node it is.
    pub const fn number(self) -> u64 {
        self.0.get() - 1
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Generation({})", self.number())
    }
}

/// One life of one node: random at process start, so that nothing of an earlier life is taken for this one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Incarnation(u64);

impl Incarnation {
    /// Names this life of the node.
    pub const fn from_random(bits: u64) -> Self {
        Self(bits)
    }

    /// The name of one shard of it, so that no two shards make the same epoch.
    #[must_use]
    pub const fn of_shard(self, number: u64) -> Self {
        Self(self.0.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// One uninterrupted history of a room. Versions of two epochs are never compared.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Epoch(ArcStr);

impl Epoch {
    /// The `number`th history that this life of the node keeps.
    pub fn new(incarnation: Incarnation, number: u64) -> Self {
        Self(ArcStr::from(format!("{:016x}-{number}", incarnation.0)))
    }

    /// Reads what [`as_str`](Self::as_str) gives.
    ///
    /// # Errors
    /// [`IdError::Shape`] if it is anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (incarnation, number) = text.split_once('-').ok_or(IdError::Shape)?;
        let incarnation = u64::from_str_radix(incarnation, 16).map_err(|_| IdError::Shape)?;
        let number = number.parse().map_err(|_| IdError::Shape)?;
        let epoch = Self::new(Incarnation(incarnation), number);
        if epoch.as_str() == text { Ok(epoch) } else { Err(IdError::Shape) }
    }

    /// The epoch as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many versioned events a room has had in its epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// After `number` events.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The version one event later.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// How many events.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_id_takes_the_documented_alphabet_and_nothing_else() {
        for good in ["a", "doc-1/page:2~x_y.z", "@bob", "@Ünï 💡", &"x".repeat(128)] {
            assert_eq!(RoomId::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(RoomId::parse(""), Err(IdError::Empty));
        assert_eq!(RoomId::parse("@"), Err(IdError::BareInbox));
        assert_eq!(RoomId::parse("a b"), Err(IdError::Character(' ')));
        assert_eq!(RoomId::parse("ä"), Err(IdError::Character('ä')));
        assert_eq!(RoomId::parse(&"x".repeat(129)), Err(IdError::TooLong));
    }

    #[test]
    fn text_is_text_in_a_user_id_and_length_counts_scalar_values() {
        for good in ["__proto__", "💡", "\u{202e}rtl", " ", &"💡".repeat(128)] {
            assert_eq!(UserId::parse(good).unwrap().as_str(), good);
        }
        let long = UserId::parse(&"💡".repeat(128)).unwrap();
        assert_eq!(RoomId::parse(RoomId::inbox(&long).as_str()), Ok(RoomId::inbox(&long)));
        assert_eq!(RoomId::inbox(&long).inbox_of(), Some(long.as_str()));
        assert_eq!(UserId::parse("a\nb"), Err(IdError::Character('\n')));
        assert_eq!(UserId::parse(&"💡".repeat(129)), Err(IdError::TooLong));
    }

    #[test]
    fn an_epoch_reads_back_as_it_was_written() {
        let epoch = Epoch::new(Incarnation::from_random(0xfeed), 17);
        assert_eq!(Epoch::parse(epoch.as_str()), Ok(epoch));
        for bad in ["", "feed-17", "000000000000feed", "000000000000feed-+17", "+00000000000feed-17"] {
            assert_eq!(Epoch::parse(bad), Err(IdError::Shape), "{bad}");
        }
    }

    #[test]
    fn a_connection_id_reads_back_as_it_was_written() {
        let id = ConnectionId::from_random(0xfeed);
        assert_eq!(ConnectionId::parse(&id.to_string()), Ok(id));
        assert_eq!(ConnectionId::parse("FEED"), Err(IdError::Shape));
        assert_eq!(ConnectionId::parse(&"+".repeat(32)), Err(IdError::Shape));
    }
}
