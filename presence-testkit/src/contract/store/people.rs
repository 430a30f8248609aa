//! People, rosters, invitations, documents and notices.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use presence_core::id::UserId;
use presence_core::people::{
    DocumentKey, Invitation, InvitationAnswer, Person, PersonPatch, Revision, Username,
};
use presence_core::port::store::{Changes, Store};
use presence_core::profile::Color;
use presence_core::stream::{MessageKind, NewMessage, Seq};

use super::{
    ALL, Fixture, ROOMY, append, at, balances, is_conflict, is_not_found, message, numbers, page, room,
    standing, user,
};

pub(super) async fn check(fixture: &dyn Fixture) -> Result<()> {
    a_person_changes_field_by_field(fixture).await.context("a person changes field by field")?;
    last_online_never_goes_back(fixture).await.context("last online never goes back")?;
    a_roster_is_in_order(fixture).await.context("a roster is in the order in which people came")?;
    who_shares_a_roster_is_known(fixture).await.context("who shares a roster is an acquaintance")?;
    an_invitation_waits_for_its_answer(fixture).await.context("an invitation waits for its answer")?;
    a_refused_invitation_leaves_nothing(fixture).await.context("a refused invitation leaves nothing")?;
    only_changes_are_given(fixture).await.context("only what has changed is given, and only so much")?;
    a_document_is_written_as_expected(fixture).await.context("a document is written if it is as expected")?;
    notices_wait_in_order(fixture).await.context("notices wait in order, and not too many")
}

fn name(text: &str) -> Result<Username> {
    Ok(Username::parse(text)?)
}

async fn rename(store: &dyn Store, who: &str, to: &str, when: i64) -> Result<Person> {
    let patch = PersonPatch { username: Some(Some(name(to)?)), ..PersonPatch::default() };
    Ok(store.change_person(&user(who), patch, at(when)).await?)
}

async fn a_person_changes_field_by_field(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    // Who only sent something, or is only written to, is not known by it.
    append(&*store, message("@bob", "ann", "1", "{}")).await?;
    ensure!(store.people(&[user("ann"), user("bob")]).await?.is_empty());
    let ann = rename(&*store, "ann", "Ann \u{1f642}", 5).await?;
    let wanted = Person {
        id: user("ann"),
        username: Some(name("Ann \u{1f642}")?),
        color: None,
        avatar: None,
        email: None,
        last_online: None,
        changed_at: at(5),
    };
    ensure!(ann == wanted, "{ann:?}");
    let patch = PersonPatch {
        username: None,
        color: Some(Some(Color::parse("#fb0")?)),
        avatar: Some(Some(Arc::from("https://a.b/c"))),
        email: Some(Some(Arc::from("ann@example.org"))),
    };
    store.change_person(&user("ann"), patch, at(6)).await?;
    let patch = PersonPatch { username: Some(None), avatar: Some(None), ..PersonPatch::default() };
    let ann = store.change_person(&user("ann"), patch, at(7)).await?;
    let color = Some(Color::parse("#fb0")?);
    let email = Some(Arc::from("ann@example.org"));
    ensure!(ann == Person { username: None, color, email, changed_at: at(7), ..wanted }, "{ann:?}");
    let read = store.people(&[user("bob"), user("ann")]).await?;
    ensure!(read == [ann], "{read:?}");
    Ok(())
}

async fn last_online_never_goes_back(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    rename(&*store, "ann", "Ann", 5).await?;
    store.seen_online(&[(user("ann"), at(20)), (user("bob"), at(30)), (user("ann"), at(10))]).await?;
    let people = store.people(&[user("ann"), user("bob")]).await?;
    let seen: Vec<_> = people.iter().map(|person| (person.last_online, person.changed_at)).collect();
    ensure!(seen == [(Some(at(20)), at(5)), (Some(at(30)), at(30))], "{seen:?}");
    Ok(())
}

async fn a_roster_is_in_order(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    for (who, when) in [("cid", 2), ("ann", 3), ("bob", 2), ("dan", 1)] {
        ensure!(store.add_member(&room("doc"), &user(who), at(when)).await?);
    }
    store.add_member(&room("other"), &user("eve"), at(0)).await?;
    store.subscribe(&room("doc"), &user("eve")).await?;
    ensure!(store.remove_member(&room("doc"), &user("dan")).await?);
    let roster = store.roster(&room("doc")).await?;
    let who: Vec<_> = roster.iter().map(|member| (member.user.as_str(), member.joined_at)).collect();
    ensure!(who == [("bob", at(2)), ("cid", at(2)), ("ann", at(3))], "{roster:?}");
    ensure!(store.is_member(&room("doc"), &user("ann")).await?);
    ensure!(!store.is_member(&room("doc"), &user("eve")).await?, "who subscribes is no member");
    ensure!(store.roster(&room("never")).await?.is_empty());
    Ok(())
}

