//! What counts as one client, and what as one holder of many.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What counts as one client: an IPv4 address or an IPv6 /64, which is the least that one subscriber has (RFC 6177 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// The address.
    V4(u32),
    /// The upper half of the address.
    V6(u64),
}

/// What one holder may have as a whole: an IPv4 /24 or an IPv6 /48.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Network {
    /// The first 24 bits.
    V4(u32),
    /// The first 48 bits.
    V6(u64),
}

impl From<IpAddr> for Host {
    /// An IPv4 address within IPv6 (RFC 4291 §2.5.5.2) is the IPv4 address.
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl From<Host> for Network {
    fn from(host: Host) -> Self {
        match host {
            Host::V4(address) => Self::V4(address >> 8),
            Host::V6(half) => Self::V6(half >> 16),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(address) => Ipv4Addr::from(address).fmt(f),
            Self::V6(half) => write!(f, "{}/64", Ipv6Addr::from(u128::from(half) << 64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn one_subscriber_is_one_host_and_mapped_ipv4_is_ipv4() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ] {
            assert_eq!(host(one) == host(other), same, "{one} {other}");
        }
    }

    #[test]
    fn a_holder_of_many_is_one_network() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.250", true),
            ("192.0.2.1", "192.0.3.1", false),
            ("2001:db8:0:1::1", "2001:db8:0:ffff::1", true),
            ("2001:db8:0:1::1", "2001:db8:1:1::1", false),
        ] {
            assert_eq!(Network::from(host(one)) == Network::from(host(other)), same, "{one} {other}");
        }
    }

    #[test]
    fn a_host_is_written_as_what_it_is() {
        assert_eq!(host("192.0.2.1").to_string(), "192.0.2.1");
        assert_eq!(host("2001:db8:0:1::9").to_string(), "2001:db8:0:1::/64");
    }
}
