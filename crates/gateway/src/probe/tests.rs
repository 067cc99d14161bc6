//! What a probe finds where the path is broken. That it finds nothing wrong on a whole one is seen with the
//! real auth service and the real agent, in the tests of the page.

use std::net::SocketAddr;

use portcullis_token::{Secret, Signer};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::{Duration, timeout},
};

use super::*;
use crate::testing::{Running, mint, start};

fn account(auth: SocketAddr) -> ProbeAccount {
    ProbeAccount {
        auth,
        name: "probe".to_owned(),
        password: Secret::from("a password of this test"),
        device_token: "pcd_".to_owned(),
    }
}

/// An auth service that answers every login with `answer`.
async fn auth(status: &'static str, answer: impl Fn() -> Value + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio_util::task::TaskTracker::new().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let body = answer().to_string();
            let _ = stream.read(&mut [0; 4096]).await;
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes()).await;
        }
    });
    address
}

fn probed(auth: SocketAddr, change: impl FnOnce(&mut crate::Options)) -> Running {
    start(change, Some(&move |_: &Signer| account(auth)))
}

/// The first probe that the dashboard knows of, with the metrics after it.
async fn first(server: &Running) -> (Value, String) {
    let cookie = server.log_in().await;
    let found = async {
        loop {
            let snapshot = server.ask("GET", "/admin/snapshot", &[&cookie], "").await.json();
            if let Some(entry) = snapshot["probe"]["entries"].get(0) {
                return entry.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let entry = timeout(Duration::from_secs(20), found).await.expect("a probe in time");
    (entry, server.ask("GET", "/metrics", &[], "").await.body().to_owned())
}

#[tokio::test]
async fn an_auth_service_that_is_gone_or_refuses_is_named() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (entry, metrics) = first(&probed(gone, |_| {})).await;
    assert_eq!(entry["ok"], false);
    assert_eq!(entry["failed"], json!({ "step": "login", "reason": "connection refused" }));
    assert!(metrics.contains("portcullis_probe_total{outcome=\"failed\"} 1"), "{metrics}");

    let refuses = auth("401 Unauthorized", || json!({ "reason": "LOGIN_FAILED" })).await;
    let (entry, _) = first(&probed(refuses, |_| {})).await;
    assert_eq!(entry["failed"], json!({ "step": "login", "reason": "LOGIN_FAILED" }));

    let odd = auth("502 Bad Gateway", || json!("a proxy's words with a secret in them")).await;
    let (entry, _) = first(&probed(odd, |_| {})).await;
    assert_eq!(
        entry["failed"],
        json!({ "step": "login", "reason": "HTTP 502" }),
        "no words of an answer pass"
    );
}

#[tokio::test]
async fn a_token_that_the_gate_does_not_take_fails_the_connection_and_counts_for_nobody() {
    let stranger = Signer::generate_es256().unwrap();
    let tokens = move || json!({ "access_token": mint(&stranger), "refresh_token": "r" });
    let server = probed(auth("200 OK", tokens).await, |_| {});
    let (entry, metrics) = first(&server).await;
    assert_eq!(entry["failed"], json!({ "step": "connect", "reason": "SIGNATURE_INVALID" }));
    assert_eq!(entry["steps"][0]["name"], "login");
    assert!(metrics.contains("portcullis_handshakes_total{outcome=\"refused\"} 0"), "{metrics}");
    let cookie = server.log_in().await;
    let refusals = server.ask("GET", "/admin/refusals", &[&cookie], "").await.json();
    assert_eq!(refusals["refusals"][0]["probe"], true, "and is told apart in the list");
}

#[tokio::test]
async fn an_answer_without_its_events_is_no_golden_path_and_its_run_is_no_users() {
    // The gateway's own signer is known once it runs, so the service asks for it later.
    let signer: Arc<std::sync::OnceLock<Signer>> = Arc::default();
    let known = Arc::clone(&signer);
    let tokens = move || json!({ "access_token": mint(known.get().unwrap()), "refresh_token": "r" });
    let service = auth("200 OK", tokens).await;
    let server = start(
        |_| {},
        Some(&|own: &Signer| {
            let _ = signer.set(own.clone());
            account(service)
        }),
    );
    let (entry, metrics) = first(&server).await;
    assert_eq!(
        entry["failed"],
        json!({ "step": "events", "reason": "agent_completed came without agent_thinking" })
    );
    for figure in [
        "portcullis_handshakes_total{outcome=\"accepted\"} 0",
        "portcullis_messages_accepted_total 0",
        "portcullis_events_total{type=\"agent_started\"} 0",
        "portcullis_event_deliveries_total 0",
        "portcullis_runs_completed_total 0",
        "portcullis_delivery_latency_seconds_count 0",
    ] {
        assert!(metrics.contains(figure), "{figure} is missing in\n{metrics}");
    }
}
