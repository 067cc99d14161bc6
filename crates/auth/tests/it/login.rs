//! `POST /auth/login` and `POST /auth/link`.

use std::{cell::RefCell, io, sync::Arc};

use portcullis_auth::{AttemptOptions, SharedSecret};
use portcullis_token::Secret;

use super::*;

#[tokio::test]
async fn a_login_gives_tokens_that_the_published_keys_verify() {
    let server = Server::start().await;
    for body in [
        json!({ "username": "Ada", "password": PASSWORD }),
        json!({ "username": " ADA ", "password": PASSWORD }),
        json!({ "email": "ada", "password": PASSWORD, "remember": true }),
    ] {
        let answer = server.post("/auth/login", &body).await;
        let (access, _) = answer.granted();
        let granted = answer.json();
        assert_eq!((&granted["token_type"], &granted["expires_in"]), (&json!("Bearer"), &json!(900)));
        assert_eq!(granted["user"], json!({ "id": server.ada.id, "name": "Ada" }));
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        let identity = server.verify(&access).await;
        assert_eq!(identity.subject(), server.ada.id);
        assert_eq!(identity.expires_at(), Some(NOW + 900));
    }
    let user = server.handle.accounts().find("ada").unwrap().unwrap();
    assert_eq!(user.last_login_at, Some(NOW));
    assert_eq!(server.handle.stats().logins, 3);
}

#[tokio::test]
async fn a_shared_secret_signs_and_publishes_nothing() {
    let shared = SharedSecret::new(Some("main".into()), Secret::generate());
    let server = Server::with(options(), |setup| setup.secret = Some(shared)).await;
    let (access, _) = server.login("ada", PASSWORD).await.granted();
    let published = server.send("GET", "/.well-known/jwks.json", &[], "").await;
    assert_eq!(published.json(), json!({ "keys": [] }));
    let mut keys = KeySet::new();
    keys.add_signer(server.handle.signing().signer()).unwrap();
    assert_eq!(verifier(keys).verify(&access, NOW).unwrap().subject(), server.ada.id);
}

#[tokio::test]
async fn wrong_unknown_and_disabled_look_alike_and_cost_alike() {
    let server = Server::start().await;
    server.handle.accounts().add("bob", "the password of bob").unwrap();
    server.handle.accounts().disable("bob").unwrap();
    let mut seen = Vec::new();
    for (name, password) in [
        ("ada", "wrong password"),
        ("ada", ""),
        ("ada", &*"x".repeat(2_000)),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("a\u{0}b", PASSWORD),
        (&*"n".repeat(5_000), PASSWORD),
        ("bob", "the password of bob"),
        ("bob", "wrong password"),
    ] {
        let before = server.handle.stats().password_hashes;
        let answer = server.login(name, password).await;
        assert_eq!(answer.refused(), (401, "LOGIN_FAILED".to_owned()));
        assert_eq!(server.handle.stats().password_hashes - before, 1, "{name:.9} {password:.9}");
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("request_id");
        let fields =
            answer.fields.into_iter().filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
        seen.push((body, fields.collect::<Vec<_>>()));
    }
    assert!(seen.iter().all(|one| one == &seen[0]), "{seen:#?}");
    server.handle.accounts().enable("bob").unwrap();
    assert_eq!(server.login("bob", "the password of bob").await.status, 200);
}

fn tight(account: u32, address: u32) -> Options {
    let attempts = AttemptOptions {
        account_burst: number(account),
        address_burst: number(address),
        ..AttemptOptions::default()
    };
    Options { attempts, ..options() }
}

#[tokio::test]
async fn a_name_is_limited_whether_it_exists_or_not_and_without_a_hash() {
    let server = Server::with(tight(3, 1_000), |_| {}).await;
    for name in ["ada", "nobody"] {
        for _ in 0..3 {
            assert_eq!(server.login(name, "wrong password").await.status, 401);
        }
        let before = server.handle.stats().password_hashes;
        // Not even the right password passes now, nor the name in another case.
        let answer = server.login(&name.to_uppercase(), PASSWORD).await;
        assert_eq!(answer.refused(), (429, "RATE_LIMITED".to_owned()));
        assert_eq!(answer.field("retry-after"), Some("30"));
        assert_eq!(server.handle.stats().password_hashes, before);
    }
    server.clock.advance(Duration::from_secs(30));
    assert_eq!(server.login("ada", PASSWORD).await.status, 200);
    // The success gave all attempts back.
    for _ in 0..3 {
        assert_eq!(server.login("ada", "wrong password").await.status, 401);
    }
}

