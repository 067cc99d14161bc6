//! The page: it needs nothing else, hides nothing, and takes nothing for markup.

use portcullis_load::{Scenario, page};

use crate::{
    plan, run,
    server::{Habits, Server},
};

/// The values of an attribute in all tags of that name.
fn attributes<'p>(page: &'p str, tag: &str, name: &str) -> Vec<&'p str> {
    let start = format!("{name}=\"");
    page.split(&format!("<{tag} "))
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap())
        .filter_map(|inner| inner.split(&start).nth(1)?.split('"').next())
        .collect()
}

#[test]
fn the_page_holds_the_data_and_refers_to_nothing() {
    let server = Server::start(Habits { closes_each: Some(7), ..Habits::default() });
    let report = run(&plan(&server.url(), &[Scenario::Handshake, Scenario::Messages]));
    let page = page(&report);
    for outside in
        ["http://", "https://", "src=", "href=", "url(", "@import", "<script", "<link", "<img", "<iframe"]
    {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'") && page.contains("prefers-color-scheme: dark"));

    // Each curve and each course over time is a line with as many points.
    let lines: Vec<(&str, usize)> = attributes(&page, "polyline", "data-line")
        .into_iter()
        .zip(attributes(&page, "polyline", "points").into_iter().map(|points| points.split(' ').count()))
        .collect();
    let mut expected = Vec::new();
    for measured in &report.measured {
        expected.extend(measured.latencies.iter().map(|step| (format!("A {}", step.step), step.curve.len())));
        expected.push(("A succeeded".to_owned(), measured.timeline.succeeded.len()));
        if measured.failed > 0 {
            expected.push(("A failed".to_owned(), measured.timeline.failed.len()));
        }
    }
    let expected: Vec<(&str, usize)> = expected.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(lines, expected);
    assert!(lines.iter().any(|(name, _)| *name == "A failed"));

    // The figures stand in the marks of the curve.
    let p99 = report.measured[1].main().unwrap().p99_ms;
    let shown = page.split("A answer: p99 ").nth(1).unwrap().split(" ms").next().unwrap();
    let shown: f64 = shown.parse().unwrap();
    assert!((shown - p99).abs() <= p99 * 0.01 + 0.001, "{shown} for {p99}");
    assert!(page.contains("closed 1013: SLOW_CONSUMER: later"));
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}

#[test]
fn what_a_server_writes_is_text() {
    let nasty = "<script>alert(1)</script>\"&'";
    let refuses = crate::server::refusal(403, &nasty.replace('"', "\\\""));
    let server = Server::start(Habits { refuses: Some(refuses), ..Habits::default() });
    let mut plan = plan(&server.url(), &[Scenario::Refusal]);
    plan.bad_share = 1.0;
    let mut report = run(&plan);
    // A refusal with 403 is a success here; as an error it is what a page shows.
    report.problems.push(portcullis_load::Problem {
        scenario: "refusal",
        server: "A",
        message: nasty.to_owned(),
    });
    let page = page(&report);
    assert!(!page.contains("<script"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&amp;&#39;"));
}

#[test]
fn the_document_has_the_shape_that_is_documented() {
    let server = Server::start(Habits::default());
    let report = run(&plan(&server.url(), &[Scenario::Messages]));
    let document = serde_json::to_value(&report).unwrap();
    let names =
        |value: &serde_json::Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(document["schema"], 1);
    assert_eq!(
        names(&document),
        [
            "exceeded",
            "interrupted",
            "machine",
            "measured",
            "schema",
            "servers",
            "settings",
            "started_at",
            "version"
        ]
    );
    let measured = &document["measured"][0];
    assert_eq!(
        (&measured["scenario"], &measured["server"], &measured["pace"]),
        (&"messages".into(), &"A".into(), &serde_json::json!({ "kind": "closed", "workers": 2 }))
    );
    let step = &measured["latencies"][0];
    assert_eq!(
        names(step),
        ["count", "curve", "max_ms", "mean_ms", "min_ms", "p50_ms", "p90_ms", "p99_9_ms", "p99_ms", "step"]
    );
    let ms = |name: &str| step[name].as_f64().unwrap();
    let order = ["min_ms", "p50_ms", "p90_ms", "p99_ms", "p99_9_ms", "max_ms"].map(ms);
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(step["count"], measured["succeeded"]);
    assert!(!document.to_string().contains(crate::TOKEN));
}
