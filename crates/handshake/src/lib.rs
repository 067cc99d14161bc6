//! RFC 6455 opening handshake, server and client role, sans-I/O: bytes in, a decision and bytes out.
