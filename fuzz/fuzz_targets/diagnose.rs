//! Logs and archives of any kind: no panic, the same report however the input is cut, and no token in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_diagnose::Engine;

fuzz_target!(|data: &[u8]| {
    let mut whole = Engine::new();
    whole.feed(data);
    let whole = whole.finish();

    // The first bytes say how the rest is cut, so that the fuzzer can choose.
    let mut pieces = Engine::new();
    let mut rest = data;
    let mut sizes = data.iter().take(8).map(|byte| usize::from(byte % 61) + 1).cycle();
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(1).min(rest.len());
        pieces.feed(&rest[..size]);
        rest = &rest[size..];
    }
    assert_eq!(pieces.finish(), whole);

    let read = whole.read;
    assert_eq!(read.lines, read.failing + read.ordinary + read.unknown);
    let markdown = whole.markdown();
    assert!(!markdown.contains("eyJhbGciOiJIUzI1NiIsInR5cCI6"), "a token is shown");
    for incident in &whole.incidents {
        assert!(incident.count > 0 && !incident.evidence.is_empty() && !incident.remedies.is_empty());
    }
});
