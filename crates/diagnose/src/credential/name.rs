//! Values by the name in front of them: fields, parameters, members, variables.

use std::ops::Range;

use super::{
    Credential, Kind,
    form::token,
    place::{Place, Quote, blank, value_end},
    placeholder::is_placeholder,
    run::{Class, Runs, is_name},
    text::{leads, trimmed},
};

/// What a name says about its value.
#[derive(Clone, Copy)]
struct Named {
    kind: Kind,
    /// It is a header field's: what follows the colon is the value, also without quotes.
    field: bool,
    /// It is the end of a longer name (`csrf_token`), so it tells less.
    part: bool,
}

/// The longest name that is looked at.
const LONGEST_NAME: usize = 64;

/// Longer than this is no code.
const LONGEST_CODE: usize = 256;

/// The value that stands behind a name: `token=<x>`, `"password": "<x>"`, `Cookie: …`.
pub(super) fn named(runs: &mut Runs<'_>, at: usize) -> Option<Credential> {
    let text = runs.text;
    let name = name_at(text, at)?;
    let place = Place::behind(text, at, name.end)?;
    let told = &text[name];
    if is_member_of_jwk(told) {
        return member_of_jwk(runs, &place);
    }
    let named = what_is(told)?;
    let value = &text[place.from..];
    if is_placeholder(value) {
        return None;
    }
    if named.field && told.to_ascii_lowercase().ends_with("authorization") {
        return authorization(runs, &place);
    }
    let range = match place.quote {
        Some(quote) => place.from..quote.end(text, place.from),
        None if named.kind == Kind::Cookie && named.field => place.from..place.field_end(text, place.from),
        // A variable of a shell or a file of settings: a password may hold a comma there.
        None if place.is_assigned && begins_line(text, at) => {
            let ends = |c: char| c.is_whitespace() || matches!(c, '&' | '"' | '\'');
            place.from..place.from + value.find(ends).unwrap_or(value.len())
        }
        None if place.is_assigned || named.field => place.from..value_end(text, place.from),
        None if named.kind == Kind::Password => in_prose(text, &place)?,
        // `invalid token: Signature has expired` is prose.
        None => return None,
    };
    let value = &text[range.clone()];
    let variable = place.is_assigned && place.quote.is_none() && !named.field;
    let code = variable && named.kind != Kind::Password && is_code(value);
    let short = named.part && named.kind == Kind::Secret && value.len() < 6;
    if tells_why(value) || code || short {
        return None;
    }
    Some(match named.kind {
        Kind::Secret | Kind::ApiKey => token(runs, range.start, range.end, named.kind),
        kind => Credential { kind, range },
    })
}

/// Whether a value is no secret but tells why it was refused.
fn tells_why(value: &str) -> bool {
    const TELLING: [&str; 9] = ["", "-", "none", "null", "undefined", "missing", "true", "false", "bearer"];
    TELLING.iter().any(|telling| telling.eq_ignore_ascii_case(value))
}

/// The value of a `Sec-WebSocket-Protocol` field whose name stands at `at`.
pub(super) fn protocols(text: &str, at: usize) -> Option<Range<usize>> {
    const NAME: &str = "sec-websocket-protocol";
    if !leads(text, at, NAME) {
        return None;
    }
    let place = Place::behind(text, at, at + NAME.len())?;
    Some(place.from..place.field_end(text, place.from))
}

/// The name that begins at `at`.
fn name_at(text: &str, at: usize) -> Option<Range<usize>> {
    let length = text.as_bytes()[at..].iter().take_while(|b| is_name(**b)).take(LONGEST_NAME + 1).count();
    (length <= LONGEST_NAME).then_some(at..at + length)
}

/// How names of credentials end, without `-` and `_`. The longest first: a `secretAccessKey` is a key.
pub(super) const NAMES: [(&str, Kind); 19] = [
    ("proxyauthorization", Kind::Secret),
    ("authorization", Kind::Secret),
    ("passphrase", Kind::Password),
    ("accesskey", Kind::ApiKey),
    ("secretkey", Kind::ApiKey),
    ("passwort", Kind::Password),
    ("password", Kind::Password),
    ("passcode", Kind::Password),
    ("sessionid", Kind::Secret),
    ("setcookie", Kind::Cookie),
    ("apikey", Kind::ApiKey),
    ("cookie", Kind::Cookie),
    ("passwd", Kind::Password),
    ("secret", Kind::Secret),
    ("session", Kind::Secret),
    ("ticket", Kind::Secret),
    ("token", Kind::Secret),
    ("jwt", Kind::Secret),
    ("pwd", Kind::Password),
];

