//! The HTTP side: what is where, who may ask, and what an answer looks like.

mod body;
mod context;
mod origin;
mod reply;
mod route;
mod routes;

use std::{net::IpAddr, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use portcullis_reason::{Reason, Rejection, Severity};
use tokio::sync::Semaphore;

use self::{
    context::{Context, Outcome},
    route::Route,
};
use crate::{accounts::hex, app::App};

/// Answers requests.
pub(crate) struct Frontend {
    app: Arc<App>,
    requests: Semaphore,
}

impl Frontend {
    pub(crate) fn new(app: Arc<App>) -> Self {
        let requests = Semaphore::new(app.options.server.max_requests.get() as usize);
        Self { app, requests }
    }

    /// The answer to one request, whatever it is.
    pub(crate) async fn answer(&self, request: Request<Incoming>, address: IpAddr) -> Response<Full<Bytes>> {
        let started = Instant::now();
        let context = Context { request_id: hex(&crate::random::<16>()), address };
        let route = Route::find(request.uri().path());
        let method = request.method().clone();
        let origin = request.headers().get(header::ORIGIN).cloned();

        let mut response = match caught(self.dispatch(&context, route, request)).await {
            Ok(response) => response,
            Err(rejection) => {
                log_refusal(&context, route, &rejection);
                reply::problem(&rejection, &context.request_id, route.map(Route::allow))
            }
        };
        reply::finish(&mut response, &context.request_id);
        if let Some(origin) = origin.as_ref().and_then(|origin| self.app.origins.allowed(origin)) {
            origin::expose(&mut response, origin.clone());
        }
        tracing::debug!(
            request_id = context.request_id,
            %address,
            %method,
            route = route.map_or("none", Route::path),
            status = response.status().as_u16(),
            elapsed_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            "answered"
        );
        response
    }

    /// The order of checks: path, method, origin, content type, size, form; the first that fails decides.
    async fn dispatch(&self, context: &Context, route: Option<Route>, request: Request<Incoming>) -> Outcome {
        let route = route.ok_or(Reason::NotFound)?;
        let method = request.method();
        if method == Method::OPTIONS {
            return origin::preflight(&self.app.origins, route, request.headers());
        }
        if !route.takes(method) {
            return Err(Reason::MethodNotAllowed.into());
        }
        match route {
            Route::Health => return routes::health(&self.app).await,
            Route::Jwks => return Ok(routes::jwks(&self.app)),
            Route::Login | Route::Refresh | Route::Logout | Route::Revoke | Route::Link => {}
        }
        self.check_origin(request.headers())?;
        let body = body::read(request, self.app.options.server.body_timeout.get()).await?;
        // Taken once the body is here: a slow sender must not hold a place.
        let Ok(_place) = self.requests.try_acquire() else {
            self.app.counters.overloads.add();
            return Err(routes::overloaded("as many requests as allowed are under way"));
        };
        match route {
            Route::Login => routes::login(&self.app, context, body::parse(&body)?).await,
            Route::Refresh => routes::refresh(&self.app, context, body::parse(&body)?).await,
            Route::Logout => routes::logout(&self.app, context, body::parse(&body)?).await,
            Route::Revoke => routes::revoke(&self.app, context, body::parse(&body)?).await,
            Route::Link => routes::link(&self.app, context, body::parse(&body)?).await,
            Route::Health | Route::Jwks => Err(Reason::MethodNotAllowed.into()),
        }
    }

    /// A page of another origin is told so and nothing else; who sends no `Origin` is no browser (RFC 6454 §7.3).
    fn check_origin(&self, headers: &HeaderMap<HeaderValue>) -> Result<(), Rejection> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(()),
            (Some(origin), None) if self.app.origins.allowed(origin).is_some() => Ok(()),
            _ => Err(Reason::OriginNotAllowed.into()),
        }
    }
}

/// A panic ends its request alone, as our own failure.
async fn caught(work: impl Future<Output = Outcome>) -> Outcome {
    // Nothing that requests share is left half changed: locks are held for single steps, and the database rolls back.
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    outcome.unwrap_or_else(|_| Err(Rejection::new(Reason::Internal, "a request panicked")))
}

/// One line a refusal, as loud as its reason is.
fn log_refusal(context: &Context, route: Option<Route>, rejection: &Rejection) {
    let Context { request_id, address } = context;
    let route = route.map_or("none", Route::path);
    let reason = rejection.reason.id();
    let detail = rejection.detail.as_ref();
    match rejection.reason.severity() {
        Severity::Error => tracing::error!(request_id, %address, route, reason, detail, "refused"),
        Severity::Warning => tracing::warn!(request_id, %address, route, reason, detail, "refused"),
        Severity::Info => tracing::info!(request_id, %address, route, reason, detail, "refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_refusal() {
        let outcome = caught(async { panic!("on purpose") }).await;
        assert_eq!(outcome.map(drop).unwrap_err().reason, Reason::Internal);
        assert!(caught(async { Ok(reply::no_content()) }).await.is_ok());
    }
}
