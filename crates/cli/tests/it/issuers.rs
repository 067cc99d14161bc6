//! Several issuers at one gate: a provider's keys speak for the provider's users and for nobody else's.

use portcullis_reason::Reason;
use portcullis_test::{Request, Response, Server, Tokens};
use portcullis_token::{Algorithm, KeySet, Secret, Signer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    account::{add, connect, granted, login},
    support::{assert_refused, question},
};

const HOME: &str = "portcullis";
const AWAY: &str = "https://id.example";

/// An identity provider, of which the server has a file of keys.
struct Provider {
    signer: Signer,
    folder: TempDir,
}

impl Provider {
    fn new() -> Self {
        let provider =
            Self { signer: Signer::generate_es256().unwrap(), folder: tempfile::tempdir().unwrap() };
        std::fs::write(provider.file(), provider.signer.jwks().to_string()).unwrap();
        provider
    }

    fn file(&self) -> String {
        self.folder.path().join("keys.json").display().to_string()
    }

    /// Its entry in `token.jwks`, perhaps with an issuer.
    fn entry(&self, issuer: Option<&str>) -> String {
        let issuer = issuer.map_or_else(String::new, |issuer| format!(", issuer = \"{issuer}\""));
        format!("{{ file = \"{}\"{issuer} }}", self.file())
    }

    fn token(&self, subject: &str, issuer: &str, audience: &str) -> String {
        signed(&self.signer, subject, issuer, audience)
    }
}

fn signed(signer: &Signer, subject: &str, issuer: &str, audience: &str) -> String {
    let claims = json!({ "sub": subject, "iss": issuer, "aud": audience, "scope": "chat", "exp": Tokens::now() + 600 });
    signer.sign(claims.as_object().unwrap())
}

fn upgrade(server: &Server, token: &str) -> Response {
    server.ask(&Request::upgrade("/ws").bearer(token))
}

fn threads(server: &Server, method: &str, path: &str, token: &str) -> Response {
    let target = format!("/api/v1/threads{path}");
    server.ask(&Request::plain(method, &target).bearer(token).field("Connection", "close"))
}

/// The user of an account of the auth service, who asked something once.
fn victim(server: &Server) -> (Value, String) {
    add(server, "ada");
    let grant = granted(&login(server, "ada", "correct horse battery"));
    let mut peer = connect(server, &grant);
    peer.say(&question("m", "t", "Why 1006?"));
    peer.until_ended(1);
    (grant["user"]["id"].clone(), grant["access_token"].as_str().unwrap().to_owned())
}

#[test]
fn keys_without_an_issuer_open_no_account_of_the_auth_service() {
    let provider = Provider::new();
    // The kinds of keys that can stand there without an issuer: a key set, a public key, a secret that the auth service
    // does not sign with.
    let folder = tempfile::tempdir().unwrap();
    let secret = "another-secret-0uTj3Vq8Zr5Lx1Wm7Ks9Pd2Yb4Nc6Hf";
    std::fs::write(folder.path().join("secret"), secret).unwrap();
    let strange = Signer::hs256(Some("strange"), &Secret::from(secret)).unwrap();
    for own_key in [true, false] {
        let builder = crate::server().set("token.jwks", &format!("[{}]", provider.entry(None)));
        let server = if own_key { builder.without_secret() } else { builder }.start();
        let (ada, own) = victim(&server);
        let ada = ada.as_str().unwrap();

        let forged = provider.token(ada, HOME, HOME);
        assert_refused("an upgrade", &server, &upgrade(&server, &forged), Reason::IssuerMismatch);
        for (method, path) in [("GET", ""), ("GET", "/t/events"), ("DELETE", "/t")] {
            let answer = threads(&server, method, path, &forged);
            assert_eq!(
                (answer.status, answer.reason()),
                (401, "ISSUER_MISMATCH".to_owned()),
                "{method} {path}"
            );
        }
        // Nor does it renew a connection of theirs.
        let mut peer = server.connect();
        peer.open(&Request::upgrade("/ws").bearer(&own));
        assert_eq!(peer.json()["payload"]["user_id"], ada);
        peer.say(&json!({ "type": "reauthenticate", "id": "r", "payload": { "token": forged } }));
        assert_eq!(peer.wait_for("error")["payload"]["reason"], "ISSUER_MISMATCH");

        // The same subject of another issuer is somebody else, who has no threads.
        for issuer in [AWAY, "https://another.example"] {
            let listed = threads(&server, "GET", "", &provider.token(ada, issuer, HOME));
            assert_eq!((listed.status, listed.json()["threads"].clone()), (200, json!([])), "{issuer}");
        }
        let listed = threads(&server, "GET", "", &own).json();
        assert_eq!(listed["threads"][0]["thread_id"], "t", "{listed}");
        server.log().line(&["token.jwks[0] names no issuer"]);
    }
    let secrets = format!(
        "[{{ kid = \"own\", file = \"{0}/own\" }}, {{ kid = \"strange\", file = \"{0}/secret\" }}]",
        folder.path().display()
    );
    std::fs::write(folder.path().join("own"), portcullis_test::SECRET).unwrap();
    let server = crate::server().set("token.secrets", &secrets).without_secret().start();
    let own = Signer::hs256(Some("own"), &Secret::from(portcullis_test::SECRET)).unwrap();
    assert_eq!(upgrade(&server, &signed(&own, "ada", HOME, HOME)).status, 101);
    let forged = signed(&strange, "ada", HOME, HOME);
    assert_refused("another secret", &server, &upgrade(&server, &forged), Reason::IssuerMismatch);
    assert_eq!(upgrade(&server, &signed(&strange, "ada", AWAY, HOME)).status, 101);
}