/// Names that tell as much as the ones that they end with.
pub(super) const WHOLE: [&str; 5] = ["accesstoken", "authtoken", "clientsecret", "idtoken", "refreshtoken"];

/// Names of header fields.
pub(super) const FIELDS: [&str; 4] = ["authorization", "cookie", "proxyauthorization", "setcookie"];

fn what_is(name: &str) -> Option<Named> {
    let lower = name.to_ascii_lowercase();
    let plain: String = lower.chars().filter(|c| !matches!(c, '-' | '_')).collect();
    let plain = plain.as_str();
    let field = FIELDS.contains(&plain) || lower.starts_with("x-");
    // As a word of its own: too many others end like that.
    if lower.rsplit(['-', '_']).next() == Some("sid") {
        return Some(Named { kind: Kind::Secret, field, part: false });
    }
    let (end, kind) = NAMES.into_iter().find(|(end, _)| plain.ends_with(end))?;
    Some(Named { kind, field, part: plain != end && !WHOLE.contains(&plain) })
}

/// A password behind a colon or `is`: it does not look like a word, or it is all that stands on a line with its name.
fn in_prose(text: &str, place: &Place) -> Option<Range<usize>> {
    let end = trimmed(text, place.from, value_end(text, place.from));
    let value = &text[place.from..end];
    let word = value.bytes().all(|b| b.is_ascii_alphabetic() || b >= 0x80);
    let alone =
        begins_line(text, place.name) && (text[end..].is_empty() || text[end..].starts_with(['\r', '\n']));
    (!value.is_empty() && (!word || alone)).then_some(place.from..end)
}

/// Whether nothing but the marks of a list and `export` stands before it on its line.
fn begins_line(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end_matches([' ', '\t', '-']);
    let before = before.strip_suffix("export").unwrap_or(before);
    before.is_empty() || before.ends_with('\n')
}

/// Whether an unquoted value is a call or a path of names: `token=getToken()`, `secret = process.env.SECRET`.
fn is_code(value: &str) -> bool {
    value.len() <= LONGEST_CODE
        && (value.contains('(')
            || value.contains('.')
                && value.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'.' | b'_' | b'$')))
}

/// Schemes of an `Authorization` field.
pub(super) const AUTHORIZATION_SCHEMES: [&str; 9] =
    ["bearer", "basic", "digest", "token", "apikey", "negotiate", "ntlm", "hawk", "aws4-hmac-sha256"];

/// The value of an `Authorization` field: its scheme may be seen.
fn authorization(runs: &mut Runs<'_>, place: &Place) -> Option<Credential> {
    let text = runs.text;
    let scheme = AUTHORIZATION_SCHEMES.iter().find(|scheme| {
        leads(text, place.from, scheme)
            && !text[place.from + scheme.len()..].starts_with(|c: char| !c.is_whitespace())
    });
    let range = match scheme {
        Some(scheme) => {
            let from = blank(text, place.from + scheme.len());
            let with_parameters = ["digest", "hawk", "aws4-hmac-sha256"].contains(scheme);
            let end = if with_parameters || place.quote.is_some() {
                place.field_end(text, from)
            } else {
                value_end(text, from)
            };
            from..end
        }
        None if place.quote.is_some() => place.from..place.field_end(text, place.from),
        None => place.from..value_end(text, place.from),
    };
    let value = &text[range.clone()];
    let code = scheme.is_none() && place.quote.is_none() && value.contains('(');
    if tells_why(value) || code || is_placeholder(&text[range.start..]) {
        return None;
    }
    Some(token(runs, range.start, range.end, Kind::Secret))
}

/// The members of a JWK that are secret (RFC 7518 §6.2.2, §6.3.2, §6.4).
pub(super) const MEMBERS_OF_JWK: [&str; 7] = ["k", "d", "p", "q", "dp", "dq", "qi"];

fn is_member_of_jwk(name: &str) -> bool {
    MEMBERS_OF_JWK.contains(&name)
}

/// The key of a JWK (RFC 7518 §6), which is base64url.
fn member_of_jwk(runs: &mut Runs<'_>, place: &Place) -> Option<Credential> {
    let quote = place.quote?;
    let run = runs.of(Class::Word, place.from);
    let closed = Quote::at(runs.text, run.end).is_some_and(|(end, _)| end.mark == quote.mark);
    (closed && run.end - place.from >= 16)
        .then_some(Credential { kind: Kind::Secret, range: place.from..run.end })
}