async fn who_shares_a_roster_is_known(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    for (to, who) in [("a", "ann"), ("a", "bob"), ("b", "cid"), ("b", "ann"), ("b", "bob"), ("c", "dan")] {
        store.add_member(&room(to), &user(who), at(0)).await?;
    }
    store.subscribe(&room("c"), &user("ann")).await?;
    ensure!(store.acquaintances(&user("ann")).await? == [user("bob"), user("cid")]);
    ensure!(store.acquaintances(&user("dan")).await?.is_empty());
    Ok(())
}

fn invitation(to: &str, who: &str, when: i64) -> (Invitation, NewMessage) {
    let invitation =
        Invitation { room: room(to), user: user(who), invited_by: user("ann"), created_at: at(when) };
    let notice = message(&format!("@{who}"), "ann", &format!("{to}-{who}-{when}"), "{}");
    (invitation, NewMessage { kind: MessageKind::Invitation, ..notice })
}

async fn an_invitation_waits_for_its_answer(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    let (to_a, notice) = invitation("a", "bob", 1);
    ensure!(store.invite(to_a.clone(), notice.clone()).await? == Seq::new(1));
    ensure!(page(&*store, "@bob", 0, ALL).await?.messages[0].message == notice);
    let (to_b, notice) = invitation("b", "bob", 2);
    ensure!(store.invite(to_b.clone(), notice).await? == Seq::new(2));
    let (cid, notice) = invitation("a", "cid", 0);
    store.invite(cid.clone(), notice).await?;
    ensure!(store.invitations_of(&user("bob")).await? == [to_a.clone(), to_b.clone()]);
    ensure!(store.invitations_to(&room("a")).await? == [cid.clone(), to_a.clone()]);
    let answer = async |to: &str, who: &str, answer| {
        store.answer_invitation(&room(to), &user(who), answer, at(9)).await
    };
    ensure!(answer("a", "bob", InvitationAnswer::Accept).await? == to_a);
    ensure!(store.is_member(&room("a"), &user("bob")).await?);
    ensure!(store.roster(&room("a")).await?[0].joined_at == at(9));
    ensure!(standing(&*store, "a", "bob").await? == Some((0, 0)));
    ensure!(is_not_found(&answer("a", "bob", InvitationAnswer::Accept).await));
    ensure!(answer("b", "bob", InvitationAnswer::Decline).await? == to_b);
    ensure!(!store.is_member(&room("b"), &user("bob")).await?);
    ensure!(is_not_found(&answer("b", "bob", InvitationAnswer::Withdraw).await));
    ensure!(store.invitations_of(&user("bob")).await?.is_empty());
    store.add_member(&room("a"), &user("cid"), at(10)).await?;
    ensure!(store.invitations_to(&room("a")).await?.is_empty(), "who came needs no invitation");
    let (again, notice) = invitation("b", "bob", 3);
    store.invite(again.clone(), notice).await?;
    ensure!(answer("b", "bob", InvitationAnswer::Withdraw).await? == again);
    balances(&*store, [4, 0, 4, 0, 0, 0, 0]).await
}

async fn a_refused_invitation_leaves_nothing(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    store.add_member(&room("a"), &user("bob"), at(0)).await?;
    let (to_bob, notice) = invitation("a", "bob", 1);
    ensure!(is_conflict(&store.invite(to_bob, notice).await), "a member was invited");
    let (to_cid, notice) = invitation("a", "cid", 1);
    let elsewhere = NewMessage { room: room("@bob"), ..notice.clone() };
    ensure!(is_conflict(&store.invite(to_cid.clone(), elsewhere).await));
    store.invite(to_cid.clone(), notice).await?;
    let (_, notice) = invitation("a", "cid", 2);
    ensure!(is_conflict(&store.invite(to_cid, notice).await), "somebody was invited twice");
    let (to_b, _) = invitation("b", "cid", 3);
    ensure!(
        is_conflict(&store.invite(to_b, message("@cid", "ann", "a-cid-1", "[]")).await),
        "an id was used twice"
    );
    let (to_inbox, notice) = invitation("@eve", "dan", 4);
    ensure!(is_conflict(&store.invite(to_inbox, notice).await), "an inbox has a roster");
    ensure!(numbers(&page(&*store, "@cid", 0, ALL).await?) == [1]);
    ensure!(page(&*store, "@dan", 0, ALL).await?.head == Seq::new(0));
    ensure!(store.invitations_to(&room("b")).await?.is_empty());
    Ok(())
}

