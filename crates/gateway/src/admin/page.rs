//! The dashboard's page and its files. The page holds nothing that is not for everyone: what it shows comes after the
//! login.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    response::{IntoResponse, Redirect, Response},
};

use super::context::Admin;
use crate::{answer::not_found, embedded};

/// `/` leads to the dashboard: there is nothing else here for a browser.
pub(super) async fn root() -> impl IntoResponse {
    Redirect::to("/dashboard")
}

pub(super) async fn dashboard(State(admin): State<Arc<Admin>>, request: Request) -> Response {
    serve(&admin, "dashboard.html", &request)
}

pub(super) async fn asset(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    serve(&admin, &format!("assets/{name}"), &request)
}

fn serve(admin: &Admin, name: &str, request: &Request) -> Response {
    match embedded::page(name) {
        Some(file) => embedded::answer(None, name, &file, request),
        None => not_found(&admin.gate.node, request),
    }
}
