//! The table of cases, a file for each group.

mod authentication;
mod bypass;
mod challenge;
mod forged;
mod golden_path;
mod handshake;
mod judge;
mod lifecycle;
mod mistakes;
mod negotiation;
mod origin;
mod performance;
mod refusals;
mod robustness;
mod secrets;

use std::sync::LazyLock;

use crate::case::Case;

/// Every case, in the order of the report.
pub fn all() -> &'static [Case] {
    static ALL: LazyLock<Vec<Case>> = LazyLock::new(|| {
        [
            handshake::CASES,
            authentication::CASES,
            negotiation::CASES,
            origin::CASES,
            refusals::CASES,
            lifecycle::CASES,
            robustness::CASES,
            golden_path::CASES,
            performance::CASES,
        ]
        .concat()
    });
    &ALL
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::case::Group;

    #[test]
    fn ids_are_unique_and_well_formed() {
        let mut seen = HashSet::new();
        for case in all() {
            assert!(seen.insert(case.id), "{} twice", case.id);
            assert!(
                case.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "/.-".contains(c)),
                "{}",
                case.id
            );
            assert!(case.requirement.ends_with('.'), "{}", case.id);
            assert!(!case.clause.is_empty(), "{}", case.id);
        }
    }

    #[test]
    fn every_group_has_cases_in_one_piece() {
        let mut groups: Vec<Group> = all().iter().map(|case| case.group).collect();
        groups.dedup();
        assert_eq!(groups, Group::ALL);
    }
}