/// People, rosters as rooms and users, how many invitations, and whether there is more.
type Given = (Vec<UserId>, Vec<(String, String)>, usize, bool);

async fn only_changes_are_given(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    for (who, when) in [("ann", 30), ("bob", 10), ("cid", 20), ("dan", 40)] {
        rename(&*store, who, "Somebody", when).await?;
    }
    for (to, who, when) in
        [("a", "ann", 1), ("a", "bob", 50), ("b", "ann", 60), ("b", "cid", 5), ("c", "dan", 7)]
    {
        store.add_member(&room(to), &user(who), at(when)).await?;
    }
    let (to_c, notice) = invitation("c", "ann", 70);
    store.invite(to_c, notice).await?;
    let given = async |since: i64, limit: usize| -> Result<Given> {
        let Changes { people, rosters, invitations, more } =
            store.changes(&user("ann"), at(since), limit).await?;
        let people = people.into_iter().map(|person| person.id).collect();
        let rosters = rosters.into_iter().map(|m| (m.room.to_string(), m.user.to_string())).collect();
        Ok((people, rosters, invitations.len(), more))
    };
    let who = |ids: &[&str]| ids.iter().map(|id| user(id)).collect::<Vec<_>>();
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(to, who)| ((*to).to_owned(), (*who).to_owned())).collect::<Vec<_>>()
    };
    let both = pairs(&[("a", "ann"), ("a", "bob"), ("b", "cid"), ("b", "ann")]);
    ensure!(given(0, 10).await? == (who(&["bob", "cid", "ann"]), both, 1, false));
    ensure!(given(20, 2).await? == (who(&["ann"]), pairs(&[("a", "ann"), ("a", "bob")]), 1, true));
    ensure!(given(0, 1).await? == (who(&["bob"]), pairs(&[("a", "ann")]), 1, true));
    ensure!(given(50, 10).await? == (vec![], pairs(&[("b", "cid"), ("b", "ann")]), 1, false));
    ensure!(given(70, 10).await? == (vec![], vec![], 0, false));
    Ok(())
}

async fn a_document_is_written_as_expected(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    let (ann, key) = (user("ann"), DocumentKey::parse("settings")?);
    let write = async |body: &'static str, expected| {
        store.write_document(&ann, &key, Bytes::from_static(body.as_bytes()), expected, at(3)).await
    };
    ensure!(store.document(&ann, &key).await?.is_none());
    ensure!(is_conflict(&write("{}", Some(Some(Revision(1)))).await));
    ensure!(write("{}", Some(None)).await? == Revision(1));
    ensure!(is_conflict(&write("[]", Some(None)).await));
    ensure!(write("[1]", Some(Some(Revision(1)))).await? == Revision(2));
    ensure!(is_conflict(&write("[]", Some(Some(Revision(1)))).await));
    ensure!(write("[2]", None).await? == Revision(3));
    let document = store.document(&ann, &key).await?.context("it is not there")?;
    ensure!(document.body == "[2]" && document.revision == Revision(3) && document.changed_at == at(3));
    ensure!(store.document(&user("bob"), &key).await?.is_none(), "another user has it");
    ensure!(is_conflict(&store.delete_document(&ann, &key, Some(Some(Revision(2)))).await));
    ensure!(is_conflict(&store.delete_document(&ann, &key, Some(None)).await));
    ensure!(store.delete_document(&ann, &key, Some(Some(Revision(3)))).await?);
    ensure!(!store.delete_document(&ann, &key, None).await?);
    ensure!(write("{}", Some(None)).await? > Revision(3), "a revision came twice");
    Ok(())
}

async fn notices_wait_in_order(fixture: &dyn Fixture) -> Result<()> {
    let store = fixture.store(ROOMY).await?;
    let notices =
        |texts: &[&'static str]| texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect();
    ensure!(store.keep_notices(notices(&["a", "b"]), 3).await? == 0);
    ensure!(store.keep_notices(notices(&["c", "d"]), 3).await? == 1);
    let held = store.notices(10).await?;
    let texts: Vec<&[u8]> = held.iter().map(|(_, text)| &text[..]).collect();
    ensure!(texts == [b"b", b"c", b"d"], "{held:?}");
    ensure!(store.notices(2).await? == held[..2]);
    ensure!(store.notices_held().await? == 3);
    store.forget_notices(held[1].0).await?;
    ensure!(store.notices(10).await? == held[2..]);
    ensure!(store.notices_held().await? == 1);
    store.forget_notices(held[2].0).await?;
    ensure!(store.notices_held().await? == 0);
    ensure!(store.keep_notices(notices(&["e"]), 3).await? == 0);
    let (number, _) = store.notices(1).await?[0];
    ensure!(number > held[2].0, "a number came twice");
    Ok(())
}
