//! Whom and what a line is about, so that two lines can be told to be about the same.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Hashes of the names in a line: they are compared and never shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    user: Option<u64>,
    connection: Option<u64>,
    request: Option<u64>,
    address: Option<u64>,
    port: Option<u64>,
    /// Which log saw the address: behind a proxy another log sees another one of the same client.
    seen_by: u8,
}

/// How two lines' names compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Relation {
    /// They name different ones.
    Apart,
    /// They name nothing that could be compared.
    Open,
    /// They name the same one.
    Same,
}

impl Keys {
    pub(crate) fn user(mut self, name: &str) -> Self {
        self.user = hash(name);
        self
    }

    pub(crate) fn connection(mut self, name: &str) -> Self {
        self.connection = hash(name);
        self
    }

    pub(crate) fn request(mut self, name: &str) -> Self {
        self.request = hash(name);
        self
    }

    /// `127.0.0.1:5000`, `[::1]:5000` or an address alone.
    pub(crate) fn peer(mut self, peer: &str) -> Self {
        let (address, port) = match peer.rsplit_once(':') {
            Some((address, port))
                if !port.is_empty()
                    && port.bytes().all(|b| b.is_ascii_digit())
                    && (!address.contains(':') || address.ends_with(']')) =>
            {
                (address, Some(port))
            }
            _ => (peer, None),
        };
        self.address = hash(address.trim_matches(['[', ']']));
        self.port = port.and_then(hash);
        self
    }

    /// Says which log saw the address.
    pub(crate) const fn seen_by(mut self, log: u8) -> Self {
        self.seen_by = log;
        self
    }

    /// What `other` knows and this does not.
    pub(crate) fn or(self, other: &Self) -> Self {
        Self {
            user: self.user.or(other.user),
            connection: self.connection.or(other.connection),
            request: self.request.or(other.request),
            address: self.address.or(other.address),
            port: self.port.or(other.port),
            seen_by: if self.address.is_some() { self.seen_by } else { other.seen_by },
        }
    }

    fn same_log(&self, other: &Self) -> bool {
        self.seen_by == other.seen_by
    }

    /// Whether both are about one event.
    pub(crate) fn event(&self, other: &Self) -> Relation {
        let pairs = [
            (self.request, other.request, true),
            (self.connection, other.connection, true),
            (self.user, other.user, true),
            (self.address, other.address, self.same_log(other)),
            (self.port, other.port, self.same_log(other)),
        ];
        let mut relation = Relation::Open;
        for (mine, theirs, comparable) in pairs {
            match (mine, theirs) {
                (Some(mine), Some(theirs)) if mine == theirs => relation = Relation::Same,
                (Some(_), Some(_)) if comparable => return Relation::Apart,
                _ => {}
            }
        }
        relation
    }

    /// Whether both are about one peer, which may have connected again since.
    pub(crate) fn peer_of(&self, other: &Self) -> Relation {
        match (self.connection, other.connection) {
            (Some(mine), Some(theirs)) if mine == theirs => return Relation::Same,
            _ => {}
        }
        match (self.user, other.user) {
            (Some(mine), Some(theirs)) if mine == theirs => return Relation::Same,
            (Some(_), Some(_)) => return Relation::Apart,
            _ => {}
        }
        match (self.address, other.address) {
            (Some(mine), Some(theirs)) if mine == theirs => Relation::Same,
            (Some(_), Some(_)) if self.same_log(other) => Relation::Apart,
            _ => match (self.connection, other.connection) {
                (Some(_), Some(_)) => Relation::Apart,
                _ => Relation::Open,
            },
        }
    }
}

fn hash(name: &str) -> Option<u64> {
    let name = name.trim();
    if name.is_empty() || name == "-" {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_where_both_have_them() {
        let keys = Keys::default();
        let a = keys.peer("10.0.0.1:5000");
        assert_eq!(a.event(&keys.peer("10.0.0.1:5000")), Relation::Same);
        assert_eq!(a.event(&keys.peer("10.0.0.1:5001")), Relation::Apart);
        assert_eq!(a.event(&keys.peer("10.0.0.1")), Relation::Same);
        assert_eq!(a.peer_of(&keys.peer("10.0.0.1:5001")), Relation::Same);
        assert_eq!(a.peer_of(&keys.peer("10.0.0.2")), Relation::Apart);
        assert_eq!(a.event(&keys.user("anna")), Relation::Open);
        assert_eq!(keys.user("anna").peer_of(&keys.user("bert")), Relation::Apart);
        assert_eq!(keys.connection("c1").peer_of(&keys.connection("c2")), Relation::Apart);
        assert_eq!(keys.peer("[::1]:80").event(&keys.peer("::1")), Relation::Same);
    }
}
