//! Who people are beside their presence: profiles, rosters, invitations, documents of their own; whether they are here
//! at all, and who wants to know that.

mod attendance;
mod record;
mod watchers;

pub use attendance::{Attendance, Availability, LeftBehind, Standing};
pub use record::{
    Document, DocumentKey, Invitation, InvitationAnswer, Person, PersonPatch, Revision, RosterMember,
    Username, UsernameError,
};
pub use watchers::{TooMany, Watchers};
