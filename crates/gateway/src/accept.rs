//! From an accepted socket to what becomes of it: steps 2 to 11 of the table in ARCHITECTURE.md.

use std::{
    future::{Ready, ready},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::Instant,
};

use portcullis_handshake::{
    CredentialForm, Head, HeadLimits, HeadReader, Negotiated, Offer, Refusal, Upgrade,
};
use portcullis_reason::Rejection;
use portcullis_router::Seat;
use portcullis_session::Session;
use portcullis_token::Verdict;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Duration, timeout, timeout_at},
};
use tokio_util::{either::Either, task::TaskTracker};

use crate::{
    RejectionStyle,
    admission::Permit,
    connection::{Connection, Opening},
    door::{Door, Route},
    figures::{Refused, metrics::Metrics},
    gate::Gate,
    line::Line,
    routes::Plain,
    sse, stale,
    tokens::in_time,
};

/// What a browser sends fits; longer heads grow the buffer up to the limit.
const FIRST_READ: usize = 2 * 1024;

/// Bytes of a 101, with room for what greets the client behind it.
const GREETING: usize = 512;

/// How long a refused peer may take to read why, and how much of what it still sends is thrown away meanwhile.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// Sees one connection through its handshake, and what becomes of it.
pub(crate) async fn serve<L: Line>(
    gate: Arc<Gate>,
    plain: Plain,
    tasks: TaskTracker,
    mut line: L,
    mut peer: SocketAddr,
    mut permit: Permit,
) {
    // Step 2.
    let deadline = gate.clock.instant() + gate.door.patience;
    let mut buffer = Vec::with_capacity(FIRST_READ);
    let end =
        match timeout_at(deadline.into(), read_head(gate.door.head_limits, &mut line, &mut buffer)).await {
            Ok(Ok(Ok(end))) => end,
            Ok(Ok(Err(rejection))) => return refuse(&gate, line, peer, &rejection.into(), None, true).await,
            // The peer left, or sent no head in time: there is nobody to tell.
            Ok(Err(_)) | Err(_) => {
                gate.figures.metrics.dropped.inc();
                return;
            }
        };
    let (head, ahead) = buffer.split_at_mut(end);
    let head = match Head::parse(head, &gate.door.head_limits) {
        Ok(head) => head,
        Err(rejection) => return refuse(&gate, line, peer, &rejection.into(), None, true).await,
    };
    // Step 1 again, for the client behind a proxy, which is known only now.
    let client = gate.door.client(peer.ip(), &head);
    if client != peer.ip() {
        // The port is the proxy's, and says nothing about the client.
        peer = SocketAddr::new(client, 0);
        permit.belongs_to(client);
    }
    // Step 3. What is no upgrade goes on in a box, since its size would be every handshake's.
    if !head.is_upgrade() && sse::is_for(&head) {
        return match Box::pin(sse::decide(&gate, &head, &permit)).await {
            Ok(admitted) => {
                gate.figures.metrics.accepted();
                drop(buffer);
                Box::pin(sse::serve(gate, line, admitted, permit)).await;
            }
            Err(rejection) => refuse(&gate, line, peer, &rejection.into(), Some(&head), false).await,
        };
    }
    if !head.is_upgrade() && !gate.door.policy.knows_path(head.path()) {
        return Box::pin(plain.serve(line, buffer, peer, Arc::new(permit))).await;
    }
    // Steps 4 to 10.
    let is_stale = gate.figures.count_stale_page(head.query());
    let mut refused = match decide(&gate.door, &gate.figures.metrics, &head, &permit, deadline).await {
        // Step 11, and a task of its own for all after it: what the handshake needed is freed with this one.
        Ok((negotiated, greeting)) => {
            let probe = gate.figures.mark.is_on(&head);
            if !probe {
                gate.figures.metrics.accepted();
            }
            tracing::debug!(%peer, route = ?negotiated.route(), "handshake accepted");
            let opening = Opening { query: head.query(), greeting, ahead, probe };
            tasks.spawn(Connection::new(gate, line, permit, negotiated, opening));
            return;
        }
        Err(refused) => refused,
    };
    if is_stale {
        refused.rejection = stale::explain(refused.rejection);
    }
    refuse(&gate, line, peer, &refused, Some(&head), !ahead.is_empty()).await;
}

