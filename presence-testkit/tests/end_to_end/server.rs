//! A server for one test, in this process, on a port of its own.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use presence_server::audit::violations;
use presence_server::stream::Streams;
use presence_server::{Config, Server};
use presence_testkit::client::{Client, Credentials, Kind};
use presence_testkit::http;
use presence_testkit::wire::RoomPresence;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server that ends with the value.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) streams: Streams,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

/// Grace that is short enough to wait for, and long enough to come back in.
pub(crate) fn quick() -> Config {
    Config {
        listen: "127.0.0.1:0".parse().expect("this is an address"),
        grace_ms: 1_000,
        going_away_grace_ms: 300,
        shards: 2,
        log_level: "warn".to_owned(),
        ..Config::default()
    }
}

/// Nothing may have been found that is not as it must be, by this server or by another one of this process.
impl Drop for TestServer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(violations(), 0, "something is not as it must be: the log says what");
        }
    }
}

impl TestServer {
    pub(crate) fn start(config: Config) -> Result<Self> {
        let server = Server::bind(config, None)?;
        let (address, streams) = (server.address(), server.streams().clone());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            // A test that ends drops the sender; that stops the server too.
            let _ = stopped.await;
        }));
        Ok(Self { address, streams, stop: Some(stop), running })
    }

    pub(crate) async fn enter(&self, kind: Kind, user: &str, session: &str, room: &str) -> Result<Client> {
        Client::enter(kind, self.address, &Credentials::new(user, session), room).await
    }

    /// Tells the server to drain; gives what ends when it has.
    pub(crate) fn stop(&mut self) -> &mut JoinHandle<()> {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        &mut self.running
    }

    pub(crate) async fn presence(&self, room: &str) -> Result<RoomPresence> {
        http::get(self.address, &format!("/v1/rooms/{room}/presence"), &[]).await?.json()
    }

    /// Checks that a client sees a room as the server does, at the same version.
    pub(crate) async fn agrees_with(&self, client: &mut Client, room: &str) -> Result<()> {
        loop {
            let truth = self.presence(room).await?;
            client.until(room, "the server's version", |view| view.version() >= Some(truth.version)).await?;
            // Where the room has moved on in between, there is nothing to compare.
            if client.view(room).version() == Some(truth.version) {
                return client.view(room).difference(&truth).map_or(Ok(()), |difference| bail!(difference));
            }
        }
    }
}
