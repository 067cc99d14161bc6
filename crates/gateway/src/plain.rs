//! The plain HTTP routes beside the WebSockets: health, configuration, preflight, stats, the page and the reasons.
//!
//! Each connection serves one request. What comes behind it is never read, so a refused request cannot carry a second
//! one past a proxy (RFC 9112 §11.2), and every upgrade meets the gate's own reading of its head.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, RawQuery, Request, State, rejection::JsonRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_event::{Mode, Timestamp};
use portcullis_handshake::{Preflight, PreflightRequest};
use portcullis_reason::{PROBLEM_CONTENT_TYPE, Problem, Reason, Rejection};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::ServiceExt;

use crate::{admission::Place, api, connection::Line, docs, gate::Gate, page, stale};

/// The longest body: a preflight with the longest list of protocols.
const BODY: usize = 64 * 1024;

/// Time for one plain request, its body and its answer included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Serves plain requests. Clones are cheap.
#[derive(Clone)]
pub(crate) struct Plain {
    routes: Router,
}

/// What each request knows of its connection.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) place: Arc<Place>,
    peer: SocketAddr,
}

impl Plain {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        let routes = Router::new()
            .route("/ws/health", get(health).options(health_options))
            .route("/ws/config", get(config))
            .route("/ws/preflight", post(preflight_post).get(preflight_get).options(preflight_options))
            .route("/ws/stats", get(stats))
            .route("/reasons/{id}", get(reason))
            .merge(docs::routes())
            .merge(api::routes())
            .fallback(page::serve)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(DefaultBodyLimit::max(BODY))
            .with_state(gate);
        Self { routes }
    }

    /// Serves the one request whose head is at the start of `read`.
    pub(crate) async fn serve(&self, line: impl Line, read: Vec<u8>, peer: SocketAddr, place: Arc<Place>) {
        let routes = self.routes.clone();
        let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Origin { place: Arc::clone(&place), peer });
            routes.clone().oneshot(request.map(Body::new))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(false)
            .serve_connection(TokioIo::new(Replay { read, at: 0, line }), service);
        // A peer that is too slow or gone has nobody to be told.
        let _ = tokio::time::timeout(TIMEOUT, connection).await;
    }
}

/// A socket whose first bytes were read already.
struct Replay<L> {
    read: Vec<u8>,
    at: usize,
    line: L,
}

impl<L: Line> AsyncRead for Replay<L> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.read[self.at..];
        if rest.is_empty() {
            return Pin::new(&mut self.line).poll_read(context, buffer);
        }
        let size = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..size]);
        self.at += size;
        Poll::Ready(Ok(()))
    }
}

impl<L: Line> AsyncWrite for Replay<L> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.line).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.line).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.line.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_shutdown(context)
    }
}

/// A refusal of a plain request.
pub(crate) fn refuse(gate: &Gate, rejection: &Rejection) -> Response {
    let request_id = gate.request_id();
    let problem = Problem::new(rejection, &request_id);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = serde_json::to_vec(&problem).expect("a problem has nothing that JSON cannot say");
    let mut response =
        (status, [(header::CONTENT_TYPE, PROBLEM_CONTENT_TYPE), NO_STORE], body).into_response();
    let headers = response.headers_mut();
    // RFC 6750 §3, §3.1: a challenge with every 401, an error only where there was a credential.
    let challenge = match rejection.reason.shown_as().bearer_error() {
        Some(error) => format!("Bearer realm=\"portcullis\", error=\"{}\"", error.as_str()),
        None => "Bearer realm=\"portcullis\"".to_owned(),
    };
    if (status == StatusCode::UNAUTHORIZED || challenge.contains("error="))
        && let Ok(challenge) = HeaderValue::from_str(&challenge)
    {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(header::RETRY_AFTER, rejection.retry_after.unwrap_or(1).into());
    }
    response
}

