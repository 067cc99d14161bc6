//! A chat behind axum, right, or wrong in one way: DEFECT names it. Prints the port that it listens on.
//!
//! Tokens are HS256 over SECRET, `iss` and `aud` are `bed`.

use std::{
    env,
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    extract::{
        RawQuery,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            AUTHORIZATION, CACHE_CONTROL, CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_KEY,
            SEC_WEBSOCKET_PROTOCOL, WWW_AUTHENTICATE,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use futures_util::{SinkExt as _, StreamExt as _};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::broadcast, time::timeout_at};

static DEFECT: LazyLock<String> = LazyLock::new(|| env::var("DEFECT").unwrap_or_default());
static SECRET: LazyLock<String> = LazyLock::new(|| env::var("SECRET").expect("SECRET is set"));
/// What is said, and by whom: everybody hears it, and passes on what is theirs.
static SAID: LazyLock<broadcast::Sender<(String, String)>> = LazyLock::new(|| broadcast::channel(1024).0);

fn is(defect: &str) -> bool {
    *DEFECT == defect
}

#[derive(Clone, Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
}

/// Why somebody does not come in.
struct Refused(StatusCode, &'static str, &'static str);

const NO_TOKEN: Refused = Refused(StatusCode::UNAUTHORIZED, "NO_TOKEN", "Bearer realm=\"bed\"");
const INVALID: Refused =
    Refused(StatusCode::UNAUTHORIZED, "TOKEN_INVALID", "Bearer realm=\"bed\", error=\"invalid_token\"");

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, reason, challenge) = self;
        let mut response = (status, Json(json!({ "reason": reason }))).into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED && !is("no-challenge") {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let app = if is("default") {
        // As in the first example of the documentation.
        Router::new().route("/ws", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(repeat) }))
    } else {
        Router::new().route("/ws", get(enter))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    println!("{}", listener.local_addr().expect("it is bound").port());
    axum::serve(listener, app).await.expect("it serves");
}

async fn repeat(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn enter(headers: HeaderMap, RawQuery(query): RawQuery, upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.max_message_size(64 << 10).max_frame_size(64 << 10);
    if is("accept-first") {
        return upgrade.protocols(["jwt-auth"]).on_upgrade(async move |mut socket| {
            match find_token(&headers, query.as_deref()).and_then(|token| verify(&token)) {
                Ok(claims) => serve(socket, claims).await,
                Err(Refused(_, reason, _)) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    close(&mut socket, reason).await;
                }
            }
        });
    }
    match admit(&headers, query.as_deref()) {
        Ok((claims, protocol)) => {
            let upgrade = match protocol {
                Some(protocol) => upgrade.protocols([protocol]),
                None => upgrade,
            };
            upgrade.on_upgrade(|socket| serve(socket, claims))
        }
        Err(refused) => refused.into_response(),
    }
}

/// Who comes in, and by which name of the subprotocol.
fn admit(headers: &HeaderMap, query: Option<&str>) -> Result<(Claims, Option<String>), Refused> {
    check_form(headers)?;
    check_origin(headers)?;
    let claims = if is("test-header") && headers.contains_key("x-test-mode") {
        Claims { sub: "e2e".to_owned(), exp: u64::from(u32::MAX) }
    } else {
        verify(&find_token(headers, query)?)?
    };
    let offered = offered(headers);
    let protocol = match offered.last() {
        _ if is("no-subprotocol") => None,
        Some(last) if is("echo") => Some(last.clone()),
        Some(_) if offered.iter().any(|name| name == "jwt-auth") => Some("jwt-auth".to_owned()),
        Some(_) => return Err(Refused(StatusCode::BAD_REQUEST, "NO_COMMON_SUBPROTOCOL", "")),
        None => None,
    };
    Ok((claims, protocol))
}

/// What axum lets through: two hosts or keys, a key of another length, `Connection: no-upgrade`, a very long head.
fn check_form(headers: &HeaderMap) -> Result<(), Refused> {
    let lines = |name| headers.get_all(name).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
    let key_is_right =
        lines(SEC_WEBSOCKET_KEY).all(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16));
    let upgrades = lines(CONNECTION)
        .flat_map(|line| line.split(','))
        .any(|name| name.trim().eq_ignore_ascii_case("upgrade"));
    let one = |name| headers.get_all(name).iter().count() == 1;
    if !(one(HOST) && one(SEC_WEBSOCKET_KEY) && key_is_right && upgrades) {
        return Err(Refused(StatusCode::BAD_REQUEST, "BAD_UPGRADE", ""));
    }
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > 16 << 10 {
        return Err(Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "REQUEST_TOO_LARGE", ""));
    }
    Ok(())
}

fn offered(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
    let names = lines.flat_map(|line| line.split(',')).map(str::trim);
    names.filter(|name| !name.is_empty()).map(ToOwned::to_owned).collect()
}

