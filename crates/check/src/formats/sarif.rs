//! SARIF 2.1.0: a rule for each case, a result for each that did not pass.

use serde_json::{Value, json};

use crate::{finding::Finding, outcome::Verdict, report::Report};

/// The report as SARIF 2.1.0.
pub fn write(report: &Report) -> Value {
    let rules: Vec<Value> = report.cases.iter().map(rule).collect();
    let results: Vec<Value> = report.bad().map(|finding| result(report, finding)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "portcullis check", "semanticVersion": report.version, "rules": rules } },
            "results": results,
            "properties": { "grade": report.grade, "scores": report.scores },
        }],
    })
}

fn rule(finding: &Finding) -> Value {
    json!({
        "id": finding.id,
        "shortDescription": { "text": finding.requirement },
        "help": { "text": finding.clause },
        "properties": { "tags": ["websocket", finding.area.name()], "level": finding.level.name() },
    })
}

fn result(report: &Report, finding: &Finding) -> Value {
    let level = match finding.verdict {
        Verdict::Fail => "error",
        Verdict::Warn => "warning",
        Verdict::Inconclusive | Verdict::NotApplicable | Verdict::Pass => "note",
    };
    let remedy = finding.remedy.as_deref().map(|text| format!("\n\n{text}")).unwrap_or_default();
    json!({
        "ruleId": finding.id,
        "level": level,
        "message": { "text": format!("{}{remedy}", finding.says) },
        "locations": [{ "physicalLocation": { "artifactLocation": { "uri": report.target } } }],
        "partialFingerprints": { "case/v1": finding.id },
        "properties": { "reason": finding.reason, "verdict": finding.verdict },
    })
}
