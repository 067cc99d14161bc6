//! What may be written down of a user's words: no credential of any form that is known.

use std::borrow::Cow;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use portcullis_diagnose::redacted;
use portcullis_token::fingerprint;
use proptest::prelude::*;

const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
const OPAQUE: &str = "opaque-session-secret";

fn mark(kind: &str, secret: &str) -> String {
    format!("[{kind} {}]", fingerprint(secret))
}

/// Each text with `{kind:secret}` where a credential stands; the rest has to stay as it is.
fn check(template: &str) {
    let (mut text, mut expected) = (String::new(), String::new());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('⟦') {
        let (inside, after) = after.split_once('⟧').unwrap();
        let (kind, secret) = inside.split_once(':').unwrap();
        text += before;
        text += secret;
        expected += before;
        // Line breaks and what takes no room are no part of a credential.
        let whole: String =
            secret.chars().filter(|c| !matches!(c, '\r' | '\n' | '\u{200b}' | '\u{feff}')).collect();
        expected += &mark(kind, &whole);
        rest = after;
    }
    text += rest;
    expected += rest;
    let shown = redacted(&text);
    assert_eq!(shown, expected, "of {text}");
    assert_eq!(redacted(&shown), shown, "a second time");
}

#[test]
fn tokens_wherever_they_stand() {
    let wrapped = URL_SAFE_NO_PAD.encode(JWT);
    let jwt = format!("⟦jwt:{JWT}⟧");
    for template in [
        "JWT",
        "my token is JWT.",
        "Is JWT? valid!",
        "(JWT), \"JWT\" and `JWT`",
        "jwt.JWT",
        "'jwt-auth.JWT'",
        "bearer.JWT",
        "base64url.bearer.authorization.k8s.io.JWT",
        "base64url.bearer.phx.JWT, anycable-token.JWT",
        "ticket.JWT",
        "myapp.v2.JWT",
        "jwt, JWT",
        "new WebSocket(url, ['jwt', 'JWT'])",
        "Sec-WebSocket-Protocol: jwt-auth, jwt.JWT",
        "sec-websocket-protocol: jwt.JWT, jwt-auth",
        "Authorization: Bearer JWT",
        "authorization=bearer JWT",
        "curl -H 'Authorization: Bearer JWT' http://h",
        "{\"name\":\"Authorization\",\"value\":\"Bearer JWT\"}",
        "Bearer JWT, Bearer JWT",
        "X-Auth-Token: JWT",
        "wss://h/ws?token=JWT&x=1",
        "/ws?next=%2Fws%3Ftoken%3DJWT",
        "TOKEN=JWT",
        "{\"token\":\"JWT\"}",
        "{\\\"token\\\":\\\"JWT\\\"}",
        "log line\\nJWT\\n",
        "这个令牌：JWT，为什么",
        "「JWT」と出ます",
        "line\nJWT\nline\r\nJWT\r\n",
    ] {
        check(&template.replace("JWT", &jwt));
        // The same in base64url: one token, one fingerprint.
        let sent = template.replace("JWT", &wrapped);
        assert_eq!(redacted(&sent), template.replace("JWT", &mark("jwt", JWT)), "of {sent}");
    }
    let padded = URL_SAFE.encode(format!("{JWT}x"));
    assert!(padded.ends_with('='));
    assert_eq!(redacted(&format!("jwt.{padded};")), format!("jwt.{};", mark("jwt", &format!("{JWT}x"))));
}

