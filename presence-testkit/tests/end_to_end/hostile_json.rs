//! Messages that are JSON for some and not for others, and texts that are more than text for some. Rows of
//! docs/security.md stand in front of the tests.

use anyhow::{Context, Result, ensure};
use presence_testkit::client::{Client, Kind};
use presence_testkit::wire::ServerMessage;
use serde_json::{Value, json};

use crate::on_every_kind;
use crate::server::{TestServer, quick};

/// D9: whatever parsers disagree on is refused, so that receivers never have to.
async fn what_parsers_disagree_on_is_refused(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let bad_json = [
        r#"{"type":"presence:heartbeat"} {}"#,
        r#"{"type":"presence:heartbeat",}"#,
        r#"{"type":"presence:heartbeat"/**/}"#,
        r#"{'type':'presence:heartbeat'}"#,
        r#"{type:"presence:heartbeat"}"#,
        "\u{feff}{\"type\":\"presence:heartbeat\"}",
        "{\"type\":\"presence:heartbeat\"}\0",
        "{\"type\":\"a\nb\"}",
        "{\"type\":\"\\x41\"}",
        r#"{"type":"presence:update","room":"doc","state":{"n":NaN}}"#,
        r#"{"type":"presence:update","room":"doc","state":{"n":Infinity}}"#,
        r#"{"type":"presence:update","room":"doc","state":{"n":1e400}}"#,
        r#"{"type":"presence:update","room":"doc","state":{"n":-1e999}}"#,
        r#"{"type":"presence:update","room":"doc","state":{"n":01}}"#,
        r#"{"type":"presence:update","room":"doc","state":{"n":.5}}"#,
        r#"{"type":"presence:update","room":"doc","state":{"n":+1}}"#,
        r#"{"type":"presence:update","room":"doc","state":{"n":0x1}}"#,
        r#"{"type":"presence:update","room":"doc","state":{"\ud800":1}}"#,
        r#"{"type":"presence:update","room":"doc","state":{"s":"\udc00\ud800"}}"#,
        r#"{"type":"presence:update","room":"doc","state":{"s":"\ud83dx"}}"#,
        r#"{"type":"presence:join","room":"\ud800"}"#,
        r#"{"type":"presence:join","user":{"id":"ann","name":"\ud800"}}"#,
        r#"{"type":"presence:join","user":{"id":"\udfff"}}"#,
        r#"{"type":"presence:heartbeat","ref":"\ud800"}"#,
        r#"{"type":"\ud800"}"#,
        "",
        "null",
        "true",
        "\"text\"",
        "12",
    ];
    for text in bad_json {
        ann.send_text(text).await?;
        assert_eq!(ann.refusal().await.with_context(|| format!("{text:?}"))?.0, "bad_json", "{text:?}");
    }
    let twice = [
        (r#"{"type":"presence:update","room":"doc","state":{"a":1,"a":2}}"#, "state.a"),
        (r#"{"type":"presence:update","room":"doc","state":{"a":1,"\u0061":2}}"#, "state.a"),
        (r#"{"type":"presence:update","room":"doc","room":"doc","state":{}}"#, "room"),
        (r#"{"type":"presence:join","room":"doc","user":{"id":"ann","id":"bob"}}"#, "user.id"),
        (r#"{"type":"presence:heartbeat","__proto__":1,"__proto__":2}"#, "__proto__"),
    ];
    for (text, field) in twice {
        ann.send_text(text).await?;
        assert_eq!(ann.refusal().await?, ("bad_message".to_owned(), Some(field.to_owned())), "{text}");
    }
    ann.settle("doc").await?;
    ensure!(ann.view("doc").users()["ann"].sessions[0].state.is_empty());
    Ok(())
}

/// D9: what is odd and means one thing to everybody arrives as it was sent.
async fn what_is_odd_and_clear_arrives(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let mut bob = server.enter(kind, "bob", "b", "doc").await?;
    let state = json!({
        "": 1, "\u{0}": "\u{0}", "😀": "\u{10ffff}", "deep": [[[[{"x": [null, true, 1e308, -0.0, 9007199254740993_u64]}]]]],
    });
    ann.send(&json!({"type": "presence:update", "room": "doc", "state": state, "unknown": {"a": []}}))
        .await?;
    bob.until("doc", "the state is there", |view| !view.users()["ann"].sessions[0].state.is_empty()).await?;
    assert_eq!(json!(bob.view("doc").users()["ann"].sessions[0].state), state);
    Ok(())
}

/// Texts that have broken something somewhere: names of prototypes, of devices and of values, markup, quotes,
/// directions, marks without letters, lines within lines.
const NAUGHTY: &[&str] = &[
    "__proto__",
    "constructor",
    "prototype",
    "hasOwnProperty",
    "toString",
    "valueOf",
    "__defineGetter__",
    "__lookupSetter__",
    "isPrototypeOf",
    "then",
    "toJSON",
    "length",
    "undefined",
    "null",
    "NULL",
    "nil",
    "None",
    "true",
    "false",
    "NaN",
    "Infinity",
    "-1",
    "0",
    "1e309",
    "0x0",
    "\\",
    "\\u0000",
    "\"",
    "'",
    "`",
    "<b>",
    "-->",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "]]>",
    "${7*7}",
    "{{7*7}}",
    "' OR 1=1 --",
    "; rm -rf /",
    "$(id)",
    "../../etc/passwd",
    "..",
    ".",
    "%00",
    "%2e%2e%2f",
    "%n%s",
    "CON",
    "NUL",
    "*",
    ">",
    "#",
    "?",
    "&",
    "=",
    "a b",
    " lead",
    "trail ",
    "\u{a0}",
    "\u{3000}",
    "\u{200b}",
    "\u{200d}",
    "\u{2028}",
    "\u{2029}",
    "\u{feff}",
    "\u{202e}evil",
    "\u{2066}x\u{2069}",
    "Ω≈ç√",
    "田中さん",
    "الكل",
    "ẞ",
    "İ",
    "ﬁ",
    "é",
    "e\u{301}",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢",
    "👩‍👩‍👧‍👦",
    "🇩🇪",
    "\u{fffd}",
    "\u{ffff}",
    "\u{10ffff}",
    "\u{e000}",
];

fn naughty() -> Vec<String> {
    let longest = "💡".repeat(128);
    NAUGHTY.iter().map(|text| (*text).to_owned()).chain([longest]).collect()
}

/// Those that no id can be: they would end a line, or are too long, or nothing.
fn no_ids() -> Vec<String> {
    let mut texts =
        ["", "\0", "a\nb", "a\rb", "\t", "\u{7f}", "\u{85}", "\u{1b}[31m"].map(str::to_owned).to_vec();
    texts.push("💡".repeat(129));
    texts.push("x".repeat(10_000));
    texts
}

/// A8: a text is a text, as user, session, name, key and value.
async fn a_text_is_a_text_wherever_it_stands(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    for text in naughty() {
        let mut odd = Client::anonymous(kind, server.address).await?;
        let join = json!({
            "type": "presence:join", "room": "doc", "state": {&text: &text},
            "user": {"id": &text, "sessionId": &text, "name": &text},
        });
        odd.send(&join).await?;
        odd.wait_for("a snapshot", |m| matches!(m, ServerMessage::CurrentUsers(_)))
            .await
            .with_context(|| format!("{text:?}"))?;
        ann.until("doc", "it is here", |view| view.users().contains_key(&text)).await?;
        let seen = &ann.view("doc").users()[&text];
        // A name of nothing but space is no name, and their id stands for it.
        assert_eq!((&seen.id, &seen.name), (&text, &text));
        assert_eq!(
            (&seen.sessions[0].session_id, json!(seen.sessions[0].state)),
            (&text, json!({&text: &text}))
        );
        odd.close(1000).await?;
        ann.until("doc", "it is gone", |view| !view.users().contains_key(&text)).await?;
    }
    server.agrees_with(&mut ann, "doc").await
}

/// A8: what is no id is refused, and the refusal names the field.
async fn what_is_no_id_is_refused(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    for text in no_ids() {
        let mut odd = Client::anonymous(kind, server.address).await?;
        let cases: [(Value, &str); 3] = [
            (json!({"type": "presence:join", "user": {"id": &text}}), "user.id"),
            (json!({"type": "presence:join", "user": {"id": "odd", "sessionId": &text}}), "user.sessionId"),
            (json!({"type": "auth", "client_id": &text}), "client_id"),
        ];
        for (message, field) in cases {
            odd.send(&message).await?;
            assert_eq!(odd.refusal().await?, ("bad_message".to_owned(), Some(field.to_owned())), "{text:?}");
        }
    }
    Ok(())
}

/// A8: most texts are no rooms; the few that are, are rooms like any other.
async fn a_room_is_a_room_whatever_it_is_called(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    let is_room = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:~/".contains(c))
    };
    for text in naughty().into_iter().chain(no_ids()).filter(|text| text.len() <= 128) {
        if is_room(&text) {
            ann.join(&text).await.with_context(|| format!("{text:?}"))?;
            ann.settle(&text).await?;
        } else {
            ann.send(&json!({"type": "presence:join", "room": &text})).await?;
            assert_eq!(
                ann.refusal().await?,
                ("invalid_room".to_owned(), Some("room".to_owned())),
                "{text:?}"
            );
        }
    }
    ann.settle("doc").await
}

on_every_kind! {
    what_parsers_disagree_on_is_refused,
    what_is_odd_and_clear_arrives,
    a_text_is_a_text_wherever_it_stands,
    what_is_no_id_is_refused,
    a_room_is_a_room_whatever_it_is_called,
}
