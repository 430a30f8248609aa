//! The seams to the world as they are when whoever fills them does only what they must.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::Bytes;
use presence_core::error::CloseReason;
use presence_core::frame::Frame;
use presence_core::id::{RoomId, UserId};
use presence_core::people::{
    Document, DocumentKey, Invitation, InvitationAnswer, Person, PersonPatch, Revision, RosterMember,
};
use presence_core::port::backlog::Backlog;
use presence_core::port::store::{
    Appended, Balance, Changes, Durability, Page, PageLimits, Standing, Store, StoreError, StoreHealth,
};
use presence_core::port::transport::{Incoming, Sent, Silence, Transport, TransportError, TransportInfo};
use presence_core::stream::{NewMessage, Seq};
use presence_core::time::WallTime;

/// What comes of something that needs nobody else.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("it waits for somebody"),
    }
}

/// A wire of which nothing is known and on which nothing comes.
struct Bare(TransportInfo);

#[async_trait]
impl Transport for Bare {
    fn info(&self) -> TransportInfo {
        self.0
    }

    fn poll_recv(&mut self, _: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        Poll::Ready(Ok(Incoming::Alive))
    }

    fn send(&mut self, _: &[Frame]) -> Result<Sent, TransportError> {
        Ok(Sent::All)
    }

    fn waiting_bytes(&self) -> usize {
        0
    }

    async fn close(&mut self, _: CloseReason) {}
}

#[test]
fn a_wire_that_carries_something_back_needs_no_other_way_in() {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let mut wire: Box<dyn Transport> =
        Box::new(Bare(TransportInfo { kind: "bare", peer, silence: Silence::IsDeath }));
    assert!(wire.inlet().is_none());
    assert!(matches!(at_once(wire.recv()), Ok(Incoming::Alive)));
    at_once(wire.close(CloseReason::Draining));
}

/// A store that refuses everything but its balance.
struct Closed;

macro_rules! refused {
    ($($name:ident($($argument:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for Closed {
            fn durability(&self) -> Durability {
                Durability::Process
            }

            fn health(&self) -> StoreHealth {
                StoreHealth::Failing("closed".to_owned())
            }

            async fn balance(&self) -> Result<Balance, StoreError> {
                Ok(Balance { accepted: 3, queued: 3, ..Balance::default() })
            }

            $(
                async fn $name(&self, $(_: $argument),*) -> Result<$answer, StoreError> {
                    Err(StoreError::Busy)
                }
            )*
        }
    };
}

refused! {
    append(NewMessage) -> Appended;
    read(&RoomId, Seq, PageLimits) -> Page;
    subscribe(&RoomId, &UserId) -> Standing;
    unsubscribe(&RoomId, &UserId) -> ();
    acknowledge(&RoomId, &UserId, Seq) -> Standing;
    standings(&UserId) -> Vec<(RoomId, Standing)>;
    expire(WallTime) -> bool;
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

#[test]
fn a_store_has_nothing_to_settle_unless_it_says_so_and_shows_no_more_than_how_safe_it_is() {
    let store: Box<dyn Store> = Box::new(Closed);
    at_once(store.settle());
    let shown: &dyn Store = &*store;
    assert_eq!(format!("{shown:?}"), "Store(process)");
    assert_eq!(at_once(store.notices_held()), Err(StoreError::Busy));
}

/// M6: who keeps no count of its own for each receiver has one balance, and not an empty second one that would not hold.
#[test]
fn m6_a_store_that_counts_once_says_that_again_when_asked_to_count_anew() {
    let store: Box<dyn Store> = Box::new(Closed);
    let held = Ok(Balance { accepted: 3, queued: 3, ..Balance::default() });
    assert_eq!((at_once(store.balance()), at_once(store.recount())), (held.clone(), held));
}

/// What a socket says is told to who writes, whenever that is.
#[test]
fn a_socket_that_breaks_breaks_what_waits_for_it() {
    let mut backlog = Backlog::default();
    assert_eq!(backlog.write(b"x", |_| Poll::Ready(Err("cut"))), Err("cut"));
    assert!(backlog.is_empty(), "what could not be begun is not kept");
    assert_eq!(backlog.write(b"xyz", |_| Poll::<Result<usize, &str>>::Pending), Ok(()));
    assert_eq!((backlog.is_empty(), backlog.len()), (false, 3));
    assert_eq!(backlog.poll_empty(|_| Poll::Ready(Err("cut"))), Poll::Ready(Err("cut")));
}
