//! A server for one test, in this process, on a port of its own.

use std::net::SocketAddr;

use anyhow::Result;
use presence_server::{Config, Server};
use tokio::sync::oneshot;

/// A server that ends with the value.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

/// Who goes is not waited for long.
pub(crate) fn quick() -> Config {
    Config { grace_ms: 500, going_away_grace_ms: 500, ..Config::default() }
}

/// Starts one; `listen` is chosen here.
pub(crate) fn serve(config: Config) -> Result<Running> {
    let server = Server::bind(Config { listen: "127.0.0.1:0".parse()?, ..config }, None)?;
    let address = server.address();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    Ok(Running { address, _stop: stop })
}