#[test]
fn tokens_of_other_shapes() {
    let broken = format!("{}\n{}\nand then", &format!("{JWT}{}", "a1".repeat(20))[..70], "B2c".repeat(9));
    let (head, tail) = JWT.split_at(30);
    for template in [
        // Unsigned, encrypted, cut short, broken by a terminal, with a mark inside that takes no room.
        format!("⟦jwt:{}⟧ is unsigned", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."),
        format!("⟦jwt:{}⟧.", "eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn"),
        format!("⟦jwt:{head}⟧…"),
        format!("⟦jwt:{}⟧, a wrong character", JWT.replace("hb", "h$b")),
        format!("⟦jwt:{head}⟧ [cut]"),
        format!("⟦jwt:{}⟧\nand then", broken.strip_suffix("\nand then").unwrap()),
        format!("a ⟦jwt:{head}\u{200b}{tail}⟧ b\u{200d}c"),
        format!("\u{feff}⟦jwt:{head}\u{feff}{tail}⟧"),
    ] {
        check(&template);
    }
}

#[test]
fn opaque_tokens_by_what_leads_to_them() {
    for template in [
        "jwt.⟦secret:a1b2c3d4⟧",
        "ticket.⟦secret:0a1b2c3d4e5f⟧ expired",
        "jwt.⟦secret:abcdefghijklmnopqrst⟧",
        "jwt.⟦secret:p4$$w*rd@1⟧, x",
        "Bearer ⟦secret:abcdef0123⟧.",
        "Bearer ⟦secret:abcdefghijklmnopqrstuvwx⟧",
        "Authorization: Bearer ⟦secret:abc⟧",
        "Authorization: Basic ⟦secret:dXNlcjpwYXNz⟧",
        "Authorization: Token ⟦secret:abcdef⟧",
        "Authorization: ⟦secret:abcdef⟧",
        "authorization: Digest ⟦secret:username=\"u\", response=\"6629fae49393a05397450978507c4ef1\"⟧",
        "Proxy-Authorization: Basic ⟦secret:dXNlcjpwYXNz⟧",
        "curl -H \"Authorization: ApiKey ⟦secret:abc:def⟧\" -v",
        "Authorization:\nBearer ⟦secret:abc⟧\nHost:\nh",
        "{'authorization': 'Basic ⟦secret:dXNlcjpwYXNz⟧'}",
        "{\"name\": \"Authorization\", \"value\": \"Basic ⟦secret:dXNlcjpwYXNz⟧\"}",
        "Cookie: ⟦cookie:a=b1; c=d2⟧\nHost: h",
        "> cookie: ⟦cookie:sid=x⟧",
        "Cookie: ⟦cookie:a=b(c; d=\"e\"; f=g.h⟧\nHost: h",
        "-H 'Cookie: ⟦cookie:a=\"b\"; c=d⟧' -H 'Authorization: Bearer ⟦secret:abc.def.ghi⟧'",
        "Set-Cookie: ⟦cookie:session=abc; HttpOnly⟧",
        "{\"name\":\"Cookie\",\"value\":\"⟦cookie:a=b; c=d⟧\"}",
        "GET /ws?access_token=⟦secret:opaque-123⟧&x=1 HTTP/1.1",
        "/login?next=%2Fws%3Ftoken%3D⟦secret:opaque⟧",
        "/ws?ticket=⟦secret:abc⟧ and ?sid=⟦secret:abc⟧",
        "jwt, ⟦secret:a1b2c3d4e5f6g7⟧",
        "Sec-WebSocket-Protocol: jwt, ⟦secret:opaque-session-secret⟧",
        "Sec-WebSocket-Protocol: graphql-ws, jwt-auth, ⟦secret:opaque-session-secret⟧\nHost: h",
        "Sec-WebSocket-Protocol:\njwt, ⟦secret:opaque⟧\nUpgrade:\nwebsocket",
        "{\"name\":\"Sec-WebSocket-Protocol\",\"value\":\"jwt, ⟦secret:opaque⟧\"}",
        "new WebSocket(url, ['jwt', '⟦secret:opaque-session-secret⟧'])",
        "subprotocols=[\"bearer\", \"⟦secret:opaque-session-secret⟧\"]",
        "io(url, { auth: { token: \"⟦secret:opaque⟧\" } })",
        "key ⟦secret:Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZkdISUpL⟧ used",
        "Why is ⟦secret:opaque-token-0123456789abcdefghijklmnopqrstuvwxyz⟧ refused?",
        "{\"kty\":\"oct\",\"k\":\"⟦secret:aGVsbG8gd29ybGQgaGVsbG8⟧\"}",
    ] {
        check(template);
    }
}

#[test]
fn passwords_and_keys() {
    for template in [
        "{\"password\":\"⟦password:hunter2 x⟧\"}",
        "{\"password\": \"⟦password:hun\\\"ter⟧\", \"a\": 1}",
        "{\\\"password\\\":\\\"⟦password:s3cret⟧\\\",\\\"a\\\":1}",
        "password=⟦password:hunter2⟧&user=anna",
        "password=⟦password:$2b$12$abc⟧ password=⟦password:[x1⟧ password=⟦password:<a1>⟧ password=⟦password:{a1⟧}",
        "DB_PASSWORD=⟦password:a,b;c⟧\nX=1",
        "PASSWORD='⟦password:swordfish⟧'",
        "DB_PASSWORD=⟦password:swordfish⟧",
        "  password: ⟦password:swordfish⟧\n  user: anna",
        "my password is ⟦password:hunter2⟧, ok?",
        "pwd: ⟦password:x7⟧",
        "\"dbPassword\": \"⟦password:swordfish⟧\"",
        "wss://⟦password:anna:hunter2⟧@h/ws",
        "postgres://⟦password:app:s3cret%21⟧@db:5432/x",
        "https://⟦password:x-token-auth-abcdef⟧@h/r.git",
        "client_secret=⟦secret:abc⟧",
        "JWT_SECRET=⟦secret:change-me⟧",
        "export AUTH_TOKEN=\"⟦secret:opaque⟧\"",
        "refreshToken: '⟦secret:opaque⟧'",
        "X-Api-Key: ⟦api key:abc⟧",
        "?api_key=⟦api key:abc⟧",
        "OPENAI_API_KEY=⟦api key:abc⟧",
        "AWS_SECRET_ACCESS_KEY=⟦api key:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY⟧",
        "the key ⟦api key:sk-ab12-cd34-ef56⟧",
        "⟦api key:sk_live_51H8abcdefghijkl⟧ or ⟦api key:ghp_abcdefghijklmnopqrstuvwxyz0123456789⟧",
        "⟦api key:AKIAIOSFODNN7EXAMPLE⟧ ⟦api key:AIzaSyA1234567890abcdefghijk⟧",
        "⟦api key:github_pat_11ABCDEFG0abcdef⟧, ⟦api key:glpat-abc123def456ghi7⟧, ⟦api key:xoxb-123456789012-abcdef⟧",
    ] {
        check(template);
    }
    let body = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\nabcdefghijkl0123456789+/ABCDEFGHIJKL\n";
    for label in
        ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]
    {
        let pem = format!("-----BEGIN {label}-----\n{body}-----END {label}-----");
        let joined = pem.replace('\n', "");
        let expected = format!("key:\n{}\nthen", mark("private key", &joined));
        assert_eq!(redacted(&format!("key:\n{pem}\nthen")), expected);
        assert_eq!(redacted(&format!("key:\n{}\nthen", pem.replace('\n', "\r\n"))), expected);
        // As one line of JSON or of an environment, and cut off.
        let escaped = pem.replace('\n', "\\n");
        let shown = redacted(&escaped).into_owned();
        assert!(
            shown.starts_with("[private key ") && !shown.contains("MIGH") && !shown.contains("abcdefgh"),
            "{shown}"
        );
        let shown = redacted(&pem[..90]).into_owned();
        assert!(shown.starts_with("[private key ") && !shown.contains("MIGH"), "{shown}");
    }
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF\n\nMIIEabcd\n-----END RSA PRIVATE KEY-----";
    assert_eq!(redacted(legacy), mark("private key", &legacy.replace('\n', "")));
    let pgp = "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: x\n\nlQOYBFlQOYBFlQOYBF\nlQOY\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----";
    assert_eq!(redacted(pgp), mark("private key", &pgp.replace('\n', "")));
}

