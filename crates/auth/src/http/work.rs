//! Blocking work on behalf of a request.

use std::sync::Arc;

use portcullis_reason::{Reason, Rejection};

use crate::{
    accounts::{self, Accounts},
    app::App,
    pool::{Claim, Failure, Pool},
};

/// Runs something on the database's thread that may end logins; they are told of before it is answered.
pub(super) async fn ending<T: Send + 'static>(
    app: &Arc<App>,
    claim: Claim,
    work: impl FnOnce(&Accounts) -> Result<T, accounts::Error> + Send + 'static,
) -> Result<T, Rejection> {
    let told = Arc::clone(app);
    database(app, claim, move |accounts| {
        let done = work(accounts)?;
        told.endings.tell(accounts)?;
        Ok(done)
    })
    .await
}

/// Runs something on the database's thread.
pub(super) async fn database<T: Send + 'static>(
    app: &Arc<App>,
    claim: Claim,
    work: impl FnOnce(&Accounts) -> Result<T, accounts::Error> + Send + 'static,
) -> Result<T, Rejection> {
    let accounts = app.accounts.clone();
    pooled(app, &app.database, claim, move || work(&accounts)).await?.map_err(|error| {
        // Our own or the operator's failure, and never the client's: their input was checked before.
        let reason = if error.is_temporary() { Reason::AuthUnavailable } else { Reason::Internal };
        let source =
            std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        Rejection::new(reason, format!("{error}{source}"))
    })
}

pub(super) async fn pooled<T: Send + 'static>(
    app: &App,
    pool: &Pool,
    claim: Claim,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Rejection> {
    pool.run(claim, work).await.map_err(|failure| match failure {
        Failure::Full => {
            app.counters.overloads.add();
            overloaded("as many hashes or database calls as allowed are waiting")
        }
        Failure::Panicked => Rejection::new(Reason::Internal, "blocking work panicked"),
    })
}

/// Nobody's mistake: too many want something at a time.
fn overloaded(detail: &'static str) -> Rejection {
    Rejection::new(Reason::AuthUnavailable, detail)
        .with_hint("Too many people are logging in at this moment. Try again in a few seconds.")
        .with_retry_after(2)
}
