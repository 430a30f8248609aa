//! TLS of the server's own: what is over it is as without it, and what is not TLS does no harm.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use presence_server::{Config, Server};
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::http::{get, raw};
use presence_testkit::tls::{Certificate, CertificateFiles, Tunnel, connect};
use presence_testkit::wire::ServerMessage;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, version};

use crate::on_every_kind;
use crate::server::{TestServer, quick};

/// How long a connection may take to end that is not wanted.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that speaks TLS, and what its clients need.
struct Secure {
    server: TestServer,
    certificate: Certificate,
    files: CertificateFiles,
    tunnel: Tunnel,
}

impl Secure {
    async fn start(config: Config) -> Result<Self> {
        let certificate = Certificate::new()?;
        let files = CertificateFiles::of(&certificate)?;
        let server = TestServer::start(with(&files, config))?;
        let tunnel = Tunnel::to(server.address, certificate.trusted()?).await?;
        Ok(Self { server, certificate, files, tunnel })
    }

    async fn enter(&self, kind: Kind, user: &str, room: &str) -> Result<Client> {
        Client::enter(kind, self.tunnel.address(), &Credentials::new(user, "s"), room).await
    }
}

fn with(files: &CertificateFiles, config: Config) -> Config {
    Config { tls_cert_file: files.cert(), tls_key_file: files.key(), ..config }
}

