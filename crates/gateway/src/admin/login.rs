//! Logging in and out: the operator's key in, a session's cookie out.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{ConnectInfo, State, rejection::JsonRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use portcullis_reason::{Reason, Rejection};
use serde::Deserialize;
use serde_json::json;

use super::{context::Admin, sessions::Refused};
use crate::answer::refuse;

#[derive(Deserialize)]
pub(super) struct Login {
    key: String,
}

/// `POST /admin/login`. The body is JSON, which a foreign page's form cannot send.
pub(super) async fn login(
    State(admin): State<Arc<Admin>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Result<Json<Login>, JsonRejection>,
) -> Response {
    let Ok(Json(Login { key })) = body else {
        return refuse(
            &admin.gate.node,
            &Rejection::new(Reason::BadRequest, "the login's body cannot be read")
                .with_hint("send {\"key\": \"...\"} as application/json"),
        );
    };
    // A line break at the end comes along easily when a file's content is copied.
    let outcome = admin.sessions.open(key.trim(), peer.ip(), admin.gate.clock.instant());
    admin.gate.figures.metrics.operator_login(outcome.is_ok());
    let rejection = match outcome {
        Ok(secret) => {
            if admin.gate.figures.dashboard.may_write("login", peer.ip(), admin.gate.clock.instant()) {
                tracing::info!(%peer, "an operator logged in");
            }
            let secure =
                headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https:"));
            return with_cookie(&admin, &secret, admin.sessions.lifetime(), secure);
        }
        Err(Refused::WrongKey) => Rejection::new(Reason::LoginFailed, "not the operator's key")
            .with_hint("This is not the operator's key. It is in the data directory: secrets/operator.key."),
        Err(Refused::TooMany(wait)) => Rejection::new(Reason::RateLimited, "too many wrong operator's keys")
            .with_hint("Too many wrong keys came from your address; wait a moment.")
            .with_retry_after(wait.as_secs()),
    };
    if admin.gate.figures.dashboard.may_write(rejection.reason.id(), peer.ip(), admin.gate.clock.instant()) {
        tracing::warn!(%peer, reason = %rejection.reason, "an operator's login was refused");
    }
    refuse(&admin.gate.node, &rejection)
}

/// `POST /admin/logout`.
pub(super) async fn logout(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    if let Some(secret) = presented(&admin, &headers) {
        admin.sessions.close(secret);
    }
    with_cookie(&admin, "", Duration::ZERO, false)
}

/// `GET /admin/session`: whether the asking browser is logged in.
pub(super) async fn session(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    let rest = presented(&admin, &headers)
        .and_then(|secret| admin.sessions.rest(secret, admin.gate.clock.instant()));
    Json(json!({ "expires_in": rest.unwrap_or_default().as_secs() })).into_response()
}

/// The session's secret in the request's cookies.
pub(super) fn presented<'h>(admin: &Admin, headers: &'h HeaderMap) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == admin.sessions.cookie()).then_some(value))
}

/// `Path` keeps it from all but the dashboard's own routes; no script reads it, no other site's request carries it.
fn with_cookie(admin: &Admin, secret: &str, lifetime: Duration, secure: bool) -> Response {
    let cookie = format!(
        "{}={secret}; Path=/admin; HttpOnly; SameSite=Strict; Max-Age={}{}",
        admin.sessions.cookie(),
        lifetime.as_secs(),
        if secure { "; Secure" } else { "" }
    );
    let cookie = HeaderValue::from_str(&cookie).expect("a cookie of ours is ASCII");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}
