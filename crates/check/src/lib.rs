//! Black-box tester of WebSocket servers: what the opening handshake and its authentication do, seen from outside.
//!
//! A [`Target`] says where and with which credentials, [`run`] goes through the table of [`CASES`](cases), and a
//! [`Report`] holds a [`Finding`] for each with its evidence, a grade, and the root causes of what went wrong. The crate
//! speaks the client's side of HTTP/1.1 and RFC 6455 byte by byte, so that it can also say what no client would. It never
//! links the gateway: that one is tested like any other server.

mod admission;
mod baseline;
mod case;
mod cases;
mod cause;
mod clock;
mod compare;
mod evidence;
mod finding;
mod form;
pub mod formats;
mod good;
mod grade;
mod login;
mod mint;
mod outcome;
mod peer;
mod probe;
mod profile;
mod remedy;
mod report;
mod request;
mod response;
mod run;
mod select;

pub use case::{Area, Case, Group, Level, Need, OptIn};
pub use cases::all as cases;
pub use cause::{RootCause, Symptom};
pub use compare::{Baseline, BaselineError, Worse};
pub use evidence::Exchange;
pub use finding::Finding;
pub use form::{Form, FormError, FormKind, Template};
pub use grade::Grade;
pub use login::Login;
pub use mint::{KeyError, SigningKey};
pub use outcome::Verdict;
pub use portcullis_dial::{Target, TargetError};
pub use profile::{Profile, ProfileError};
pub use remedy::Framework;
pub use report::{Report, Server, Summary};
pub use run::{CouldNotRun, Options, Progress, run};
pub use select::{Selection, SelectionError};
