//! The gate from outside: the real binary, real sockets, real bytes.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod accepted;
mod account;
mod admission;
mod bench;
mod check;
mod close;
mod credentials;
mod crowd;
mod diagnose;
mod disk;
mod durable;
mod echo;
mod flood;
mod history;
mod issuers;
mod kept;
mod live;
mod malformed;
mod plain;
mod probe;
mod reasons;
mod refusals;
mod resume;
mod revocation;
mod secrecy;
mod shutdown;
mod sse;
mod support;
mod upgrade;
mod users;

use portcullis_reason::Reason;
use portcullis_test::{Builder, Server, Shared};

/// A reason, and what earns it.
type Scenario = (Reason, fn());

/// The server under test.
fn server() -> Builder {
    Server::builder(env!("CARGO_BIN_EXE_portcullis"))
}

/// One that asks for everything of a token that can be asked for.
fn strict() -> Builder {
    server()
        .set("token.issuers", r#"["https://id.example"]"#)
        .set("token.required_claims", r#"["iat"]"#)
        .set("token.required_scopes", r#"["chat"]"#)
        .set("gateway.allowed_origins", r#"["https://chat.example"]"#)
}

static STRICT: Shared = Shared::new(|| strict().start());
