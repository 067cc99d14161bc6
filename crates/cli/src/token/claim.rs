//! Claims on a command line.

use serde_json::{Value, json};

use crate::output::Usage;

/// A claim of the command line: JSON where it can be read as such, else text.
pub(crate) fn parse(text: &str) -> Result<(String, Value), Usage> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| Usage(format!("`{text}` is not a claim: write --claim name=value")))?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| json!(value))))
}
