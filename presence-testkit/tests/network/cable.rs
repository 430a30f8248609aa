//! Two machines and the cable between them: network namespaces, which only a privileged process may make.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpStream;

/// Addresses that are for examples (RFC 5737), so that they are nobody's.
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A machine with a server, one with clients, and a cable. Gone with the value.
#[derive(Debug)]
pub(crate) struct Cable {
    /// The namespace of the server's machine.
    server: String,
    /// That of the clients' machine.
    client: String,
}

/// Where a client is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// On the server's machine: no cable is in between.
    Near,
    /// At the other end of the cable.
    Far,
}

impl Cable {
    /// Lays one; if this process may not, says why.
    pub(crate) fn lay() -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("presence-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let cable = Self { server: format!("{name}-s"), client: format!("{name}-c") };
        let (server, client) = (&cable.server, &cable.client);
        let laying = [
            format!("netns add {server}"),
            format!("netns add {client}"),
            format!("link add cable netns {server} type veth peer name cable netns {client}"),
            format!("-n {server} address add {SERVER}/24 dev cable"),
            format!("-n {client} address add {CLIENT}/24 dev cable"),
            format!("-n {server} link set lo up"),
            format!("-n {server} link set cable up"),
            format!("-n {client} link set cable up"),
        ];
        laying.iter().try_for_each(|command| ip(command)).map_err(|error| format!("{error:#}"))?;
        Ok(cable)
    }

    /// Pulls it at the clients' end: nothing gets through, and nobody is told.
    pub(crate) fn pull(&self) -> Result<()> {
        ip(&format!("-n {} link set cable down", self.client))
    }

    /// Plugs it in again.
    pub(crate) fn plug(&self) -> Result<()> {
        ip(&format!("-n {} link set cable up", self.client))
    }

    /// Listens on the server's machine.
    pub(crate) fn listen(&self) -> Result<TcpListener> {
        within(&self.server, || TcpListener::bind((SERVER, 0)))
    }

    /// Connects from a machine.
    pub(crate) fn connect(&self, place: Place, server: SocketAddr) -> Result<TcpStream> {
        let namespace = match place {
            Place::Near => &self.server,
            Place::Far => &self.client,
        };
        let stream = within(namespace, || std::net::TcpStream::connect(server))?;
        stream.set_nonblocking(true)?;
        Ok(TcpStream::from_std(stream)?)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in [&self.server, &self.client] {
            // It may never have been made.
            let _ = ip(&format!("netns delete {namespace}"));
        }
    }
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.context("there is no `ip`: apt-get install iproute2")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {arguments}: {}", said.trim());
    Ok(())
}

/// A socket stays where it was made, whichever thread uses it; so it is made by one that goes there and ends.
fn within<T: Send>(namespace: &str, make: impl FnOnce() -> io::Result<T> + Send) -> Result<T> {
    let there = File::open(format!("/run/netns/{namespace}"))?;
    let made = std::thread::scope(|scope| {
        let making = scope.spawn(move || {
            move_into_link_name_space(there.as_fd(), Some(LinkNameSpaceType::Network))?;
            make()
        });
        making.join()
    });
    Ok(made.map_err(|_| anyhow!("the thread in {namespace} panicked"))??)
}
