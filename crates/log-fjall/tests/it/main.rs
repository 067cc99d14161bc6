//! The record on real disks: what it promises, and what becomes of it where something is wrong.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod agreement;
mod contract;
mod crash;
mod deletion;
mod disk;
mod folder;
mod loss;
mod support;
mod takeover;
