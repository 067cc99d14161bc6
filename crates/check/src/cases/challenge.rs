//! Reading `WWW-Authenticate` (RFC 9110 §11.6.1).

/// The parameters of a challenge, in their order, names in lower case.
pub(super) fn parse(value: &str) -> Vec<(String, String)> {
    let mut rest = value.split_once(' ').map_or("", |(_, rest)| rest).trim_start();
    let mut parameters = Vec::new();
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim().trim_start_matches(',').trim().to_ascii_lowercase();
        let (text, after) = if let Some(quoted) = after.strip_prefix('"') {
            let mut text = String::new();
            let mut chars = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    '\\' => text.extend(chars.next().map(|(_, c)| c)),
                    c => text.push(c),
                }
            }
            (text, &quoted[end..])
        } else {
            let end = after.find(',').unwrap_or(after.len());
            (after[..end].trim().to_owned(), &after[end..])
        };
        parameters.push((name, text));
        rest = after;
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_taken_apart() {
        let pairs = |value: &str| -> Vec<(String, String)> { parse(value) };
        let own = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        assert_eq!(pairs("Bearer"), []);
        assert_eq!(pairs("Bearer realm=\"x\""), own(&[("realm", "x")]));
        assert_eq!(
            pairs(r#"Bearer Realm="a, b=c", error="q\"q",scope=chat"#),
            own(&[("realm", "a, b=c"), ("error", "q\"q"), ("scope", "chat")])
        );
        assert_eq!(pairs("Bearer error=\"a\", error=\"b\"").len(), 2);
    }
}
