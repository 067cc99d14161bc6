//! What holds for any input: it is read without a panic, in bounded memory, and however it is cut into pieces.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use portcullis_diagnose::{Engine, Report};
use proptest::prelude::*;

use crate::corpus::samples;

fn in_pieces(bytes: &[u8], sizes: &[usize]) -> Report {
    let mut engine = Engine::new();
    let mut rest = bytes;
    let mut sizes = sizes.iter().copied().cycle();
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(1).clamp(1, rest.len());
        engine.feed(&rest[..size]);
        rest = &rest[size..];
    }
    engine.finish()
}

fn sound(report: &Report) {
    let read = report.read;
    assert_eq!(read.lines, read.failing + read.ordinary + read.unknown, "every line is counted once");
    let failures: u64 = report.incidents.iter().map(|incident| incident.count).sum();
    assert!(failures + report.other_failures == 0 || read.failing > 0, "no incident without a line");
    assert!(report.incidents.len() <= 64);
    for incident in &report.incidents {
        assert!((1..=8).contains(&incident.evidence.len()), "{incident:?}");
        assert!(incident.over_time.is_empty() || incident.over_time.iter().sum::<u64>() <= incident.count);
        assert!(incident.evidence.iter().all(|evidence| evidence.text.chars().count() <= 241));
        assert!(!incident.remedies.is_empty() && !incident.title.is_empty());
    }
}

#[test]
fn the_corpus_is_the_same_in_any_pieces() {
    for (name, bytes, _) in samples() {
        let whole = in_pieces(&bytes, &[usize::MAX]);
        sound(&whole);
        for sizes in [&[1][..], &[2, 3], &[7], &[4096, 1]] {
            assert_eq!(in_pieces(&bytes, sizes), whole, "{name} in pieces of {sizes:?}");
        }
    }
}

/// Pieces of real lines, cut and glued as no log would have them.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let lines: Vec<Vec<u8>> = samples()
        .into_iter()
        .flat_map(|(_, bytes, _)| bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>())
        .collect();
    let line = proptest::sample::select(lines);
    let piece = prop_oneof![
        6 => line.clone(),
        2 => (line, any::<proptest::sample::Index>(), any::<u8>()).prop_map(|(mut line, at, byte)| {
            if !line.is_empty() {
                let at = at.index(line.len());
                line[at] = byte;
                line.truncate(at + 40);
            }
            line
        }),
        1 => proptest::collection::vec(any::<u8>(), 0..80),
        1 => "[\\[{}\\]\",:a-z0-9 \\\\]{0,60}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec((piece, prop_oneof![4 => Just(b'\n'), 1 => any::<u8>()]), 0..60).prop_map(
        |pieces| {
            pieces
                .into_iter()
                .flat_map(|(mut piece, end)| {
                    piece.push(end);
                    piece
                })
                .collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_input_is_read_and_pieces_do_not_matter(bytes in hostile(), sizes in proptest::collection::vec(1_usize..200, 1..6)) {
        let whole = in_pieces(&bytes, &[usize::MAX]);
        sound(&whole);
        let _ = whole.markdown();
        prop_assert_eq!(in_pieces(&bytes, &sizes), whole);
    }

    #[test]
    fn a_report_on_the_way_is_sound_and_changes_nothing(bytes in hostile()) {
        let mut engine = Engine::new();
        for piece in bytes.chunks(97) {
            engine.feed(piece);
            sound(&engine.report());
        }
        prop_assert_eq!(engine.finish(), in_pieces(&bytes, &[usize::MAX]));
    }
}

/// Lines in which logs have a token; each is about a failure, so that it becomes evidence.
const WITH_TOKEN: [&str; 12] = [
    "INFO:     10.0.0.1:5000 - \"WebSocket /ws?token={}\" 403",
    "10.0.0.1 - - [11/Sep/2025:08:00:00 +0000] \"GET /ws?x=1&access_token={}&y=2 HTTP/1.1\" 401 0 \"https://h/?jwt={}\" \"-\"",
    "ERROR token has expired: {}",
    "ERROR token has expired (token={}, user=7)",
    "jwt expired; headers: {'sec-websocket-protocol': 'jwt-auth, jwt.{}', 'authorization': 'Bearer {}'}",
    "ERROR jwt malformed in sec-websocket-protocol: jwt, {}",
    "{\"level\":\"error\",\"message\":\"token has expired\",\"error\":\"{}\",\"token\":\"{}\"}",
    "{\"severity\":\"ERROR\",\"insertId\":\"a\",\"logName\":\"l\",\"textPayload\":\"jwt expired {}\"}",
    "2025/09/11 08:00:00 [info] 1#1: *1 client sent too long header line: \"Authorization: Bearer {}\", client: 10.0.0.1",
    "Failed to construct 'WebSocket': The subprotocol 'Bearer {}' is invalid.",
    "WebSocket connection to 'wss://h/ws?token={}' failed: ",
    "Cookie: session={}; jwt={} — websocket refused: token has expired",
];

proptest! {
    #[test]
    fn no_token_is_shown_whatever_surrounds_it(
        line in proptest::sample::select(WITH_TOKEN.to_vec()),
        header in "eyJ[A-Za-z0-9_-]{20,60}",
        payload in "eyJ[A-Za-z0-9_-]{20,200}",
        signature in "[A-Za-z0-9_-]{43}",
        wrapped in any::<bool>(),
    ) {
        let token = format!("{header}.{payload}.{signature}");
        let sent = if wrapped { URL_SAFE_NO_PAD.encode(&token) } else { token };
        let report = Engine::read(&format!("{}\n", line.replace("{}", &sent)));
        prop_assert!(!report.is_clean(), "{line}");
        let shown = format!("{}{}", serde_json::to_string(&report).unwrap(), report.markdown());
        for part in [&header, &payload, &signature, &sent] {
            prop_assert!(!shown.contains(&part[..12]), "{part} in {shown}");
        }
    }
}

#[test]
fn floods_are_counted_and_not_kept() {
    let mut engine = Engine::new();
    for n in 0..20_000_u32 {
        let line =
            format!("INFO: 10.{}.{}.9:{} - \"WebSocket /ws/{n}\" {}\n", n % 250, n / 250, n, 400 + n % 90);
        engine.feed(line.as_bytes());
    }
    let report = engine.finish();
    sound(&report);
    let counted: u64 = report.incidents.iter().map(|incident| incident.count).sum();
    assert_eq!(counted + report.other_failures, 20_000);
    assert!(report.other_failures > 0, "more kinds than are kept apart");
}
