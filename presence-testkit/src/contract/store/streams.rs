//! What a stream is: numbered, deduplicated, read in pages, bounded.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use presence_core::port::store::{Appended, Gap, GapReason, PageLimits, StreamLimits};
use presence_core::stream::{MessageKind, NewMessage, Seq};

use super::{
    ALL, Fixture, ROOMY, append, at, balances, is_conflict, later, message, numbers, page, room, user,
};

pub(super) async fn check(fixture: &dyn Fixture) -> Result<()> {
    a_stream_is_numbered_from_one(fixture).await.context("a stream is numbered from one, and reads back")?;
    the_same_id_is_the_same_message(fixture).await.context("the same id is the same message")?;
    many_at_once_get_a_place_each(fixture)
        .await
        .context("many at once get a place each, and only one each")?;
    a_page_is_bounded(fixture).await.context("a page is bounded and says whether there is more")?;
    the_oldest_go_first(fixture).await.context("when a stream is full the oldest go, and it is told")?;
    the_newest_stays(fixture).await.context("the newest stays, however large it is")?;
    the_old_expire(fixture).await.context("the old expire, not before their time, and it is told")?;
    expiry_is_bounded(fixture).await.context("one call removes a bounded number")?;
    gaps_are_merged_and_bounded(fixture).await.context("gaps are merged, and there are not too many")?;
    an_id_outlives_its_message(fixture).await.context("an id is remembered for a while after its message")?;
    ids_are_forgotten_when_there_are_too_many(fixture)
        .await
        .context("when too many ids are remembered the oldest is forgotten")
}

fn gap(from: u64, to: u64, reason: GapReason) -> Gap {
    Gap { from: Seq::new(from), to: Seq::new(to), reason }
}

