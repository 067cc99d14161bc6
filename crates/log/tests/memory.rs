//! The record in memory keeps the contract.

use std::sync::Arc;

use portcullis_log::{EventLog, Memory, suite::LIMITS};

portcullis_log::contract! { (Arc::new(Memory::new(LIMITS)) as Arc<dyn EventLog>, ()) }
