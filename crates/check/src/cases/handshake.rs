//! H: the opening handshake (RFC 6455 §4.2, RFC 9112).

use portcullis_dial::{Response, random_key};
use portcullis_frame::Opcode;
use portcullis_handshake::{accept_value, encode_key};
use portcullis_reason::Reason;

use super::judge::{must_not_upgrade, must_upgrade, worst};
use crate::{
    case::{Case, Group, Level, case},
    outcome::{Found, Outcome},
    peer::Event,
    probe::Probe,
    request::Request,
};

use Level::{Must, Should};

pub(super) const CASES: &[Case] = &[
    case(
        Group::H,
        "rfc6455/4.2.2/upgrade-fields",
        Must,
        "RFC 6455 §4.2.2 item 5",
        "A 101 says `Upgrade: websocket` and `Connection: Upgrade`.",
        |p| Box::pin(upgrade_fields(p)),
    ),
    case(
        Group::H,
        "rfc6455/4.2.2/accept-key",
        Must,
        "RFC 6455 §4.2.2 item 5.4",
        "Sec-WebSocket-Accept is the hash of the key as it was sent.",
        |p| Box::pin(accept_key(p)),
    ),
    case(
        Group::H,
        "rfc6455/4.2.2/only-frames",
        Must,
        "RFC 6455 §4.2.2, §5.1",
        "Behind the 101 there are unmasked frames and nothing else.",
        |p| Box::pin(only_frames(p)),
    ),
    case(
        Group::H,
        "rfc6455/9.1/no-extension",
        Must,
        "RFC 6455 §9.1",
        "No extension is selected that was not offered.",
        |p| Box::pin(no_extension(p)),
    ),
    case(Group::H, "rfc6455/4.2.1/method", Must, "RFC 6455 §4.2.1 item 1", "A handshake is a GET.", |p| {
        Box::pin(broken(p, "POST", |r| r.method("POST").add("Content-Length", "0")))
    })
    .reason(Reason::MethodNotAllowed),
    // A MUST whose breach no browser and no proxy ever notices: counted as a SHOULD.
    case(
        Group::H,
        "rfc6455/4.2.1/http-1.0",
        Should,
        "RFC 6455 §4.2.1 item 1",
        "A handshake is HTTP/1.1 or later.",
        |p| Box::pin(broken(p, "HTTP/1.0", |r| r.version("HTTP/1.0"))),
    ),
    case(
        Group::H,
        "rfc9112/3.2/no-host",
        Must,
        "RFC 9112 §3.2; RFC 6455 §4.2.1 item 2",
        "A request without Host is refused.",
        |p| Box::pin(broken(p, "no Host", |r| r.without("Host"))),
    ),
    case(
        Group::H,
        "rfc9112/3.2/two-hosts",
        Must,
        "RFC 9112 §3.2",
        "A request with two Hosts is refused.",
        |p| Box::pin(broken(p, "two Hosts", |r| r.add("Host", "other.example"))),
    ),
    case(
        Group::H,
        "rfc6455/4.2.1/no-upgrade",
        Must,
        "RFC 6455 §4.2.1 item 3",
        "Without Upgrade nothing is upgraded.",
        |p| Box::pin(broken(p, "no Upgrade", |r| r.without("Upgrade"))),
    ),
    case(
        Group::H,
        "rfc6455/4.2.1/other-upgrade",
        Must,
        "RFC 6455 §4.2.1 item 3",
        "Upgrade has to name `websocket`, and not something that contains it.",
        |p| Box::pin(broken(p, "Upgrade: websockets", |r| r.set("Upgrade", "websockets"))),
    ),
    case(
        Group::H,
        "rfc6455/4.2.1/upgrade-case",
        Must,
        "RFC 6455 §4.2.1 item 3",
        "`websocket` is read whatever its case.",
        |p| Box::pin(unusual(p, "Upgrade: WebSocket", |r| r.set("Upgrade", "WebSocket"))),
    ),
    case(
        Group::H,
        "rfc6455/4.2.1/no-connection",
        Must,
        "RFC 6455 §4.2.1 item 4",
        "Without Connection nothing is upgraded.",
        |p| Box::pin(broken(p, "no Connection", |r| r.without("Connection"))),
    ),
    case(
        Group::H,
        "rfc6455/4.2.1/connection-list",
        Must,
        "RFC 6455 §4.2.1 item 4",
        "`upgrade` counts among other members of Connection, whatever its case.",
        |p| {
            Box::pin(unusual(p, "Connection: keep-alive, upgrade", |r| {
                r.set("Connection", "keep-alive, upgrade")
            }))
        },
    ),
    case(
        Group::H,
        "rfc6455/4.2.1/other-connection",
        Must,
        "RFC 6455 §4.2.1 item 4",
        "Connection has to name `upgrade`, and not something that contains it.",
        |p| Box::pin(broken(p, "Connection: no-upgrade", |r| r.set("Connection", "no-upgrade"))),
    ),
    case(
        Group::H,
        "rfc6455/4.2.1/no-key",
        Must,
        "RFC 6455 §4.2.1 item 5",
        "Sec-WebSocket-Key is required.",
        |p| Box::pin(broken(p, "no Sec-WebSocket-Key", |r| r.without("Sec-WebSocket-Key"))),
    ),
    case(
        Group::H,
        "rfc6455/4.2.1/key-length",
        Must,
        "RFC 6455 §4.2.1 item 5",
        "Sec-WebSocket-Key stands for exactly 16 bytes.",
        |p| Box::pin(key_length(p)),
    ),
    case(
        Group::H,
        "rfc6455/11.3.1/two-keys",
        Must,
        "RFC 6455 §11.3.1",
        "Sec-WebSocket-Key stands once in a request.",
        |p| Box::pin(broken(p, "two keys", |r| r.add("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="))),
    ),
    case(
        Group::H,
        "rfc6455/4.2.1/no-version",
        Must,
        "RFC 6455 §4.2.1 item 6",
        "Sec-WebSocket-Version is required.",
        |p| Box::pin(broken(p, "no Sec-WebSocket-Version", |r| r.without("Sec-WebSocket-Version"))),
    )
    .reason(Reason::UnsupportedVersion),
    case(
        Group::H,
        "rfc6455/4.2.1/version",
        Must,
        "RFC 6455 §4.2.1 item 6",
        "Only version 13 is upgraded.",
        |p| Box::pin(broken(p, "version 8", |r| r.set("Sec-WebSocket-Version", "8"))),
    )
    .reason(Reason::UnsupportedVersion),
    // A MUST whose breach costs old clients a hint and nobody else anything: counted as a SHOULD.
    case(
        Group::H,
        "rfc6455/4.4/version-named",
        Should,
        "RFC 6455 §4.4",
        "The refusal of another version names the versions that are spoken.",
        |p| Box::pin(version_named(p)),
    )
    .reason(Reason::UnsupportedVersion),
    case(
        Group::H,
        "rfc6455/4.2.2/unknown-path",
        Should,
        "RFC 6455 §4.2.2 item 4",
        "A path that does not exist is refused with an HTTP error, as 404.",
        |p| Box::pin(unknown_path(p)),
    )
    .reason(Reason::UnknownMode),
    // A MUST that proxies alone ever need, and that they undo themselves: counted as a SHOULD.
    case(
        Group::H,
        "rfc9112/3.2.2/absolute-form",
        Should,
        "RFC 9112 §3.2.2; RFC 6455 §4.2.1 item 1",
        "A target in absolute form is understood.",
        |p| Box::pin(absolute_form(p)),
    ),
    case(
        Group::H,
        "rfc9112/5.1/space-before-colon",
        Must,
        "RFC 9112 §5.1",
        "White space between a field's name and its colon is refused.",
        |p| Box::pin(broken(p, "`X-Check : 1`", |r| r.add("X-Check ", "1"))),
    ),
    case(Group::H, "rfc9110/5.5/nul", Must, "RFC 9110 §5.5", "NUL in a field's value is refused.", |p| {
        Box::pin(broken(p, "NUL in a value", |r| r.add("X-Check", "a\0b")))
    }),
    case(
        Group::H,
        "rfc9112/6.3/two-lengths",
        Should,
        "RFC 9112 §6.1, §6.3",
        "A request whose length can be read in two ways is refused: it is how requests are smuggled.",
        |p| {
            Box::pin(broken(p, "Content-Length and Transfer-Encoding", |r| {
                r.add("Content-Length", "5").add("Transfer-Encoding", "chunked").body(b"0\r\n\r\n")
            }))
        },
    ),
];

