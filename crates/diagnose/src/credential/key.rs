//! Keys by their frame or by how their issuer lets them begin.

use super::{
    Credential, Kind,
    run::{Class, Runs},
    text::trimmed,
};

/// How the keys of well-known services begin; each is followed by a long random part.
pub(super) const BEGINNINGS: [&str; 29] = [
    "AIza",
    "AKIA",
    "ASIA",
    "SG.",
    "dop_v1_",
    "ghb_",
    "gho_",
    "ghp_",
    "ghr_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "gsk_",
    "hf_",
    "npm_",
    "pypi-",
    "rk_live_",
    "shpat_",
    "sk-",
    "sk_live_",
    "sk_test_",
    "whsec_",
    "xoxa-",
    "xoxb-",
    "xoxp-",
    "xoxr-",
    "xoxs-",
    "ya29.",
];

/// What a service gave as a key.
pub(super) fn api_key(runs: &mut Runs<'_>, at: usize) -> Option<Credential> {
    let beginning = BEGINNINGS.iter().find(|beginning| runs.text[at..].starts_with(*beginning))?;
    let from = at + beginning.len();
    let run = runs.of(Class::Name, from);
    let end = trimmed(runs.text, from, run.end);
    (end - from >= 12 && run.has_digit()).then_some(Credential { kind: Kind::ApiKey, range: at..end })
}

/// A private key in PEM (RFC 7468), also as one line with `\n`, and one whose end is cut off.
pub(super) fn private_key(text: &str, at: usize) -> Option<Credential> {
    let after = text[at..].strip_prefix("-----BEGIN ")?;
    let (label, _) = after.split_at_checked(after.bytes().take(64).position(|b| b == b'-')?)?;
    if !label.contains("PRIVATE KEY") {
        return None;
    }
    let mut body = after[label.len()..].strip_prefix("-----")?;
    let begin = text.len() - body.len();
    let mut end = begin;
    loop {
        let line = body.trim_start_matches([' ', '\t', '\r', '\n']);
        let line = line.strip_prefix("\\r").unwrap_or(line);
        if let Some(next) = line.strip_prefix("\\n") {
            body = next;
            continue;
        }
        if let Some(last) = line.strip_prefix("-----END ") {
            let label = last.bytes().take_while(|b| b.is_ascii_uppercase() || *b == b' ').count();
            let rest = &last[label..];
            end = text.len() - rest.strip_prefix("-----").unwrap_or(rest).len();
            break;
        }
        let Some(length) = line_of_body(line, end > begin) else { break };
        body = &line[length..];
        end = text.len() - body.len();
    }
    (end > begin).then_some(Credential { kind: Kind::PrivateKey, range: at..end })
}

/// The length of a line of base64, or of a field of older frames; none if it is neither. A short word right behind the frame
/// is no key (`inside` tells that some of it was seen).
fn line_of_body(line: &str, inside: bool) -> Option<usize> {
    const FIELDS: [&str; 5] = ["Comment: ", "DEK-Info: ", "Hash: ", "Proc-Type: ", "Version: "];
    if FIELDS.iter().any(|field| line.starts_with(field)) {
        return Some(line.find(['\r', '\n', '\\', '"', '\'']).unwrap_or(line.len()));
    }
    let base64 = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    let length = line.bytes().take_while(base64).count();
    let rest = &line[length..];
    let is_last = rest.trim_start_matches(['\r', '\n', '\\', 'n', ' ']).starts_with("-----END ");
    let is_line = inside && (rest.is_empty() || rest.starts_with(['\r', '\n', '\\']));
    (length >= 16 || length > 0 && (is_last || is_line)).then_some(length)
}
