use std::{collections::HashSet, fs, path::Path};

use portcullis_reason::Reason;

#[test]
fn every_section_of_every_help_says_something_of_its_own() {
    let mut seen = HashSet::new();
    for &reason in Reason::ALL {
        let help = reason.help();
        for (section, text, at_least) in [
            ("Remedy", help.remedy(), 30),
            ("Cause", help.cause(), 100),
            ("How to see it", help.symptoms(), 60),
            ("How to fix it", help.fix(), 100),
        ] {
            assert!(text.len() >= at_least, "{reason}, {section}: {text:?}");
            assert!(seen.insert(text), "{reason}, {section}: the same text stands elsewhere");
        }
        assert_eq!(help.markdown().matches("\n## ").count() + 1, 4, "{reason}: four sections");
        assert!(help.markdown().ends_with('\n') && !help.markdown().ends_with("\n\n"), "{reason}");
        assert_eq!(help.markdown().matches("```").count() % 2, 0, "{reason}: a fence is open");
    }
}

/// The remedy stands in problem bodies, terminals and the page: one plain line.
#[test]
fn remedies_are_one_plain_line() {
    for &reason in Reason::ALL {
        let remedy = reason.help().remedy();
        assert!(!remedy.contains(['\n', '`', '*']), "{reason}: {remedy}");
        assert!(remedy.chars().count() <= 160, "{reason}: {} characters", remedy.chars().count());
        assert!(remedy.ends_with('.'), "{reason}: {remedy}");
        assert_ne!(remedy.trim_end_matches('.'), reason.title(), "{reason}");
    }
}

#[test]
fn no_help_is_left_over() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("help");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut expected: Vec<_> = Reason::ALL.iter().map(|reason| format!("{reason}.md")).collect();
    files.sort();
    expected.sort();
    assert_eq!(files, expected);
}

/// Help is printed and published as it is: nothing in it may look like somebody's credential.
#[test]
fn no_help_carries_a_token() {
    for &reason in Reason::ALL {
        for word in reason.help().markdown().split(|c: char| c.is_whitespace() || "'\"`,".contains(c)) {
            assert!(!(word.starts_with("eyJ") && word.len() > 20), "{reason}: {word}");
        }
    }
}