#[test]
fn each_issuer_has_keys_and_rules_of_its_own() {
    let (one, two) = (Provider::new(), Provider::new());
    let (name_one, name_two) = ("https://one.example", "https://two.example");
    let keys = format!("[{}, {}]", one.entry(Some(name_one)), two.entry(Some(name_two)));
    let issuers = format!(
        "[{{ name = \"{name_one}\", audiences = [\"chat-one\"], required_scopes = [\"chat\"] }}, \
         {{ name = \"{name_two}\", audiences = [\"chat-two\"], required_scopes = [\"talk\"], scopes_claim = \"permissions\" }}]"
    );
    let server =
        crate::server().set("token.jwks", &keys).set("token.issuers", &issuers).without_secret().start();
    let permitted = |audience: &str, permissions: Value| {
        let claims = json!({
            "sub": "ada", "iss": name_two, "aud": audience, "scope": "talk", "permissions": permissions,
            "exp": Tokens::now() + 600,
        });
        two.signer.sign(claims.as_object().unwrap())
    };
    for (name, token, refused) in [
        ("one's", one.token("ada", name_one, "chat-one"), None),
        ("two's", permitted("chat-two", json!(["talk"])), None),
        ("one's for two's audience", one.token("ada", name_one, "chat-two"), Some(Reason::AudienceMismatch)),
        ("one's for the auth service's", one.token("ada", name_one, HOME), Some(Reason::AudienceMismatch)),
        ("two's for one's audience", permitted("chat-one", json!(["talk"])), Some(Reason::AudienceMismatch)),
        ("two's with the scope elsewhere", permitted("chat-two", json!([])), Some(Reason::InsufficientScope)),
        ("one's that says it is two's", one.token("ada", name_two, "chat-two"), Some(Reason::IssuerMismatch)),
        ("one's that says it is home", one.token("ada", HOME, HOME), Some(Reason::IssuerMismatch)),
        ("one's that says it is nobody's", one.token("ada", AWAY, "chat-one"), Some(Reason::IssuerMismatch)),
    ] {
        let answer = upgrade(&server, &token);
        match refused {
            None => assert_eq!(answer.status, 101, "{name}: {}", answer.raw),
            Some(reason) => assert_refused(name, &server, &answer, reason),
        }
    }
    // The auth service's users need none of it.
    add(&server, "ada");
    connect(&server, &granted(&login(&server, "ada", "correct horse battery")));
}

#[test]
fn two_key_sets_with_one_kid_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let signers = ["one", "two"].map(|name| {
        let secret = format!("{name}-0uTj3Vq8Zr5Lx1Wm7Ks9Pd2Yb4Nc6HfQm7tR2x");
        std::fs::write(file(name), &secret).unwrap();
        Signer::hs256(Some("2026"), &Secret::from(secret.as_str())).unwrap()
    });
    let keys = ["one", "two"].map(|name| {
        format!("{{ kid = \"2026\", file = \"{}\", issuer = \"https://{name}.example\" }}", file(name))
    });
    let server =
        crate::server().set("token.secrets", &format!("[{}]", keys.join(", "))).without_secret().start();
    for (signer, issuer, good) in
        [(0, "one", true), (1, "two", true), (0, "two", false), (1, "one", false), (0, "portcullis", false)]
    {
        let issuer = if issuer == HOME { issuer.to_owned() } else { format!("https://{issuer}.example") };
        let answer = upgrade(&server, &signed(&signers[signer], "ada", &issuer, HOME));
        if good {
            assert_eq!(answer.status, 101, "{signer} {issuer}: {}", answer.raw);
        } else {
            assert_refused(&issuer, &server, &answer, Reason::IssuerMismatch);
        }
    }
    // Both are others' secrets, so the auth service signs with a key of its own.
    let mut own = KeySet::new();
    let published = server.ask_auth(&Request::plain("GET", "/.well-known/jwks.json"));
    own.add_jwks(published.body.as_bytes()).unwrap();
    assert_eq!(own.algorithms().collect::<Vec<_>>(), [Algorithm::Es256]);
}
