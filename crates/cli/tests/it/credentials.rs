//! Every way in which a credential, an origin or a subprotocol is no good, in a request that is sound otherwise. What
//! these requests offer can be asked of `/ws/preflight` as well.

use portcullis_reason::Reason::{
    self, AlgorithmNotAllowed, AmbiguousCredentials, AudienceMismatch, ClaimMissing, InsufficientScope,
    IssuerMismatch, NoCommonSubprotocol, NoToken, NotYetValid, OriginNotAllowed, ProtocolMismatch,
    SignatureInvalid, TokenExpired, TokenMalformed, TokenTooLarge, UnknownKey, UnknownMode,
};
use portcullis_test::{Request, Tokens, alter, forge, wrap};
use serde_json::{Value, json};

/// One request that has to be refused.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) reason: Reason,
    pub(crate) request: Request,
}

/// The issuer that [`STRICT`](crate::STRICT) takes.
pub(crate) const ISSUER: &str = "https://id.example";

/// A token that [`STRICT`](crate::STRICT) takes, but for some claims.
pub(crate) fn token(tokens: &Tokens, changes: &Value) -> String {
    let mut all = json!({ "iss": ISSUER });
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    tokens.with("ann", &all)
}

/// All rows.
pub(crate) fn rows(tokens: &Tokens) -> Vec<Row> {
    let mut rows = places(tokens);
    rows.extend(forms(tokens));
    rows.extend(claims(tokens));
    rows.extend(neighbours(tokens));
    rows
}

/// Where a credential may stand.
fn places(tokens: &Tokens) -> Vec<Row> {
    let upgrade = || Request::upgrade("/ws");
    let offer = |protocols: &[&str]| upgrade().protocols(protocols);
    let (good, other) = (token(tokens, &json!({})), token(tokens, &json!({ "jti": "other" })));
    let (wrapped, wrapped_other) = (format!("jwt.{}", wrap(&good)), format!("jwt.{}", wrap(&other)));
    let mut rows = Vec::new();
    let mut row = |name, reason, request| rows.push(Row { name, reason, request });

    row("no headers at all", NoToken, upgrade());
    row("only another protocol", NoToken, offer(&["other-protocol"]));
    row("only a plain name of ours", NoToken, offer(&["jwt-auth"]));
    row("another scheme", NoToken, upgrade().field("Authorization", "Basic YW5uOnNlY3JldA=="));
    row("an empty list", NoToken, upgrade().field("Sec-WebSocket-Protocol", " , ,"));

    row(
        "BT-02 two tokens in two places",
        AmbiguousCredentials,
        offer(&["jwt-auth", &wrapped]).bearer(&other),
    );
    row("two token elements", AmbiguousCredentials, offer(&["jwt-auth", &wrapped, &wrapped_other]));
    row(
        "HS-11 two token elements in two lines",
        AmbiguousCredentials,
        offer(&[&wrapped]).protocols(&[&wrapped_other]),
    );
    row("the same element twice", AmbiguousCredentials, offer(&["jwt-auth", &wrapped, &wrapped]));
    row("three token elements", AmbiguousCredentials, offer(&["jwt.token1", "jwt.token2", "jwt.token3"]));
    row("BT-05 two Bearer lines", AmbiguousCredentials, upgrade().bearer(&good).bearer(&other));

    row("the two-element form", ProtocolMismatch, offer(&["jwt", &good]));
    row("a token without a prefix", ProtocolMismatch, offer(&["jwt-auth", &good]));
    row("a prefix in another case", ProtocolMismatch, offer(&["jwt-auth", &format!("JWT.{}", wrap(&good))]));
    row("a prefix of others", ProtocolMismatch, offer(&["jwt-auth", &format!("token.{}", wrap(&good))]));

    row("BT-05 Bearer without a token", TokenMalformed, upgrade().field("Authorization", "Bearer"));
    row("BT-05 Bearer with white space alone", TokenMalformed, upgrade().field("Authorization", "Bearer   "));
    row("a token with white space", TokenMalformed, upgrade().bearer("ab cd.ef.gh"));
    row("an empty element", TokenMalformed, offer(&["jwt-auth", "jwt."]));
    row("too short", TokenMalformed, offer(&["jwt-auth", "jwt.abc"]));
    row("not a JWT", TokenMalformed, offer(&["jwt-auth", "jwt.invalid_token_format"]));
    row("outside base64url", TokenMalformed, offer(&["jwt-auth", "jwt.!$%&"]));
    row("padded", TokenMalformed, offer(&["jwt-auth", "jwt.YQ=="]));
    row("not UTF-8", TokenMalformed, offer(&["jwt-auth", &format!("jwt.{}", wrap([0xFF, 0xFE, 0xFD]))]));
    row("10,000 characters", TokenMalformed, offer(&["jwt-auth", &format!("jwt.{}", "a".repeat(10_000))]));
    row("too large, bare", TokenTooLarge, upgrade().bearer(&"a".repeat(17 * 1024)));
    row("too large, wrapped", TokenTooLarge, offer(&["jwt-auth", &format!("jwt.{}", "a".repeat(24 * 1024))]));
    rows
}

