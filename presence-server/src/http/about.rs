//! What a route says about itself, beside the code that answers it: the OpenAPI document is made of these.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Ref, RefOr};

/// What a route does, takes and answers. Path parameters and credentials are known from the table of routes.
pub(crate) struct About {
    /// Unique, and a word that programs can be made from.
    pub(crate) id: &'static str,
    pub(crate) group: Group,
    pub(crate) summary: &'static str,
    pub(crate) text: &'static str,
    pub(crate) query: &'static [Query],
    /// What its body must be, if it takes one.
    pub(crate) body: Option<SchemaOf>,
    pub(crate) answers: &'static [Reply],
    /// Statuses of error answers, beside those that every route of its kind has.
    pub(crate) refusals: &'static [u16],
}

/// What belongs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Connecting,
    Presence,
    Messages,
    People,
    Rosters,
    Administration,
    Operations,
}

impl Group {
    pub(crate) const ALL: [Group; 7] = [
        Self::Connecting,
        Self::Presence,
        Self::Messages,
        Self::People,
        Self::Rosters,
        Self::Administration,
        Self::Operations,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Presence => "presence",
            Self::Messages => "messages",
            Self::People => "people",
            Self::Rosters => "rosters",
            Self::Administration => "administration",
            Self::Operations => "operations",
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Connecting => "Opening a live connection.",
            Self::Presence => "Who is in a room.",
            Self::Messages => "What is said, and kept.",
            Self::People => "Who users are, and whether they are online.",
            Self::Rosters => "Who belongs to a room, here or not.",
            Self::Administration => "Sending users away.",
            Self::Operations => "How the server is.",
        }
    }
}

/// A parameter of the query.
pub(crate) struct Query {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    pub(crate) takes: Takes,
}

/// What a parameter takes.
pub(crate) enum Takes {
    Text,
    /// Text of this form (ECMA-262).
    Form(&'static str),
    /// A list of so many of this form at most, parted by commas.
    RequiredList(&'static str, usize),
    /// A whole number.
    Count {
        min: usize,
        max: usize,
        default: usize,
    },
}

/// The forms of ids, as `presence_core::id` checks them.
pub(crate) const ROOM_FORM: &str = r"^([A-Za-z0-9_.:~/-]{1,128}|@[^\u0000-\u001f\u007f-\u009f]{1,128})$";
pub(crate) const USER_FORM: &str = r"^[^\u0000-\u001f\u007f-\u009f]{1,128}$";
pub(crate) const ATTEMPT_FORM: &str = r"^[0-9]{1,10}-[0-9]{1,10}$";
pub(crate) const KEY_FORM: &str = USER_FORM;
pub(crate) const CONNECTION_FORM: &str = "^[0-9a-f]{32}$";

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) text: &'static str,
    pub(crate) body: Body,
}

/// What an answer carries.
pub(crate) enum Body {
    Nothing,
    /// Of this content type.
    Text(&'static str),
    /// One message after the other, of this content type.
    Stream(&'static str),
    /// Any JSON object.
    Document,
    /// What [`schema_of`] says.
    Json(SchemaOf),
}

/// The schemas of a document, by name.
pub(crate) type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Makes a schema, and notes what it refers to.
pub(crate) type SchemaOf = fn(&mut Schemas) -> RefOr<Schema>;

/// Notes the schema of a type and of all that it is made of, and refers to it.
pub(crate) fn schema_of<T: ToSchema>(all: &mut Schemas) -> RefOr<Schema> {
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    all.extend(parts);
    all.insert(T::name().into_owned(), T::schema());
    Ref::from_schema_name(T::name()).into()
}

/// A route that takes GET without parameters, and whose only answer has this body.
pub(crate) const fn plain(
    id: &'static str,
    group: Group,
    summary: &'static str,
    answers: &'static [Reply],
) -> About {
    About { id, group, summary, text: "", query: &[], body: None, answers, refusals: &[] }
}
