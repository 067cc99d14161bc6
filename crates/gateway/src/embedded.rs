//! The files that are embedded in the binary: the two pages and the documentation.

use std::{borrow::Cow, sync::LazyLock};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use rust_embed::{EmbeddedFile, RustEmbed};

/// What `npm run build` in `web/` made. Names under `assets/` carry a hash of their content.
#[derive(RustEmbed)]
#[folder = "../../web/dist"]
struct Page;

/// What `npm run build` in `site/` made. Names under `assets/` carry a hash of their content.
#[derive(RustEmbed)]
#[folder = "../../site/dist"]
struct Documentation;

/// A file of the chat page or of the dashboard.
pub(crate) fn page(name: &str) -> Option<EmbeddedFile> {
    Page::get(name)
}

/// A file of the documentation.
pub(crate) fn documentation(name: &str) -> Option<EmbeddedFile> {
    Documentation::get(name)
}

/// Names the build of the page: the same in the page itself, so that a stale copy can be told.
pub(crate) fn build_id() -> &'static str {
    static BUILD: LazyLock<String> = LazyLock::new(|| {
        let file = Page::get("build.json").map(|file| file.data);
        let json = file.and_then(|data| serde_json::from_slice::<serde_json::Value>(&data).ok());
        json.and_then(|json| json["build"].as_str().map(ToOwned::to_owned)).unwrap_or_default()
    });
    &BUILD
}

/// A file with the headers that it needs; `auth_url` is where the page may send requests beside its own server.
pub(crate) fn answer(auth_url: Option<&str>, name: &str, file: &EmbeddedFile, request: &Request) -> Response {
    // The page itself is never cached, so it always names files that the server has; those never change.
    let is_page = !name.starts_with("assets/");
    let cache = if is_page { "no-store" } else { "public, max-age=31536000, immutable" };
    let tag = etag(file);
    if request.headers().get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    let body = Body::from(shared(file.data.clone()));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    let mut set = |name: header::HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, content_type(name));
    set(header::CACHE_CONTROL, cache);
    set(header::ETAG, &tag);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if is_page {
        set(header::CONTENT_SECURITY_POLICY, &content_security_policy(auth_url));
        set(header::REFERRER_POLICY, "no-referrer");
        set(header::X_FRAME_OPTIONS, "DENY");
        set(header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    }
    response
}

/// Nothing inline, nothing from elsewhere, and requests only to this server and its auth service. `'self'` covers this
/// server's WebSocket as well (CSP level 3).
fn content_security_policy(auth_url: Option<&str>) -> String {
    let auth = auth_url.map(|url| format!(" {url}")).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'{auth}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

/// The bytes of a file. In a release build they are the binary's own, however many readers there are.
fn shared(data: Cow<'static, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => data.into(),
    }
}

fn etag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let (head, _) = hash.split_first_chunk::<8>().expect("SHA-256 has 32 bytes");
    format!("\"{:016x}\"", u64::from_be_bytes(*head))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_binary_is_not_copied() {
        static FILE: &[u8] = b"a file";
        assert_eq!(shared(Cow::Borrowed(FILE)).as_ptr(), FILE.as_ptr());
        assert_eq!(shared(Cow::Owned(FILE.to_vec())), FILE);
    }
}
