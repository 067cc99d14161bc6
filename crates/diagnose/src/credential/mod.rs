//! Credentials in any text: where each stands, and of what kind it is.
//!
//! The one place that knows them for evidence, for what may be written down and for what may be kept: tokens by their look,
//! opaque ones by what leads to them, passwords and cookies by the name in front, keys by their frame or first letters.
//! It rather takes too much than too little. What it cannot know is a secret that has the form of an everyday word and
//! stands in a sentence.
//!
//! Takes time linear in the text's length: every run of characters is looked at once, however many credentials could begin
//! in it.

mod form;
#[cfg(any(test, feature = "forms"))]
pub mod forms;
mod key;
mod name;
mod place;
mod placeholder;
mod run;
mod text;

use std::ops::Range;

pub use self::form::{PREFIXES, SUBPROTOCOLS};
pub(crate) use self::placeholder::mark;
use self::run::Runs;

/// What a credential is, as far as its look and its surroundings tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Jwt,
    /// A token of an unknown form.
    Secret,
    Password,
    Cookie,
    ApiKey,
    PrivateKey,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Jwt, Self::Secret, Self::Password, Self::Cookie, Self::ApiKey, Self::PrivateKey];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Secret => "secret",
            Self::Password => "password",
            Self::Cookie => "cookie",
            Self::ApiKey => "api key",
            Self::PrivateKey => "private key",
        }
    }
}

/// A credential in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) kind: Kind,
    /// The credential itself: what leads to it stands before.
    pub(crate) range: Range<usize>,
}

/// The credentials of `text`, in order and apart.
pub(crate) fn credentials(text: &str) -> Credentials<'_> {
    Credentials { text, runs: Runs::new(text), at: 0, protocols: 0..0 }
}

/// See [`credentials`].
pub(crate) struct Credentials<'t> {
    text: &'t str,
    runs: Runs<'t>,
    at: usize,
    /// The value of a `Sec-WebSocket-Protocol` field that was met last.
    protocols: Range<usize>,
}

impl Iterator for Credentials<'_> {
    type Item = Credential;

    fn next(&mut self) -> Option<Credential> {
        self.next_before(self.text.len())
    }
}

impl Credentials<'_> {
    /// The next one, if it begins before `end`.
    pub(crate) fn next_before(&mut self, end: usize) -> Option<Credential> {
        while self.at < end
            && let Some(&byte) = self.text.as_bytes().get(self.at)
        {
            if let Some(credential) = self.begins_with(byte) {
                self.at = credential.range.end;
                return Some(credential);
            }
            self.at += 1;
        }
        None
    }

    /// The credential that begins here, or what leads to it does.
    fn begins_with(&mut self, byte: u8) -> Option<Credential> {
        let (text, at, runs) = (self.text, self.at, &mut self.runs);
        match byte {
            b'-' => return key::private_key(text, at),
            b':' => return form::userinfo(text, at),
            _ if !byte.is_ascii_alphanumeric() => return None,
            _ => {}
        }
        if let Some(jwt) = form::jwt(runs, at) {
            return Some(jwt);
        }
        if !begins_word(text.as_bytes(), at) {
            return None;
        }
        if at >= self.protocols.end
            && let Some(value) = name::protocols(text, at)
        {
            self.protocols = value;
        }
        form::element(runs, at)
            .or_else(|| form::scheme(runs, at))
            .or_else(|| name::named(runs, at))
            .or_else(|| form::announced(runs, at, self.protocols.contains(&at)))
            .or_else(|| key::api_key(runs, at))
            .or_else(|| form::opaque(runs, at))
    }
}

/// Whether no name goes on here. Escapes such as `\n` and `%3D` belong to none.
fn begins_word(bytes: &[u8], at: usize) -> bool {
    match bytes[..at] {
        [.., b'%', first, second] if first.is_ascii_hexdigit() && second.is_ascii_hexdigit() => true,
        [.., b'%', first] if first.is_ascii_hexdigit() => false,
        [.., b'%'] => !bytes[at].is_ascii_hexdigit(),
        [.., b'\\'] => !matches!(bytes[at], b'n' | b'r' | b't'),
        [.., b'\\', b'n' | b'r' | b't'] | [] => true,
        [.., before] => !run::is_name(before),
    }
}
