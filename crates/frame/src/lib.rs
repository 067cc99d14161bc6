//! RFC 6455 frames and messages, sans-I/O, both roles.