#[test]
fn what_is_none_is_left_alone_and_not_copied() {
    for text in [
        "",
        "Why does my browser only say 1006?",
        "JWT token too short in subprotocol: jwt.abc",
        "jwt.exceptions.ExpiredSignatureError: Signature has expired",
        "jwt.MissingRequiredClaimError raised by jwt.decode(token, key), see jwt.io",
        "invalid token: Signature has expired",
        "my password is wrong, and the token is missing",
        "/etc/passwd: Permission denied",
        "Message routing failed for user 105945141827451681156",
        "closed with code=1006 reason=",
        "token=null and token=undefined, token: \"\"",
        "WWW-Authenticate: Bearer error=\"invalid_token\"",
        "WWW-Authenticate: Bearer realm=\"portcullis\", error=\"invalid_token\"",
        "connection 0123456789abcdef0123456789abcdef lost",
        "request 550e8400-e29b-41d4-a716-446655440000 or 01arz3ndektsv4rrffq69g5fav",
        "pod netra-backend-staging-00035-7d9f8b6c5d-x2x4z of the-service-with-a-long-name-2",
        "Authorization: Bearer <token>",
        "Authorization: Bearer $TOKEN, token={token}, password=%s, secret=<your secret>, pwd: ***, token=(hidden)",
        "Authorization: Bearer ${token} or 'Bearer ' + token",
        "headers={'Authorization': f'Bearer {token}'}",
        "Authorization: Bearer [REDACTED], jwt.***, Bearer xxxxxxxxxxxx and jwt.…",
        "new WebSocket(url, ['jwt-auth', `jwt.${base64url(token)}`])",
        "new WebSocket(url, ['jwt', token])",
        "Sec-WebSocket-Protocol: jwt-auth, graphql-ws",
        "Sec-WebSocket-Protocol: jwt, <token>",
        "a bearer token is sent by the bearer. authentication",
        "PrimaryKeyJoinColumn and keyJsonParser",
        "max_tokens=500, token_bytes=8192, tokens: 5",
        "ssh://git@github.com/x/y.git and mail a@b.c",
        "-----BEGIN CERTIFICATE----- is where it starts",
        "jwt, and then another",
        "we use a cookie; the session ended: why",
        "{\"token\":{\"issuer\":\"x\"},\"secret\":null}",
        "なぜブラウザは1006しか表示しないのですか 👩\u{200d}🚀",
    ] {
        let shown = redacted(text);
        assert_eq!(shown, text);
        assert!(matches!(shown, Cow::Borrowed(_)), "{text}");
    }
}

