//! The embedded record keeps the contract.

use std::sync::Arc;

use portcullis_log::{Durability, EventLog, suite::LIMITS};
use portcullis_log_fjall::{Embedded, Options};
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
