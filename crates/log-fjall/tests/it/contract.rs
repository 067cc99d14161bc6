//! The embedded record keeps the contract.

use std::{os::unix::fs::DirBuilderExt as _, sync::Arc};

use portcullis_log::Durability;
use portcullis_log::{EventLog, suite::LIMITS};
use portcullis_log_fjall::{Embedded, Error, Options};
use tempfile::TempDir;

fn make(durability: Durability) -> (Arc<dyn EventLog>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let log = Embedded::open(&folder.path().join("events"), Options::new(durability, LIMITS)).unwrap();
    (Arc::new(log), folder)
}

mod device {
    portcullis_log::contract! { super::make(super::Durability::Device) }
}

mod os {
    portcullis_log::contract! { super::make(super::Durability::Os) }
}

/// A record of the format before is refused and left as it is: opened as an empty one it would be lost without a word.
#[test]
fn a_folder_of_an_earlier_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
    std::fs::write(path.join("portcullis-events"), "1\n").unwrap();
    std::fs::DirBuilder::new().mode(0o700).create(path.join("store")).unwrap();
    let error = Embedded::open(&path, Options::new(Durability::Os, LIMITS)).unwrap_err();
    assert!(matches!(error, Error::TooOld { found: 1, .. }), "{error}");
    assert_eq!(std::fs::read_to_string(path.join("portcullis-events")).unwrap(), "1\n");
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 2, "nothing was added");
}
