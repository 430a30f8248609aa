//! Who receives a stream, how far they are, and that every message is accounted for.

use anyhow::{Context, Result, ensure};
use presence_core::port::store::Standing;
use presence_core::stream::Seq;

use super::{Fixture, ROOMY, append, at, balances, is_conflict, is_not_found, message, room, standing, user};

pub(super) async fn check(fixture: &dyn Fixture) -> Result<()> {
    members_receive_from_their_first_day(fixture).await.context("members receive from their first day on")?;
    who_subscribes_receives_from_now_on(fixture).await.context("who subscribes receives from now on")?;
    an_inbox_is_its_owners(fixture).await.context("an inbox is its owner's, from its first message on")?;
    a_cursor_moves_forward_only(fixture).await.context("a cursor moves forward only, and not too far")?;
    a_sender_has_their_own_message(fixture).await.context("a sender has dealt with their own message")?;
    what_waited_is_purged(fixture).await.context("what waited for who has left is purged")?;
    everything_is_accounted_for(fixture).await.context("everything is accounted for")
}

fn stands(cursor: u64, head: u64) -> Standing {
    Standing { cursor: Seq::new(cursor), head: Seq::new(head) }
}

async fn members_receive_from_their_first_day(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    append(&*store, message("doc", "ann", "1", "{}")).await?;
    ensure!(standing(&*store, "doc", "bob").await?.is_none());
    ensure!(store.add_member(&room("doc"), &user("bob"), at(0)).await?);
    append(&*store, message("doc", "ann", "2", "{}")).await?;
    ensure!(standing(&*store, "doc", "bob").await? == Some((1, 2)));
    ensure!(!store.add_member(&room("doc"), &user("bob"), at(9)).await?);
    ensure!(standing(&*store, "doc", "bob").await? == Some((1, 2)), "the cursor did not stay");
    ensure!(store.subscribe(&room("doc"), &user("bob")).await? == stands(1, 2));
    store.unsubscribe(&room("doc"), &user("bob")).await?;
    ensure!(standing(&*store, "doc", "bob").await? == Some((1, 2)), "a member receives whatever happens");
    balances(&*store, [1, 0, 1, 0, 0, 0, 0]).await
}

async fn who_subscribes_receives_from_now_on(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    append(&*store, message("doc", "ann", "1", "{}")).await?;
    ensure!(store.subscribe(&room("doc"), &user("bob")).await? == stands(1, 1));
    append(&*store, message("doc", "ann", "2", "{}")).await?;
    ensure!(
        store.subscribe(&room("doc"), &user("bob")).await? == stands(1, 2),
        "a second time changes nothing"
    );
    ensure!(store.add_member(&room("doc"), &user("bob"), at(0)).await?);
    ensure!(standing(&*store, "doc", "bob").await? == Some((1, 2)), "the cursor did not stay");
    ensure!(store.remove_member(&room("doc"), &user("bob")).await?);
    ensure!(standing(&*store, "doc", "bob").await?.is_none());
    ensure!(store.subscribe(&room("empty"), &user("bob")).await? == stands(0, 0));
    let rooms: Vec<_> = store.standings(&user("bob")).await?.into_iter().map(|(id, _)| id).collect();
    ensure!(rooms == [room("@bob"), room("empty")], "{rooms:?}");
    store.unsubscribe(&room("empty"), &user("bob")).await?;
    store.unsubscribe(&room("empty"), &user("bob")).await?;
    store.unsubscribe(&room("never"), &user("nobody")).await?;
    ensure!(standing(&*store, "empty", "bob").await?.is_none());
    Ok(())
}

async fn an_inbox_is_its_owners(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    ensure!(standing(&*store, "@bob", "bob").await? == Some((0, 0)));
    ensure!(store.acknowledge(&room("@bob"), &user("bob"), Seq::new(0)).await? == stands(0, 0));
    ensure!(is_conflict(&store.acknowledge(&room("@bob"), &user("bob"), Seq::new(1)).await));
    append(&*store, message("@bob", "ann", "1", "{}")).await?;
    ensure!(standing(&*store, "@bob", "bob").await? == Some((0, 1)), "the first message does not wait");
    ensure!(standing(&*store, "@bob", "ann").await?.is_none());
    ensure!(store.subscribe(&room("@bob"), &user("bob")).await? == stands(0, 1));
    store.unsubscribe(&room("@bob"), &user("bob")).await?;
    ensure!(standing(&*store, "@bob", "bob").await? == Some((0, 1)), "the owner does not receive any more");
    for inbox in ["@bob", "@cid"] {
        ensure!(is_conflict(&store.subscribe(&room(inbox), &user("ann")).await));
        ensure!(is_conflict(&store.add_member(&room(inbox), &user("ann"), at(0)).await));
        ensure!(is_not_found(&store.acknowledge(&room(inbox), &user("ann"), Seq::new(0)).await));
    }
    ensure!(store.acknowledge(&room("@bob"), &user("bob"), Seq::new(1)).await? == stands(1, 1));
    balances(&*store, [1, 1, 0, 0, 0, 0, 0]).await
}