#[tokio::test]
async fn an_address_is_limited_also_by_its_successes() {
    let server = Server::with(tight(100, 4), |_| {}).await;
    for n in 0..2 {
        assert_eq!(server.login("ada", PASSWORD).await.status, 200);
        assert_eq!(server.login(&format!("nobody {n}"), "wrong password").await.status, 401);
    }
    let answer = server.login("ada", PASSWORD).await;
    assert_eq!(
        (answer.refused(), answer.field("retry-after")),
        ((429, "RATE_LIMITED".to_owned()), Some("5"))
    );
    assert_eq!(server.handle.stats().rate_limited, 1);
    server.clock.advance(Duration::from_secs(5));
    assert_eq!(server.login("ada", PASSWORD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_logins_is_turned_away_and_costs_nobody_an_attempt() {
    let mut busy = tight(100, 40);
    busy.passwords.memory = ByteSize::from_mib(8);
    busy.passwords.concurrency = NonZeroU32::MIN;
    busy.passwords.queue = 1;
    let server = Arc::new(Server::with(busy, |_| {}).await);
    let mut logins = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let server = Arc::clone(&server);
        logins.spawn(async move { server.login("ada", PASSWORD).await });
    }
    let (mut good, mut busy) = (0, 0);
    while let Some(answer) = logins.join_next().await {
        let answer = answer.unwrap();
        if answer.status == 200 {
            good += 1;
        } else {
            assert_eq!(answer.refused(), (503, "AUTH_UNAVAILABLE".to_owned()));
            busy += 1;
        }
    }
    assert!(good >= 1 && busy >= 1, "{good} good, {busy} busy");
    assert_eq!(server.handle.stats().overloads, busy);
    // Those turned away got their attempt back, and nobody else did: the clock stands still.
    for _ in 0..busy {
        assert_eq!(server.login("ada", PASSWORD).await.status, 200);
    }
    assert_eq!(server.login("ada", PASSWORD).await.refused(), (429, "RATE_LIMITED".to_owned()));
}

#[tokio::test]
async fn a_hash_of_an_older_cost_is_renewed_by_its_login() {
    let server = Server::start().await;
    let mut dearer = options().passwords;
    dearer.memory = ByteSize::from_kib(16);
    let other = Accounts::open_with(accounts::file(server.folder.path()), &dearer, Clock::system()).unwrap();
    other.set_password("ada", PASSWORD).unwrap();
    for hashes in [2, 1] {
        let before = server.handle.stats().password_hashes;
        assert_eq!(server.login("ada", PASSWORD).await.status, 200);
        assert_eq!(server.handle.stats().password_hashes - before, hashes);
    }
}

#[tokio::test]
async fn another_process_manages_accounts_while_the_service_runs() {
    let server = Server::start().await;
    let other = other_process(server.folder.path());
    other.add("eve", "the password of eve").unwrap();
    let (_, token) = server.login("eve", "the password of eve").await.granted();
    other.set_password("eve", "another password").unwrap();
    assert_eq!(server.refresh(&token).await.refused(), (401, "TOKEN_REVOKED".to_owned()));
    assert_eq!(server.login("eve", "the password of eve").await.status, 401);
    let (_, token) = server.login("eve", "another password").await.granted();
    other.disable("eve").unwrap();
    assert_eq!(server.refresh(&token).await.refused(), (401, "TOKEN_REVOKED".to_owned()));
    assert_eq!(server.login("eve", "another password").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_logs_in_once_however_many_try() {
    let server = Arc::new(Server::start().await);
    let code = server.handle.create_link(&server.ada.id, Duration::from_mins(5)).unwrap();
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (server, code) = (Arc::clone(&server), code.as_str().to_owned());
        tries.spawn(async move { server.post("/auth/link", &json!({ "code": code })).await });
    }
    let mut granted = Vec::new();
    while let Some(answer) = tries.join_next().await {
        let answer = answer.unwrap();
        if answer.status == 200 {
            granted.push(answer.granted().0);
        } else {
            assert_eq!(answer.refused(), (401, "TOKEN_REVOKED".to_owned()));
        }
    }
    assert_eq!(granted.len(), 1);
    assert_eq!(server.verify(&granted[0]).await.subject(), server.ada.id);
}

#[tokio::test]
async fn links_expire_and_need_an_account() {
    let server = Server::start().await;
    let link = |id: &str| server.handle.create_link(id, Duration::from_mins(5)).unwrap().as_str().to_owned();
    let late = link(&server.ada.id);
    server.clock.advance(Duration::from_mins(5));
    let nobody = link("nobody");
    let disabled = link(&server.ada.id);
    server.handle.accounts().disable("ada").unwrap();
    let unknown = format!("pcl_{}", "A".repeat(43));
    for (code, reason) in [
        (late.as_str(), "TOKEN_EXPIRED"),
        (&nobody, "TOKEN_REVOKED"),
        (&disabled, "TOKEN_REVOKED"),
        (&unknown, "TOKEN_REVOKED"),
        ("", "TOKEN_MALFORMED"),
        ("pcl_short", "TOKEN_MALFORMED"),
    ] {
        let answer = server.post("/auth/link", &json!({ "code": code })).await;
        assert_eq!(answer.refused(), (401, reason.to_owned()), "{code}");
    }
}

thread_local! {
    /// What this thread logged. A test with the current-thread runtime has one to itself, its service included.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_names_users_and_requests_and_no_secret() {
    // For the whole process: a subscriber of one thread misses events whose first use was on another.
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(|| Log).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let server = Server::start().await;
    let answer = server.login("ada", PASSWORD).await;
    let (access, first) = answer.granted();
    let (_, second) = server.refresh(&first).await.granted();
    server.refresh(&first).await;
    server.post("/auth/logout", &json!({ "refresh_token": second })).await;
    let code = server.handle.create_link(&server.ada.id, Duration::from_mins(5)).unwrap();
    server.post("/auth/link", &json!({ "code": code.as_str() })).await;
    let denied = server.login("ada", "a wrong password").await;
    server.login("a password in the wrong field", "x").await;
    server.post("/auth/login", &json!({ "username": "ada", "password": ["in a list"] })).await;

    let log = String::from_utf8(LOG.take()).unwrap();
    for expected in [
        server.ada.id.as_str(),
        answer.field("x-request-id").unwrap(),
        denied.field("x-request-id").unwrap(),
        "LOGIN_FAILED",
        "127.0.0.1",
        "used twice",
    ] {
        assert!(log.contains(expected), "{expected}\n{log}");
    }
    for secret in [
        PASSWORD,
        &access,
        access.rsplit('.').next().unwrap(),
        &first[4..],
        &second[4..],
        &code.as_str()[4..],
        "a wrong password",
        "wrong field",
        "in a list",
    ] {
        assert!(!log.contains(secret), "{secret}\n{log}");
    }
}
