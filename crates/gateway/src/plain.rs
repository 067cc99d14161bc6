//! What the WebSockets' clients ask beside them: health, configuration, preflight, stats and the reasons.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use portcullis_event::{Mode, Timestamp};
use portcullis_handshake::Caller;
use portcullis_reason::{Problem, Reason, Rejection};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answer::{Asker, NO_STORE, head, refuse},
    api, embedded,
    gate::Gate,
    http::read_body,
    stale,
};

/// Where machines ask whether this server takes connections.
pub(crate) const HEALTH: &str = "/ws/health";

pub(crate) fn routes() -> Router<Arc<Gate>> {
    Router::new()
        .route(HEALTH, get(health).options(health_options))
        .route("/ws/config", get(config))
        .route("/ws/preflight", post(preflight_post).get(preflight_get).options(preflight_options))
        .route("/ws/stats", get(stats))
        .route("/reasons/{id}", get(reason))
}

const ANY_ORIGIN: (HeaderName, &str) = (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");

async fn health(State(gate): State<Arc<Gate>>) -> Response {
    let (status, word, cause) = match gate.door.ready() {
        Ok(()) => (StatusCode::OK, "ok", None),
        Err(rejection) if rejection.reason == Reason::Draining => {
            (StatusCode::SERVICE_UNAVAILABLE, "draining", None)
        }
        Err(rejection) => (StatusCode::SERVICE_UNAVAILABLE, "not ready", Some(rejection.detail)),
    };
    let mut body = json!({
        "status": word,
        "version": env!("CARGO_PKG_VERSION"),
        "node": &*gate.node.name,
        "uptime_s": gate.node.uptime().as_secs(),
    });
    if let Some(cause) = cause {
        body["cause"] = cause.into();
    }
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
        .chain(gate.door.policy.credential_prefixes().map(|prefix| format!("{prefix}<base64url(jwt)>")))
        .chain(gate.door.policy.accepts_two_element_form().then(|| "jwt, <jwt>".to_owned()))
        .collect();
    let body = json!({
        "protocol_version": "v1",
        "subprotocols": gate.door.policy.subprotocols().collect::<Vec<_>>(),
        "credential_forms": forms,
        "auth_url": gate.auth_url,
        "heartbeat_interval_ms": gate.options.heartbeat.interval.as_millis(),
        "max_message_bytes": gate.options.limits.message_bytes.get(),
        "max_token_bytes": gate.door.policy.max_token_bytes(),
        "modes": modes,
        "stream": { "events": "/sse", "messages": "/messages" },
        "build": embedded::build_id(),
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

    /// Reads the body of a POST.
    async fn read(gate: &Gate, request: &Parts, body: Body) -> Result<Self, Rejection> {
        let unread = |detail: &'static str| {
            Rejection::new(Reason::BadRequest, detail)
                .with_hint("send {\"mode\": \"main\", \"protocols\": [...]} as application/json")
        };
        let kind = request.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let kind = kind.split(|&byte| byte == b';').next().unwrap_or_default();
        if !kind.trim_ascii().eq_ignore_ascii_case(b"application/json") {
            return Err(unread("a preflight that is not sent as JSON"));
        }
        // It tells of what a head may hold.
        let most = gate.options.handshake.max_head_bytes.as_usize();
        let read = read_body(body, most, gate.options.handshake.timeout.get()).await;
        let read =
            read.ok_or_else(|| unread("a preflight's body that is too long, or did not come in time"))?;
        serde_json::from_slice(&read).map_err(|_| unread("the preflight's body cannot be read"))
    }
}

fn main() -> String {
    Mode::Main.as_str().to_owned()
}

async fn preflight_post(
    State(gate): State<Arc<Gate>>,
    Extension(asker): Extension<Asker>,
    request: Parts,
    body: Body,
) -> Response {
    let head = match head(&gate.door, &request) {
        Ok(head) => head,
        Err(rejection) => return refuse(&gate.node, &rejection),
    };
    // Nothing of a body is read for a foreign page, or for who asks too often.
    let decision = match gate.door.greet(&head, &asker.permit) {
        Ok(caller) => match PreflightBody::read(&gate, &request, body).await {
            Ok(body) => decide(&gate, caller, &body).await,
            Err(rejection) => return refuse(&gate.node, &rejection),
        },
        Err(rejection) => Err(rejection),
    };
    preflight(&gate, &asker, &request, decision)
}

async fn preflight_get(
    State(gate): State<Arc<Gate>>,
    Extension(asker): Extension<Asker>,
    request: Parts,
) -> Response {
    let body = PreflightBody::of(api::mode_of(request.uri.query().unwrap_or_default()).to_owned());
    let decision = greeted(&gate, &asker, &request, &body).await;
    preflight(&gate, &asker, &request, decision)
}

/// Tells what an upgrade would have been told.
fn preflight(gate: &Gate, asker: &Asker, request: &Parts, decision: Result<Value, Rejection>) -> Response {
    let request_id = gate.node.request_id();
    let answer = decision.unwrap_or_else(|rejection| {
        gate.figures.preflight_refused(&rejection, &request_id, asker.peer);
        let mut problem = serde_json::to_value(Problem::new(&rejection, &request_id)).unwrap_or_default();
        problem["accepted"] = Value::Bool(false);
        if let Some(seconds) = rejection.retry_after {
            problem["retry_after"] = seconds.into();
        }
        problem
    });
    let allow = request.headers.get(header::ORIGIN).cloned().unwrap_or_else(|| HeaderValue::from_static("*"));
    let mut response = ([NO_STORE, (header::VARY, "Origin")], Json(answer)).into_response();
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allow);
    response
}

/// Runs the same core as an upgrade, without one.
async fn greeted(
    gate: &Gate,
    asker: &Asker,
    request: &Parts,
    body: &PreflightBody,
) -> Result<Value, Rejection> {
    let head = head(&gate.door, request)?;
    decide(gate, gate.door.greet(&head, &asker.permit)?, body).await
}

async fn decide(gate: &Gate, caller: Caller<'_>, body: &PreflightBody) -> Result<Value, Rejection> {
    let stale = stale::of(body.build.as_deref()) == Some(true);
    let accepted = accept(gate, caller, body).await;
    accepted.map_err(|rejection| if stale { stale::explain(rejection) } else { rejection })
}

async fn accept(gate: &Gate, caller: Caller<'_>, body: &PreflightBody) -> Result<Value, Rejection> {
    let protocols: Vec<&str> = body.protocols.iter().map(String::as_str).collect();
    let offer = gate.door.claim(caller, &body.mode, &protocols)?;
    let seat = gate.door.seat(offer.token(), &gate.figures.metrics).await?;
    // GET carries its token in a header, as no browser's WebSocket can, and so has no subprotocol to agree on.
    let protocol = offer.select(&gate.door.policy)?;
    Ok(json!({
        "accepted": true,
        "protocol": protocol,
        "user_id": seat.identity().subject(),
        "token_expires_at": seat.identity().expires_at().map(Timestamp::from_unix_seconds),
    }))
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

/// Figures for people with a token: they tell how busy a server is.
async fn stats(
    State(gate): State<Arc<Gate>>,
    Extension(asker): Extension<Asker>,
    request: Parts,
) -> Response {
    let body = PreflightBody::of(main());
    if let Err(rejection) = greeted(&gate, &asker, &request, &body).await {
        return refuse(&gate.node, &rejection);
    }
    let modes: serde_json::Map<String, Value> =
        gate.figures.metrics.live_by_mode().map(|(mode, live)| (mode.to_owned(), live.into())).collect();
    let body = json!({
        "node": &*gate.node.name,
        "uptime_s": gate.node.uptime().as_secs(),
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
        Err(_) => refuse(&gate.node, &Rejection::new(Reason::NotFound, "no reason has that identifier")),
    }
}

const NOSNIFF: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");
