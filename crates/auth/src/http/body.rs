//! Request bodies: small JSON objects, read against the clock.

use std::{error::Error, sync::Arc};

use axum::{
    RequestExt as _,
    body::HttpBody as _,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::{BodyExt as _, LengthLimitError};
use portcullis_reason::{Reason, Rejection};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use tower_http::timeout::TimeoutError;
use zeroize::Zeroizing;

use super::{context::Context, outcome::Refused};
use crate::app::App;

/// The most bytes of a body.
pub(super) const MAX_BODY: usize = 16 * 1024;

/// A text that is wiped when it goes: a password or a token.
pub(super) struct Sensitive(pub(super) Zeroizing<String>);

impl<'de> Deserialize<'de> for Sensitive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// `POST /auth/login`. Members beyond these are ignored, here and below: clients add their own.
#[derive(Deserialize)]
pub(super) struct Login {
    #[serde(alias = "email")]
    pub username: String,
    pub password: Sensitive,
    /// What an earlier login of the name gave this device, where it keeps no cookies.
    #[serde(default)]
    pub device_token: Option<Sensitive>,
}

/// `POST /auth/refresh` and `POST /auth/logout`.
#[derive(Deserialize)]
pub(super) struct RefreshToken {
    pub refresh_token: Sensitive,
}

/// `POST /auth/revoke`.
#[derive(Deserialize)]
pub(super) struct Revoke {
    /// A refresh token or an access token.
    pub token: Sensitive,
    /// Whether every login of the token's user ends, on all devices, or the token's alone.
    #[serde(default)]
    pub all: bool,
}

/// `POST /auth/link`.
#[derive(Deserialize)]
pub(super) struct LinkCode {
    pub code: Sensitive,
}

/// What a body of this kind must have, for whoever sent another.
pub(super) trait Expected: DeserializeOwned {
    const HINT: &str;
}

impl Expected for Login {
    const HINT: &str = "Send a JSON object with the strings `username` (or `email`) and `password`.";
}

impl Expected for RefreshToken {
    const HINT: &str = "Send a JSON object with the string `refresh_token`.";
}

impl Expected for Revoke {
    const HINT: &str = "Send a JSON object with the string `token`, and `all` (true or false) if you like.";
}

impl Expected for LinkCode {
    const HINT: &str = "Send a JSON object with the string `code`.";
}

/// A body that was read, from a page that may send it.
///
/// The first fault decides: origin, content type, size and time, form.
pub(super) struct Body<T>(pub(super) T);

impl<T: Expected> FromRequest<Arc<App>> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refused> {
        check_origin(request.headers(), app)?;
        check_type(request.headers())?;
        let seat = request.extensions().get::<Context>().map(|context| Arc::clone(&context.seat));
        let bytes = read(request).await?;
        // Once the body is here: a slow sender makes room for others, and nobody whose request is whole.
        if let Some(seat) = seat {
            seat.work();
        }
        Ok(Self(parse(&bytes)?))
    }
}

/// A page of another origin is told so and nothing else; who sends no `Origin` is no browser (RFC 6454 §7.3).
fn check_origin(headers: &HeaderMap, app: &App) -> Result<(), Rejection> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => Ok(()),
        (Some(origin), None) if app.origins.allowed(origin).is_some() => Ok(()),
        _ => Err(Reason::OriginNotAllowed.into()),
    }
}

/// Reads the whole body, as far as the layers around the routes let it come: no longer than [`MAX_BODY`], and in time.
async fn read(request: Request) -> Result<Zeroizing<Vec<u8>>, Rejection> {
    let mut body = request.into_limited_body();
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_long());
    }
    // Sized at once: growing would leave parts of a password behind in freed memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BODY));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreadable(&error))?;
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > MAX_BODY {
            return Err(too_long());
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}

/// Why a body did not come: which layer cut it, if one did.
fn unreadable(error: &axum::Error) -> Rejection {
    let mut causes = std::iter::successors(Some(error as &dyn Error), |&error| error.source());
    let cut = causes.find(|cause| cause.is::<LengthLimitError>() || cause.is::<TimeoutError>());
    if cut.is_some_and(<dyn Error>::is::<LengthLimitError>) {
        too_long()
    } else if cut.is_some() {
        Rejection::new(Reason::BadRequest, "the body did not arrive in time")
            .with_hint("The body did not arrive in time.")
    } else {
        Rejection::new(Reason::BadRequest, "the body ended early or is ill-formed")
    }
}

/// Reads a body's JSON. The parser's own words are not passed on: they quote what was sent.
///
/// # Errors
/// `BAD_REQUEST` with what should have been sent.
fn parse<T: Expected>(body: &[u8]) -> Result<T, Rejection> {
    serde_json::from_slice(body).map_err(|error| {
        let detail = match error.classify() {
            serde_json::error::Category::Data => "a member is missing, repeated or of another type",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "the body is not JSON",
            serde_json::error::Category::Eof => "the body's JSON ends early",
        };
        Rejection::new(Reason::BadRequest, detail).with_hint(T::HINT)
    })
}

/// Only `application/json`: a browser asks before it sends that to another origin, and a form cannot send it at all.
fn check_type(headers: &HeaderMap) -> Result<(), Rejection> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let good = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().is_ok_and(|text| {
            let essence = text.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json")
        }),
        _ => false,
    };
    if good {
        return Ok(());
    }
    Err(Rejection::new(Reason::BadRequest, "the content type is not JSON")
        .with_hint("Send the header `Content-Type: application/json`."))
}

fn too_long() -> Rejection {
    Rejection::new(Reason::BadRequest, "the body is longer than 16 KiB").with_hint("Send at most 16 KiB.")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_one_json_content_type_will_do() {
        for (values, good) in [
            (&["application/json"][..], true),
            (&["Application/JSON; charset=utf-8"], true),
            (&[" application/json ;x"], true),
            (&[], false),
            (&["text/plain"], false),
            (&["application/jsonp"], false),
            (&["text/plain; application/json"], false),
            (&["application/x-www-form-urlencoded"], false),
            (&["application/json", "text/plain"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_TYPE, HeaderValue::from_static(value));
            }
            assert_eq!(check_type(&headers).is_ok(), good, "{values:?}");
        }
    }

    #[test]
    fn a_refused_body_is_not_quoted() {
        let bodies = [
            r#"{"username":"ada","password":{"hunter2":1}}"#,
            r#"{"username":["hunter2"],"password":"x"}"#,
            r#"{"username":"hunter2"}"#,
            r#""hunter2""#,
            "hunter2",
            "",
            r#"{"username":"a","email":"b","password":"hunter2"}"#,
            r#"{"username":"a","password":"hunter2","password":"x"}"#,
        ];
        for body in bodies {
            let rejection = parse::<Login>(body.as_bytes()).err().expect(body);
            assert_eq!(rejection.reason, Reason::BadRequest);
            assert!(!format!("{rejection} {:?}", rejection.hint).contains("hunter2"), "{body}");
        }
        assert!(parse::<Login>(br#"{"email":"ada","password":"x","remember":true}"#).is_ok());
    }
}