fn check_origin(headers: &HeaderMap) -> Result<(), Refused> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let (origin, host) = (origin.to_str().unwrap_or_default(), text(HOST).unwrap_or_default());
    let allowed = match DEFECT.as_str() {
        "no-origin-check" => true,
        "origin-substring" => origin.contains(host.split(':').next().unwrap_or_default()),
        _ => origin == format!("http://{host}"),
    };
    if allowed { Ok(()) } else { Err(Refused(StatusCode::FORBIDDEN, "ORIGIN_NOT_ALLOWED", "")) }
}

fn find_token(headers: &HeaderMap, query: Option<&str>) -> Result<String, Refused> {
    if is("query-token")
        && let Some(token) =
            query.and_then(|query| query.split('&').find_map(|part| part.strip_prefix("token=")))
    {
        return Ok(token.to_owned());
    }
    for name in offered(headers) {
        let Some(raw) = name.strip_prefix("jwt.") else { continue };
        if is("short-token-panics") {
            assert!(raw.len() > 10, "JWT token too short in subprotocol: {name}");
        }
        let bytes = URL_SAFE_NO_PAD.decode(raw).map_err(|_| INVALID)?;
        return String::from_utf8(bytes).map_err(|_| INVALID);
    }
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or(NO_TOKEN)?;
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.to_owned()),
        _ => Err(NO_TOKEN),
    }
}

fn verify(token: &str) -> Result<Claims, Refused> {
    if is("no-signature-check") {
        return jsonwebtoken::dangerous::insecure_decode(token).map(|data| data.claims).map_err(|_| INVALID);
    }
    let algorithm = match DEFECT.as_str() {
        "alg-confusion" => jsonwebtoken::decode_header(token).map_err(|_| INVALID)?.alg,
        _ => Algorithm::HS256,
    };
    let mut validation = Validation::new(algorithm);
    validation.leeway = 0;
    validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
    validation.validate_nbf = true;
    validation.validate_exp = !is("expired");
    validation.validate_aud = !is("no-audience");
    validation.set_audience(&["bed"]);
    if !is("no-issuer") {
        validation.set_issuer(&["bed"]);
    }
    let with = |secret: &str| {
        decode::<Claims>(token, &DecodingKey::from_secret(secret.as_bytes()), &validation)
            .map(|data| data.claims)
    };
    let claims = with(&SECRET);
    if is("sample-secret") { claims.or_else(|_| with("changeme")) } else { claims }.map_err(|_| INVALID)
}

async fn close(socket: &mut WebSocket, reason: &'static str) {
    let _ = socket.send(Message::Close(Some(CloseFrame { code: 1008, reason: reason.into() }))).await;
}

async fn serve(socket: WebSocket, claims: Claims) {
    let (mut out, mut incoming) = socket.split();
    let mut said = SAID.subscribe();
    let hello = json!({ "op": "hello", "user": claims.sub }).to_string();
    if out.send(Message::text(hello)).await.is_err() {
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let left = if is("outlives-token") { 1 << 31 } else { claims.exp.saturating_sub(now).min(1 << 31) };
    let end = tokio::time::Instant::now() + Duration::from_secs(left);
    let talk = async {
        loop {
            let answer = tokio::select! {
                message = incoming.next() => match message {
                    Some(Ok(Message::Text(text))) => answer(&claims.sub, &text),
                    Some(Ok(Message::Binary(bytes))) => answer(&claims.sub, str::from_utf8(&bytes).unwrap_or("")),
                    Some(Ok(_)) => None,
                    Some(Err(_)) | None => return,
                },
                Ok((user, text)) = said.recv() => (user == claims.sub || is("broadcast")).then_some(text),
            };
            if let Some(answer) = answer
                && out.send(Message::text(answer)).await.is_err()
            {
                return;
            }
        }
    };
    if timeout_at(end, talk).await.is_err() {
        let frame = CloseFrame { code: 1008, reason: "TOKEN_EXPIRED".into() };
        let _ = out.send(Message::Close(Some(frame))).await;
    }
}

fn answer(user: &str, text: &str) -> Option<String> {
    let message: Value = match serde_json::from_str(text) {
        Err(error) if is("unwraps") => panic!("called `Result::unwrap()` on an `Err` value: {error}"),
        message => message.unwrap_or_default(),
    };
    match message["op"].as_str() {
        Some("ping") => return Some(json!({ "op": "pong" }).to_string()),
        Some("say") => {}
        _ => return Some(json!({ "op": "error" }).to_string()),
    }
    for op in ["typing", "done"] {
        let event = json!({ "op": op, "thread_id": message["room"], "text": "42" });
        let _ = SAID.send((user.to_owned(), event.to_string()));
    }
    None
}
