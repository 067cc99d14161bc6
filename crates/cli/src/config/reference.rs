//! The reference page of the configuration, from its JSON Schema.

use std::fmt::Write as _;

use serde_json::Value;

/// The whole page.
pub(super) fn markdown(schema: &Value) -> String {
    let mut page = Page { schema, text: INTRODUCTION.to_owned() };
    page.table(schema, "", 2);
    page.text.truncate(page.text.trim_end().len());
    page.text.push('\n');
    page.text
}

struct Page<'a> {
    schema: &'a Value,
    text: String,
}

impl<'a> Page<'a> {
    /// One table of the file: its settings, then the tables inside it.
    fn table(&mut self, table: &'a Value, key: &str, level: usize) {
        let properties = table["properties"].as_object().into_iter().flatten();
        let mut inner = Vec::new();
        let mut rows = Vec::new();
        for (name, property) in properties {
            let target = self.resolve(property);
            let items = self.resolve(&property["items"]);
            if target.get("properties").is_some() {
                inner.push((name, target, false, property));
            } else if items.get("properties").is_some() {
                inner.push((name, items, true, property));
            } else {
                rows.push((name, property, target));
            }
        }
        if !rows.is_empty() {
            self.text.push_str("| key | default | meaning |\n|---|---|---|\n");
        }
        for (name, property, target) in &rows {
            let description = cell(description(property).or_else(|| description(target)).unwrap_or_default());
            let values = values(target);
            let _ = writeln!(self.text, "| `{name}` | {} | {description}{values} |", default(property));
        }
        if !rows.is_empty() {
            self.text.push('\n');
        }
        for (name, target, list, property) in inner {
            let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            let heading = if list { format!("[[{key}]]") } else { format!("[{key}]") };
            let _ = writeln!(self.text, "{} `{heading}`\n", "#".repeat(level));
            // The type says more than the field, except of a list.
            let (first, second) = if list { (property, target) } else { (target, property) };
            if let Some(text) = description(first).or_else(|| description(second)) {
                let _ = writeln!(self.text, "{text}\n");
            }
            self.table(target, &key, level + 1);
        }
    }

    fn resolve(&self, property: &'a Value) -> &'a Value {
        let schema: &'a Value = self.schema;
        property["$ref"]
            .as_str()
            .and_then(|reference| schema.pointer(reference.strip_prefix('#')?))
            .unwrap_or(property)
    }
}

fn description(property: &Value) -> Option<&str> {
    property["description"].as_str()
}

fn default(property: &Value) -> String {
    match property.get("default") {
        None | Some(Value::Null) => "–".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

/// The values of a setting that is one of a few words.
fn values(target: &Value) -> String {
    let Some(variants) = target["oneOf"].as_array() else { return String::new() };
    let mut text = String::new();
    for variant in variants {
        if let (Some(value), Some(meaning)) = (variant["const"].as_str(), description(variant)) {
            let _ = write!(text, "<br>`{value}`: {}", cell(meaning));
        }
    }
    text
}

/// A table's cell is one line.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Generated: cargo run -p portcullis-cli -- config schema --markdown > docs/configuration.md -->

One TOML file, given by `--config FILE` or the variable `PORTCULLIS_CONFIG`. Environment variables override it, with two \
underscores for nesting (`PORTCULLIS_GATEWAY__LISTEN=0.0.0.0:8000`), and flags override both. Without any of them, \
`portcullis serve` starts a development server on loopback.

Lengths of time and sizes have a unit: `\"250ms\"`, `\"30s\"`, `\"1h30m\"`, `\"64 KiB\"`, `\"1 MiB\"`. Unknown keys are faults. \
`portcullis config check FILE` finds every fault with its line, and `portcullis config show FILE` tells each value in \
force and where it comes from.

";
