//! Whose connection it really is, behind proxies that are trusted.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_handshake::Head;

/// Networks whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(Vec<IpNet>);

/// An address or a network.
pub(crate) fn parse(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

impl Proxies {
    /// Texts that are neither an address nor a network were refused with the configuration.
    pub(crate) fn new(texts: &[String]) -> Self {
        Self(texts.iter().filter_map(|text| parse(text)).collect())
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's address: the peer's own, or the last one in `X-Forwarded-For` that no trusted proxy has.
    ///
    /// What stands to the left of that was written by the client or by strangers, and is not looked at.
    pub(crate) fn client(&self, peer: IpAddr, head: &Head<'_>) -> IpAddr {
        if self.0.is_empty() || !self.trusts(peer) {
            return peer;
        }
        let lines =
            head.fields().iter().rev().filter(|field| field.name.eq_ignore_ascii_case("x-forwarded-for"));
        let mut client = peer;
        for hop in lines.flat_map(|line| line.value.rsplit(|&byte| byte == b',')) {
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
    use portcullis_handshake::HeadLimits;

    use super::*;

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        let proxies = Proxies::new(&["10.0.0.0/8".to_owned(), "192.0.2.9".to_owned()]);
        let cases = [
            ("a stranger's claim", "198.51.100.7", "X-Forwarded-For: 203.0.113.5\r\n", "198.51.100.7"),
            ("one proxy", "10.1.2.3", "X-Forwarded-For: 203.0.113.5\r\n", "203.0.113.5"),
            (
                "a claim before the proxy's word",
                "10.1.2.3",
                "X-Forwarded-For: 1.1.1.1, 203.0.113.5\r\n",
                "203.0.113.5",
            ),
            ("two proxies", "192.0.2.9", "x-forwarded-for: 203.0.113.5, 10.9.9.9\r\n", "203.0.113.5"),
            (
                "two lines",
                "10.1.2.3",
                "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 203.0.113.5\r\n",
                "203.0.113.5",
            ),
            ("rubbish", "10.1.2.3", "X-Forwarded-For: 1.1.1.1, unknown\r\n", "10.1.2.3"),
            ("rubbish behind a proxy", "10.1.2.3", "X-Forwarded-For: unknown, 10.9.9.9\r\n", "10.9.9.9"),
            ("nothing", "10.1.2.3", "", "10.1.2.3"),
            ("version 6", "10.1.2.3", "X-Forwarded-For: 2001:db8::5\r\n", "2001:db8::5"),
            ("mapped", "::ffff:10.1.2.3", "X-Forwarded-For: ::ffff:203.0.113.5\r\n", "203.0.113.5"),
        ];
        for (name, peer, fields, expected) in cases {
            let text = format!("GET /ws HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let head = Head::parse(text.as_bytes(), &HeadLimits::default()).unwrap();
            let client = proxies.client(peer.parse().unwrap(), &head);
            assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{name}");
        }
    }
}