/// Reads until the server ends a connection, however it does.
async fn ended(stream: &mut TcpStream) -> Result<()> {
    let end = async { while stream.read(&mut [0; 512]).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(PATIENCE, end).await.context("the connection goes on")
}

async fn metrics(secure: &Secure) -> Result<String> {
    Ok(get(secure.tunnel.address(), "/metrics", &[]).await?.body)
}

/// Everything is as without TLS: what is said and heard, what plain HTTP tells, and the goodbye of a drain.
async fn a_room_over_tls_is_as_any_other(kind: Kind) -> Result<()> {
    let mut secure = Secure::start(quick()).await?;
    let mut ann = secure.enter(kind, "ann", "doc").await?;
    let mut bob = secure.enter(kind, "bob", "doc").await?;
    bob.send(&json!({"type": "presence:update", "room": "doc", "state": {"x": 1}})).await?;
    ann.until("doc", "bob's state", |view| {
        view.users().get("bob").is_some_and(|bob| bob.sessions[0].state.get("x") == Some(&json!(1)))
    })
    .await?;
    let told = get(secure.tunnel.address(), "/v1/rooms/doc/presence", &[]).await?;
    assert_eq!(ann.view("doc").difference(&told.json()?), None);
    bob.close(1000).await?;
    ann.until("doc", "bob has left", |view| view.edges("bob").leaves == 1).await?;
    secure.server.stop();
    ann.wait_for("the drain", |message| matches!(message, ServerMessage::Draining(_))).await?;
    assert_eq!(ann.closed().await?, Some(1012));
    Ok(())
}

/// D: more than TLS and the sockets hold at once comes whole and in order.
async fn a_large_snapshot_arrives_whole(kind: Kind) -> Result<()> {
    let secure =
        Secure::start(Config { message_bytes_max: 128 * 1024, state_bytes_max: 120 * 1024, ..quick() });
    let secure = secure.await?;
    let wide = "x".repeat(100_000);
    let mut many = Vec::new();
    for number in 0..12 {
        let mut member = secure.enter(kind, &format!("user-{number}"), "doc").await?;
        member.send(&json!({"type": "presence:update", "room": "doc", "state": {"wide": wide}})).await?;
        many.push(member);
    }
    let mut ann = secure.enter(kind, "ann", "doc").await?;
    ann.until("doc", "all states are here", |view| {
        let wide = |user: &str| view.users()[user].sessions[0].state.contains_key("wide");
        (0..12).all(|number| wide(&format!("user-{number}")))
    })
    .await?;
    ann.settle("doc").await
}

#[cfg(feature = "sse")]
/// A client that goes without TLS's goodbye, as many do, has gone like any other: it is not waited for as for one lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stream_that_ends_without_a_goodbye_has_ended() -> Result<()> {
    let secure = Secure::start(Config { going_away_grace_ms: 0, grace_ms: 60_000, ..quick() }).await?;
    let mut ann = secure.enter(Kind::Sse, "ann", "doc").await?;
    let mut stream = connect(secure.server.address, secure.certificate.trusted()?).await?;
    stream.write_all(b"GET /sse?room=doc&user_id=bob HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    ann.until("doc", "bob is here", |view| view.edges("bob").joins == 1).await?;
    let (mut tcp, _) = stream.into_inner();
    tcp.shutdown().await?;
    ann.until("doc", "bob has left", |view| view.edges("bob").leaves == 1).await
}

/// D1: who does not shake hands is not waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_does_not_go_on_is_cut() -> Result<()> {
    let secure = Secure::start(Config { header_timeout_ms: 300, ..quick() }).await?;
    let mut silent = TcpStream::connect(secure.server.address).await?;
    let mut halting = TcpStream::connect(secure.server.address).await?;
    // The head of a record that says it is a handshake of 512 bytes, and three of them.
    halting.write_all(&[22, 3, 1, 2, 0, 1, 0, 1]).await?;
    ended(&mut silent).await?;
    ended(&mut halting).await?;
    // After a whole handshake it is the headers that are waited for, as long.
    let mut shaken = connect(secure.server.address, secure.certificate.trusted()?).await?;
    shaken.write_all(b"GET / HTTP/1.1\r\nSlow:").await?;
    let end = async { while shaken.read(&mut [0; 512]).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(PATIENCE, end).await.context("the connection goes on")?;
    let told = metrics(&secure).await?;
    ensure!(told.contains("presence_tls_handshakes_total{outcome=\"timed_out\"}"), "{told}");
    ensure!(told.contains("presence_tls_handshakes_total{outcome=\"done\"}"), "{told}");
    Ok(())
}

/// What is not TLS ends its own connection and nothing else: noise, a plain request, an end in the middle.
async fn what_is_not_tls_does_no_harm(kind: Kind) -> Result<()> {
    let secure = Secure::start(quick()).await?;
    let mut ann = secure.enter(kind, "ann", "doc").await?;
    let upgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let huge: Vec<u8> = [22, 3, 1, 0xff, 0xff].into_iter().chain([1; 70_000]).collect();
    for noise in
        [&[0; 4096][..], &[0xff; 9], upgrade.as_bytes(), &huge, b"\x16\x03\x01\x00\x01\x01", b"\x80\x2e"]
    {
        let mut stream = TcpStream::connect(secure.server.address).await?;
        // The server may have had enough before all of it is out.
        let _ = stream.write_all(noise).await;
        let _ = stream.shutdown().await;
        ended(&mut stream).await?;
    }
    let plain = raw(secure.server.address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    ensure!(plain.is_err(), "plain HTTP was answered: {plain:?}");
    ann.settle("doc").await?;
    let told = metrics(&secure).await?;
    ensure!(told.contains("presence_tls_handshakes_total{outcome=\"failed\"}"), "{told}");
    Ok(())
}

/// TLS 1.3, 1.2 for those who have no better, and HTTP/1.1, which is the only protocol that is offered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_best_version_and_the_one_protocol_are_spoken() -> Result<()> {
    let secure = Secure::start(quick()).await?;
    let shaken = |believes: Arc<ClientConfig>, protocols: &[&str]| {
        let mut believes = (*believes).clone();
        believes.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        connect(secure.server.address, Arc::new(believes))
    };
    let any = secure.certificate.trusted()?;
    let old = secure.certificate.trusted_over(&[&version::TLS12])?;
    for (believes, version) in [(&any, ProtocolVersion::TLSv1_3), (&old, ProtocolVersion::TLSv1_2)] {
        let stream = shaken(Arc::clone(believes), &["h2", "http/1.1"]).await?;
        let (_, session) = stream.get_ref();
        assert_eq!(session.protocol_version(), Some(version));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    ensure!(shaken(any, &["h2"]).await.is_err(), "a client that speaks HTTP/2 alone was let in");
    Ok(())
}

/// A new certificate is for new connections; a broken one is for nobody.
async fn a_new_certificate_is_taken_up_under_way(kind: Kind) -> Result<()> {
    let certificate = Certificate::new()?;
    let files = CertificateFiles::of(&certificate)?;
    let server = Server::bind(with(&files, quick()), None)?;
    let (address, tls) = (server.address(), server.tls().cloned().context("it does not speak TLS")?);
    assert_eq!(server.url(), format!("https://{address}"));
    let running = tokio::spawn(server.run(std::future::pending()));
    let old = Tunnel::to(address, certificate.trusted()?).await?;
    let ann = Credentials::new("ann", "a");
    let mut ann = Client::enter(kind, old.address(), &ann, "doc").await?;

    let next = Certificate::new()?;
    files.replace(&next)?;
    connect(address, certificate.trusted()?).await.context("it was read before it was asked for")?;
    tls.reload()?;
    connect(address, next.trusted()?).await.context("the new certificate is not used")?;
    ensure!(connect(address, certificate.trusted()?).await.is_err(), "the old certificate is used");
    if kind == Kind::Ws {
        // An event stream posts over new connections, which do not trust the new certificate.
        ann.settle("doc").await?;
    }
    let new = Tunnel::to(address, next.trusted()?).await?;
    let _bob = Client::enter(kind, new.address(), &Credentials::new("bob", "b"), "doc").await?;
    ann.until("doc", "bob is here", |view| view.edges("bob").joins == 1).await?;

    std::fs::write(files.cert(), "-----BEGIN CERTIFICATE-----\nnonsense\n")?;
    let refused = tls.reload().err().context("nonsense was taken up")?.to_string();
    ensure!(refused.contains("`tls_cert_file`"), "{refused}");
    connect(address, next.trusted()?).await.context("the certificate is gone")?;
    running.abort();
    Ok(())
}

/// A server that could not serve says so before it listens, and names setting and file.
#[tokio::test]
async fn files_that_cannot_be_served_with_are_refused_by_name() -> Result<()> {
    let (one, other) = (Certificate::new()?, Certificate::new()?);
    let refused = |cert: &str, key: &str| -> Result<String> {
        let files = CertificateFiles::of(&one)?;
        std::fs::write(files.cert(), cert)?;
        std::fs::write(files.key(), key)?;
        let error = Server::bind(with(&files, quick()), None).err().context("it was served with")?;
        let said = error.to_string();
        ensure!(said.contains(&files.folder().display().to_string()), "no file is named: {said}");
        Ok(said)
    };
    let mismatch = refused(&one.cert_pem, &other.key_pem)?;
    ensure!(mismatch.contains("`tls_key_file`") && mismatch.contains("`tls_cert_file`"), "{mismatch}");
    let swapped = refused(&one.key_pem, &one.cert_pem)?;
    ensure!(swapped.contains("`tls_cert_file`") && swapped.contains("no certificate"), "{swapped}");
    let keyless = refused(&one.cert_pem, &one.cert_pem)?;
    ensure!(!keyless.contains(&one.cert_pem[64..128]), "what stands in the file is shown: {keyless}");
    ensure!(keyless.contains("`tls_key_file`") && keyless.contains("no private key"), "{keyless}");
    let nonsense = one.cert_pem.replace("MII", "AAA");
    let nonsense = refused(&nonsense, &one.key_pem)?;
    ensure!(nonsense.contains("`tls_cert_file`"), "{nonsense}");
    let nowhere =
        Config { tls_cert_file: "/nowhere/cert.pem".into(), ..with(&CertificateFiles::of(&one)?, quick()) };
    let nowhere = Server::bind(nowhere, None).err().context("it was served with")?.to_string();
    ensure!(nowhere.contains("cannot read /nowhere/cert.pem"), "{nowhere}");
    Ok(())
}

/// A server that is full says so only where that is cheap.
async fn a_connection_too_many_is_not_shaken_hands_with(kind: Kind) -> Result<()> {
    // An event stream speaks over a second connection, and a shared one is one itself.
    let connections_max = match kind {
        Kind::Ws => 1,
        Kind::Sse => 2,
        Kind::Shared => 3,
    };
    let secure = Secure::start(Config { connections_max, ..quick() }).await?;
    let mut ann = secure.enter(kind, "ann", "doc").await?;
    ensure!(connect(secure.server.address, secure.certificate.trusted()?).await.is_err(), "it was let in");
    ann.settle("doc").await?;
    drop(secure.files);
    Ok(())
}

on_every_kind! {
    a_room_over_tls_is_as_any_other,
    a_large_snapshot_arrives_whole,
    what_is_not_tls_does_no_harm,
    a_new_certificate_is_taken_up_under_way,
    a_connection_too_many_is_not_shaken_hands_with,
}