#[test]
fn what_was_replaced_before_stays() {
    let text = format!("token={} and {{\"password\":\"{}\"}}", mark("secret", OPAQUE), mark("password", "x"));
    assert_eq!(redacted(&text), text);
}

/// Every way in which a credential leads into a text, `{}` for the credential, and whether it has to be a JWT there.
const FORMS: [(&str, bool); 24] = [
    ("{}", true),
    ("my token is {}.", true),
    ("myapp.v1.{}", true),
    ("X-Custom: {}", true),
    ("jwt.{}", false),
    ("jwt-auth.{}", false),
    ("base64url.bearer.authorization.k8s.io.{}", false),
    ("anycable-token.{}", false),
    ("ticket.{}", false),
    ("Bearer {}", false),
    ("Authorization: Bearer {}", false),
    ("Authorization: {}", false),
    ("\"Authorization\": \"Basic {}\"", false),
    ("Cookie: a=1; sid={}; b=2", false),
    ("Sec-WebSocket-Protocol: jwt, {}", false),
    ("['jwt', '{}']", false),
    ("?token={}&x=1", false),
    ("{\"access_token\": \"{}\"}", false),
    ("{\\\"refreshToken\\\":\\\"{}\\\"}", false),
    ("client_secret={}", false),
    ("wss://user:{}@example.com/ws", false),
    ("password: {}", false),
    ("X-Api-Key: {}", false),
    ("{\"name\":\"Authorization\",\"value\":\"{}\"}", false),
];

