use super::*;

fn items(input: &[u8], piece: usize) -> Vec<(String, u64)> {
    let mut out = Vec::new();
    let mut sink = |item: Item<'_>, place: Place| {
        let text = match item {
            Item::Line(line) => format!("L {}", String::from_utf8_lossy(line)),
            Item::Object(object) => {
                let value: serde_json::Value = serde_json::from_slice(object).expect("JSON");
                format!("O {value}")
            }
            Item::Broken(lines) => format!("B {lines}"),
        };
        out.push((text, place.line));
    };
    let mut splitter = Splitter::new();
    for piece in input.chunks(piece) {
        splitter.feed(piece, &mut sink);
    }
    splitter.finish(&mut sink);
    out
}

fn check(input: &str, expected: &[(&str, u64)]) {
    for piece in [1, 2, 3, 7, 1 << 20] {
        let found = items(input.as_bytes(), piece);
        let found: Vec<_> = found.iter().map(|(text, line)| (text.as_str(), *line)).collect();
        assert_eq!(found, expected, "{input:?} in pieces of {piece}");
    }
}

#[test]
fn lines_and_objects() {
    check("a\nb\r\n\nc", &[("L a", 1), ("L b", 2), ("L ", 3), ("L c", 4)]);
    check("{\"a\":1}\nx\n {\"b\":[2]} \n", &[("O {\"a\":1}", 1), ("L x", 2), ("O {\"b\":[2]}", 3)]);
    check("{\"a\":1}", &[("O {\"a\":1}", 1)]);
    check("{\"a\":1} is it\nb\n", &[("L {\"a\":1} is it", 1), ("L b", 2)]);
    check(
        "[INFO] a\n[2025-09-11 08:15:30] b\n[error] {c\n{d\n",
        &[("L [INFO] a", 1), ("L [2025-09-11 08:15:30] b", 2), ("L [error] {c", 3), ("L {d", 4)],
    );
}

#[test]
fn arrays_and_archives() {
    check(
        "[{\"a\":1},\n{\"b\":{\"c\":[{}]}}\n]\nx\n",
        &[("O {\"a\":1}", 1), ("O {\"b\":{\"c\":[{}]}}", 2), ("L x", 4)],
    );
    check("[]\nx", &[("L x", 2)]);
    check(
        "{\n \"log\": {\n  \"pages\": [{\"x\":1}],\n  \"entries\": [\n   {\"a\": 1},\n   {\"b\": \"]}\\\"\"}\n  ], \"z\": [{}]\n }\n}\n",
        &[("O {\"a\":1}", 5), ("O {\"b\":\"]}\\\"\"}", 6)],
    );
    check("{\"entries\":[{\"a\":1}],\"next\":\"t\"}", &[("O {\"a\":1}", 1)]);
    check("{\"log\":\"text\",\"stream\":\"stderr\"}\n", &[("O {\"log\":\"text\",\"stream\":\"stderr\"}", 1)]);
    check("{\n \"a\": 1\n}\n{\n \"b\": 2\n}\n", &[("O {\"a\":1}", 1), ("O {\"b\":2}", 4)]);
    check("{\"m\":\"x\",\"entries\":[{\"a\":1}]}\n", &[("O {\"entries\":[{\"a\":1}],\"m\":\"x\"}", 1)]);
}

#[test]
fn what_is_no_document_is_read_as_lines_again() {
    check("{\n\"a\": nonsense here\nb\n", &[("B 1", 1), ("L \"a\": nonsense here", 2), ("L b", 3)]);
    check("{\"a\":\"torn\nb\n", &[("L {\"a\":\"torn", 1), ("L b", 2)]);
    check("{\"a\":1\n", &[("B 1", 1)]);
}

#[test]
fn memory_is_bounded() {
    let mut splitter = Splitter::new();
    let mut seen = Vec::new();
    let mut sink = |item: Item<'_>, place: Place| match item {
        Item::Line(bytes) | Item::Object(bytes) => seen.push((bytes.len(), place.cut)),
        Item::Broken(_) => seen.push((0, place.cut)),
    };
    for _ in 0..2000 {
        splitter.feed(&[b'x'; 1024], &mut sink);
    }
    splitter.feed(b"\n{\"log\":{\"entries\":[{\"big\":\"", &mut sink);
    for _ in 0..2000 {
        splitter.feed(&[b'y'; 1024], &mut sink);
    }
    splitter.feed(b"\",\"list\":[", &mut sink);
    assert!(splitter.document.kept.len() < 2 * MAX_STRING);
    for _ in 0..2000 {
        splitter.feed(&[b'1'; 1024], &mut sink);
    }
    splitter.feed(b"]},{\"b\":1}]}}", &mut sink);
    splitter.finish(&mut sink);
    assert_eq!(seen, [(MAX_LINE, true), (0, true), (7, false)]);
}
