//! Whose request it is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::HeaderMap;

use crate::limits::{AddressLimits, AddressPlace, Refused};

/// Who asks: the other end of the socket, or whom a trusted proxy asks for.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// As logs name it. Behind a proxy it has no port.
    pub(super) peer: SocketAddr,
    /// What the socket takes up.
    place: Arc<AddressPlace>,
}

impl Caller {
    /// Who is at the other end of a socket.
    pub(super) fn new(peer: SocketAddr, place: AddressPlace) -> Self {
        Self { peer, place: Arc::new(place) }
    }

    /// Who is behind it, as the headers of a request say.
    pub(super) fn of_request(&self, addresses: &AddressLimits, headers: &HeaderMap) -> Self {
        let client = addresses.client(self.peer.ip(), headers);
        let proxied = client != self.peer.ip().to_canonical();
        let peer = if proxied { SocketAddr::new(client, 0) } else { self.peer };
        Self { peer, place: Arc::clone(&self.place) }
    }

    /// Its address.
    pub(super) fn address(&self) -> IpAddr {
        self.peer.ip()
    }

    /// What a stream takes up that it opens: its socket's place, or behind a proxy one of its own.
    ///
    /// # Errors
    /// If there is none for it.
    pub(super) fn place_of_stream(
        &self,
        addresses: &Arc<AddressLimits>,
    ) -> Result<Arc<AddressPlace>, Refused> {
        if self.address() == self.place.address() {
            Ok(Arc::clone(&self.place))
        } else {
            addresses.connect(self.address()).map(Arc::new)
        }
    }
}
