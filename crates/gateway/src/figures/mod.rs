//! What is counted and kept of what happened, for operators: metrics, their last day, refusals and probes.

pub(crate) mod history;
pub(crate) mod metrics;
pub(crate) mod probes;
pub(crate) mod refusals;
