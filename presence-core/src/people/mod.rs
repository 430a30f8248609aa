//! Who people are beside their presence: profiles, rosters, invitations, documents of their own.

mod record;

pub use record::{
    Document, DocumentKey, Invitation, InvitationAnswer, Person, PersonPatch, Revision, RosterMember,
    Username, UsernameError,
};