/// What a token looks like before anybody asks what it says. None of these is signed by us.
fn forms(tokens: &Tokens) -> Vec<Row> {
    let good = token(tokens, &json!({}));
    let claims = r#"{"sub":"ann","exp":99999999999}"#;
    let header = |header: &str| Request::upgrade("/ws").bearer(&forge(header, claims, [7; 32]));
    let bearer = |token: &str| Request::upgrade("/ws").bearer(token);
    let (start, signature) = good.rsplit_once('.').unwrap();
    let mut rows = Vec::new();
    let mut row = |name, reason, request| rows.push(Row { name, reason, request });

    row("JW-18 one part", TokenMalformed, bearer("abcdefgh"));
    row("JW-18 two parts", TokenMalformed, bearer(start));
    row("JW-18 four parts", TokenMalformed, bearer(&format!("{good}.{signature}")));
    row("JW-24 five parts", TokenMalformed, bearer("eyJhbGciOiJkaXIifQ..AAAA.BBBB.CCCC"));
    row("JW-18 an empty header", TokenMalformed, bearer(&format!(".{}.{}", wrap(claims), wrap([7; 32]))));
    row("JW-18 an empty payload", TokenMalformed, bearer(&forge(r#"{"alg":"HS256"}"#, "", [7; 32])));
    row("JW-18 padding", TokenMalformed, bearer(&format!("{good}=")));
    row("JW-18 no base64url", TokenMalformed, bearer(&good.replacen('.', "+/.", 1)));
    row("JW-09 a header that is no JSON", TokenMalformed, header("alg=HS256"));
    row("JW-09 a byte order mark", TokenMalformed, header("\u{feff}{\"alg\":\"HS256\"}"));
    row("JW-16 alg twice", TokenMalformed, header(r#"{"alg":"HS256","alg":"none"}"#));
    row("JW-01 no alg", TokenMalformed, header(r#"{"typ":"JWT"}"#));
    row("JW-01 alg that is no text", TokenMalformed, header(r#"{"alg":256}"#));
    row("JW-15 crit", TokenMalformed, header(r#"{"alg":"HS256","crit":["exp"],"exp":1}"#));
    row("JW-15 an empty crit", TokenMalformed, header(r#"{"alg":"HS256","crit":[]}"#));
    row("JW-23 an unencoded payload", TokenMalformed, header(r#"{"alg":"HS256","b64":false}"#));
    row("JW-08 compression", TokenMalformed, header(r#"{"alg":"HS256","zip":"DEF"}"#));
    row("JW-13 another kind of token", TokenMalformed, header(r#"{"alg":"HS256","typ":"rt+jwt"}"#));
    row("JW-12 a kid that is no text", TokenMalformed, header(r#"{"alg":"HS256","kid":["test"]}"#));

    for (name, alg) in [("JW-02 none", "none"), ("JW-02 None", "None"), ("JW-02 nOnE", "nOnE")] {
        row(name, AlgorithmNotAllowed, bearer(&forge(&format!(r#"{{"alg":"{alg}"}}"#), claims, "")));
    }
    row("JW-02 none with a signature", AlgorithmNotAllowed, header(r#"{"alg":"none"}"#));
    for (name, alg) in [
        ("JW-01 HS512 with the secret of HS256", "HS512"),
        ("JW-01 RS256", "RS256"),
        ("JW-01 ES256", "ES256"),
        ("JW-01 an algorithm that nobody knows", "XS256"),
    ] {
        row(name, AlgorithmNotAllowed, header(&format!(r#"{{"alg":"{alg}","kid":"test"}}"#)));
    }

    row("JW-03 an altered payload", SignatureInvalid, bearer(&alter_claims(&good)));
    row("JW-03 an altered signature", SignatureInvalid, bearer(&alter(&good, 2)));
    row("JW-03 no signature", SignatureInvalid, bearer(&format!("{start}.")));
    let stranger = Tokens::new("test", "another secret of the same key id, also long enough");
    row("wrong secret", SignatureInvalid, bearer(&token(&stranger, &json!({}))));
    row(
        "JW-12 jku is not followed",
        SignatureInvalid,
        header(r#"{"alg":"HS256","jku":"http://127.0.0.1:1/"}"#),
    );
    let unknown = Tokens::new("nobody's", "another secret of another key id, also long enough");
    row("JW-26 an unknown kid", UnknownKey, bearer(&token(&unknown, &json!({}))));
    row("JW-12 kid is data", UnknownKey, header(r#"{"alg":"HS256","kid":"../../secret.key"}"#));
    rows
}

/// The same token for somebody else: still good JSON.
fn alter_claims(token: &str) -> String {
    let (header, rest) = token.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let claims = json!({ "sub": "bob", "iss": ISSUER, "aud": "portcullis", "exp": Tokens::now() + 3600 });
    format!("{header}.{}.{signature}", wrap(claims.to_string()))
}

/// What a token says. All of these are well signed.
fn claims(tokens: &Tokens) -> Vec<Row> {
    let now = Tokens::now();
    let mut rows = Vec::new();
    let mut row = |name, reason, changes: Value| {
        rows.push(Row { name, reason, request: Request::upgrade("/ws").bearer(&token(tokens, &changes)) });
    };
    row("JW-19 expired", TokenExpired, json!({ "exp": now - 3600 }));
    row("JW-19 expired, just past the leeway", TokenExpired, json!({ "exp": now - 31 }));
    row("JW-19 exp is 0", TokenExpired, json!({ "exp": 0 }));
    row("JW-19 no exp", ClaimMissing, json!({ "exp": null }));
    row("JW-19 exp as text", ClaimMissing, json!({ "exp": (now + 3600).to_string() }));
    row("JW-19 a negative exp", ClaimMissing, json!({ "exp": -1 }));
    row("JW-19 exp in milliseconds", ClaimMissing, json!({ "exp": (now + 3600) * 1000 }));
    row("JW-20 nbf to come", NotYetValid, json!({ "nbf": now + 3600 }));
    row("JW-20 nbf as text", ClaimMissing, json!({ "nbf": "tomorrow" }));
    row("iat to come", NotYetValid, json!({ "iat": now + 3600 }));
    row("JW-10 another issuer", IssuerMismatch, json!({ "iss": "https://evil.example" }));
    row("JW-10 a look-alike issuer", IssuerMismatch, json!({ "iss": "https://id.example/" }));
    row("JW-10 no issuer", IssuerMismatch, json!({ "iss": null }));
    row("JW-11 another audience", AudienceMismatch, json!({ "aud": "billing" }));
    row("JW-11 other audiences", AudienceMismatch, json!({ "aud": ["billing", "mail"] }));
    row("JW-11 no audience", AudienceMismatch, json!({ "aud": null }));
    row("no sub", ClaimMissing, json!({ "sub": null }));
    row("an empty sub", ClaimMissing, json!({ "sub": "" }));
    row("a sub that is no text", ClaimMissing, json!({ "sub": 7 }));
    row("a required claim is missing", ClaimMissing, json!({ "iat": null }));
    row("BT-07 no scope", InsufficientScope, json!({ "scope": null }));
    row("BT-07 another scope", InsufficientScope, json!({ "scope": "mail chatter" }));
    rows
}

/// What stands around a good token.
fn neighbours(tokens: &Tokens) -> Vec<Row> {
    let good = token(tokens, &json!({}));
    let wrapped = format!("jwt.{}", wrap(&good));
    let header = || Request::upgrade("/ws").bearer(&good);
    let page = |origin: &str| header().field("Origin", origin);
    let mut rows = Vec::new();
    let mut row = |name, reason, request| rows.push(Row { name, reason, request });

    row("HS-13 a foreign origin", OriginNotAllowed, page("https://evil.example"));
    row("HS-13 null", OriginNotAllowed, page("null"));
    row("HS-13 a look-alike origin", OriginNotAllowed, page("https://chat.example.evil.example"));
    row("HS-13 a listed host by another scheme", OriginNotAllowed, page("http://chat.example"));
    row("HS-13 another port of this machine", OriginNotAllowed, page("http://127.0.0.1:9"));
    row(
        "HS-13 two origins",
        OriginNotAllowed,
        page("https://chat.example").field("Origin", "https://chat.example"),
    );
    row(
        "HS-13 a rebound name",
        OriginNotAllowed,
        page("http://evil.example").instead("Host", "evil.example"),
    );
    row(
        "HS-13 the origin comes before the token",
        OriginNotAllowed,
        Request::upgrade("/ws").field("Origin", "https://evil.example"),
    );
    row("no name of ours", NoCommonSubprotocol, header().protocols(&["soap", "wamp"]));
    row("HS-17 a name in another case", NoCommonSubprotocol, header().protocols(&["JWT-AUTH"]));
    row(
        "a token beside a name of others",
        NoCommonSubprotocol,
        Request::upgrade("/ws").protocols(&["soap", &wrapped]),
    );
    row(
        "a browser that offers its token alone",
        NoCommonSubprotocol,
        Request::upgrade("/ws").protocols(&[&wrapped]).field("Origin", "https://chat.example"),
    );
    row("a mode that is not there", UnknownMode, Request::upgrade("/ws/best").bearer(&good));
    rows
}
