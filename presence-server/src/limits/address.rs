//! What one address may do: connections at once and in a time, requests, failed attempts to prove who it is. An IPv6
//! address counts as its /64, which is what one customer has. Who a request is from is for the proxies to say that are
//! trusted; they themselves are not limited.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hyper::HeaderMap;
use presence_core::rate::{Bucket, Rate};

use super::proxies::TrustedProxies;
use super::recent::Recent;
use super::{Bound, Refused, UNTIL_SOMEBODY_LEAVES};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};

/// What addresses have done, as far as it still matters.
#[derive(Debug)]
pub struct AddressLimits {
    proxies: TrustedProxies,
    connections_max: usize,
    connects: Rate,
    requests: Rate,
    failed_auths: Rate,
    abuses: Rate,
    clock: Clock,
    addresses: Mutex<Addresses>,
}

#[derive(Debug)]
struct Addresses {
    /// As many as there are connections, at most.
    open: HashMap<Address, usize>,
    /// As many as are remembered, at most.
    spent: Recent<Address, Spent>,
}

/// What one address has left.
#[derive(Debug, Default)]
struct Spent {
    connects: Bucket,
    requests: Bucket,
    failed_auths: Bucket,
    abuses: Bucket,
}

/// An address, or the network that counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Address(IpAddr);

impl Address {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into()),
        }
    }
}

/// One connection of an address, for as long as the value lives.
#[derive(Debug)]
pub struct AddressPlace {
    address: IpAddr,
    /// `None`: it is not limited.
    limits: Option<Arc<AddressLimits>>,
}

impl AddressPlace {
    /// Whose it is.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether it counts: a connection need not keep one that is not limited.
    pub fn is_counted(&self) -> bool {
        self.limits.is_some()
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        if let Some(limits) = &self.limits {
            limits.leave(self.address);
        }
    }
}

