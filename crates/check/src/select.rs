//! Which cases are run.

use crate::case::{Area, Case, Group, OptIn};

/// What was asked for. Empty lists ask for everything.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    only: Vec<String>,
    skip: Vec<String>,
    phases: Vec<Area>,
    opted_in: Vec<OptIn>,
}

/// Why a selection cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// A pattern that fits no case.
    #[error(
        "`{0}` fits no case: give a group (A), an id, or the beginning of one (rfc6455/); --list names them"
    )]
    Nothing(String),
    /// Not a phase.
    #[error(
        "`{0}` is not a phase: core, negotiation, error_handling, golden_path, performance or rfc_compliance"
    )]
    Phase(String),
    /// Everything was left out.
    #[error("nothing is left to run")]
    Empty,
}

impl Selection {
    /// Reads the patterns: a group's letter, an id, or the beginning of ids.
    ///
    /// # Errors
    /// If one of them fits nothing, or nothing is left.
    pub fn new(
        only: &[String],
        skip: &[String],
        phases: &[String],
        opted_in: Vec<OptIn>,
    ) -> Result<Self, SelectionError> {
        for pattern in only.iter().chain(skip) {
            if !crate::cases::all().iter().any(|case| fits(case, pattern)) {
                return Err(SelectionError::Nothing(pattern.clone()));
            }
        }
        let area = |name: &String| {
            let plain = name.replace('-', "_");
            Area::ALL
                .into_iter()
                .find(|area| area.name() == plain)
                .ok_or_else(|| SelectionError::Phase(name.clone()))
        };
        let phases = phases.iter().map(area).collect::<Result<_, _>>()?;
        let selection = Self { only: only.to_vec(), skip: skip.to_vec(), phases, opted_in };
        if selection.cases().next().is_none() {
            return Err(SelectionError::Empty);
        }
        Ok(selection)
    }

    /// The cases that are to be run, in the order of the table.
    pub fn cases(&self) -> impl Iterator<Item = &'static Case> {
        crate::cases::all().iter().filter(|case| self.has(case))
    }

    fn has(&self, case: &Case) -> bool {
        // Named outright, a case needs no other switch; it says itself what it lacks.
        let named = self.only.iter().any(|pattern| pattern == case.id);
        (self.only.is_empty() || self.only.iter().any(|pattern| fits(case, pattern)))
            && !self.skip.iter().any(|pattern| fits(case, pattern))
            && (self.phases.is_empty() || self.phases.contains(&case.group.area()))
            && (named || case.opt_in.is_none_or(|opt_in| self.opted_in.contains(&opt_in)))
    }
}

fn fits(case: &Case, pattern: &str) -> bool {
    match Group::ALL.into_iter().find(|group| group.letter() == pattern) {
        Some(group) => case.group == group,
        // An id is that case alone, also where others begin with it.
        None if crate::cases::all().iter().any(|known| known.id == pattern) => case.id == pattern,
        None => case.id.starts_with(pattern.trim_end_matches('*')) && !pattern.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(only: &[&str], skip: &[&str], phases: &[&str]) -> Vec<&'static str> {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let selection = Selection::new(&own(only), &own(skip), &own(phases), Vec::new()).unwrap();
        selection.cases().map(|case| case.id).collect()
    }

    #[test]
    fn groups_ids_and_beginnings_select() {
        assert_eq!(ids(&["rule/no-echo-refused"], &[], &[]), ["rule/no-echo-refused"]);
        assert_eq!(ids(&["rule/no-echo"], &[], &[]), ["rule/no-echo"]);
        assert!(ids(&["rule/no-echo*"], &[], &[]).contains(&"rule/no-echo-refused"));
        assert!(ids(&["O"], &["rule/"], &[]).iter().all(|id| id.starts_with("rfc")));
        assert!(ids(&[], &[], &["golden-path"]).contains(&"rule/two-users"));
        assert!(!ids(&[], &[], &[]).contains(&"rule/silence"));
        assert!(ids(&["rule/silence"], &[], &[]).contains(&"rule/silence"));
    }

    #[test]
    fn what_fits_nothing_is_told() {
        let error = |only: &str, phase: &[String]| {
            Selection::new(&[only.to_owned()], &[], phase, Vec::new()).unwrap_err()
        };
        assert_eq!(error("Z", &[]), SelectionError::Nothing("Z".into()));
        assert_eq!(error("A", &["later".to_owned()]), SelectionError::Phase("later".into()));
        assert_eq!(error("A", &["negotiation".to_owned()]), SelectionError::Empty);
    }
}