async fn a_stream_is_numbered_from_one(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    ensure!(
        page(&*store, "doc", 0, ALL).await? == Default::default(),
        "a stream that never was is not empty"
    );
    let naughty = [r#"{"a":"__proto__"}"#, "null", r#""zwölf 💡""#];
    for (body, place) in naughty.iter().zip(1..) {
        let one = later(message("doc", "ann", &format!("{place}"), body), 40 + place);
        ensure!(append(&*store, one.clone()).await? == place as u64);
        let read = page(&*store, "doc", place as u64 - 1, ALL).await?;
        ensure!(read.messages.len() == 1 && read.messages[0].message == one, "{read:?} is not {one:?}");
    }
    let notice = NewMessage { kind: MessageKind::Invitation, ..message("@bob", "ann", "n", "{}") };
    ensure!(append(&*store, notice.clone()).await? == 1, "another stream has other numbers");
    ensure!(page(&*store, "@bob", 0, ALL).await?.messages[0].message == notice);
    let read = page(&*store, "doc", 0, ALL).await?;
    ensure!(numbers(&read) == [1, 2, 3] && read.head == Seq::new(3) && !read.more && read.gaps.is_empty());
    let beyond = page(&*store, "doc", 17, ALL).await?;
    ensure!(beyond.messages.is_empty() && beyond.head == Seq::new(3) && !beyond.more);
    Ok(())
}

/// M4.
async fn the_same_id_is_the_same_message(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    let first = later(message("doc", "ann", "1", "{}"), 5);
    append(&*store, first.clone()).await?;
    append(&*store, message("doc", "bob", "2", "{}")).await?;
    let again = store.append(NewMessage { at: at(9), ..first.clone() }).await?;
    ensure!(again == Appended::Again { seq: Seq::new(1), at: at(5) }, "{again:?}");
    ensure!(is_conflict(&store.append(message("doc", "ann", "1", "{ }")).await), "another body");
    ensure!(is_conflict(&store.append(message("other", "ann", "1", "{}")).await), "another room");
    let kind = NewMessage { kind: MessageKind::Invitation, ..first };
    ensure!(is_conflict(&store.append(kind).await), "another kind");
    ensure!(
        append(&*store, message("doc", "bob", "1", "{}")).await? == 3,
        "another sender is another message"
    );
    ensure!(numbers(&page(&*store, "doc", 0, ALL).await?) == [1, 2, 3], "something was stored nevertheless");
    ensure!(page(&*store, "other", 0, ALL).await?.head == Seq::new(0));
    Ok(())
}

async fn many_at_once_get_a_place_each(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    let tasks: Vec<_> = (0..200)
        .map(|number| {
            let store = store.clone();
            // Everything is sent twice.
            tokio::spawn(async move {
                store.append(message("doc", "ann", &format!("{}", number / 2), "{}")).await
            })
        })
        .collect();
    let mut new = Vec::new();
    for task in tasks {
        if let Appended::New { seq } = task.await?? {
            new.push(seq.number());
        }
    }
    new.sort_unstable();
    ensure!(new == (1..=100).collect::<Vec<_>>(), "{new:?}");
    ensure!(numbers(&page(&*store, "doc", 0, ALL).await?) == new);
    Ok(())
}

async fn a_page_is_bounded(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    for number in 1..=5 {
        append(&*store, message("doc", "ann", &number.to_string(), "\"2345678\"")).await?;
    }
    for (after, messages, bytes, wanted, more) in [
        (0, 2, 1_000, &[1, 2][..], true),
        (2, 3, 1_000, &[3, 4, 5], false),
        (0, 10, 27, &[1, 2, 3], true),
        (0, 10, 26, &[1, 2], true),
        (3, 10, 1, &[4], true),
        (4, 10, 0, &[5], false),
        (1, 0, 1_000, &[], true),
    ] {
        let read = page(&*store, "doc", after, PageLimits { messages, bytes }).await?;
        ensure!(
            numbers(&read) == wanted && read.more == more,
            "after {after} at most {messages}/{bytes}: {read:?}"
        );
        ensure!(read.head == Seq::new(5));
    }
    Ok(())
}

/// M7.
async fn the_oldest_go_first(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(StreamLimits { messages: 3, ..ROOMY }).await?;
    store.add_member(&room("doc"), &user("bob"), at(0)).await?;
    for number in 1..=3 {
        append(&*store, message("doc", "ann", &number.to_string(), "{}")).await?;
    }
    ensure!(page(&*store, "doc", 0, ALL).await?.gaps.is_empty(), "something went below the limit");
    append(&*store, message("doc", "ann", "4", "{}")).await?;
    append(&*store, message("doc", "ann", "5", "{}")).await?;
    let read = page(&*store, "doc", 0, ALL).await?;
    ensure!(numbers(&read) == [3, 4, 5] && read.gaps == [gap(1, 2, GapReason::Overflow)], "{read:?}");
    ensure!(page(&*store, "doc", 1, ALL).await?.gaps == [gap(2, 2, GapReason::Overflow)]);
    ensure!(page(&*store, "doc", 2, ALL).await?.gaps.is_empty(), "nothing is missing after the second");
    balances(&*store, [5, 0, 3, 0, 2, 0, 0]).await?;
    store.acknowledge(&room("doc"), &user("bob"), Seq::new(1)).await?;
    balances(&*store, [5, 0, 3, 0, 2, 0, 0]).await?;
    store.acknowledge(&room("doc"), &user("bob"), Seq::new(4)).await?;
    balances(&*store, [5, 2, 1, 0, 2, 0, 0]).await
}

async fn the_newest_stays(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(StreamLimits { bytes: 10, ..ROOMY }).await?;
    append(&*store, message("doc", "ann", "1", "12345")).await?;
    append(&*store, message("doc", "ann", "2", "12345")).await?;
    ensure!(numbers(&page(&*store, "doc", 0, ALL).await?) == [1, 2]);
    append(&*store, message("doc", "ann", "3", "1")).await?;
    ensure!(numbers(&page(&*store, "doc", 0, ALL).await?) == [2, 3]);
    append(&*store, message("doc", "ann", "4", &"1".repeat(99))).await?;
    let read = page(&*store, "doc", 0, ALL).await?;
    ensure!(numbers(&read) == [4] && read.gaps == [gap(1, 3, GapReason::Overflow)], "{read:?}");
    Ok(())
}

/// M8.
async fn the_old_expire(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(StreamLimits { age: Duration::from_millis(100), ..ROOMY }).await?;
    store.add_member(&room("doc"), &user("bob"), at(0)).await?;
    for (number, taken_in) in [(1, 10), (2, 30), (3, 20), (4, 40)] {
        append(&*store, later(message("doc", "ann", &number.to_string(), "{}"), taken_in)).await?;
    }
    ensure!(!store.expire(at(109)).await?);
    ensure!(numbers(&page(&*store, "doc", 0, ALL).await?) == [1, 2, 3, 4], "one went before its time");
    ensure!(!store.expire(at(129)).await?);
    let read = page(&*store, "doc", 0, ALL).await?;
    ensure!(numbers(&read) == [2, 3, 4] && read.gaps == [gap(1, 1, GapReason::Expired)], "{read:?}");
    ensure!(!store.expire(at(1_000)).await?);
    let read = page(&*store, "doc", 0, ALL).await?;
    ensure!(
        read.messages.is_empty() && read.gaps == [gap(1, 4, GapReason::Expired)] && !read.more,
        "{read:?}"
    );
    balances(&*store, [4, 0, 0, 4, 0, 0, 0]).await?;
    ensure!(append(&*store, later(message("doc", "ann", "5", "{}"), 1_000)).await? == 5, "numbers go on");
    Ok(())
}

async fn expiry_is_bounded(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(StreamLimits { age: Duration::from_millis(100), ..ROOMY }).await?;
    for number in 0..3_000 {
        append(&*store, message(&format!("doc-{}", number % 7), "ann", &number.to_string(), "{}")).await?;
    }
    let mut calls = 1;
    while store.expire(at(100)).await? {
        calls += 1;
        ensure!(calls < 100, "it does not end");
    }
    ensure!(calls > 1, "everything went at once");
    for number in 0..7 {
        ensure!(page(&*store, &format!("doc-{number}"), 0, ALL).await?.messages.is_empty());
    }
    Ok(())
}

async fn gaps_are_merged_and_bounded(fixture: &dyn Fixture) -> Result<()> {
    let limits = StreamLimits { messages: 1, age: Duration::from_millis(10), ..ROOMY };
    let store = fixture.store(limits).await?;
    // Each round loses one message to the limit and one to its age.
    for round in 0..200 {
        append(&*store, later(message("doc", "ann", &format!("{round}-1"), "{}"), round * 10)).await?;
        append(&*store, later(message("doc", "ann", &format!("{round}-2"), "{}"), round * 10)).await?;
        while store.expire(at(round * 10 + 10)).await? {}
    }
    let gaps = page(&*store, "doc", 0, ALL).await?.gaps;
    ensure!((2..=100).contains(&gaps.len()), "{} gaps", gaps.len());
    ensure!(gaps[0].from == Seq::new(1) && gaps[gaps.len() - 1].to == Seq::new(400));
    let touches = |pair: &[Gap]| pair[0].to.next() == pair[1].from && pair[0].reason != pair[1].reason;
    ensure!(gaps.windows(2).all(touches), "{gaps:?}");
    Ok(())
}

async fn an_id_outlives_its_message(fixture: &dyn Fixture) -> Result<()> {
    let age = Duration::from_millis(100);
    let store = fixture.store(StreamLimits { age, dedup: Duration::from_millis(50), ..ROOMY }).await?;
    let first = message("doc", "ann", "1", "{}");
    append(&*store, first.clone()).await?;
    while store.expire(at(100)).await? {}
    ensure!(page(&*store, "doc", 0, ALL).await?.messages.is_empty());
    while store.expire(at(149)).await? {}
    let again = store.append(first.clone()).await?;
    ensure!(again == Appended::Again { seq: Seq::new(1), at: at(0) }, "{again:?}");
    ensure!(is_conflict(&store.append(message("doc", "ann", "1", "[]")).await));
    while store.expire(at(150)).await? {}
    ensure!(append(&*store, later(first, 150)).await? == 2, "it was remembered for too long");
    Ok(())
}

async fn ids_are_forgotten_when_there_are_too_many(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(StreamLimits { messages: 1, dedup_ids: 2, ..ROOMY }).await?;
    for number in 1..=4 {
        append(&*store, message("doc", "ann", &number.to_string(), "{}")).await?;
    }
    let again = store.append(message("doc", "ann", "2", "{}")).await?;
    ensure!(matches!(again, Appended::Again { .. }), "{again:?}");
    ensure!(append(&*store, message("doc", "ann", "1", "{}")).await? == 5, "it was remembered for too long");
    Ok(())
}
