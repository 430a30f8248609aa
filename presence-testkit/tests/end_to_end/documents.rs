//! Documents of users' own: written by revision, so that of two devices the later one learns that it was later.

use anyhow::{Context, Result};
use presence_server::Config;
use presence_testkit::http::{Answer, request, send};

use crate::as_user::{ask, outcome};
use crate::server::{TestServer, quick};
use crate::who_may::{API_KEY, guarded, token};

const PATH: &str = "/v1/users/ann/documents/playlist";

async fn write(server: &TestServer, condition: Option<(&str, &str)>, body: &str) -> Result<Answer> {
    let headers: Vec<(&str, &str)> = [("X-User-Id", "ann")].into_iter().chain(condition).collect();
    send(server.address, "PUT", PATH, &headers, body).await
}

fn tag(answer: &Answer) -> Result<String> {
    Ok(answer.header("etag").with_context(|| format!("no ETag: {}", answer.status))?.to_owned())
}

/// C4: load, write what was loaded, learn that somebody was faster, load again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_devices_the_later_one_learns_that_it_was_later() -> Result<()> {
    let server = TestServer::start(quick())?;
    assert_eq!(ask(&server, "ann", "GET", PATH).await?.status, 404);
    let first = write(&server, Some(("If-None-Match", "*")), r#" {"songs": [ "a b", 1 ]} "#).await?;
    assert_eq!(first.status, 204);
    let loaded = ask(&server, "ann", "GET", PATH).await?;
    assert_eq!((loaded.status, loaded.body.as_str()), (200, r#"{"songs":["a b",1]}"#));
    let known = tag(&loaded)?;
    assert_eq!(known, tag(&first)?);
    let second = write(&server, Some(("If-Match", &known)), "[2]").await?;
    assert_eq!(second.status, 204);
    assert_ne!(tag(&second)?, known);
    for (name, stale) in [("If-Match", known.as_str()), ("If-Match", "\"x\""), ("If-None-Match", "*")] {
        let refused = write(&server, Some((name, stale)), "[3]").await?;
        assert_eq!(outcome(&refused), (412, "conflict".to_owned()), "{name}: {stale}");
    }
    let newest = tag(&second)?;
    let unchanged = [("X-User-Id", "ann"), ("If-None-Match", newest.as_str())];
    let unchanged = request(server.address, "GET", PATH, &unchanged).await?;
    assert_eq!((unchanged.status, unchanged.body.as_str()), (304, ""));
    assert_eq!(ask(&server, "ann", "GET", PATH).await?.body, "[2]");
    assert_eq!(write(&server, None, "[4]").await?.status, 204);
    assert_eq!(write(&server, Some(("If-Match", "*")), "[5]").await?.status, 204);
    Ok(())
}

/// A document that comes again after it was deleted is another one: its old revisions do not come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_document_is_gone_and_its_revisions_stay_used() -> Result<()> {
    let server = TestServer::start(quick())?;
    let first = tag(&write(&server, None, "1").await?)?;
    let stale = [("X-User-Id", "ann"), ("If-Match", "\"999\"")];
    assert_eq!(request(server.address, "DELETE", PATH, &stale).await?.status, 412);
    assert_eq!(ask(&server, "ann", "DELETE", PATH).await?.status, 204);
    assert_eq!(ask(&server, "ann", "DELETE", PATH).await?.status, 404);
    assert_eq!(write(&server, Some(("If-Match", "*")), "2").await?.status, 412);
    assert_eq!(write(&server, Some(("If-Match", &first)), "2").await?.status, 412);
    assert_ne!(tag(&write(&server, None, "2").await?)?, first);
    Ok(())
}

/// X3: what is no document, or too large, is refused and says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_document_is_refused() -> Result<()> {
    let server = TestServer::start(Config { document_bytes_max: 100, ..quick() })?;
    for body in ["", "{", "nothing", r#""\ud800""#, &"[".repeat(50)] {
        assert_eq!(outcome(&write(&server, None, body).await?), (400, "bad_json".to_owned()), "{body}");
    }
    let large = format!("\"{}\"", "x".repeat(99));
    assert_eq!(outcome(&write(&server, None, &large).await?), (413, "too_large".to_owned()));
    let path = "/v1/users/ann/documents/%00";
    assert_eq!(outcome(&ask(&server, "ann", "GET", path).await?), (400, "bad_message".to_owned()));
    assert_eq!(ask(&server, "ann", "GET", PATH).await?.status, 404);
    Ok(())
}

/// Documents are their user's own: whether there is one is not told to anybody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_is_its_users_and_the_backends() -> Result<()> {
    let server = TestServer::start(guarded())?;
    let (ann, bob) = (format!("Bearer {}", token("ann", &[])?), format!("Bearer {}", token("bob", &[])?));
    let write = |credential: (&'static str, String)| async move {
        let headers = [(credential.0, credential.1.as_str())];
        send(server.address, "PUT", PATH, &headers, "1").await
    };
    assert_eq!(write(("Authorization", ann)).await?.status, 204);
    assert_eq!(write(("Authorization", bob.clone())).await?.status, 403);
    assert_eq!(write(("X-API-Key", API_KEY.to_owned())).await?.status, 204);
    let headers = [("Authorization", bob.as_str())];
    let there = request(server.address, "GET", PATH, &headers).await?;
    let not_there = request(server.address, "GET", "/v1/users/ann/documents/none", &headers).await?;
    assert_eq!((there.status, &there.body), (403, &not_there.body));
    Ok(())
}
