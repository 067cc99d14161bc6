//! What stands around the dashboard's routes: the guard, and the login.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use portcullis_reason::{Reason, Rejection};

use super::{context::Admin, login::presented};
use crate::answer::refuse;

/// Lets a request through or refuses it, and guards what the answer may become.
pub(super) async fn guarded(
    State(admin): State<Arc<Admin>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match admin.guard.check(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(rejection) => {
            if admin.gate.figures.dashboard.may_write(
                rejection.reason.id(),
                peer.ip(),
                admin.gate.clock.instant(),
            ) {
                tracing::warn!(%peer, detail = %rejection.detail, "dashboard request refused");
            }
            refuse(&admin.gate.node, &rejection)
        }
    };
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

const ALWAYS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// Lets requests with a session through.
pub(super) async fn logged_in(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let secret = presented(&admin, request.headers());
    if secret.and_then(|secret| admin.sessions.rest(secret, admin.gate.clock.instant())).is_some() {
        return next.run(request).await;
    }
    let rejection = Rejection::new(Reason::NoToken, "the dashboard was asked without a session")
        .with_hint("Log in with the operator's key first.");
    let mut response = refuse(&admin.gate.node, &rejection);
    // The scheme is a cookie's; a browser shall not ask for a password, and no bearer token helps.
    response.headers_mut().remove(header::WWW_AUTHENTICATE);
    response
}