/// Reads until the head is complete. The outer error is the line's.
async fn read_head(
    limits: HeadLimits,
    line: &mut impl Line,
    buffer: &mut Vec<u8>,
) -> io::Result<Result<usize, Rejection>> {
    let mut reader = HeadReader::new(limits);
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

/// What becomes of steps 4 to 10. What has to be waited for is on the heap: it would be part of every handshake's task otherwise.
type Decision<'h> = Either<Ready<Decided>, Pin<Box<dyn Future<Output = Decided> + Send + 'h>>>;

/// What was negotiated with the 101 that says so, or why not.
type Decided = Result<(Negotiated<Seat, Route>, Vec<u8>), Refused>;

/// Steps 4 to 10, in their order; the first that fails decides.
fn decide<'h>(
    door: &'h Door,
    metrics: &'h Metrics,
    head: &'h Head<'h>,
    permit: &Permit,
    deadline: Instant,
) -> Decision<'h> {
    let offer = match claim(door, head, permit) {
        Ok(offer) => offer,
        Err(rejection) => return Either::Left(ready(Err(rejection.into()))),
    };
    let asked = door.now();
    match door.tokens.verify(offer.token()) {
        Verdict::Now(verified) => match door.seat_verified(verified, asked, deadline, metrics) {
            Either::Left(seat) => Either::Left(ready(settle(door, offer, seat.into_inner()))),
            Either::Right(waiting) => {
                Either::Right(Box::pin(async move { settle(door, offer, waiting.await) }))
            }
        },
        Verdict::Wait(waiting) => Either::Right(Box::pin(async move {
            let verified = in_time(waiting, deadline).await;
            let seat = door.seat_verified(verified, asked, deadline, metrics).await;
            settle(door, offer, seat)
        })),
    }
}

/// Steps 4 to 7.
fn claim<'h>(door: &Door, head: &'h Head<'h>, permit: &Permit) -> Result<Offer<'h, Route>, Rejection> {
    let upgrade = Upgrade::check(head, &door.policy)?;
    door.admit(permit)?;
    upgrade.credentials(&door.policy)
}

/// What steps 8 and 9 came to, and step 10.
fn settle(door: &Door, offer: Offer<'_, Route>, seat: Result<Seat, Rejection>) -> Decided {
    let form = Some(CredentialForm::as_str(offer.form()));
    let seat = seat.map_err(|rejection| {
        let owner = door.tokens.owner(&rejection, offer.token());
        Refused { rejection, form, owner }
    })?;
    let identity = seat.identity().clone();
    let refused = |rejection| Refused { rejection, form, owner: Some(identity) };
    let mut greeting = Vec::with_capacity(GREETING);
    let negotiated = offer.accept(seat, &door.policy, &mut greeting).map_err(refused)?;
    Ok((negotiated, greeting))
}

/// Counts and keeps a refusal for everyone who may ask about it, tells the peer why, and ends the connection. Without a head
/// it could not be read.
async fn refuse(
    gate: &Gate,
    line: impl Line,
    peer: SocketAddr,
    refused: &Refused,
    head: Option<&Head<'_>>,
    linger: bool,
) {
    let request_id = gate.node.request_id();
    gate.figures.refused(refused, &request_id, peer, head, &gate.door.policy);
    let mut answer = Vec::new();
    if head.is_some_and(|head| close(gate, head, &refused.rejection, &mut answer)) {
        return finish(line, &answer, true).await;
    }
    let method = head.map_or("", Head::method);
    Refusal::new(&refused.rejection, &request_id).write_http1(method, &mut answer);
    finish(line, &answer, linger).await;
}

/// Completes the handshake only to close it, where the operator wants browsers to hear why and the request allows it. Says
/// whether it did.
fn close(gate: &Gate, head: &Head<'_>, rejection: &Rejection, answer: &mut Vec<u8>) -> bool {
    let rules = &gate.rules.routed;
    if gate.options.handshake.rejection == RejectionStyle::Close
        && let Some(close) = Session::refusal(rules, rejection)
        && Upgrade::accept_to_close(head, &gate.door.policy, answer).is_ok()
    {
        gate.figures.metrics.closed(rejection.reason.close_code(rules.close_profile), None);
        answer.extend_from_slice(&close);
        return true;
    }
    false
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
