//! Whose request it really is, behind proxies that are trusted.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<IpNet>);

/// An address or a network, as a configuration writes it.
pub fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

impl Proxies {
    /// Trusts these addresses and networks. A text that is neither ([`parse_network`]) trusts nobody.
    pub fn new<T: AsRef<str>>(texts: &[T]) -> Self {
        Self(texts.iter().filter_map(|text| parse_network(text.as_ref())).collect())
    }

    /// Whether a peer is one of them.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&peer))
    }

    /// The client's address: the peer's own, or the last one in `X-Forwarded-For` that no trusted proxy has.
    ///
    /// `fields` are the values of that field, in their order. What stands to the left of the client was written by it or
    /// by strangers, and is not looked at.
    pub fn client<'f>(&self, peer: IpAddr, fields: impl DoubleEndedIterator<Item = &'f [u8]>) -> IpAddr {
        if self.0.is_empty() || !self.trusts(peer) {
            return peer;
        }
        let mut client = peer;
        for hop in fields.rev().flat_map(|value| value.rsplit(|&byte| byte == b',')) {
            let Some(address) = str::from_utf8(hop).ok().and_then(|hop| hop.trim().parse::<IpAddr>().ok())
            else {
                break;
            };
            client = address.to_canonical();
            if !self.trusts(client) {
                break;
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        let proxies = Proxies::new(&["10.0.0.0/8", "192.0.2.9"]);
        let cases: [(&str, &str, &[&str], &str); 10] = [
            ("a stranger's claim", "198.51.100.7", &["203.0.113.5"], "198.51.100.7"),
            ("one proxy", "10.1.2.3", &["203.0.113.5"], "203.0.113.5"),
            ("a claim before the proxy's word", "10.1.2.3", &["1.1.1.1, 203.0.113.5"], "203.0.113.5"),
            ("two proxies", "192.0.2.9", &["203.0.113.5, 10.9.9.9"], "203.0.113.5"),
            ("two lines", "10.1.2.3", &["1.1.1.1", "203.0.113.5"], "203.0.113.5"),
            ("rubbish", "10.1.2.3", &["1.1.1.1, unknown"], "10.1.2.3"),
            ("rubbish behind a proxy", "10.1.2.3", &["unknown, 10.9.9.9"], "10.9.9.9"),
            ("nothing", "10.1.2.3", &[], "10.1.2.3"),
            ("version 6", "10.1.2.3", &["2001:db8::5"], "2001:db8::5"),
            ("mapped", "::ffff:10.1.2.3", &["::ffff:203.0.113.5"], "203.0.113.5"),
        ];
        for (name, peer, fields, expected) in cases {
            let client = proxies.client(peer.parse().unwrap(), fields.iter().map(|field| field.as_bytes()));
            assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{name}");
        }
    }
}
