//! What every request has to pass, whatever it asks for: its client's share of connections and of requests.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue},
    middleware::Next,
    response::Response,
};
use portcullis_peer::Host;
use portcullis_reason::{Reason, Rejection};
use tokio::time::sleep;

use super::{
    context::{Connection, Context},
    outcome::Refused,
    route::Route,
};
use crate::{
    accounts::hex,
    app::App,
    pool::{Claim, Lane},
};

/// How late a host's requests are answered that are too many: refusing costs time as well, and a connection that waits
/// asks for nothing.
const LATE: Duration = Duration::from_millis(250);

/// Whose request it is, and how much they asked for before it.
pub(super) fn identify(app: &App, connection: &Connection, headers: &HeaderMap) -> Context {
    let forwarded = headers.get_all("x-forwarded-for").iter();
    let address: IpAddr = app.proxies.client(connection.peer, forwarded.map(HeaderValue::as_bytes));
    let host = Host::from(address);
    let asked = app.requests.lock().missing(&host, app.clock.instant());
    Context {
        request_id: hex(&crate::random::<16>()).into(),
        address,
        claim: Claim { lane: Lane::Stranger, asked, host },
        seat: Arc::clone(&connection.seat),
    }
}

/// Counts a request against its client.
///
/// # Errors
/// `TOO_MANY_CONNECTIONS` and `RATE_LIMITED`. `/health` is answered all the same, if late: whoever asks for it takes a
/// refusal for an illness.
pub(super) async fn admit(app: &App, context: &Context, route: Option<Route>) -> Result<(), Rejection> {
    let host = context.claim.host;
    if !context.seat.belongs_to(host) {
        return Err(Rejection::new(
            Reason::TooManyConnections,
            "the cap on connections of one address is reached",
        )
        .with_hint("too many connections from your address")
        .with_retry_after(5));
    }
    let counted = app.requests.lock().take(host, app.clock.instant());
    let Err(wait) = counted else { return Ok(()) };
    sleep(LATE).await;
    if route == Some(Route::Health) {
        return Ok(());
    }
    app.counters.rate_limited.add();
    Err(Rejection::new(Reason::RateLimited, "the request rate of one address is exceeded")
        .with_hint("too many requests from your address")
        .with_retry_after(wait.as_secs()))
}

/// [`admit`] around the routes.
pub(super) async fn check(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Context>,
    request: Request,
    next: Next,
) -> Result<Response, Refused> {
    admit(&app, &context, Route::find(request.uri().path())).await?;
    Ok(next.run(request).await)
}
