//! Stores that are no use: what must go on without one is shown with these.

use std::future::pending;

use async_trait::async_trait;
use bytes::Bytes;
use presence_core::id::{RoomId, UserId};
use presence_core::people::{
    Document, DocumentKey, Invitation, InvitationAnswer, Person, PersonPatch, Revision, RosterMember,
};
use presence_core::port::store::{
    Appended, Balance, Changes, Durability, Page, PageLimits, Standing, Store, StoreError, StoreHealth,
};
use presence_core::stream::{NewMessage, Seq};
use presence_core::time::WallTime;

/// A store that does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoStore {
    /// It says that it can not.
    Failing,
    /// It never says anything.
    Hanging,
}

const WHY: &str = "there is no disk";

impl NoStore {
    async fn answer<T>(self) -> Result<T, StoreError> {
        match self {
            Self::Failing => Err(StoreError::Unavailable(WHY.to_owned())),
            Self::Hanging => pending().await,
        }
    }
}

macro_rules! unanswered {
    ($($name:ident($($argument:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for NoStore {
            fn durability(&self) -> Durability {
                Durability::Memory
            }

            fn health(&self) -> StoreHealth {
                StoreHealth::Failing(WHY.to_owned())
            }

            $(
                async fn $name(&self, $(_: $argument),*) -> Result<$answer, StoreError> {
                    self.answer().await
                }
            )*
        }
    };
}

unanswered! {
    append(NewMessage) -> Appended;
    read(&RoomId, Seq, PageLimits) -> Page;
    subscribe(&RoomId, &UserId) -> Standing;
    unsubscribe(&RoomId, &UserId) -> ();
    acknowledge(&RoomId, &UserId, Seq) -> Standing;
    standings(&UserId) -> Vec<(RoomId, Standing)>;
    expire(WallTime) -> bool;
    balance() -> Balance;
    people(&[UserId]) -> Vec<Person>;
    change_person(&UserId, PersonPatch, WallTime) -> Person;
    seen_online(&[(UserId, WallTime)]) -> ();
    acquaintances(&UserId) -> Vec<UserId>;
    roster(&RoomId) -> Vec<RosterMember>;
    is_member(&RoomId, &UserId) -> bool;
    add_member(&RoomId, &UserId, WallTime) -> bool;
    remove_member(&RoomId, &UserId) -> bool;
    invite(Invitation, NewMessage) -> Seq;
    answer_invitation(&RoomId, &UserId, InvitationAnswer, WallTime) -> Invitation;
    invitations_to(&RoomId) -> Vec<Invitation>;
    invitations_of(&UserId) -> Vec<Invitation>;
    changes(&UserId, WallTime, usize) -> Changes;
    document(&UserId, &DocumentKey) -> Option<Document>;
    write_document(&UserId, &DocumentKey, Bytes, Option<Option<Revision>>, WallTime) -> Revision;
    delete_document(&UserId, &DocumentKey, Option<Option<Revision>>) -> bool;
    keep_notices(Vec<Bytes>, usize) -> u64;
    notices(usize) -> Vec<(u64, Bytes)>;
    notices_held() -> u64;
    forget_notices(u64) -> ();
}
