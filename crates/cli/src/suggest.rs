//! "Did you mean": the nearest of some names to a misspelt one.

use strsim::osa_distance;

/// The candidate that `text` was most likely meant to be, if one is near enough.
pub(crate) fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    let limit = (text.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            // `prod` for `production`, `expired` for `token_expired`.
            let part = text.len() >= 3 && lower.contains(&text);
            let distance = osa_distance(&text, &lower);
            (part || distance <= limit && distance < text.chars().count()).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("lisen", "listen", 1),
            ("lsiten", "listen", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(osa_distance(a, b), expected, "{a} {b}");
            assert_eq!(osa_distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn suggestions_are_near_or_absent() {
        let keys = ["listen", "admin_listen", "drain", "production"];
        for (text, expected) in [
            ("lisen", Some("listen")),
            ("LISTEN", Some("listen")),
            ("prod", Some("production")),
            ("drian", Some("drain")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(text, keys), expected, "{text}");
        }
    }
}
