//! The router with agents that follow a script, under a clock that moves by hand.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod held;
mod history;
mod homes;
mod interleavings;
mod limits;
mod lost;
mod pace;
mod policy;
mod recorded;
mod repeated;
mod script;
mod steer;
mod turns;
mod world;
