//! What each address does.

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::{HeaderValue, Response, header};
use http_body_util::Full;
use hyper::body::Bytes;
use portcullis_reason::{Reason, Rejection};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::{
    body,
    context::{Context, Outcome},
    reply,
};
use crate::{
    accounts::{self, Credential, Refusal, Session, User, UserName, hex},
    app::App,
    password,
    pool::{Failure, Pool},
    secrets::{REFRESH_PREFIX, parse},
};

/// How long the database may take before `/health` calls it ill.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// `POST /auth/login`: one password hash for each attempt that is not limited, whatever comes of it.
pub(super) async fn login(app: &Arc<App>, context: &Context, body: body::Login) -> Outcome {
    let name = UserName::parse(&body.username).ok();
    // A text that can be no name is limited by what it is, and costs a hash like a name that nobody has.
    let limited_as = name.as_ref().map_or(body.username.as_str(), |name| &name.key);
    let attempt =
        app.limiter.attempt(limited_as, context.address, app.clock.now_ms()).map_err(|seconds| {
            app.counters.rate_limited.add();
            Rejection::new(Reason::RateLimited, "too many login attempts for the name or from the address")
                .with_retry_after(seconds)
        })?;

    let started = match check(app, name, body.password).await {
        Ok(Checked { verified: Some(hash), user_id: Some(id) }) => {
            // Fails where the account was changed since the check, by another process perhaps.
            begin(app, id.clone(), Some(hash)).await.map(|session| session.ok_or(Some(id)))
        }
        Ok(Checked { user_id, .. }) => Ok(Err(user_id)),
        Err(rejection) => Err(rejection),
    };
    match started {
        Ok(Ok(session)) => {
            app.limiter.succeeded(attempt);
            app.counters.logins.add();
            log(context, "login", &session.user.id);
            Ok(granted(app, &session))
        }
        Ok(Err(user_id)) => {
            app.counters.login_failures.add();
            // The name is not logged: people type passwords into the wrong field.
            let Context { request_id, address } = context;
            let user_id = user_id.as_deref().unwrap_or("none");
            tracing::info!(request_id, %address, user_id, action = "login", "denied");
            // Wrong password, unknown name and disabled account are one and the same to whoever asks.
            Err(Reason::LoginFailed.into())
        }
        Err(rejection) => {
            app.limiter.take_back(attempt);
            Err(rejection)
        }
    }
}

/// `POST /auth/refresh`.
pub(super) async fn refresh(app: &Arc<App>, context: &Context, body: body::RefreshToken) -> Outcome {
    let malformed = || Rejection::new(Reason::TokenMalformed, "not of a refresh token's form");
    let presented = parse(REFRESH_PREFIX, &body.refresh_token.0).ok_or_else(malformed)?;
    let policy = app.session_policy();
    let rotated = ending(app, move |accounts| accounts.rotate(&presented, policy)).await?;
    let session = rotated.map_err(|(refusal, user_id)| {
        let user_id = user_id.as_deref().unwrap_or("none");
        let Context { request_id, address } = context;
        match refusal {
            Refusal::Unknown => Rejection::new(Reason::TokenRevoked, "an unknown refresh token"),
            Refusal::Expired => Rejection::new(Reason::TokenExpired, "an expired refresh token"),
            Refusal::Revoked => Rejection::new(Reason::TokenRevoked, "the refresh token's login has ended"),
            Refusal::Reused => {
                app.counters.reuses.add();
                tracing::warn!(request_id, %address, user_id, "a refresh token was used twice; its login was ended");
                Rejection::new(Reason::TokenRevoked, "the refresh token was used before; its login has ended")
            }
        }
        .with_hint("Log in again.")
    })?;
    app.counters.refreshes.add();
    log(context, "refresh", &session.user.id);
    Ok(granted(app, &session))
}

/// `POST /auth/logout`: done when it is done, also for a token that is good for nothing (RFC 7009 §2.2).
pub(super) async fn logout(app: &Arc<App>, context: &Context, body: body::RefreshToken) -> Outcome {
    if let Some(presented) = parse(REFRESH_PREFIX, &body.refresh_token.0)
        && let Some(user_id) = ending(app, move |accounts| accounts.logout(&presented)).await?
    {
        app.counters.logouts.add();
        log(context, "logout", &user_id);
    }
    Ok(reply::no_content())
}

/// `POST /auth/revoke` (RFC 7009): ends the login of a refresh or an access token, or all of its user's. Done when it is
/// done, also for a token that is good for nothing (§2.2), so that nobody learns by it which ones are.
pub(super) async fn revoke(app: &Arc<App>, context: &Context, body: body::Revoke) -> Outcome {
    let all = body.all;
    let user_id = if let Some(presented) = parse(REFRESH_PREFIX, &body.token.0) {
        ending(app, move |accounts| match accounts.login_of(&presented)? {
            Some(session) => accounts.end_login(&session, all),
            None => Ok(None),
        })
        .await?
    } else if let Some(session) = app.signing.session_of(&body.token.0, app.clock.now()) {
        ending(app, move |accounts| accounts.end_login(&session, all)).await?
    } else {
        None
    };
    if let Some(user_id) = user_id {
        app.counters.logouts.add();
        log(context, if all { "revoke all" } else { "revoke" }, &user_id);
    }
    Ok(reply::no_content())
}