const NO_STORE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");
const ANY_ORIGIN: (header::HeaderName, &str) = (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");

async fn health(State(gate): State<Arc<Gate>>) -> Response {
    let (status, word) = match gate.ready() {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(rejection) if rejection.reason == Reason::Draining => {
            (StatusCode::SERVICE_UNAVAILABLE, "draining")
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    let body = json!({
        "status": word,
        "version": env!("CARGO_PKG_VERSION"),
        "node": &*gate.node,
        "uptime_s": gate.started.elapsed().as_secs(),
    });
    (status, [NO_STORE, ANY_ORIGIN], Json(body)).into_response()
}

async fn health_options() -> Response {
    let allow = (header::ALLOW, "GET, HEAD, OPTIONS");
    let methods = (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS");
    (StatusCode::NO_CONTENT, [allow, methods, ANY_ORIGIN]).into_response()
}

/// What a client needs to be right. It holds nothing that is not for everyone.
async fn config(State(gate): State<Arc<Gate>>) -> Response {
    let modes: serde_json::Map<String, Value> =
        Mode::ALL.iter().map(|mode| (mode.as_str().to_owned(), json!(mode.paths()))).collect();
    let forms: Vec<String> = std::iter::once("Authorization: Bearer <jwt>".to_owned())
        .chain(gate.policy.credential_prefixes().map(|prefix| format!("{prefix}<base64url(jwt)>")))
        .chain(gate.policy.accepts_two_element_form().then(|| "jwt, <jwt>".to_owned()))
        .collect();
    let body = json!({
        "protocol_version": "v1",
        "subprotocols": gate.policy.subprotocols().collect::<Vec<_>>(),
        "credential_forms": forms,
        "auth_url": gate.auth_url,
        "heartbeat_interval_ms": gate.options.heartbeat.interval.as_millis(),
        "max_message_bytes": gate.options.limits.message_bytes.get(),
        "max_token_bytes": gate.policy.max_token_bytes(),
        "modes": modes,
        "stream": { "events": "/sse", "messages": "/messages" },
        "build": page::build(),
    });
    ([NO_STORE, ANY_ORIGIN], Json(body)).into_response()
}

#[derive(Deserialize)]
struct PreflightBody {
    #[serde(default = "main")]
    mode: String,
    #[serde(default)]
    protocols: Vec<String>,
    /// The build that the asking page comes from.
    #[serde(default)]
    build: Option<String>,
}

impl PreflightBody {
    const fn of(mode: String) -> Self {
        Self { mode, protocols: Vec::new(), build: None }
    }
}

fn main() -> String {
    Mode::Main.as_str().to_owned()
}

async fn preflight_post(
    State(gate): State<Arc<Gate>>,
    axum::Extension(origin): axum::Extension<Origin>,
    headers: HeaderMap,
    body: Result<Json<PreflightBody>, JsonRejection>,
) -> Response {
    match body {
        Ok(Json(body)) => preflight(&gate, &origin, &headers, &body),
        // A foreign page is told about its origin and nothing else.
        Err(_) if foreign(&gate, &headers).is_some() => {
            preflight(&gate, &origin, &headers, &PreflightBody::of(main()))
        }
        Err(error) => refuse(
            &gate,
            &Rejection::new(Reason::BadRequest, "the preflight's body cannot be read").with_hint(format!(
                "send {{\"mode\": \"main\", \"protocols\": [...]}} as application/json ({})",
                error.status()
            )),
        ),
    }
}

async fn preflight_get(
    State(gate): State<Arc<Gate>>,
    axum::Extension(origin): axum::Extension<Origin>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let body = PreflightBody::of(api::mode_of(query.as_deref().unwrap_or_default()).to_owned());
    preflight(&gate, &origin, &headers, &body)
}

/// Runs the same core as an upgrade, without one.
fn preflight(gate: &Gate, origin: &Origin, headers: &HeaderMap, body: &PreflightBody) -> Response {
    let request_id = gate.request_id();
    let answer = match preflight_decision(gate, origin, headers, body) {
        Ok(accepted) => accepted,
        Err(rejection) => {
            let stale = stale::of(body.build.as_deref()) == Some(true);
            let rejection = if stale { stale::explain(rejection) } else { rejection };
            if gate.preflights.may_log(std::time::Instant::now()) {
                let (reason, detail) = (rejection.reason, rejection.detail.as_ref());
                tracing::info!(%request_id, peer = %origin.peer, %reason, detail, "preflight refused");
            }
            let mut problem = serde_json::to_value(Problem::new(&rejection, &request_id)).unwrap_or_default();
            problem["accepted"] = Value::Bool(false);
            if let Some(seconds) = rejection.retry_after {
                problem["retry_after"] = seconds.into();
            }
            problem
        }
    };
    let allow = headers.get(header::ORIGIN).cloned().unwrap_or_else(|| HeaderValue::from_static("*"));
    let mut response = ([NO_STORE, (header::VARY, "Origin")], Json(answer)).into_response();
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allow);
    response
}

fn preflight_decision(
    gate: &Gate,
    origin: &Origin,
    headers: &HeaderMap,
    body: &PreflightBody,
) -> Result<Value, Rejection> {
    let protocols: Vec<&str> = body.protocols.iter().map(String::as_str).collect();
    let request = request(headers, &body.mode, &protocols)?;
    let preflight = Preflight::check(&request, &gate.policy)?;
    gate.ready()?;
    origin.place.admit(std::time::Instant::now())?;
    let offer = preflight.credentials(&gate.policy)?;
    let seat = gate.authorize(offer.token())?;
    // GET carries its token in a header, as no browser's WebSocket can, and so has no subprotocol to agree on.
    let protocol = offer.select(&gate.policy)?;
    Ok(json!({
        "accepted": true,
        "protocol": protocol,
        "user_id": seat.identity().subject(),
        "token_expires_at": seat.identity().expires_at().map(Timestamp::from_unix_seconds),
    }))
}

/// What a request with these headers claims.
///
/// # Errors
/// As a handshake would refuse a field for its form.
pub(crate) fn request<'h>(
    headers: &'h HeaderMap,
    mode: &'h str,
    protocols: &'h [&'h str],
) -> Result<PreflightRequest<'h>, Rejection> {
    let (foreign, bad) = (Reason::OriginNotAllowed, Reason::BadRequest);
    Ok(PreflightRequest {
        mode,
        protocols,
        // The origin first: a foreign page learns nothing else.
        origin: text(headers, &header::ORIGIN, foreign, foreign)?,
        host: text(headers, &header::HOST, bad, bad)?,
        authorization: text(
            headers,
            &header::AUTHORIZATION,
            Reason::AmbiguousCredentials,
            Reason::TokenMalformed,
        )?,
    })
}

