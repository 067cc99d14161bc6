//! A text for every form in which a credential is recognised, made of the very tables that are looked into: for tests of
//! what is kept.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    form::{ANNOUNCING, PREFIXES, SCHEMES},
    key::BEGINNINGS,
    name::{AUTHORIZATION_SCHEMES, FIELDS, MEMBERS_OF_JWK, NAMES, WHOLE},
};

/// A text with a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// What somebody may paste.
    pub text: String,
    /// What of it must not be seen again.
    pub secret: String,
}

const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
const OPAQUE: &str = "Opaque-0123456789-token";
const RANDOM: &str = "q7Zt2Lw9Xc4Vb8Nm1Kj6Hg3F";

/// All of them.
pub fn forms() -> Vec<Form> {
    let wrapped = URL_SAFE_NO_PAD.encode(JWT);
    let mut forms = Vec::new();
    let mut form = |secret: &str, text: String| forms.push(Form { text, secret: secret.to_owned() });
    for jwt in [JWT, &wrapped] {
        form(jwt, format!("why is {jwt} refused?"));
    }
    for prefix in PREFIXES {
        for value in [JWT, &wrapped, OPAQUE] {
            form(value, format!("why is {prefix}{value} refused?"));
        }
    }
    for name in ANNOUNCING {
        form(OPAQUE, format!("new WebSocket(url, ['{name}', '{OPAQUE}'])"));
        form(OPAQUE, format!("Sec-WebSocket-Protocol: {name}, {OPAQUE}"));
        form(OPAQUE, format!("it offers {name}, {OPAQUE}"));
    }
    for scheme in SCHEMES {
        form(OPAQUE, format!("sent with {scheme} {OPAQUE}"));
    }
    for scheme in AUTHORIZATION_SCHEMES {
        form(OPAQUE, format!("Authorization: {scheme} {OPAQUE}"));
    }
    for field in FIELDS.into_iter().map(spelled) {
        form(OPAQUE, format!("{field}: {OPAQUE}"));
        form(OPAQUE, format!("{{\"name\": \"{field}\", \"value\": \"{OPAQUE}\"}}"));
    }
    for name in NAMES.into_iter().map(|(name, _)| name).chain(WHOLE).chain(["sid"]) {
        form(OPAQUE, format!("{name}={OPAQUE}"));
        form(OPAQUE, format!("/ws?a=b&{name}={OPAQUE}&x=1"));
        form(OPAQUE, format!("{{\"{name}\": \"{OPAQUE}\"}}"));
        form(OPAQUE, format!("X-{name}: {OPAQUE}"));
        form(OPAQUE, format!("MY_{}={OPAQUE}", name.to_ascii_uppercase()));
    }
    for member in MEMBERS_OF_JWK {
        form(RANDOM, format!("{{\"kty\": \"EC\", \"{member}\": \"{RANDOM}\"}}"));
    }
    for beginning in BEGINNINGS {
        let key = format!("{beginning}{RANDOM}");
        form(&key, format!("the key {key} was leaked"));
    }
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
        form(RANDOM, format!("-----BEGIN {label}-----\n{RANDOM}\n-----END {label}-----"));
    }
    form(OPAQUE, format!("connect to wss://ann:{OPAQUE}@h/ws"));
    form(OPAQUE, format!("my password is {OPAQUE}"));
    let long = [RANDOM, RANDOM].concat();
    form(&long, format!("it says {long} and no more"));
    forms
}

/// The name of a field with its hyphen, which the table leaves out.
fn spelled(field: &str) -> String {
    let parts = ["proxy", "set"].into_iter().find_map(|lead| Some((lead, field.strip_prefix(lead)?)));
    parts.map_or_else(|| field.to_owned(), |(lead, rest)| format!("{lead}-{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redacted;

    #[test]
    fn nothing_of_a_credential_is_kept_in_any_form() {
        let forms = forms();
        assert!(forms.len() > 200, "{} forms", forms.len());
        for Form { text, secret } in forms {
            let shown = redacted(&text);
            let mut pieces = secret.as_bytes().windows(8).map(|piece| str::from_utf8(piece).unwrap());
            assert!(shown.contains('[') && !pieces.any(|piece| shown.contains(piece)), "{text}: {shown}");
        }
    }
}