/// A good request with one thing broken.
async fn broken(probe: &Probe, what: &str, change: fn(Request) -> Request) -> Found {
    must_not_upgrade(probe, what, &change(probe.good()?)).await
}

/// A good request in an unusual spelling.
async fn unusual(probe: &Probe, what: &str, change: fn(Request) -> Request) -> Found {
    must_upgrade(probe, what, &change(probe.good()?)).await
}

async fn accepted(probe: &Probe, what: &str, request: &Request) -> Result<Response, Outcome> {
    Ok(probe.open(what, request).await?.1)
}

async fn upgrade_fields(probe: &Probe) -> Found {
    let response = accepted(probe, "a good handshake", &probe.good()?).await?;
    let upgrade = response.field("Upgrade").unwrap_or_default();
    if !upgrade.eq_ignore_ascii_case("websocket") {
        return Ok(Outcome::fail(format!("the 101 has `Upgrade: {upgrade}`")));
    }
    let mut members = response.values("Connection").flat_map(|line| line.split(','));
    if !members.any(|member| member.trim().eq_ignore_ascii_case("upgrade")) {
        return Ok(Outcome::fail("the 101 has no `Connection: Upgrade`"));
    }
    Ok(Outcome::pass("both are there"))
}

async fn accept_key(probe: &Probe) -> Found {
    // 0xFB and 0xFF give `+` and `/`, which a careless decoder treats as something else.
    for key in [encode_key(&[0xFB; 16]), encode_key(&[0xFF; 16]), random_key()] {
        let request = probe.good()?.set("Sec-WebSocket-Key", &key);
        let response = accepted(probe, "a key of known bytes", &request).await?;
        let lines: Vec<&str> = response.values("Sec-WebSocket-Accept").collect();
        if lines.len() != 1 || lines[0].as_bytes() != accept_value(&key) {
            return Ok(Outcome::fail(format!("Sec-WebSocket-Accept for {key} is {lines:?}")));
        }
    }
    Ok(Outcome::pass("right for three keys, with `+` and `/` among them"))
}

