//! The only place that reads the environment.
#![expect(clippy::disallowed_methods, reason = "the configuration alone reads the environment: this module")]

use std::{env, path::PathBuf};

/// What names of settings start with. Nesting is two underscores: `PORTCULLIS_GATEWAY__LISTEN`.
const PREFIX: &str = "PORTCULLIS_";

/// Names the configuration file where no flag does.
const CONFIG: &str = "PORTCULLIS_CONFIG";

/// The variables that may be settings, without those that are not text.
pub(super) fn settings() -> impl Iterator<Item = (String, String)> {
    env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX) && name != CONFIG)?;
        Some((name, value.into_string().ok()?))
    })
}

/// The key that a variable sets: `PORTCULLIS_GATEWAY__ADMIN_LISTEN` is `gateway.admin_listen`.
pub(super) fn key(name: &str) -> Vec<String> {
    name.strip_prefix(PREFIX).unwrap_or(name).split("__").map(str::to_ascii_lowercase).collect()
}

/// The configuration file that `PORTCULLIS_CONFIG` names.
pub(super) fn file() -> Option<PathBuf> {
    env::var_os(CONFIG).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The secret in the variable `name`.
pub(crate) fn secret(name: &str) -> Option<Vec<u8>> {
    Some(env::var_os(name)?.into_encoded_bytes())
}

/// Whether colours are wanted: `NO_COLOR` and a terminal that says it is dumb turn them off.
pub(crate) fn colour() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|term| term != "dumb")
}
