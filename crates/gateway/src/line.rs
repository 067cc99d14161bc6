//! What connections go over.

use tokio::io::{AsyncRead, AsyncWrite};

/// What a connection goes over: a socket, or a line in memory where faults are simulated.
pub(crate) trait Line: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<L: AsyncRead + AsyncWrite + Unpin + Send + 'static> Line for L {}
