//! The HTTP side: what is where, who may ask, and what an answer looks like.

mod answer;
mod body;
mod context;
mod device;
mod door;
mod grant;
mod login;
mod outcome;
mod public;
mod route;
mod tokens;
mod work;

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use portcullis_reason::{Reason, Rejection, Severity};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
    timeout::RequestBodyDeadlineLayer,
};

use self::{
    context::Context,
    outcome::{Outcome, Refused},
    route::Route,
};
use crate::app::App;

pub(crate) use self::context::Connection;

/// All routes. The order of checks: the client's share, path, method, origin, content type, size, form; the first that
/// fails decides.
///
/// A request has to bring its [`Connection`].
pub(crate) fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route(Route::Login.path(), post(login::login))
        .route(Route::Refresh.path(), post(tokens::refresh))
        .route(Route::Logout.path(), post(tokens::logout))
        .route(Route::Revoke.path(), post(tokens::revoke))
        .route(Route::Link.path(), post(tokens::link))
        .route(Route::Health.path(), get(public::health))
        .route(Route::Jwks.path(), get(public::jwks))
        .fallback(|| async { Refused::from(Reason::NotFound) })
        .method_not_allowed_fallback(|| async { Refused::from(Reason::MethodNotAllowed) })
        .layer(middleware::from_fn_with_state(Arc::clone(&app), door::check))
        .layer(cors(Arc::clone(&app)))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), preflight))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(RequestBodyDeadlineLayer::new(app.options.server.body_timeout.get()))
        .layer(DefaultBodyLimit::max(body::MAX_BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), answer))
        .with_state(app)
}

/// Lets pages of ours read answers, without credentials of the browser's.
fn cors(app: Arc<App>) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| app.origins.allowed(origin).is_some()))
        .allow_headers([header::CONTENT_TYPE])
        .max_age(PREFLIGHT_AGE)
}

/// How long a browser may remember a preflight. Browsers cap it themselves, Chromium at two hours.
const PREFLIGHT_AGE: Duration = Duration::from_hours(2);

/// The answer to `OPTIONS`: what the route takes, beside what the layer for pages of ours says.
async fn preflight(
    State(app): State<Arc<App>>,
    Extension(context): Extension<Context>,
    request: Request,
    next: Next,
) -> Outcome {
    if request.method() != Method::OPTIONS {
        return Ok(next.run(request).await);
    }
    // That layer answers by itself, so what is around the routes does not see the request.
    let route = Route::find(request.uri().path());
    door::admit(&app, &context, route).await?;
    let route = route.ok_or(Reason::NotFound)?;
    let origin = request.headers().get(header::ORIGIN);
    if origin.is_some_and(|origin| app.origins.allowed(origin).is_none()) {
        return Err(Reason::OriginNotAllowed.into());
    }
    let methods = HeaderValue::from_static(route.allow());
    let mut response = next.run(request).await;
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
    response.headers_mut().insert(header::ALLOW, methods);
    Ok(response)
}

/// A panic ends its request alone, as our own failure. Nothing that requests share is left half changed: locks are held
/// for single steps, and the database rolls back.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Refused(Rejection::new(Reason::Internal, "a request panicked")).into_response()
}

/// Names a request, and writes and logs what came of it.
async fn answer(
    State(app): State<Arc<App>>,
    Extension(connection): Extension<Connection>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = app.clock.instant();
    let context = door::identify(&app, &connection, request.headers());
    let route = Route::find(request.uri().path());
    let method = request.method().clone();
    request.extensions_mut().insert(context.clone());

    let mut response = next.run(request).await;
    if let Some(Refused(rejection)) = response.extensions_mut().remove() {
        log_refusal(&app, &context, route, &rejection);
        let cors = response.headers_mut().remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        response = answer::problem(&rejection, &context.request_id, route.map(Route::allow));
        response.headers_mut().extend(cors.map(|origin| (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)));
    }
    answer::finish(&mut response, &context.request_id);
    connection.seat.rest(connection.peer.into());
    tracing::debug!(
        request_id = %context.request_id,
        address = %context.address,
        method = known(&method),
        route = route.map_or("none", Route::path),
        status = response.status().as_u16(),
        elapsed_us = u64::try_from(app.clock.since(started).as_micros()).unwrap_or(u64::MAX),
        "answered"
    );
    response
}

/// A method's name for the log, where it is one of HTTP's own: a stranger's may be any text.
fn known(method: &Method) -> &'static str {
    const KNOWN: [(Method, &str); 9] = [
        (Method::GET, "GET"),
        (Method::HEAD, "HEAD"),
        (Method::POST, "POST"),
        (Method::PUT, "PUT"),
        (Method::PATCH, "PATCH"),
        (Method::DELETE, "DELETE"),
        (Method::OPTIONS, "OPTIONS"),
        (Method::CONNECT, "CONNECT"),
        (Method::TRACE, "TRACE"),
    ];
    KNOWN.iter().find(|(known, _)| known == method).map_or("another", |&(_, name)| name)
}

/// One line a refusal, as loud as its reason is; of many, so many as are told one by one.
fn log_refusal(app: &App, context: &Context, route: Option<Route>, rejection: &Rejection) {
    let Context { request_id, address, .. } = context;
    let route = route.map_or("none", Route::path);
    let reason = rejection.reason.id();
    if !app.may_log(reason, *address) {
        return;
    }
    let detail = rejection.detail.as_ref();
    match rejection.reason.severity() {
        Severity::Error => tracing::error!(%request_id, %address, route, reason, detail, "refused"),
        Severity::Warning => tracing::warn!(%request_id, %address, route, reason, detail, "refused"),
        Severity::Info => tracing::info!(%request_id, %address, route, reason, detail, "refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_methods_of_http_reach_the_log() {
        assert_eq!(known(&Method::POST), "POST");
        let method = Method::from_bytes(b"hunter2").unwrap();
        assert_eq!(known(&method), "another");
    }
}
