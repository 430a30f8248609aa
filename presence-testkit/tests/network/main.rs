//! Event streams over a cable that is pulled. A heartbeat finds dead WebSockets, since a living one answers; an event
//! stream has no answer to give, so it is TCP that finds the dead ones.

mod cable;

use std::net::SocketAddr;

use anyhow::{Result, bail};
use presence_server::{Config, Server};
use presence_testkit::client::SseWire;
use presence_testkit::wire::ServerMessage;

use cable::{Cable, Place};

/// A cable, if this process may lay one; else says why not.
fn cable() -> Option<Cable> {
    Cable::lay().map_err(|why| println!("skipped, since this needs network namespaces: {why}")).ok()
}

/// A server on its machine. The setting `listen` is not used, since the socket is there already.
fn serve(cable: &Cable, config: Config) -> Result<SocketAddr> {
    let config = Config { listen: "127.0.0.1:0".parse()?, log_level: "warn".to_owned(), ..config };
    let server = Server::bind(config, Some(cable.listen()?))?;
    let address = server.address();
    tokio::spawn(server.run(std::future::pending()));
    Ok(address)
}

/// Enters the room, and is in it: whoever comes later is seen to come.
async fn enter(cable: &Cable, place: Place, server: SocketAddr, user: &str) -> Result<SseWire> {
    let path = format!("/sse?room=doc&user_id={user}&session_id={user}");
    let mut wire = SseWire::open(cable.connect(place, server)?, server, &path, &[]).await?;
    wire.wait_for(|message| matches!(message, ServerMessage::CurrentUsers(_))).await?;
    Ok(wire)
}

fn joined(user: &str) -> impl Fn(&ServerMessage) -> bool {
    move |message| matches!(message, ServerMessage::UserJoined(joined) if joined.user.id == user)
}

/// L2: no FIN and no answer: TCP gives the peer up after `silent_timeout_ms`, and after the grace there is one leave.
/// Without that setting it would be a quarter of an hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_event_stream_is_found_by_tcp() -> Result<()> {
    let Some(cable) = cable() else { return Ok(()) };
    let config = Config {
        heartbeat_ms: 500,
        heartbeat_timeout_ms: 300,
        silent_timeout_ms: 1_500,
        grace_ms: 500,
        going_away_grace_ms: 500,
        ..Config::default()
    };
    let server = serve(&cable, config)?;
    let mut ann = enter(&cable, Place::Near, server, "ann").await?;
    let _bob = enter(&cable, Place::Far, server, "bob").await?;
    ann.wait_for(joined("bob")).await?;
    cable.pull()?;
    let left = ann.wait_for(|message| matches!(message, ServerMessage::UserLeft(_))).await?;
    let ServerMessage::UserLeft(left) = left else { bail!("that was waited for") };
    assert_eq!((left.user_id.as_str(), left.cause.as_str()), ("bob", "timeout"));
    // Who is near has answered all the time, in the way in which TCP does, and is still there.
    ann.wait_for(|message| matches!(message, ServerMessage::Ping(_))).await?;
    Ok(())
}

/// P7: what was said meanwhile arrives when the cable is back, on the same stream, and nobody has heard of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cable_that_is_back_in_time_was_never_pulled() -> Result<()> {
    let Some(cable) = cable() else { return Ok(()) };
    let server = serve(&cable, Config { heartbeat_ms: 500, heartbeat_timeout_ms: 300, ..Config::default() })?;
    let mut ann = enter(&cable, Place::Near, server, "ann").await?;
    let mut bob = enter(&cable, Place::Far, server, "bob").await?;
    ann.wait_for(joined("bob")).await?;
    cable.pull()?;
    let _carol = enter(&cable, Place::Near, server, "carol").await?;
    ann.wait_for(joined("carol")).await?;
    // Longer than an answer to a ping may take.
    for _ in 0..3 {
        ann.wait_for(|message| matches!(message, ServerMessage::Ping(_))).await?;
    }
    cable.plug()?;
    bob.wait_for(joined("carol")).await?;
    let _dave = enter(&cable, Place::Near, server, "dave").await?;
    let next = |message: &ServerMessage| {
        matches!(message, ServerMessage::UserJoined(_) | ServerMessage::UserLeft(_))
    };
    let next = ann.wait_for(next).await?;
    assert!(joined("dave")(&next), "something was heard of it: {next:?}");
    Ok(())
}
