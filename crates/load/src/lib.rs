//! Load on any WebSocket server, from outside.
//!
//! [`measure`] takes a [`Plan`] and gives a [`Report`]. Handshakes and frames are those of the crates `handshake` and
//! `frame` in the client's role; this crate owns sockets, TLS, the pace of arrivals, and what is counted. It knows nothing
//! of the gateway. [`process`] and [`Machine`] are shared with the benches of our own server.
//!
//! ```text
//! Plan ─▶ Dialer (credentials) ─▶ Work (handshakes, messages) ─▶ engine (pace) ─▶ Recording ─▶ Report
//!                                              hold, storm ────────────────────────────────────────▲     html
//! ```

#![expect(clippy::cast_precision_loss, reason = "figures are rounded far more than that")]
#![expect(clippy::cast_sign_loss, reason = "rates, shares and counts are never negative")]

mod clock;
mod connection;
mod credentials;
mod engine;
mod failure;
mod figures;
mod handshakes;
mod histogram;
mod hold;
mod html;
mod machine;
mod messages;
mod plan;
pub mod process;
mod recorder;
mod report;
mod storm;
mod versus;

pub use connection::{Dialer, Extras};
pub use credentials::{Credentials, Fault, Form, Mint, Presented, Source, UnknownForm};
pub use engine::{Pace, Progress};
pub use failure::{Failure, Failures, Kind};
pub use figures::{Counted, Ratio};
pub use histogram::Latencies;
pub use hold::{Held, HeldMemory};
pub use html::page;
pub use machine::Machine;
pub use messages::{Content, Profile, UnknownProfile};
pub use plan::{NotMeasured, Observer, Plan, Scenario, Subject, Thresholds, measure};
pub use portcullis_dial::{Target, TargetError, Trust};
pub use report::{
    Exceeded, Generator, Measured, PaceReport, Problem, Report, Server, ServerCpu, Step, Timeline,
};
pub use storm::{Storm, StormOptions};
