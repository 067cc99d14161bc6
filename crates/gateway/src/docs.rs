//! The documentation, embedded in the binary and served under `/docs`.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{answer::not_found, embedded, gate::Gate};

/// `/docs` and everything below it.
pub(crate) fn routes() -> Router<Arc<Gate>> {
    Router::new().route("/docs", get(enter)).route("/docs/", get(serve)).route("/docs/{*path}", get(serve))
}

/// The pages' links are relative, so the address has to end in a slash.
async fn enter() -> Response {
    // RFC 9110 §15.4.9; by path alone, so that it leads nowhere else behind any proxy.
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "/docs/")]).into_response()
}

async fn serve(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches("/docs/");
    let name = match path {
        "" => "index.html".to_owned(),
        folder if folder.ends_with('/') => format!("{folder}index.html"),
        file => file.to_owned(),
    };
    match embedded::documentation(&name) {
        // The pages talk to nobody but this server.
        Some(file) => embedded::answer(None, &name, &file, &request),
        None => not_found(&gate.node, &request),
    }
}
