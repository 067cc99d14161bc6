//! From an accepted socket to a decision: read the head, check, verify, answer (design §3).

use std::{io, net::SocketAddr, sync::Arc, time::Instant};

use portcullis_handshake::{
    CredentialForm, Head, HeadReader, Negotiated, RejectionContext, Upgrade, write_rejection,
};
use portcullis_reason::Rejection;
use portcullis_router::Seat;
use portcullis_session::Session;
use portcullis_token::Identity;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Duration, timeout, timeout_at},
};
use tokio_util::task::TaskTracker;

use crate::{
    RejectionStyle,
    admission::Permit,
    connection::{Connection, Opening},
    gate::{Gate, Route},
    line::Line,
    routes::Plain,
    sse, stale,
};

/// What a browser sends fits; longer heads grow the buffer up to the limit.
const FIRST_READ: usize = 2 * 1024;

/// How long a refused peer may take to read why, and how much of what it still sends is thrown away meanwhile.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// Sees one socket through its handshake, and what becomes of it.
pub(crate) async fn serve<L: Line>(
    gate: Arc<Gate>,
    plain: Plain,
    tasks: TaskTracker,
    mut line: L,
    mut peer: SocketAddr,
    mut permit: Permit,
) {
    let deadline = tokio::time::Instant::now() + gate.options.handshake.timeout.get();
    let mut buffer = Vec::with_capacity(FIRST_READ);
    let end = match timeout_at(deadline, read_head(&gate, &mut line, &mut buffer)).await {
        Ok(Ok(Ok(end))) => end,
        Ok(Ok(Err(rejection))) => return refuse(&gate, line, peer, &rejection.into(), None, true).await,
        // The peer left, or sent no head in time: there is nobody to tell.
        Ok(Err(_)) | Err(_) => {
            gate.metrics.dropped.inc();
            return;
        }
    };
    let (head_bytes, ahead) = buffer.split_at_mut(end);
    let head = match Head::parse(head_bytes, &gate.head_limits) {
        Ok(head) => head,
        Err(rejection) => return refuse(&gate, line, peer, &rejection.into(), None, true).await,
    };
    let forwarded = head.fields().iter().filter(|field| field.name.eq_ignore_ascii_case("x-forwarded-for"));
    let client = gate.proxies.client(peer.ip(), forwarded.map(|field| field.value));
    if client != peer.ip() {
        // The port is the proxy's, and says nothing about the client.
        peer = SocketAddr::new(client, 0);
        permit.belongs_to(client);
    }
    if !head.is_upgrade() && sse::is_for(&head) {
        match sse::decide(&gate, &head, &permit) {
            Ok(admitted) => {
                gate.metrics.accepted();
                // In boxes, since their sizes would be every handshake's.
                drop(buffer);
                return Box::pin(sse::serve(gate, line, admitted, permit)).await;
            }
            Err(rejection) => {
                return refuse(&gate, line, peer, &rejection.into(), Some(&head), false).await;
            }
        }
    }
    if !head.is_upgrade() && !(gate.policy.knows_path(head.path())) {
        // In a box, since its size would be every handshake's.
        return Box::pin(plain.serve(line, buffer, peer, Arc::new(permit))).await;
    }
    let mut answer = Vec::with_capacity(512);
    let decision = decide(&gate, &head, &permit, &mut answer);
    let is_stale = gate.count_stale_page(head.query());
    match decision {
        Ok(negotiated) => {
            let probe = gate.mark.is_on(&head);
            if !probe {
                gate.metrics.accepted();
            }
            tracing::debug!(%peer, route = ?negotiated.route(), "handshake accepted");
            let opening = Opening { query: head.query(), greeting: answer, ahead, probe };
            let connection = Connection::new(Arc::clone(&gate), line, permit, negotiated, opening);
            // A task of its own: what the handshake needed is freed with this one.
            tasks.spawn(connection);
        }
        Err(mut refused) => {
            if is_stale {
                refused.rejection = stale::explain(refused.rejection);
            }
            let linger = !ahead.is_empty();
            if gate.options.handshake.rejection == RejectionStyle::Close
                && let Some(close) = Session::refusal(&gate.session, &refused.rejection)
                && Upgrade::accept_to_close(&head, &gate.policy, &mut answer).is_ok()
            {
                record(&gate, peer, &refused, Some(&head));
                gate.metrics.closed(refused.rejection.reason.close_code(gate.session.close_profile), None);
                answer.extend_from_slice(&close);
                return finish(line, &answer, true).await;
            }
            refuse(&gate, line, peer, &refused, Some(&head), linger).await;
        }
    }
}

