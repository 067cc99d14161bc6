//! From a name to a connected socket.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use crate::{Stream, Target};

/// The way to one server: the addresses of its name, and TLS where it is spoken.
pub struct Route {
    addresses: Vec<SocketAddr>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The name has no address.
    #[error("the name {0} has no address")]
    Unresolved(String, #[source] io::Error),
    /// No certificate can have that name.
    #[error("{0} is not a name that a certificate can have")]
    NoName(String),
    /// The target is secure, and there is nothing to speak TLS with.
    #[error("TLS is not set up")]
    NoTls,
}

impl Route {
    /// Looks the name up. `tls` is what a secure target is spoken to with; another one needs none.
    ///
    /// # Errors
    /// [`RouteError`].
    pub async fn find(target: &Target, tls: Option<&TlsConnector>) -> Result<Self, RouteError> {
        let found = lookup_host((target.host.as_str(), target.port)).await;
        let addresses = found.map_err(|error| RouteError::Unresolved(target.host.clone(), error))?.collect();
        let tls = match tls {
            _ if !target.secure => None,
            Some(tls) => {
                let name = ServerName::try_from(target.host.clone())
                    .map_err(|_| RouteError::NoName(target.host.clone()))?;
                Some((tls.clone(), name))
            }
            None => return Err(RouteError::NoTls),
        };
        Ok(Self { addresses, tls })
    }

    /// Where it leads, in the order in which the addresses are tried.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Connects to the first address that lets us, from an address of this machine if one is named.
    ///
    /// # Errors
    /// That of the last address.
    pub async fn connect(&self, from: Option<IpAddr>) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in &self.addresses {
            match connect(*address, from).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Speaks TLS over a connected socket, where the route says so.
    ///
    /// # Errors
    /// Those of the TLS handshake.
    pub async fn secure(&self, stream: TcpStream) -> io::Result<Stream> {
        Ok(match &self.tls {
            Some((tls, name)) => Stream::Tls(Box::new(tls.connect(name.clone(), stream).await?)),
            None => Stream::Plain(stream),
        })
    }
}

/// Connects to an address, from another one of this machine if it is named. What is sent leaves at once.
///
/// # Errors
/// The system's.
pub async fn connect(address: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = socket.connect(address).await?;
    // Not worth failing for.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_first_address_that_lets_us_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        // Bound and given back: nobody listens there.
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let route = |addresses: &[SocketAddr]| Route { addresses: addresses.to_vec(), tls: None };
        let stream = route(&[closed, open]).connect(None).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        let error = route(&[closed]).connect(None).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(route(&[]).connect(None).await.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[tokio::test]
    #[cfg_attr(not(target_os = "linux"), ignore = "elsewhere loopback has one address")]
    async fn a_connection_comes_from_where_it_is_told_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let from = IpAddr::from([127, 0, 0, 7]);
        let (stream, accepted) =
            tokio::join!(connect(listener.local_addr().unwrap(), Some(from)), listener.accept());
        assert!(stream.unwrap().nodelay().unwrap());
        assert_eq!(accepted.unwrap().1.ip(), from);
    }

    #[tokio::test]
    async fn a_secure_target_is_never_spoken_to_in_the_open() {
        let target = Target::parse("wss://127.0.0.1:1/").unwrap();
        assert!(matches!(Route::find(&target, None).await, Err(RouteError::NoTls)));
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_told() {
        // Refused before anybody is asked for it.
        let target = Target { host: "no\0body".to_owned(), ..Target::parse("ws://nobody/").unwrap() };
        assert!(matches!(Route::find(&target, None).await, Err(RouteError::Unresolved(..))));
    }
}
