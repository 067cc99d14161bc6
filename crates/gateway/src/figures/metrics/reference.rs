//! The reference of the metrics, read from the exposition itself, so that it cannot say anything else.

use std::{collections::BTreeMap, fmt::Write as _};

use super::Metrics;

/// One metric, as the exposition describes it.
#[derive(Debug, PartialEq, Eq)]
struct Metric {
    name: String,
    kind: String,
    labels: Vec<String>,
    help: String,
}

/// `docs/metrics.md`: every metric with its kind, its labels and what it means, in Markdown.
pub fn metrics_reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    for Metric { name, kind, labels, help } in read(&Metrics::new("", "").render()) {
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {help} |");
    }
    page
}

/// Reads the families of an exposition (OpenMetrics 1.0, "Text Format"), in their order.
fn read(exposition: &str) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = Vec::new();
    let mut kinds = BTreeMap::new();
    for line in exposition.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            let help = help.trim_end_matches('.').to_owned();
            metrics.push(Metric { name: name.to_owned(), kind: String::new(), labels: Vec::new(), help });
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            kinds.insert(name.to_owned(), kind.to_owned());
        } else if let Some(metric) = metrics.last_mut()
            && let Some((_, labels)) = line.split_once('{')
        {
            for label in labels.split("=\"").filter_map(|before| before.rsplit(['{', ',', ' ']).next()) {
                let plain = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                if plain
                    && !label.is_empty()
                    && label != "le"
                    && !metric.labels.iter().any(|known| known == label)
                {
                    metric.labels.push(label.to_owned());
                }
            }
        }
    }
    for metric in &mut metrics {
        metric.kind = kinds.remove(&metric.name).unwrap_or_default();
        // Samples of these carry a suffix; the name is what one asks for.
        metric.name.push_str(match metric.kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        });
    }
    metrics
}

const INTRODUCTION: &str = "\
# Metrics

<!-- Generated: cargo run -p portcullis-cli -- reference metrics > docs/metrics.md -->

`GET /metrics` on the admin listener (`gateway.admin_listen`), in OpenMetrics text. Labels come from closed lists: no user, path, token or \
anything else that a client chooses becomes one. What to do with them: [operations](operations.md).

| metric | kind | labels | meaning |
|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_read_with_kind_labels_and_help() {
        let text = "# HELP a_b Things, by kind.\n# TYPE a_b counter\na_b_total{kind=\"x, y\",of=\"1\"} 0\n\
                    # HELP c_seconds Time.\n# TYPE c_seconds histogram\n# UNIT c_seconds seconds\n\
                    c_seconds_bucket{le=\"1.0\"} 0\nc_seconds_count 0\n# EOF\n";
        let metric = |name: &str, kind: &str, labels: &[&str], help: &str| Metric {
            name: name.to_owned(),
            kind: kind.to_owned(),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            help: help.to_owned(),
        };
        assert_eq!(
            read(text),
            [
                metric("a_b_total", "counter", &["kind", "of"], "Things, by kind"),
                metric("c_seconds", "histogram", &[], "Time"),
            ]
        );
    }

    #[test]
    fn every_family_of_the_exposition_has_a_row() {
        let page = metrics_reference();
        let exposition = Metrics::new("n", "b").render();
        let families = exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")).count();
        assert!(families > 20);
        assert_eq!(page.lines().filter(|line| line.starts_with("| `portcullis_")).count(), families);
        assert!(page.contains("| `portcullis_handshake_rejections_total` | counter | `reason` |"), "{page}");
    }
}
