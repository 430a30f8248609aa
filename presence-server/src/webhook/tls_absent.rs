//! What stands for TLS to a backend where it is not built in: nothing, and a word about it.

use std::convert::Infallible;
use std::io;
use std::path::Path;

use tokio::net::TcpStream;

/// There is none of it.
#[derive(Clone, Debug)]
pub(super) struct Tls(Infallible);

impl Tls {
    pub(super) fn to(_: &str, _: &Path) -> Result<Self, (&'static str, String)> {
        let why = "begins with https, which is not built into this server: build it with `--features tls`";
        Err(("webhook_url", why.to_owned()))
    }

    pub(super) async fn connect(&self, _: TcpStream) -> io::Result<TcpStream> {
        match self.0 {}
    }
}
