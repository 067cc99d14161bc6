//! What becomes of a credential.

use std::{fmt, time::Duration};

use portcullis_dial::Response;

use crate::response::{End, reason_of};

/// How a server took an attempt to connect.
#[derive(Clone, Debug)]
pub(crate) enum Admission {
    /// Answered over HTTP, and not with 101.
    Refused(Response),
    /// Not answered at all.
    Unanswered(End),
    /// 101, then a close frame.
    Closed {
        code: Option<u16>,
        reason: String,
        /// Between the 101 and the close.
        dwell: Duration,
        texts: Vec<String>,
    },
    /// 101, then the end of the connection without a close frame, which browsers call 1006.
    Dropped { dwell: Duration, texts: Vec<String> },
    /// 101, and open at the end of the waiting.
    Admitted { response: Response, texts: Vec<String> },
}

impl Admission {
    pub(crate) const fn is_admitted(&self) -> bool {
        matches!(self, Self::Admitted { .. })
    }

    /// What the server sent after the 101.
    pub(crate) fn texts(&self) -> &[String] {
        match self {
            Self::Closed { texts, .. } | Self::Dropped { texts, .. } | Self::Admitted { texts, .. } => texts,
            Self::Refused(_) | Self::Unanswered(_) => &[],
        }
    }
}

/// The alternate form leaves the measured time out, so that equal outcomes read alike.
impl fmt::Display for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(response) => {
                write!(f, "refused before the 101 with {}", response.status)?;
                match reason_of(response) {
                    Some(reason) => write!(f, " ({reason})"),
                    None => Ok(()),
                }
            }
            Self::Unanswered(end) => write!(f, "{end}"),
            Self::Closed { code, reason, dwell, .. } => {
                f.write_str("accepted, then closed")?;
                after(f, *dwell)?;
                f.write_str(" with ")?;
                match code {
                    Some(code) => write!(f, "{code}")?,
                    None => f.write_str("no code")?,
                }
                if reason.is_empty() { Ok(()) } else { write!(f, " ({reason})") }
            }
            Self::Dropped { dwell, .. } => {
                f.write_str("accepted, then dropped")?;
                after(f, *dwell)?;
                f.write_str(" without a close frame (1006 to a browser)")
            }
            Self::Admitted { .. } => f.write_str("accepted, and left open"),
        }
    }
}

fn after(f: &mut fmt::Formatter<'_>, dwell: Duration) -> fmt::Result {
    if f.alternate() { Ok(()) } else { write!(f, " after {}", Ms(dwell)) }
}

/// A time in milliseconds, with as many digits as say something.
pub(crate) struct Ms(pub(crate) Duration);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_secs_f64() * 1000.0;
        if ms < 10.0 { write!(f, "{ms:.1} ms") } else { write!(f, "{ms:.0} ms") }
    }
}
