//! The OpenAPI document and the server say the same.

use anyhow::{Context, Result, ensure};
use presence_server::Config;
use presence_testkit::client::Kind;
use presence_testkit::http::{get, request, send};
use presence_testkit::openapi::Document;
use serde_json::json;

use crate::on_every_kind;
use crate::server::{TestServer, quick};
use crate::who_may::{API_KEY, guarded, token};

const METHODS: [&str; 5] = ["GET", "PUT", "POST", "PATCH", "DELETE"];

async fn document(server: &TestServer) -> Result<Document> {
    Document::parse(&get(server.address, "/openapi.json", &[]).await?.body)
}

/// An address that a pattern matches, about somebody.
fn address(path: &str, user: &str) -> String {
    path.replace("{id}", user).replace("{room}", "nowhere").replace("{user}", user).replace("{key}", "x")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_documented_is_there_and_what_is_not_is_refused() -> Result<()> {
    // A stream that says nothing about its user ends soon.
    let server = TestServer::start(Config { hello_ms: 100, ..quick() })?;
    let document = document(&server).await?;
    ensure!(document.paths().len() > 10, "{:?}", document.paths());
    for (path, documented) in document.paths() {
        for method in METHODS {
            let answer = request(server.address, method, &address(path, "nobody"), &[]).await?;
            let has = documented.iter().any(|known| known == method);
            if has {
                let nothing = answer.body.contains("there is nothing at this address");
                ensure!(answer.status != 405 && !nothing, "{method} {path}: {}", answer.body);
                document.check(method, path, &answer)?;
                continue;
            }
            ensure!(answer.status == 405, "{method} {path}: {}", answer.status);
            let allow = answer.header("allow").context("a refusal names the methods that there are")?;
            let mut allowed: Vec<&str> = allow.split(", ").filter(|method| *method != "HEAD").collect();
            let mut documented: Vec<&str> = documented.iter().map(String::as_str).collect();
            allowed.sort_unstable();
            documented.sort_unstable();
            assert_eq!(allowed, documented, "{path}");
            let opens_stream =
                ["/ws", "/sse", "/sse/shared", "/debug/connections/{id}/trace"].contains(&path);
            assert_eq!(allow.contains("HEAD"), allow.contains("GET") && !opens_stream, "{path}");
        }
    }
    Ok(())
}

/// A3: every route lets in whom the document says, and nobody else. Opening and feeding streams is a matter of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_says_who_may() -> Result<()> {
    let server = TestServer::start(guarded())?;
    let document = document(&server).await?;
    let bearer = format!("Bearer {}", token("ann", &[])?);
    let credentials = [None, Some(("Authorization", bearer.as_str())), Some(("X-API-Key", API_KEY))];
    for (path, methods) in document.paths() {
        for method in methods.iter().filter(|_| path != "/ws" && !path.starts_with("/sse")) {
            let security = document.security(method, path);
            let expected = match (security.contains(&None), security.contains(&Some("token"))) {
                (true, _) => [None, None, None],
                (false, true) => [Some(401), None, None],
                (false, false) => [Some(401), Some(403), None],
            };
            // What users may they may for themselves, and where they belong.
            let user = if security.contains(&Some("token")) { "ann" } else { "nobody" };
            for (credential, refused) in credentials.iter().zip(expected) {
                let belongs = "/v1/rooms/nowhere/members/ann";
                request(server.address, "PUT", belongs, &[("X-API-Key", API_KEY)]).await?;
                let headers: Vec<_> = credential.iter().copied().collect();
                let answer = request(server.address, method, &address(path, user), &headers).await?;
                let said = Some(answer.status).filter(|status| [401, 403].contains(status));
                assert_eq!(said, refused, "{method} {path}: {}", answer.body);
                document.check(method, path, &answer)?;
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_answers_get_answers_head_without_a_body() -> Result<()> {
    let server = TestServer::start(quick())?;
    for path in ["/healthz", "/v1/stats", "/v1/rooms/doc/presence", "/", "/admin", "/metrics"] {
        let (head, full) = (
            request(server.address, "HEAD", path, &[]).await?,
            request(server.address, "GET", path, &[]).await?,
        );
        assert_eq!((head.status, head.body.as_str()), (full.status, ""), "{path}");
        assert_eq!(head.header("content-type"), full.header("content-type"), "{path}");
    }
    Ok(())
}

/// Real answers, of a server with something to tell, are as documented: nothing missing, nothing more.
async fn answers_are_as_documented(kind: Kind) -> Result<()> {
    let server = TestServer::start(quick())?;
    let document = document(&server).await?;
    let mut ann = server.enter(kind, "ann", "a", "doc").await?;
    ann.send(&json!({"type": "presence:update", "room": "doc", "state": {"x": {"deep": [1, null]}}})).await?;
    ann.send(&json!({"type": "presence:cursor", "room": "doc", "cursor": {"x": 1, "y": 2.5, "page": 3}}))
        .await?;
    let _tab = server.enter(kind, "ann", "b", "doc").await?;
    let user = json!({"name": "Bob", "avatar": "https://example.org/b.png", "email": "bob@example.org"});
    let mut bob = server.enter(kind, "bob", "b", "other").await?;
    bob.send(&json!({"type": "presence:join", "room": "doc", "user": user})).await?;
    bob.settle("doc").await?;
    server.enter(kind, "carl", "c", "doc").await?.reset();
    ann.settle("doc").await?;
    let etag = get(server.address, "/v1/rooms/doc/presence", &[]).await?;
    let since = etag.header("etag").unwrap_or_default().trim_matches('"').to_owned();
    for (method, path, address) in [
        ("GET", "/v1/rooms", "/v1/rooms"),
        ("GET", "/v1/rooms", "/v1/rooms?limit=1"),
        ("GET", "/v1/rooms", "/v1/rooms?limit=x"),
        ("GET", "/v1/rooms/{room}/presence", "/v1/rooms/doc/presence"),
        ("GET", "/v1/rooms/{room}/presence", &format!("/v1/rooms/doc/presence?since={since}")),
        ("GET", "/v1/rooms/{room}/presence", "/v1/rooms/nowhere/presence"),
        ("GET", "/v1/rooms/{room}/presence", "/v1/rooms/@ann/presence"),
        ("GET", "/v1/rooms/{room}/presence", "/v1/rooms/a%20b/presence"),
        ("GET", "/v1/stats", "/v1/stats"),
        ("GET", "/v1/users/{id}", "/v1/users/ann"),
        ("GET", "/v1/users/{id}", "/v1/users/bob"),
        ("GET", "/v1/users/{id}", "/v1/users/nobody"),
        ("GET", "/v1/users", "/v1/users?ids=ann,bob,nobody"),
        ("GET", "/v1/users", "/v1/users"),
        ("GET", "/debug/connections", "/debug/connections"),
        ("GET", "/debug/connections", "/debug/connections?limit=1"),
        ("GET", "/debug/connections", "/debug/connections?limit=0"),
        ("GET", "/debug/rooms/{room}", "/debug/rooms/doc"),
        ("GET", "/debug/rooms/{room}", "/debug/rooms/nowhere"),
        ("GET", "/healthz", "/healthz"),
        ("GET", "/readyz", "/readyz"),
        ("GET", "/metrics", "/metrics"),
        ("GET", "/openapi.json", "/openapi.json"),
        ("GET", "/", "/"),
        ("GET", "/admin", "/admin"),
        ("GET", "/debug/connections/{id}/trace", "/debug/connections/nonsense/trace"),
        ("GET", "/ws", "/ws"),
        ("GET", "/ws", "/ws?user_id=%00"),
        ("DELETE", "/v1/connections/{id}", "/v1/connections/nonsense"),
        ("DELETE", "/v1/users/{id}/sessions", "/v1/users/nobody/sessions"),
        ("DELETE", "/v1/users/{id}/sessions", "/v1/users/bob/sessions"),
    ] {
        let answer = request(server.address, method, address, &[]).await?;
        document.check(method, path, &answer).with_context(|| address.to_owned())?;
    }
    Ok(())
}

/// The same of people: what each step of a story answers, the refusals too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_about_people_are_as_documented() -> Result<()> {
    let server = TestServer::start(quick())?;
    let document = document(&server).await?;
    let (name, invited, accept) =
        (r#"{"username":"alice"}"#, r#"{"user_id":"bob"}"#, r#"{"action":"accept"}"#);
    for (method, path, address, body) in [
        ("PUT", "/v1/users/{id}/username", "/v1/users/ann/username", name),
        ("PUT", "/users/{id}/username", "/users/ann/username", name),
        ("PUT", "/v1/users/{id}/username", "/v1/users/ann/username", "{}"),
        ("PATCH", "/v1/users/{id}", "/v1/users/ann", r##"{"color":"#123456","avatar":null}"##),
        ("PATCH", "/v1/users/{id}", "/v1/users/ann", "7"),
        ("GET", "/v1/users/{id}", "/v1/users/ann", ""),
        ("GET", "/v1/users", "/v1/users?ids=ann,bob", ""),
        ("PUT", "/v1/users/{id}/documents/{key}", "/v1/users/ann/documents/a", "[1]"),
        ("GET", "/v1/users/{id}/documents/{key}", "/v1/users/ann/documents/a", ""),
        ("DELETE", "/v1/users/{id}/documents/{key}", "/v1/users/ann/documents/a", ""),
        ("DELETE", "/v1/users/{id}/documents/{key}", "/v1/users/ann/documents/a", ""),
        ("GET", "/v1/users/{id}/documents/{key}", "/v1/users/bob/documents/a", ""),
        ("PUT", "/v1/rooms/{room}/members/{user}", "/v1/rooms/doc/members/ann", ""),
        ("PUT", "/v1/rooms/{room}/members/{user}", "/v1/rooms/doc/members/ann", ""),
        ("POST", "/v1/rooms/{room}/invites", "/v1/rooms/doc/invites", invited),
        ("POST", "/v1/rooms/{room}/invites", "/v1/rooms/doc/invites", invited),
        ("POST", "/v1/rooms/{room}/invites", "/v1/rooms/nowhere/invites", invited),
        ("GET", "/v1/rooms/{room}/invites", "/v1/rooms/doc/invites", ""),
        ("GET", "/v1/users/{id}/invites", "/v1/users/ann/invites", ""),
        ("GET", "/v1/users/{id}/invites", "/v1/users/bob/invites", ""),
        ("DELETE", "/v1/rooms/{room}/invites/{user}", "/v1/rooms/doc/invites/bob", ""),
        ("DELETE", "/v1/rooms/{room}/invites/{user}", "/v1/rooms/doc/invites/bob", ""),
        ("PUT", "/threads/{room}/invites/{user}", "/threads/doc/invites/ann", accept),
        ("GET", "/v1/rooms/{room}/members", "/v1/rooms/doc/members", ""),
        ("GET", "/v1/rooms/{room}/members", "/v1/rooms/nowhere/members", ""),
        ("DELETE", "/v1/rooms/{room}/members/{user}", "/v1/rooms/doc/members/carl", ""),
        ("DELETE", "/v1/rooms/{room}/members/{user}", "/v1/rooms/doc/members/ann", ""),
    ] {
        let answer = send(server.address, method, address, &[("X-User-Id", "ann")], body).await?;
        document.check(method, path, &answer).with_context(|| format!("{method} {address} {body}"))?;
    }
    Ok(())
}

on_every_kind! { answers_are_as_documented }