/// With a time that grew with the square of the length this would not end.
#[test]
fn hostile_text_takes_time_that_grows_with_its_length() {
    for piece in [
        "jwt.",
        "jwt. ",
        "a+",
        "a+b=",
        "token=",
        "token= ",
        "token=null ",
        "token=a(b ",
        "token=(",
        "bearer ",
        "bearer/",
        "bearer bearer ",
        "bearer error=",
        "://",
        ":// ",
        "://a@",
        "eyJ",
        "eyJ ",
        "ZXlKa ",
        "jwt, ",
        "jwt,jwt.",
        "'jwt','",
        "authorization: ",
        "authorization: <",
        "authorization:\n",
        "cookie: ",
        "cookie=",
        "cookie:\"",
        "sec-websocket-protocol: ",
        "sec-websocket-protocol: jwt, x",
        "password: a ",
        "password is ",
        "password:a:",
        "\"k\":\"",
        "\"name\",\"value\":",
        "\\\"token\\\":\\\"",
        "\\",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nMIGHMIGHMIGHMIGHMIGH\n",
        "sk-a.",
        "sk-",
        "%3D",
        "%",
        "a.b.",
        "-",
        "a",
        " ",
        "\n",
        "\u{200b}",
        "a\u{200b}",
        "é",
        "x.token ",
        "token ",
        "token  \t",
        "ticket.aaaaaaaaaaaaaaa ",
        "aB0",
        "aB0 ",
        "[jwt 1a2b3c4d]",
    ] {
        let text = piece.repeat((1 << 16) / piece.len());
        let _ = redacted(&text);
        let _ = redacted(&format!("{text}1"));
    }
}

fn surroundings() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        any::<String>(),
        prop::sample::select(vec![
            "",
            " ",
            "\n",
            "\r\n",
            "\"",
            "'",
            "`",
            "、",
            "token",
            "jwt, ",
            "bearer ",
            "eyJ",
            "ZXlK",
            "://",
            "=",
            ": ",
            "[jwt 1a2b3c4d]",
            "-----BEGIN PRIVATE KEY-----",
            "Cookie: ",
            "Authorization: ",
            "{\"token\":",
            "\u{200b}",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn no_credential_survives(
        (form, jwt_alone) in prop::sample::select(FORMS.to_vec()),
        header in "eyJ[A-Za-z0-9_-]{17,60}",
        payload in "eyJ[A-Za-z0-9_-]{17,200}",
        signature in "[A-Za-z0-9_-]{22,86}",
        opaque in "[A-Za-z]{6}[0-9]{2}[A-Za-z0-9_-]{16,40}",
        encoding in 0..4,
        before in surroundings(),
        after in surroundings(),
    ) {
        let token = format!("{header}.{payload}.{signature}");
        let (sent, parts) = match encoding {
            0 => (token, vec![header, payload, signature]),
            1 => { let sent = URL_SAFE_NO_PAD.encode(&token); (sent.clone(), vec![sent]) }
            2 => { let sent = STANDARD.encode(&token); (sent.clone(), vec![sent]) }
            _ if jwt_alone => (token, vec![header, payload, signature]),
            _ => (opaque.clone(), vec![opaque]),
        };
        // What is before ends on its line, as a word in front of a form makes it another one.
        let text = format!("{before}\n{} {after}", form.replace("{}", &sent));
        let shown = redacted(&text);
        for part in &parts {
            prop_assert!(!shown.contains(&part[..12]) && !shown.contains(&part[part.len() - 12..]), "{part} of {text:?} in {shown:?}");
        }
    }

    #[test]
    fn what_is_redacted_is_redacted(parts in prop::collection::vec(surroundings(), 0..12)) {
        let text = parts.concat();
        let once = redacted(&text).into_owned();
        prop_assert_eq!(redacted(&once).into_owned(), once);
    }
}
