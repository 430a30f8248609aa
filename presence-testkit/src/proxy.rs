//! A network that can be broken: a proxy on loopback between a client and the server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the network does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weather {
    /// Nothing gets through, and nobody is told: no FIN, no RST.
    silent: bool,
    /// How often all connections have been reset.
    resets: u32,
}

/// A proxy in front of a server. Ends with the value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: Arc<watch::Sender<Weather>>,
    accepting: JoinHandle<()>,
}

/// A fault, for as long as this value lives.
#[derive(Debug)]
#[must_use = "the fault ends when this is dropped"]
pub struct Fault(Arc<watch::Sender<Weather>>);

impl Drop for Fault {
    fn drop(&mut self) {
        self.0.send_modify(|weather| weather.silent = false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// A proxy to `server` on a port of its own.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let weather = Arc::new(watch::Sender::new(Weather::default()));
        let watching = weather.subscribe();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = TcpStream::connect(server).await {
                    carry(client, server, &watching);
                }
            }
        });
        Ok(Self { address, weather, accepting })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing gets through, and nobody is told.
    pub fn silence(&self) -> Fault {
        self.weather.send_modify(|weather| weather.silent = true);
        Fault(Arc::clone(&self.weather))
    }

    /// Resets every connection, on both sides.
    pub fn reset(&self) {
        self.weather.send_modify(|weather| weather.resets += 1);
    }
}

fn carry(client: TcpStream, server: TcpStream, weather: &watch::Receiver<Weather>) {
    for stream in [&client, &server] {
        // Dropped without a goodbye, as a cable that is pulled.
        let _ = socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
        let _ = stream.set_nodelay(true);
    }
    let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
    tokio::spawn(pump(client_in, server_out, weather.clone()));
    tokio::spawn(pump(server_in, client_out, weather.clone()));
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: watch::Receiver<Weather>) {
    let resets = weather.borrow_and_update().resets;
    let mut reset = weather.clone();
    tokio::select! {
        () = forward(&mut from, &mut to, &mut weather) => {}
        _ = reset.wait_for(|weather| weather.resets != resets) => {}
    }
}

/// Until one side ends.
async fn forward(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, weather: &mut watch::Receiver<Weather>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        // The end of a direction is news too, and held back like all other.
        if weather.wait_for(|weather| !weather.silent).await.is_err() || read == 0 {
            let _ = to.shutdown().await;
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