/// A refusal, and how the credential had come, for the log.
struct Refused {
    rejection: Rejection,
    form: Option<&'static str>,
    /// Whose it is, where the token was validly signed.
    owner: Option<Identity>,
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, form: None, owner: None }
    }
}

/// Steps 1 to 9, in their order; the first that fails decides. Writes the 101 to `answer`.
fn decide(
    gate: &Gate,
    head: &Head<'_>,
    permit: &Permit,
    answer: &mut Vec<u8>,
) -> Result<Negotiated<Seat, Route>, Refused> {
    let upgrade = Upgrade::check(head, &gate.policy)?;
    gate.ready()?;
    permit.admit(Instant::now())?;
    let offer = upgrade.credentials(&gate.policy)?;
    let form = Some(CredentialForm::as_str(offer.form()));
    let seat = gate.authorize(offer.token()).map_err(|rejection| {
        let owner = gate.owner(&rejection, offer.token());
        Refused { rejection, form, owner }
    })?;
    let identity = seat.identity().clone();
    let refused = |rejection| Refused { rejection, form, owner: Some(identity) };
    offer.accept(seat, &gate.policy, answer).map_err(refused)
}

/// Reads until the head is complete. The outer error is the socket's.
async fn read_head(
    gate: &Gate,
    line: &mut impl Line,
    buffer: &mut Vec<u8>,
) -> io::Result<Result<usize, Rejection>> {
    let mut reader = HeadReader::new(gate.head_limits);
    loop {
        if line.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match reader.advance(buffer) {
            Ok(Some(end)) => return Ok(Ok(end)),
            Ok(None) => {}
            Err(rejection) => return Ok(Err(rejection)),
        }
    }
}

/// Counts and keeps a refusal for everyone who may ask about it, and names it.
fn record(gate: &Gate, peer: SocketAddr, refused: &Refused, head: Option<&Head<'_>>) -> String {
    let request_id = gate.request_id();
    gate.refused(&refused.rejection, &request_id, peer, refused.form, head);
    gate.remember(&refused.rejection, &request_id, refused.form, refused.owner.as_ref());
    request_id
}

/// Tells the peer why, and ends the connection. Without a head it could not be read.
async fn refuse(
    gate: &Gate,
    line: impl Line,
    peer: SocketAddr,
    refused: &Refused,
    head: Option<&Head<'_>>,
    linger: bool,
) {
    let request_id = record(gate, peer, refused, head);
    let method = head.map_or("", Head::method);
    let mut answer = Vec::new();
    write_rejection(&refused.rejection, &RejectionContext::new(&request_id).for_method(method), &mut answer);
    finish(line, &answer, linger).await;
}

/// Writes the answer and ends the connection.
///
/// Where bytes of the peer may be unread, closing at once would reset the connection, and the reset can overtake the
/// answer: then our side is shut, and what comes is thrown away for a moment.
async fn finish(mut line: impl Line, answer: &[u8], linger: bool) {
    let write = async {
        line.write_all(answer).await?;
        if !linger {
            return io::Result::Ok(());
        }
        line.shutdown().await?;
        let mut thrown_away = 0;
        // On the heap: it would be part of every handshake's task otherwise.
        let mut sink = vec![0; 4096];
        while thrown_away < LINGER_BYTES {
            match line.read(&mut sink).await? {
                0 => break,
                read => thrown_away += read,
            }
        }
        Ok(())
    };
    // Nobody can be told that telling failed.
    let _ = timeout(LINGER, write).await;
}
