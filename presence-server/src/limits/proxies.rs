//! Who a request is from, when it came through a proxy that is trusted to say so.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::HeaderName;
use ipnet::IpNet;

use crate::config::ConfigError;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Hops that are looked at; a request that came over more of our own proxies is from the last of them.
const HOPS_MAX: usize = 16;

/// The networks whose word about addresses is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Reads addresses and networks.
    ///
    /// # Errors
    /// Names the first text that is neither.
    pub fn parse(texts: &[String]) -> Result<Self, ConfigError> {
        let network = |text: &String| {
            let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
            address.or_else(|_| text.parse()).map_err(|_| no_network(text))
        };
        texts.iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    /// Whether this address is one of theirs.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whom a request is from: the peer, or what trusted proxies say. Each hop has written at the end of
    /// `X-Forwarded-For` whom it had the request from; what stands left of the first hop that is not trusted may be
    /// anybody's invention.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let said = headers.get_all(X_FORWARDED_FOR);
        let hops =
            said.iter().rev().filter_map(|value| value.to_str().ok()).flat_map(|value| value.rsplit(','));
        for hop in hops.take(HOPS_MAX) {
            if !self.contains(client) {
                break;
            }
            // What is no address says nothing; the proxy that wrote it is as far as we know.
            let Some(address) = address_of(hop) else { break };
            client = address;
        }
        client
    }
}

fn no_network(text: &str) -> ConfigError {
    let error = format!("{text:?} is no address and no network such as 10.0.0.0/8");
    ConfigError::Value { name: "trusted_proxies".to_owned(), error }
}

/// The address in a text like `203.0.113.7`, `203.0.113.7:80`, `2001:db8::1` or `[2001:db8::1]:80`.
fn address_of(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse().or_else(|_| hop.parse().map(|address: SocketAddr| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn proxies(texts: &[&str]) -> TrustedProxies {
        TrustedProxies::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn client(trusted: &[&str], peer: &str, said: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in said {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        proxies(trusted).client(peer.parse().unwrap(), &headers).to_string()
    }

    /// D10: who is not trusted can say what it likes.
    #[test]
    fn only_trusted_proxies_are_believed() {
        let ours = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"];
        let cases: [(&str, &[&str], &str); 11] = [
            ("203.0.113.7", &["198.51.100.1"], "203.0.113.7"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", &["1.1.1.1, 198.51.100.1, 10.1.2.3"], "198.51.100.1"),
            ("127.0.0.1", &["1.1.1.1", "198.51.100.1", "10.1.2.3,10.1.2.4"], "198.51.100.1"),
            ("127.0.0.1", &["10.1.2.3"], "10.1.2.3"),
            ("127.0.0.1", &["198.51.100.1, unknown"], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("fd00::1", &["[2001:db8::1]:80"], "2001:db8::1"),
            ("::ffff:10.0.0.1", &["2001:db8::2"], "2001:db8::2"),
            ("127.0.0.2", &["198.51.100.1"], "127.0.0.2"),
        ];
        for (peer, said, expected) in cases {
            assert_eq!(client(&ours, peer, said), expected, "{peer} {said:?}");
        }
        let many = vec!["10.0.0.9"; 10_000].join(",");
        assert_eq!(client(&ours, "127.0.0.1", &["198.51.100.1", &many]), "10.0.0.9");
    }

    #[test]
    fn a_text_that_is_no_network_is_named() {
        let said = TrustedProxies::parse(&["10.0.0.0/8".to_owned(), "10.0.0.0/33".to_owned()]).unwrap_err();
        assert!(said.to_string().contains("10.0.0.0/33"), "{said}");
    }
}
