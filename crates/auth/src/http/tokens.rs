//! What is done with a token or a code that was handed out: refresh, logout, revocation, links.

use std::sync::Arc;

use axum::{Extension, extract::State, http::HeaderMap};
use portcullis_reason::{Reason, Rejection};

use super::{
    answer,
    body::{self, Body},
    context::Context,
    grant::{begin, granted, log, logged_in},
    outcome::Outcome,
    work::ending,
};
use crate::{
    accounts::Refusal,
    app::App,
    secrets::{REFRESH_PREFIX, parse},
};

/// `POST /auth/refresh`.
pub(super) async fn refresh(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Context>,
    Body(body): Body<body::RefreshToken>,
) -> Outcome {
    let (app, context) = (&app, &context);
    let malformed = || Rejection::new(Reason::TokenMalformed, "not of a refresh token's form");
    let presented = parse(REFRESH_PREFIX, &body.refresh_token.0).ok_or_else(malformed)?;
    let policy = app.session_policy();
    let rotated = ending(app, context.claim, move |accounts| accounts.rotate(&presented, policy)).await?;
    let session = rotated.map_err(|(refusal, user_id)| {
        let user_id = user_id.as_deref().unwrap_or("none");
        let Context { request_id, address, .. } = context;
        match refusal {
            Refusal::Unknown => Rejection::new(Reason::TokenRevoked, "an unknown refresh token"),
            Refusal::Expired => Rejection::new(Reason::TokenExpired, "an expired refresh token"),
            Refusal::Revoked => Rejection::new(Reason::TokenRevoked, "the refresh token's login has ended"),
            Refusal::Reused => {
                app.counters.reuses.add();
                if app.may_log("reuse", *address) {
                    tracing::warn!(%request_id, %address, user_id, "a refresh token was used twice; its login was ended");
                }
                Rejection::new(Reason::TokenRevoked, "the refresh token was used before; its login has ended")
            }
        }
        .with_hint("Log in again.")
    })?;
    app.counters.refreshes.add();
    log(app, context, "refresh", &session.user.id);
    Ok(granted(app, &session, None))
}

/// `POST /auth/logout`: done when it is done, also for a token that is good for nothing (RFC 7009 §2.2).
pub(super) async fn logout(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Context>,
    Body(body): Body<body::RefreshToken>,
) -> Outcome {
    let (app, context) = (&app, &context);
    if let Some(presented) = parse(REFRESH_PREFIX, &body.refresh_token.0)
        && let Some(user_id) = ending(app, context.claim, move |accounts| accounts.logout(&presented)).await?
    {
        app.counters.logouts.add();
        log(app, context, "logout", &user_id);
    }
    Ok(answer::no_content())
}

/// `POST /auth/revoke` (RFC 7009): ends the login of a refresh or an access token, or all of its user's. Done when it is
/// done, also for a token that is good for nothing (§2.2), so that nobody learns by it which ones are.
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Context>,
    Body(body): Body<body::Revoke>,
) -> Outcome {
    let (app, context) = (&app, &context);
    let all = body.all;
    let user_id = if let Some(presented) = parse(REFRESH_PREFIX, &body.token.0) {
        ending(app, context.claim, move |accounts| match accounts.login_of(&presented)? {
            Some(session) => accounts.end_login(&session, all),
            None => Ok(None),
        })
        .await?
    } else if let Some(session) = app.signing.session_of(&body.token.0, app.clock.unix_seconds()) {
        ending(app, context.claim, move |accounts| accounts.end_login(&session, all)).await?
    } else {
        None
    };
    if let Some(user_id) = user_id {
        app.counters.logouts.add();
        log(app, context, if all { "revoke all" } else { "revoke" }, &user_id);
    }
    Ok(answer::no_content())
}

/// `POST /auth/link`.
pub(super) async fn link(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Context>,
    headers: HeaderMap,
    Body(body): Body<body::LinkCode>,
) -> Outcome {
    let (app, context) = (&app, &context);
    let (hash, link) = app.links.take(&body.code.0, app.clock.unix_ms()).map_err(|reason| {
        Rejection::new(reason, "a login link that cannot be used").with_hint(
            "A login link is good once and for a short time. Make a new one, or log in with your password.",
        )
    })?;
    match begin(app, context.claim, link.user_id.clone(), None).await {
        Ok(Some(session)) => {
            app.counters.link_logins.add();
            log(app, context, "link", &session.user.id);
            let name = session.user.key();
            app.limiter.meet(&name, context.address, app.clock.instant());
            Ok(logged_in(app, &session, &headers, &name, None))
        }
        Ok(None) => {
            Err(Rejection::new(Reason::TokenRevoked, "a login link of an account that is disabled or gone")
                .into())
        }
        Err(rejection) => {
            app.links.put_back(hash, link);
            Err(rejection.into())
        }
    }
}
