//! Comparing with an earlier run: only what got worse counts.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{outcome::Verdict, report::Report};

/// An earlier report.
#[derive(Clone, Debug)]
pub struct Baseline(HashMap<String, Verdict>);

/// Why a file is no report.
#[derive(Debug, thiserror::Error)]
#[error("the baseline is not a JSON report of `portcullis check --format json`")]
pub struct BaselineError(#[from] serde_json::Error);

/// A case that got worse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Worse {
    /// The case.
    pub id: &'static str,
    /// What it was; none where it is new.
    pub before: Option<Verdict>,
    /// What it is.
    pub now: Verdict,
}

impl Baseline {
    /// Reads a JSON report.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(json: &str) -> Result<Self, BaselineError> {
        #[derive(Deserialize)]
        struct Old {
            cases: Vec<OldCase>,
        }
        #[derive(Deserialize)]
        struct OldCase {
            id: String,
            verdict: Verdict,
        }
        let old: Old = serde_json::from_str(json)?;
        Ok(Self(old.cases.into_iter().map(|case| (case.id, case.verdict)).collect()))
    }

    /// What is worse now. A case that the earlier run did not have counts if it fails.
    pub fn worse(&self, report: &Report) -> Vec<Worse> {
        let cases = report.cases.iter();
        cases
            .filter_map(|finding| {
                let before = self.0.get(finding.id).copied();
                let worse = match before {
                    Some(before) => finding.verdict.rank() > before.rank(),
                    None => finding.verdict == Verdict::Fail,
                };
                worse.then_some(Worse { id: finding.id, before, now: finding.verdict })
            })
            .collect()
    }
}
