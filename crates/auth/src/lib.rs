//! The embedded auth service: accounts, login, refresh with rotation, JWKS.
