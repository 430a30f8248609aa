//! A network that can be broken: a proxy on loopback between a client and the server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::random::Random;

/// What the network does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weather {
    /// Nothing gets through to the server, and nobody is told: no FIN, no RST.
    silent_up: bool,
    /// The same to the clients.
    silent_down: bool,
    /// How often all connections have been reset.
    resets: u32,
    /// Milliseconds that everything takes, at least and at most.
    delay: (u64, u64),
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the server.
    Up,
    /// To the clients.
    Down,
}

impl Weather {
    const fn is_silent(&self, way: Way) -> bool {
        match way {
            Way::Up => self.silent_up,
            Way::Down => self.silent_down,
        }
    }
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
        self.0.send_modify(|weather| {
            (weather.silent_up, weather.silent_down, weather.delay) = (false, false, (0, 0));
        });
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
        self.weather.send_modify(|weather| (weather.silent_up, weather.silent_down) = (true, true));
        Fault(Arc::clone(&self.weather))
    }

    /// From now on nothing gets through one way, and nobody is told.
    pub fn silence_one_way(&self, way: Way) -> Fault {
        self.weather.send_modify(|weather| match way {
            Way::Up => weather.silent_up = true,
            Way::Down => weather.silent_down = true,
        });
        Fault(Arc::clone(&self.weather))
    }

    /// From now on everything takes longer, now more and now less, and stays in order. What comes meanwhile waits.
    pub fn delay(&self, least: Duration, most: Duration) -> Fault {
        let delay = (least.as_millis() as u64, most.as_millis() as u64);
        self.weather.send_modify(|weather| weather.delay = delay);
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
        let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        let _ = stream.set_nodelay(true);
    }
    let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
    tokio::spawn(pump(Way::Up, client_in, server_out, weather.clone()));
    tokio::spawn(pump(Way::Down, server_in, client_out, weather.clone()));
}

async fn pump(
    way: Way,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
) {
    let resets = weather.borrow_and_update().resets;
    let mut reset = weather.clone();
    tokio::select! {
        () = forward(way, &mut from, &mut to, &mut weather) => {}
        _ = reset.wait_for(|weather| weather.resets != resets) => {}
    }
}

/// Until one side ends.
async fn forward(
    way: Way,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    weather: &mut watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 16 * 1024];
    // Another connection, another jitter.
    let mut random = Random::new(from.peer_addr().map_or(0, |peer| peer.port().into()));
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        // The end of a direction is news too, and held back like all other.
        if weather.wait_for(|weather| !weather.is_silent(way)).await.is_err() || read == 0 {
            let _ = to.shutdown().await;
            return;
        }
        let (least, most) = weather.borrow().delay;
        if most > 0 {
            let jitter = random.below((most - least).max(1) as usize) as u64;
            tokio::time::sleep(Duration::from_millis(least + jitter)).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
