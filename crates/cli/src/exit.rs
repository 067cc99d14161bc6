//! Exit codes; 0 is success.

/// Something was found: a token is no good, a configuration has faults.
pub(crate) const FINDINGS: u8 = 1;
/// The command line asks for something that does not exist.
pub(crate) const USAGE: u8 = 2;
/// A file, an address or a service that is needed cannot be had.
pub(crate) const COULD_NOT_RUN: u8 = 3;
/// `serve` stopped by itself, since its record failed and does not come back while it runs: start it again, or look at the log
/// where it ends so again.
pub(crate) const RECORD_FAILED: u8 = 4;