async fn preflight_options(headers: HeaderMap) -> Response {
    // Any page may ask: a foreign one then reads that its origin is not allowed, and nothing else.
    let methods = (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS");
    let allowed = (header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type");
    let mut response = (StatusCode::NO_CONTENT, [methods, allowed, (header::VARY, "Origin")]).into_response();
    if let Some(origin) = headers.get(header::ORIGIN) {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    response
}

/// The refusal of a page that may not connect, if this is one.
pub(crate) fn foreign(gate: &Gate, headers: &HeaderMap) -> Option<Rejection> {
    let origin = headers.get(header::ORIGIN)?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    gate.policy.check_origin(origin.as_bytes(), host).err()
}

/// The only value of a field. Where a handshake would refuse the field for its form, so does this, for the same reason.
fn text<'h>(
    headers: &'h HeaderMap,
    name: &header::HeaderName,
    repeated: Reason,
    unreadable: Reason,
) -> Result<Option<&'h str>, Rejection> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Rejection::new(repeated, "a header field stands twice"));
    }
    first
        .map(|value| value.to_str().map_err(|_| Rejection::new(unreadable, "a header field is not ASCII")))
        .transpose()
}

/// Figures for people with a token: they tell how busy a server is.
async fn stats(
    State(gate): State<Arc<Gate>>,
    axum::Extension(origin): axum::Extension<Origin>,
    headers: HeaderMap,
) -> Response {
    let body = PreflightBody::of(main());
    if let Err(rejection) = preflight_decision(&gate, &origin, &headers, &body) {
        return refuse(&gate, &rejection);
    }
    let modes: serde_json::Map<String, Value> =
        gate.metrics.live_by_mode().map(|(mode, live)| (mode.to_owned(), live.into())).collect();
    let body = json!({
        "node": &*gate.node,
        "uptime_s": gate.started.elapsed().as_secs(),
        "connections": modes,
        "runs_active": gate.router.runs(),
    });
    ([NO_STORE], Json(body)).into_response()
}

/// The help text of a reason: where the `type` of a problem leads.
async fn reason(State(gate): State<Arc<Gate>>, Path(id): Path<String>) -> Response {
    match id.parse::<Reason>() {
        Ok(reason) => {
            let body =
                format!("# {}\n\n{}\n\n{}\n", reason.id(), reason.title(), reason.help().markdown().trim());
            ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8"), NOSNIFF], body).into_response()
        }
        Err(_) => refuse(&gate, &Rejection::new(Reason::NotFound, "no reason has that identifier")),
    }
}

const NOSNIFF: (header::HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");

async fn method_not_allowed(State(gate): State<Arc<Gate>>, method: Method) -> Response {
    let detail = format!("{method} on a route that does not take it");
    refuse(&gate, &Rejection::new(Reason::MethodNotAllowed, detail))
}

/// Unknown paths and the page share the fallback; this is its refusal.
pub(crate) fn not_found(gate: &Gate, request: &Request) -> Response {
    let reason = if request.uri().path().starts_with("/ws") { Reason::UnknownMode } else { Reason::NotFound };
    refuse(gate, &Rejection::new(reason, "a path that is not served"))
}
