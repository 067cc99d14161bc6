//! Red and green: no case without a server that it finds, and none that finds something in a server that is right.

use std::sync::Mutex;

use portcullis_check::{Case, OptIn, Selection, Verdict, cases};

use crate::{Bed, check, finding, is_red, options, run, shown};

/// The right server passes every case, and every case is applicable to it.
#[test]
fn nothing_is_found_in_a_server_that_is_right() {
    let bed = Bed::start("");
    let selection = Selection::new(&[], &[], &[], vec![OptIn::Silence, OptIn::Flood]).unwrap();
    let report = run(options(&bed, selection));
    assert_eq!(report.cases.len(), cases().len(), "every case was run");
    let open: Vec<String> =
        report.cases.iter().filter(|finding| finding.verdict != Verdict::Pass).map(shown).collect();
    assert!(open.is_empty(), "{}", open.join("\n"));
    assert_eq!(report.grade.map(portcullis_check::Grade::name), Some("A+"));
    assert!(report.root_causes.is_empty(), "{:?}", report.root_causes);
}

/// Each case finds the defect that has its name. A case without one would pass here, and so fail this test.
#[test]
fn every_case_finds_its_defect() {
    let left = Mutex::new(cases().iter().collect::<Vec<_>>());
    let missed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some(case) = left.lock().unwrap().pop() else { return };
                    if let Err(why) = find(case) {
                        missed.lock().unwrap().push(why);
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "{} of {} cases miss:\n{}", missed.len(), cases().len(), missed.join("\n"));
}

fn find(case: &'static Case) -> Result<(), String> {
    let bed = Bed::start(case.id);
    // What kills the server is another case's doing.
    let only: &[&str] =
        if case.id == "rule/survives" { &["rule/survives", "rule/ping-flood"] } else { &[case.id] };
    let report = check(&bed, only);
    let finding = finding(&report, case.id);
    if !is_red(finding.verdict) {
        return Err(shown(finding));
    }
    if finding.remedy.as_ref().is_none_or(|remedy| remedy.len() < 40) {
        return Err(format!("{} has no remedy", case.id));
    }
    if finding.evidence.is_empty() {
        return Err(format!("{} has no evidence", case.id));
    }
    Ok(())
}

/// Side by side: most of the time is waiting.
const WORKERS: usize = 8;
