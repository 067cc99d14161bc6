//! What an `Origin` that was pasted is to this server: one of its list, or how it differs from one.

use super::context::Context;
use crate::{case::Case, text::shown};

/// Adds what is found, where the message names an origin.
pub(super) fn compare(context: &Context, case: &mut Case) {
    let Some(origin) = &context.origin else { return };
    let name = shown(origin);
    let listed = &context.configuration.origins;
    if listed.contains(origin) {
        case.found.push(format!("**Its origin** `{name}` is on this server's list, so it was not this server, or not with this list, that refused it."));
        case.step(
            "Compare `portcullis config show` with the file that you changed, restart after a change, and look whether a proxy sends the \
             request to another instance.",
        );
        return;
    }
    let parts =
        |text: &str| text.split_once("://").map(|(scheme, rest)| (scheme.to_owned(), rest.to_owned()));
    let host = |rest: &str| rest.rsplit_once(':').map_or(rest, |(host, _)| host).to_owned();
    let near = parts(origin).and_then(|(scheme, rest)| {
        listed.iter().find_map(|other| {
            let (other_scheme, other_rest) = parts(other)?;
            (host(&rest) == host(&other_rest)).then(|| {
                let what = if scheme == other_scheme { "port" } else { "scheme" };
                format!(
                    "**Its origin** `{name}` is not on the list: it differs from `{}` in its {what}.",
                    shown(other)
                )
            })
        })
    });
    case.found.push(near.unwrap_or_else(|| format!("**Its origin** `{name}` is not on this server's list.")));
    case.step(format!("If pages of it are to connect, add it as it stands: `gateway.allowed_origins = [\"{name}\"]`, and restart."));
}