/// `POST /auth/link`.
pub(super) async fn link(app: &Arc<App>, context: &Context, body: body::LinkCode) -> Outcome {
    let (hash, link) = app.links.take(&body.code.0, app.clock.now_ms()).map_err(|reason| {
        Rejection::new(reason, "a login link that cannot be used").with_hint(
            "A login link is good once and for a short time. Make a new one, or log in with your password.",
        )
    })?;
    match begin(app, link.user_id.clone(), None).await {
        Ok(Some(session)) => {
            app.counters.link_logins.add();
            log(context, "link", &session.user.id);
            Ok(granted(app, &session))
        }
        Ok(None) => {
            Err(Rejection::new(Reason::TokenRevoked, "a login link of an account that is disabled or gone"))
        }
        Err(rejection) => {
            app.links.put_back(hash, link);
            Err(rejection)
        }
    }
}

/// `GET /health`.
pub(super) async fn health(app: &Arc<App>) -> Outcome {
    let ill = |detail: Cow<'static, str>| Rejection::new(Reason::AuthUnavailable, detail).with_retry_after(5);
    match timeout(HEALTH_TIMEOUT, database(app, accounts::Accounts::probe)).await {
        Ok(Ok(())) => {}
        // Whatever ails it, this service cannot do its work at the moment, and says so as such.
        Ok(Err(rejection)) => return Err(ill(rejection.detail)),
        Err(_) => return Err(ill("the account database does not answer in time".into())),
    }
    let body = json!({
        "status": "ok",
        "service": "portcullis-auth",
        "version": env!("CARGO_PKG_VERSION"),
        "checks": { "database": "ok" },
    });
    Ok(reply::json(&body, "application/json"))
}

/// `GET /.well-known/jwks.json` (RFC 7517 §5, §8.5.1).
pub(super) fn jwks(app: &App) -> Response<Full<Bytes>> {
    let mut response = reply::json(app.signing.jwks(), "application/jwk-set+json");
    // Public, and the one answer worth keeping: verifiers fetch it again and again.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
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
    name: Option<UserName>,
    password: body::Sensitive,
) -> Result<Checked, Rejection> {
    let found = match name {
        Some(name) => database(app, move |accounts| accounts.credential(&name)).await?,
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
    let checked: Result<_, password::Error> = pooled(app, &app.hashes, work).await?;
    let (found, good, renewed) =
        checked.map_err(|error| Rejection::new(Reason::Internal, error.to_string()))?;
    let Some(Credential { user, hash }) = found else { return Ok(Checked { user_id: None, verified: None }) };
    let Some(renewed) = renewed else {
        return Ok(Checked { user_id: Some(user.id), verified: good.then_some(hash) });
    };
    let (id, new) = (user.id.clone(), renewed.clone());
    database(app, move |accounts| accounts.upgrade_hash(&id, &hash, &new)).await?;
    Ok(Checked { user_id: Some(user.id), verified: Some(renewed) })
}

/// Begins a login; none where the account is disabled or gone, or its password was changed meanwhile.
async fn begin(app: &Arc<App>, user_id: String, hash: Option<String>) -> Result<Option<Session>, Rejection> {
    let policy = app.session_policy();
    // One login too many ends the oldest.
    ending(app, move |accounts| accounts.start_session(&user_id, hash.as_deref(), policy)).await
}

/// Runs something on the database's thread that may end logins; they are told of before it is answered.
async fn ending<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&accounts::Accounts) -> Result<T, accounts::Error> + Send + 'static,
) -> Result<T, Rejection> {
    let told = Arc::clone(app);
    database(app, move |accounts| {
        let done = work(accounts)?;
        told.endings.tell(accounts)?;
        Ok(done)
    })
    .await
}

/// Runs something on the database's thread.
async fn database<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&accounts::Accounts) -> Result<T, accounts::Error> + Send + 'static,
) -> Result<T, Rejection> {
    let accounts = app.accounts.clone();
    pooled(app, &app.database, move || work(&accounts)).await?.map_err(|error| {
        // Our own or the operator's failure, and never the client's: their input was checked before.
        let reason = if error.is_temporary() { Reason::AuthUnavailable } else { Reason::Internal };
        let source =
            std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        Rejection::new(reason, format!("{error}{source}"))
    })
}

async fn pooled<T: Send + 'static>(
    app: &App,
    pool: &Pool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Rejection> {
    pool.run(work).await.map_err(|failure| match failure {
        Failure::Full => {
            app.counters.overloads.add();
            overloaded("as many hashes or database calls as allowed are waiting")
        }
        Failure::Panicked => Rejection::new(Reason::Internal, "blocking work panicked"),
    })
}

/// Nobody's mistake: too many want something at a time.
pub(super) fn overloaded(detail: &'static str) -> Rejection {
    Rejection::new(Reason::AuthUnavailable, detail)
        .with_hint("Too many people are logging in at this moment. Try again in a few seconds.")
        .with_retry_after(2)
}

/// The answer to a login, a refresh or a link (RFC 6749 §5.1).
fn granted(app: &App, session: &Session) -> Response<Full<Bytes>> {
    let body = json!({
        "access_token": access_token(app, session),
        "token_type": "Bearer",
        "expires_in": app.options.access_ttl.as_secs(),
        "refresh_token": session.refresh_token.as_str(),
        "user": { "id": session.user.id, "name": session.user.name },
    });
    reply::json(&body, "application/json")
}

/// A signed access token (RFC 9068 §2.2).
fn access_token(app: &App, session: &Session) -> String {
    let now = app.clock.now();
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

fn log(context: &Context, action: &'static str, user_id: &str) {
    let Context { request_id, address } = context;
    tracing::info!(request_id, %address, user_id, action, "granted");
}
