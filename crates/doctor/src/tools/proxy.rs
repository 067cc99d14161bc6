//! `check_proxy_settings`: whether a proxy's settings let a WebSocket handshake through whole.

use portcullis_agent::ToolOutput;
use portcullis_reason::Reason;
use serde_json::json;

use super::context::Context;
use crate::{
    case::{Case, Sound, Weight},
    scan::nginx::{Passed, Settings},
};

/// What nginx does unless told otherwise.
const READ_TIMEOUT: u64 = 60;

pub(super) fn check(settings: &Settings, context: &Context, case: &mut Case) -> ToolOutput {
    let upgrade = upgrade_steps(settings);
    let dropped = dropped(settings);
    let remarks = remarks(settings, context);
    for step in
        upgrade.iter().copied().chain(dropped.iter().map(|(_, step)| *step)).chain(remarks.iter().copied())
    {
        case.step(step);
    }
    if !(upgrade.is_empty() && dropped.is_empty()) {
        case.blame = Some("whoever runs the proxy");
    }
    if !upgrade.is_empty() {
        case.found.push(format!("**nginx**: {} line(s) of the upgrade are missing or wrong.", upgrade.len()));
        case.fault(
            Reason::BadUpgrade,
            Weight::Token,
            "nginx does not pass the upgrade on with these settings: the server behind sees a plain request.",
        );
    }
    if !dropped.is_empty() {
        let names: Vec<_> = dropped.iter().map(|(name, _)| format!("`{name}`")).collect();
        let names = names.join(" and ");
        case.found.push(format!("**nginx**: it takes {names} away from the request."));
        let why = format!("nginx drops {names}, where the token travels, so the server behind finds none.");
        case.fault(Reason::NoToken, Weight::Token, why);
    }
    let heartbeat = context.configuration.heartbeat_interval_ms / 1000;
    let cuts = settings.read_timeout.filter(|timeout| *timeout <= heartbeat);
    if let Some(timeout) = cuts {
        case.blame = Some("whoever runs the proxy");
        case.found.push(format!(
            "**nginx**: `proxy_read_timeout` is {timeout} s, and this server pings every {heartbeat} s."
        ));
        let why = format!(
            "nginx ends a connection that is quiet for {timeout} s, before the next ping ({heartbeat} s) could keep it."
        );
        case.fault(Reason::HeartbeatTimeout, Weight::Token, why);
    }
    if upgrade.is_empty() && dropped.is_empty() && cuts.is_none() {
        case.sound.push(Sound::Settings);
        case.found
            .push("**nginx**: the upgrade, the token and the host pass with these settings.".to_owned());
        case.otherwise(&[
            "Make sure that these settings are the ones in use: `nginx -T | grep -A12 'location /ws'`, then `nginx -s reload`.",
            "If it still fails, compare `curl -i` through nginx with `curl -i` to the server itself, and paste both answers here.",
        ]);
    }
    if !remarks.is_empty() {
        case.found.push(format!("**nginx**: {} more remark(s), among the steps.", remarks.len()));
    }
    let result = json!({
        "upgrade_passes": upgrade.is_empty(),
        "token_passes": dropped.is_empty(),
        "remarks": remarks,
    });
    let summary = match (upgrade.is_empty(), dropped.is_empty()) {
        (false, _) => "The upgrade does not pass.",
        (true, false) => "The upgrade passes, the token does not.",
        (true, true) => "Upgrade and token pass.",
    };
    ToolOutput { summary: summary.to_owned(), result: Some(result) }
}

/// What is needed for the upgrade and is not there.
fn upgrade_steps(settings: &Settings) -> Vec<&'static str> {
    let mut steps = Vec::new();
    if !settings.http_1_1 {
        steps.push("Add `proxy_http_version 1.1;`: nginx speaks HTTP/1.0 to the server otherwise, which knows no upgrade.");
    }
    if settings.upgrade != Passed::Sent {
        steps.push(
            "Add `proxy_set_header Upgrade $http_upgrade;`: the field is hop-by-hop, so nginx drops it.",
        );
    }
    match settings.connection {
        Passed::Sent => {}
        Passed::Unsaid => steps.push("Add `proxy_set_header Connection \"upgrade\";`: nginx sends `close` otherwise."),
        Passed::Dropped => steps.push(
            "Set `proxy_set_header Connection \"upgrade\";` (or a `map` of `$http_upgrade`): the value that stands there cannot upgrade.",
        ),
    }
    steps
}

/// Fields with the token that do not arrive, and what to do.
fn dropped(settings: &Settings) -> Vec<(&'static str, &'static str)> {
    const WHOLE: &str = "Remove `proxy_pass_request_headers off;`: no header arrives with it.";
    let mut dropped = Vec::new();
    if settings.no_headers || settings.subprotocol == Passed::Dropped {
        let step = if settings.no_headers {
            WHOLE
        } else {
            "Remove the `proxy_set_header Sec-WebSocket-Protocol \"\";`: a browser's token travels in that field."
        };
        dropped.push(("Sec-WebSocket-Protocol", step));
    }
    if settings.no_headers || settings.authorization == Passed::Dropped {
        let step = if settings.no_headers {
            WHOLE
        } else {
            "Remove the `proxy_set_header Authorization \"\";`: clients that are no browsers send their token there."
        };
        dropped.push(("Authorization", step));
    }
    dropped
}

/// What works, and will be missed one day.
fn remarks(settings: &Settings, context: &Context) -> Vec<&'static str> {
    let heartbeat = context.configuration.heartbeat_interval_ms / 1000;
    let mut remarks = Vec::new();
    if settings.host != Passed::Sent {
        remarks.push(
            "Add `proxy_set_header Host $host;`: otherwise the server sees the upstream's name and does not recognise its own origin.",
        );
    }
    if settings.read_timeout.unwrap_or(READ_TIMEOUT) <= heartbeat {
        remarks.push("Set `proxy_read_timeout 3600s;`: it has to be well above the time between two pings.");
    } else if settings.read_timeout.is_none() {
        remarks.push(
            "Add `proxy_read_timeout 3600s;`: the default of 60 s is longer than this server's pings are apart, but not by much.",
        );
    }
    remarks
}