async fn only_frames(probe: &Probe) -> Found {
    let mut peer = probe.live("a good handshake").await?;
    peer.frame(portcullis_frame::Frame::new(Opcode::Ping, &b"frames?"[..])).await;
    Ok(match peer.pong(b"frames?", probe.times().timeout).await {
        Event::Broken(error) => Outcome::fail(format!("what comes is not a server's frame: {error}")),
        Event::Pong(_) => Outcome::pass("whole unmasked frames up to the pong"),
        _ => Outcome::inconclusive("the connection ended before a ping was answered"),
    })
}

async fn no_extension(probe: &Probe) -> Found {
    let offer = "x-portcullis-check; level=3";
    let requests = [
        ("no extension offered", probe.good()?),
        ("an unknown extension offered", probe.good()?.set("Sec-WebSocket-Extensions", offer)),
    ];
    for (what, request) in requests {
        let (_, answer) = probe.ask(what, &request).await?;
        match answer {
            Ok(response) if response.status == 101 => {
                if let Some(extension) =
                    response.field("Sec-WebSocket-Extensions").filter(|value| !value.is_empty())
                {
                    return Ok(Outcome::fail(format!("{what}: `{extension}` selected")));
                }
            }
            Ok(response) => return Ok(Outcome::fail(format!("{what}: refused with {}", response.status))),
            Err(end) => return Ok(Outcome::fail(format!("{what}: {end}"))),
        }
    }
    Ok(Outcome::pass("none is selected, and an unknown offer does no harm"))
}

async fn key_length(probe: &Probe) -> Found {
    let mut outcomes = Vec::new();
    for (what, key) in [
        ("an empty key", ""),
        ("a key of 15 bytes", "AAAAAAAAAAAAAAAAAAAA"),
        ("a key of 17 bytes", "AAAAAAAAAAAAAAAAAAAAAAA="),
        ("a key that is not base64", "!!!!!!!!!!!!!!!!!!!!!!=="),
    ] {
        outcomes.push(must_not_upgrade(probe, what, &probe.good()?.set("Sec-WebSocket-Key", key)).await?);
    }
    Ok(worst(outcomes))
}

async fn version_named(probe: &Probe) -> Found {
    let request = probe.good()?.set("Sec-WebSocket-Version", "8");
    Ok(match probe.answer("version 8", &request).await? {
        Ok(response) if response.status == 101 => Outcome::fail("version 8 is accepted"),
        Ok(response) => {
            let named = response.values("Sec-WebSocket-Version").flat_map(|line| line.split(','));
            if named.into_iter().any(|version| version.trim() == "13") {
                Outcome::pass(format!("{} with `Sec-WebSocket-Version: 13`", response.status))
            } else {
                Outcome::fail(format!("{} without Sec-WebSocket-Version", response.status))
            }
        }
        Err(end) => Outcome::fail(end.to_string()),
    })
}

async fn unknown_path(probe: &Probe) -> Found {
    let query =
        probe.good()?.target.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
    let request = probe.good()?.target(&format!("/portcullis-check-no-such-path{query}"));
    must_not_upgrade(probe, "a path that does not exist", &request).await
}

async fn absolute_form(probe: &Probe) -> Found {
    let good = probe.good()?;
    let target = format!("http://{}{}", probe.shared.target.authority(), good.target);
    must_upgrade(probe, "a target in absolute form", &good.target(&target)).await
}
