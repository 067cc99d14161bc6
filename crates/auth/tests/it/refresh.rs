//! `POST /auth/refresh` and `POST /auth/logout`.

use std::sync::Arc;

use super::*;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn each_refresh_gives_a_new_pair_of_the_same_login() {
    let server = Server::start().await;
    let (first_access, first) = server.login("ada", PASSWORD).await.granted();
    let answer = server.refresh(&first).await;
    let (access, second) = answer.granted();
    assert_ne!(first, second);
    assert_ne!(first_access, access);
    assert_eq!(answer.json()["user"], json!({ "id": server.ada.id, "name": "Ada" }));
    let identity = server.verify(&access).await;
    assert!(identity.same_subject(&server.verify(&first_access).await));
    assert_eq!(server.refresh(&second).await.status, 200);
}

#[tokio::test]
async fn a_token_used_twice_ends_its_login_and_no_other() {
    let server = Server::start().await;
    let first = server.refresh_token().await;
    let elsewhere = server.refresh_token().await;
    let (_, second) = server.refresh(&first).await.granted();
    let revoked = (401, "TOKEN_REVOKED".to_owned());
    assert_eq!(server.refresh(&first).await.refused(), revoked);
    assert_eq!(server.refresh(&second).await.refused(), revoked);
    assert_eq!(server.refresh(&elsewhere).await.status, 200);
    assert_eq!(server.handle.stats().reuses, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_refreshes_of_one_token_exactly_one_wins() {
    let server = Arc::new(Server::start().await);
    let token = server.refresh_token().await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (server, token) = (Arc::clone(&server), token.clone());
        tries.spawn(async move { server.refresh(&token).await });
    }
    let mut won = Vec::new();
    while let Some(answer) = tries.join_next().await {
        let answer = answer.unwrap();
        if answer.status == 200 {
            won.push(answer.granted().1);
        } else {
            assert_eq!(answer.refused(), (401, "TOKEN_REVOKED".to_owned()));
        }
    }
    assert_eq!(won.len(), 1);
    // The others were reuse, so the winner's login ended too.
    assert_eq!(server.refresh(&won[0]).await.refused(), (401, "TOKEN_REVOKED".to_owned()));
}

#[tokio::test]
async fn each_bad_token_earns_its_reason() {
    let server = Server::start().await;
    let expired = server.refresh_token().await;
    server.clock.advance(30 * DAY);
    let access = server.login("ada", PASSWORD).await.granted().0;
    let unknown = format!("pcr_{}", "A".repeat(43));
    for (token, reason) in [
        (expired.as_str(), "TOKEN_EXPIRED"),
        (&unknown, "TOKEN_REVOKED"),
        (&access, "TOKEN_MALFORMED"),
        ("", "TOKEN_MALFORMED"),
        ("pcr_", "TOKEN_MALFORMED"),
        (&unknown[..46], "TOKEN_MALFORMED"),
        (&*"x".repeat(10_000), "TOKEN_MALFORMED"),
        ("\u{0}", "TOKEN_MALFORMED"),
    ] {
        assert_eq!(server.refresh(token).await.refused(), (401, reason.to_owned()), "{token:.60}");
    }
}

#[tokio::test]
async fn refreshing_does_not_outlive_the_login() {
    let server = Server::start().await;
    let mut token = server.refresh_token().await;
    for _ in 0..4 {
        server.clock.advance(22 * DAY);
        token = server.refresh(&token).await.granted().1;
    }
    server.clock.advance(2 * DAY);
    assert_eq!(server.refresh(&token).await.refused(), (401, "TOKEN_EXPIRED".to_owned()));
}

#[tokio::test]
async fn a_login_survives_a_restart() {
    let server = Server::start().await;
    let token = server.refresh_token().await;
    let server = server.restart().await;
    assert_eq!(server.refresh(&token).await.status, 200);
}

#[tokio::test]
async fn logout_ends_the_login_and_may_be_repeated() {
    let server = Server::start().await;
    let token = server.refresh_token().await;
    let elsewhere = server.refresh_token().await;
    let unknown = format!("pcr_{}", "A".repeat(43));
    for token in [&*token, &token, &unknown, "garbage", ""] {
        let answer = server.post("/auth/logout", &json!({ "refresh_token": token })).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    }
    assert_eq!(server.refresh(&token).await.refused(), (401, "TOKEN_REVOKED".to_owned()));
    assert_eq!(server.refresh(&elsewhere).await.status, 200);
    assert_eq!(server.handle.stats().logouts, 1);
}

#[tokio::test]
async fn a_disabled_user_is_not_refreshed_and_enabling_does_not_bring_logins_back() {
    let server = Server::start().await;
    let token = server.refresh_token().await;
    server.handle.accounts().disable("ada").unwrap();
    let revoked = (401, "TOKEN_REVOKED".to_owned());
    assert_eq!(server.refresh(&token).await.refused(), revoked);
    server.handle.accounts().enable("ada").unwrap();
    assert_eq!(server.refresh(&token).await.refused(), revoked);
    assert_eq!(server.login("ada", PASSWORD).await.status, 200);
}
