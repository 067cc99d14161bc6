//! What anybody may read: health and public keys.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};
use portcullis_reason::{Reason, Rejection};
use serde_json::json;
use tokio::time::timeout;

use super::{answer, outcome::Outcome, work::database};
use crate::{accounts::Accounts, app::App, pool::Claim};

/// How long the database may take before `/health` calls it ill.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// `GET /health`.
pub(super) async fn health(State(app): State<Arc<App>>) -> Outcome {
    let ill = |detail: Cow<'static, str>| Rejection::new(Reason::AuthUnavailable, detail).with_retry_after(5);
    match timeout(HEALTH_TIMEOUT, database(&app, Claim::OWN, Accounts::probe)).await {
        Ok(Ok(())) => {}
        // Whatever ails it, this service cannot do its work at the moment, and says so as such.
        Ok(Err(rejection)) => return Err(ill(rejection.detail).into()),
        Err(_) => return Err(ill("the account database does not answer in time".into()).into()),
    }
    let body = json!({
        "status": "ok",
        "service": "portcullis-auth",
        "version": env!("CARGO_PKG_VERSION"),
        "checks": { "database": "ok" },
    });
    Ok(answer::json(&body, "application/json"))
}

/// `GET /.well-known/jwks.json` (RFC 7517 §5, §8.5.1).
pub(super) async fn jwks(State(app): State<Arc<App>>) -> Response {
    let mut response = answer::json(app.signing.jwks(), "application/jwk-set+json");
    // Public, and the one answer worth keeping: verifiers fetch it again and again.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}