impl AddressLimits {
    /// As the settings say.
    ///
    /// # Errors
    /// If a trusted proxy is no address.
    pub fn new(config: &Config, clock: Clock) -> Result<Self, ConfigError> {
        let minute = Duration::from_secs(60);
        let connects = Rate::per_second(config.connects_per_second, config.connects_burst);
        let requests = Rate::per_second(config.requests_per_second, config.requests_burst);
        let failed_auths = Rate::new(config.failed_auths_per_minute, minute, config.failed_auths_per_minute);
        let abuses = Rate::new(config.abuses_per_minute, minute, config.abuses_per_minute);
        let rates = [connects, requests, failed_auths, abuses];
        let longest = rates.iter().map(Rate::refill).max().unwrap_or_default();
        let spent = Recent::new(config.addresses_max, longest);
        Ok(Self {
            proxies: TrustedProxies::parse(&config.trusted_proxies)?,
            connections_max: config.connections_per_address_max,
            connects,
            requests,
            failed_auths,
            abuses,
            clock,
            addresses: Mutex::new(Addresses { open: HashMap::new(), spent }),
        })
    }

    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock().expect("nothing panics while it holds the addresses")
    }

    /// Whom a request is from.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.proxies.client(peer, headers)
    }

    /// One more connection of this address.
    ///
    /// # Errors
    /// If it has too many, has opened too many, or too many of them had to be ended.
    pub fn connect(self: &Arc<Self>, address: IpAddr) -> Result<AddressPlace, Refused> {
        if self.proxies.contains(address) {
            return Ok(AddressPlace { address, limits: None });
        }
        let (now, key) = (self.clock.now().at, Address::of(address));
        let mut addresses = self.addresses();
        let open = addresses.open.get(&key).copied().unwrap_or(0);
        let spent = addresses.spent.entry(now, key);
        let fair = spent.abuses.check(now, self.abuses);
        fair.map_err(|retry_after| Refused { bound: Bound::Abuses, retry_after })?;
        let paid = spent.connects.pay(now, self.connects);
        paid.map_err(|retry_after| Refused { bound: Bound::Connects, retry_after })?;
        if open >= self.connections_max {
            return Err(Refused { bound: Bound::ConnectionsPerAddress, retry_after: UNTIL_SOMEBODY_LEAVES });
        }
        addresses.open.insert(key, open + 1);
        drop(addresses);
        Ok(AddressPlace { address, limits: Some(Arc::clone(self)) })
    }

    /// One more request of this address.
    ///
    /// # Errors
    /// If it asks too often.
    pub fn request(&self, address: IpAddr) -> Result<(), Refused> {
        if self.proxies.contains(address) {
            return Ok(());
        }
        let now = self.clock.now().at;
        let paid = self.addresses().spent.entry(now, Address::of(address)).requests.pay(now, self.requests);
        paid.map_err(|retry_after| Refused { bound: Bound::Requests, retry_after })
    }

    /// Whether this address may try to prove who it is. Ask before anything is spent on finding out.
    ///
    /// # Errors
    /// If it has failed too often.
    pub fn check_auth(&self, address: IpAddr) -> Result<(), Refused> {
        let now = self.clock.now().at;
        let addresses = self.addresses();
        let checked = addresses
            .spent
            .get(&Address::of(address))
            .map_or(Ok(()), |spent| spent.failed_auths.check(now, self.failed_auths));
        checked.map_err(|retry_after| Refused { bound: Bound::FailedAuths, retry_after })
    }

    /// This address has failed to prove who it is.
    pub fn failed_auth(&self, address: IpAddr) {
        if !self.proxies.contains(address) {
            let now = self.clock.now().at;
            // Who has nothing left is refused already.
            let _ = self
                .addresses()
                .spent
                .entry(now, Address::of(address))
                .failed_auths
                .pay(now, self.failed_auths);
        }
    }

    /// A connection of this address had to be ended, since it went on with what it was refused.
    pub fn abused(&self, address: IpAddr) {
        if !self.proxies.contains(address) {
            let now = self.clock.now().at;
            // Who has nothing left is refused already.
            let _ = self.addresses().spent.entry(now, Address::of(address)).abuses.pay(now, self.abuses);
        }
    }

    fn leave(&self, address: IpAddr) {
        let (mut addresses, key) = (self.addresses(), Address::of(address));
        match addresses.open.get_mut(&key) {
            Some(open) if *open > 1 => *open -= 1,
            _ => {
                addresses.open.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(config: Config) -> Arc<AddressLimits> {
        Arc::new(AddressLimits::new(&config, Clock::start()).unwrap())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_connections_and_who_leaves_makes_room() {
        let limits = limits(Config { connections_per_address_max: 2, ..Config::default() });
        let (first, _second) = (
            limits.connect(address("203.0.113.7")).unwrap(),
            limits.connect(address("203.0.113.7")).unwrap(),
        );
        let refused = limits.connect(address("203.0.113.7")).unwrap_err();
        assert!(first.is_counted() && refused.bound == Bound::ConnectionsPerAddress);
        assert!(limits.connect(address("203.0.113.8")).is_ok());
        drop(first);
        assert!(limits.connect(address("203.0.113.7")).is_ok());
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one_and_mapped_ones_as_ipv4() {
        let limits = limits(Config { connections_per_address_max: 1, ..Config::default() });
        let _one = limits.connect(address("2001:db8:0:1::1")).unwrap();
        assert!(limits.connect(address("2001:db8:0:1:ffff::2")).is_err());
        let _other = limits.connect(address("2001:db8:0:2::1")).unwrap();
        let _mapped = limits.connect(address("::ffff:203.0.113.7")).unwrap();
        assert!(limits.connect(address("203.0.113.7")).is_err());
    }

    #[test]
    fn who_connects_asks_or_fails_too_often_has_to_wait() {
        let config = Config {
            connects_per_second: 1,
            connects_burst: 3,
            requests_per_second: 1,
            requests_burst: 4,
            failed_auths_per_minute: 5,
            ..Config::default()
        };
        let (limits, who) = (limits(config), address("203.0.113.7"));
        let connected = (0..9).filter(|_| limits.connect(who).is_ok()).count();
        let asked = (0..9).filter(|_| limits.request(who).is_ok()).count();
        // A second may have passed on a machine that has much to do.
        assert!((3..=5).contains(&connected) && (4..=6).contains(&asked), "{connected} and {asked}");
        (0..5).for_each(|_| {
            limits.check_auth(who).unwrap();
            limits.failed_auth(who);
        });
        let refused = limits.check_auth(who).unwrap_err();
        assert!(refused.bound == Bound::FailedAuths && refused.retry_after <= Duration::from_secs(12));
        assert!(limits.check_auth(address("203.0.113.8")).is_ok());
    }

    #[test]
    fn whose_connections_have_to_be_ended_again_and_again_may_open_no_more() {
        let limits = limits(Config { abuses_per_minute: 3, ..Config::default() });
        let who = address("203.0.113.7");
        for _ in 0..3 {
            limits.connect(who).unwrap();
            limits.abused(who);
        }
        assert_eq!(limits.connect(who).unwrap_err().bound, Bound::Abuses);
        assert!(limits.connect(address("203.0.113.8")).is_ok());
    }

    #[test]
    fn trusted_proxies_are_not_limited() {
        let limits = limits(Config {
            connections_per_address_max: 1,
            connects_burst: 1,
            requests_burst: 1,
            failed_auths_per_minute: 1,
            ..Config::default()
        });
        let loopback = address("127.0.0.1");
        let places: Vec<_> = (0..100).map(|_| limits.connect(loopback).unwrap()).collect();
        assert!(places.iter().all(|place| !place.is_counted()));
        assert!((0..100).all(|_| limits.request(loopback).is_ok()));
        (0..100).for_each(|_| limits.failed_auth(loopback));
        assert!(limits.check_auth(loopback).is_ok());
        drop(places);
        assert!(limits.addresses().open.is_empty() && limits.addresses().spent.len() == 0);
    }

    /// D10: a million addresses that come and go leave no more behind than the map may hold.
    #[test]
    fn a_million_addresses_do_not_grow_memory() {
        let config = Config { addresses_max: 10_000, ..Config::default() };
        let limits = limits(config);
        for number in 0..1_000_000_u32 {
            let address = IpAddr::from(std::net::Ipv4Addr::from_bits(0x0b00_0000 + number));
            drop(limits.connect(address).unwrap());
            limits.request(address).unwrap();
            limits.failed_auth(address);
        }
        let addresses = limits.addresses();
        assert!(addresses.open.is_empty() && addresses.open.capacity() < 100);
        assert!(addresses.spent.len() <= 10_000 && addresses.spent.capacity() <= 20_000);
    }
}
