//! The lines that tell of something.

use serde::{Serialize, Serializer};

use crate::time;

/// A line that tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Its number, from 1.
    pub line: u64,
    /// Its time.
    #[serde(serialize_with = "instant")]
    pub at: Option<i64>,
    /// Its text, shortened, with credentials replaced by fingerprints.
    pub text: String,
}

// `serialize_with` hands over a reference to the field.
#[expect(clippy::ref_option, reason = "the signature is serde's")]
pub(crate) fn instant<S: Serializer>(at: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.serialize_some(&time::shown(*at)),
        None => serializer.serialize_none(),
    }
}
