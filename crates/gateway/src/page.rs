//! The chat page. Its files stand beside those of the operator dashboard, which only the admin listener serves.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::Method,
    response::Response,
};

use crate::{answer::not_found, embedded, gate::Gate};

/// Whether a file is the dashboard's alone. What it shares with the chat page has another name.
fn is_dashboards(name: &str) -> bool {
    name.starts_with("dashboard") || name.starts_with("assets/dashboard")
}

/// Serves the page at `/` and its files at their names.
pub(crate) async fn serve(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return not_found(&gate.node, &request);
    }
    let path = request.uri().path();
    let name = if path == "/" { "index.html" } else { path.trim_start_matches('/') };
    match embedded::page(name).filter(|_| !is_dashboards(name)) {
        Some(file) => embedded::answer(gate.auth_url.as_deref(), name, &file, &request),
        None => not_found(&gate.node, &request),
    }
}