/// M5, M10.
async fn a_cursor_moves_forward_only(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    store.subscribe(&room("doc"), &user("bob")).await?;
    for number in 1..=3 {
        append(&*store, message("doc", "ann", &number.to_string(), "{}")).await?;
    }
    let doc = room("doc");
    ensure!(store.acknowledge(&doc, &user("bob"), Seq::new(2)).await? == stands(2, 3));
    ensure!(store.acknowledge(&doc, &user("bob"), Seq::new(1)).await? == stands(2, 3));
    ensure!(is_conflict(&store.acknowledge(&doc, &user("bob"), Seq::new(4)).await));
    ensure!(is_conflict(&store.acknowledge(&doc, &user("bob"), Seq::new(u64::MAX)).await));
    ensure!(is_not_found(&store.acknowledge(&doc, &user("ann"), Seq::new(1)).await));
    ensure!(is_not_found(&store.acknowledge(&room("never"), &user("bob"), Seq::new(0)).await));
    ensure!(standing(&*store, "doc", "bob").await? == Some((2, 3)));
    balances(&*store, [3, 2, 1, 0, 0, 0, 0]).await
}

/// M12: one device is enough, and the one that it came from has it.
async fn a_sender_has_their_own_message(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    for who in ["ann", "bob"] {
        store.add_member(&room("doc"), &user(who), at(0)).await?;
    }
    append(&*store, message("doc", "ann", "1", "{}")).await?;
    append(&*store, message("doc", "ann", "2", "{}")).await?;
    ensure!(standing(&*store, "doc", "ann").await? == Some((2, 2)));
    append(&*store, message("doc", "bob", "1", "{}")).await?;
    ensure!(
        standing(&*store, "doc", "bob").await? == Some((0, 3)),
        "what waited for the sender was passed over"
    );
    ensure!(standing(&*store, "doc", "ann").await? == Some((2, 3)));
    append(&*store, message("@ann", "ann", "3", "{}")).await?;
    ensure!(standing(&*store, "@ann", "ann").await? == Some((1, 1)));
    balances(&*store, [7, 3, 4, 0, 0, 0, 0]).await
}

async fn what_waited_is_purged(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    store.add_member(&room("doc"), &user("bob"), at(0)).await?;
    store.subscribe(&room("doc"), &user("cid")).await?;
    for number in 1..=3 {
        append(&*store, message("doc", "ann", &number.to_string(), "{}")).await?;
    }
    store.acknowledge(&room("doc"), &user("bob"), Seq::new(1)).await?;
    ensure!(store.remove_member(&room("doc"), &user("bob")).await?);
    ensure!(!store.remove_member(&room("doc"), &user("bob")).await?);
    ensure!(!store.remove_member(&room("doc"), &user("cid")).await?);
    balances(&*store, [6, 1, 3, 0, 0, 0, 2]).await?;
    store.unsubscribe(&room("doc"), &user("cid")).await?;
    balances(&*store, [6, 1, 0, 0, 0, 0, 5]).await?;
    ensure!(
        store.subscribe(&room("doc"), &user("cid")).await? == stands(3, 3),
        "what was purged waits again"
    );
    Ok(())
}

/// M6, with a stream that overflows under three receivers who stand at different places.
async fn everything_is_accounted_for(fixture: &dyn Fixture) -> Result<()> {
    let limits = presence_core::port::store::StreamLimits { messages: 2, ..ROOMY };
    let store = fixture.store(limits).await?;
    for who in ["bob", "cid", "dan"] {
        store.subscribe(&room("doc"), &user(who)).await?;
    }
    append(&*store, message("doc", "ann", "1", "{}")).await?;
    append(&*store, message("doc", "ann", "2", "{}")).await?;
    store.acknowledge(&room("doc"), &user("cid"), Seq::new(1)).await?;
    store.acknowledge(&room("doc"), &user("dan"), Seq::new(2)).await?;
    balances(&*store, [6, 3, 3, 0, 0, 0, 0]).await?;
    append(&*store, message("doc", "ann", "3", "{}")).await?;
    balances(&*store, [9, 3, 5, 0, 1, 0, 0]).await?;
    append(&*store, message("doc", "ann", "4", "{}")).await?;
    balances(&*store, [12, 3, 6, 0, 3, 0, 0]).await?;
    // Who missed something and says so loses nothing by it, and counts for nothing.
    store.acknowledge(&room("doc"), &user("bob"), Seq::new(2)).await?;
    balances(&*store, [12, 3, 6, 0, 3, 0, 0]).await?;
    append(&*store, message("doc", "ann", "5", "{}")).await?;
    balances(&*store, [15, 3, 6, 0, 6, 0, 0]).await?;
    store.unsubscribe(&room("doc"), &user("cid")).await?;
    balances(&*store, [15, 3, 4, 0, 6, 0, 2]).await?;
    while store.expire(at(10_000_000)).await? {}
    balances(&*store, [15, 3, 0, 4, 6, 0, 2]).await
}
