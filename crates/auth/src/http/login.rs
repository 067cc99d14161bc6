//! `POST /auth/login`: a password for a login.

use std::sync::Arc;

use axum::{Extension, extract::State, http::HeaderMap};
use portcullis_reason::{Reason, Rejection};

use super::{
    body::{self, Body},
    context::Context,
    device,
    grant::{begin, log, logged_in},
    outcome::Outcome,
    work::{database, pooled},
};
use crate::{
    accounts::{Credential, UserName},
    app::App,
    password,
    pool::Claim,
};

/// `POST /auth/login`: one password hash for each attempt that is not limited, whatever comes of it.
pub(super) async fn login(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Context>,
    headers: HeaderMap,
    Body(body): Body<body::Login>,
) -> Outcome {
    let (app, context) = (&app, &context);
    let name = UserName::parse(&body.username).ok();
    // A text that can be no name is limited by what it is, and costs a hash like a name that nobody has.
    let key = name.as_ref().map_or(body.username.as_str(), |name| &name.key).to_owned();
    let token =
        body.device_token.as_ref().map(|token| token.0.as_str()).or_else(|| device::of_cookie(&headers));
    let device = token.and_then(|token| app.devices.check(&key, token, app.clock.unix_seconds()));
    let attempt =
        app.limiter.attempt(&key, context.address, device, app.clock.instant()).map_err(|wait| {
            app.counters.rate_limited.add();
            Rejection::new(Reason::RateLimited, "too many login attempts for the name or from the address")
                .with_retry_after(wait.as_secs())
        })?;

    let started = match check(app, attempt.claim, name, body.password).await {
        Ok(Checked { verified: Some(hash), user_id: Some(id) }) => {
            // Fails where the account was changed since the check, by another process perhaps.
            begin(app, attempt.claim, id.clone(), Some(hash)).await.map(|session| session.ok_or(Some(id)))
        }
        Ok(Checked { user_id, .. }) => Ok(Err(user_id)),
        Err(rejection) => Err(rejection),
    };
    match started {
        Ok(Ok(session)) => {
            app.limiter.succeeded(&attempt, app.clock.instant());
            app.counters.logins.add();
            log(app, context, "login", &session.user.id);
            Ok(logged_in(app, &session, &headers, &key, device))
        }
        Ok(Err(user_id)) => {
            app.counters.login_failures.add();
            // The name is not logged: people type passwords into the wrong field.
            let Context { request_id, address, .. } = context;
            let user_id = user_id.as_deref().unwrap_or("none");
            if app.may_log("denied", *address) {
                tracing::info!(%request_id, %address, user_id, action = "login", "denied");
            }
            // Wrong password, unknown name and disabled account are one and the same to whoever asks.
            Err(Reason::LoginFailed.into())
        }
        Err(rejection) => {
            app.limiter.take_back(&attempt);
            Err(rejection.into())
        }
    }
}

/// What became of a password check.
struct Checked {
    /// Whose name it is, for the log; none for a name that nobody has.
    user_id: Option<String>,
    /// The stored hash that the password fits, of an account that may log in.
    verified: Option<String>,
}

/// Checks a password, with one hash whatever is found.
async fn check(
    app: &Arc<App>,
    claim: Claim,
    name: Option<UserName>,
    password: body::Sensitive,
) -> Result<Checked, Rejection> {
    let found = match name {
        Some(name) => database(app, claim, move |accounts| accounts.credential(&name)).await?,
        None => None,
    };
    let hasher = Arc::clone(app.accounts.hasher());
    let work = move || {
        let verdict = hasher.verify(&password.0, found.as_ref().map(|found| found.hash.as_str()))?;
        let good = verdict.matches && found.as_ref().is_some_and(|found| found.user.enabled);
        // Only here, where the password is at hand, can a hash of an older cost be made anew.
        let renewed = if good && verdict.outdated { Some(hasher.hash(&password.0)?) } else { None };
        Ok((found, good, renewed))
    };
    let checked: Result<_, password::Error> = pooled(app, &app.hashes, claim, work).await?;
    let (found, good, renewed) =
        checked.map_err(|error| Rejection::new(Reason::Internal, error.to_string()))?;
    let Some(Credential { user, hash }) = found else { return Ok(Checked { user_id: None, verified: None }) };
    let Some(renewed) = renewed else {
        return Ok(Checked { user_id: Some(user.id), verified: good.then_some(hash) });
    };
    let (id, new) = (user.id.clone(), renewed.clone());
    database(app, claim, move |accounts| accounts.upgrade_hash(&id, &hash, &new)).await?;
    Ok(Checked { user_id: Some(user.id), verified: Some(renewed) })
}
