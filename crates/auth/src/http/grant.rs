//! A login that begins or goes on, and what its owner is given.

use std::sync::Arc;

use axum::{http::HeaderMap, response::Response};
use portcullis_reason::Rejection;
use serde_json::{Map, Value, json};

use super::{answer, context::Context, device, work::ending};
use crate::{
    accounts::{Session, User, hex},
    app::App,
    device::DeviceId,
    pool::Claim,
};

/// Begins a login; none where the account is disabled or gone, or its password was changed meanwhile.
pub(super) async fn begin(
    app: &Arc<App>,
    claim: Claim,
    user_id: String,
    hash: Option<String>,
) -> Result<Option<Session>, Rejection> {
    let policy = app.session_policy();
    // One login too many ends the oldest. Whoever comes here has shown who they are.
    ending(app, claim.known(), move |accounts| accounts.start_session(&user_id, hash.as_deref(), policy))
        .await
}

/// The answer to a login by password or link: tokens, and what the device is known by from now on. `name` is the key form
/// of the account's.
pub(super) fn logged_in(
    app: &App,
    session: &Session,
    headers: &HeaderMap,
    name: &str,
    device: Option<DeviceId>,
) -> Response {
    let token = app.devices.issue(name, device.unwrap_or_else(crate::random), app.clock.unix_seconds());
    if device::is_page(headers) {
        let mut response = granted(app, session, None);
        device::set_cookie(&mut response, headers, &token);
        return response;
    }
    granted(app, session, Some(&token))
}

/// The answer to a login or a refresh (RFC 6749 §5.1).
pub(super) fn granted(app: &App, session: &Session, device_token: Option<&str>) -> Response {
    let mut body = json!({
        "access_token": access_token(app, session),
        "token_type": "Bearer",
        "expires_in": app.options.access_ttl.as_secs(),
        "refresh_token": session.refresh_token.as_str(),
        "user": { "id": session.user.id, "name": session.user.name },
    });
    if let Some(token) = device_token {
        body["device_token"] = token.into();
    }
    answer::json(&body, "application/json")
}

/// A signed access token (RFC 9068 §2.2).
fn access_token(app: &App, session: &Session) -> String {
    let now = app.clock.unix_seconds();
    let User { id, name, .. } = &session.user;
    let claims: [(&str, Value); 10] = [
        ("iss", app.options.issuer.as_str().into()),
        ("sub", id.as_str().into()),
        ("aud", app.options.audience.as_str().into()),
        ("exp", now.saturating_add(app.options.access_ttl.as_secs()).into()),
        ("iat", now.into()),
        ("nbf", now.into()),
        ("jti", hex(&crate::random::<16>()).into()),
        ("sid", session.id.as_str().into()),
        ("name", name.as_str().into()),
        ("scope", app.options.scopes.join(" ").into()),
    ];
    let claims: Map<String, Value> =
        claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    app.signing.sign(&claims)
}

pub(super) fn log(app: &App, context: &Context, action: &'static str, user_id: &str) {
    let Context { request_id, address, .. } = context;
    if app.may_log(action, *address) {
        tracing::info!(%request_id, %address, user_id, action, "granted");
    }
}
