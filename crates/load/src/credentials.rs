//! Credentials to present: where tokens come from, and the form in which the server takes them.
//!
//! A piece by itself, without sockets: a number in, the fields of a request out.

use std::{fmt, str::FromStr, sync::Arc};

use portcullis_token::{KeyError, Secret, Signer, base64url};
use serde_json::{Map, Value, json};

use crate::clock::CLOCK;

/// How a token is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A plain name and `jwt.<base64url(token)>` beside it in `Sec-WebSocket-Protocol`.
    Subprotocol,
    /// `Authorization: Bearer <token>`.
    Bearer,
    /// The two elements `jwt` and the token itself.
    TwoElement,
    /// A parameter of the query.
    Query,
    /// A cookie.
    Cookie,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 5] = [Self::Subprotocol, Self::Bearer, Self::TwoElement, Self::Query, Self::Cookie];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subprotocol => "subprotocol",
            Self::Bearer => "bearer",
            Self::TwoElement => "two-element",
            Self::Query => "query",
            Self::Cookie => "cookie",
        }
    }
}

/// The text is not the name of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a form: write subprotocol, bearer, two-element, query or cookie")]
pub struct UnknownForm;

impl FromStr for Form {
    type Err = UnknownForm;

    fn from_str(text: &str) -> Result<Self, UnknownForm> {
        Self::ALL.into_iter().find(|form| form.name() == text).ok_or(UnknownForm)
    }
}

/// Where tokens come from.
#[derive(Clone)]
pub enum Source {
    /// No credential is presented.
    None,
    /// These, in turns.
    Tokens(Arc<[String]>),
    /// One made for each connection.
    Mint(Arc<Mint>),
}

/// Makes tokens: each has its own `jti`, and the subjects take turns.
pub struct Mint {
    signer: Signer,
    claims: Map<String, Value>,
    users: u64,
    ttl: u64,
}

impl Mint {
    /// Signs with HS256 and `secret`. `claims` stand beside those that every token has, or replace them; `null` takes
    /// one out. The subjects are `bench-0` to `bench-<users - 1>`; a token is good for `ttl` seconds.
    ///
    /// # Errors
    /// If the secret is empty.
    pub fn new(
        secret: &Secret,
        kid: Option<&str>,
        claims: Map<String, Value>,
        users: u64,
        ttl: u64,
    ) -> Result<Self, KeyError> {
        Ok(Self { signer: Signer::hs256(kid, secret)?, claims, users: users.max(1), ttl })
    }

    fn token(&self, number: u64, expired: bool) -> String {
        let now = CLOCK.unix_seconds();
        let issued = if expired { now.saturating_sub(2 * self.ttl.max(3_600)) } else { now };
        let mut claims = Map::new();
        for (name, value) in [
            ("iss", json!("portcullis")),
            ("aud", json!("portcullis")),
            ("scope", json!("chat")),
            ("sub", json!(format!("bench-{}", number % self.users))),
            ("iat", json!(issued)),
            ("exp", json!(issued + self.ttl)),
            ("jti", json!(format!("{number:016x}"))),
        ] {
            claims.insert(name.to_owned(), value);
        }
        for (name, value) in &self.claims {
            if value.is_null() {
                claims.remove(name);
            } else {
                claims.insert(name.clone(), value.clone());
            }
        }
        self.signer.sign(&claims)
    }
}

/// The tokens and their form.
#[derive(Clone)]
pub struct Credentials {
    source: Source,
    form: Form,
    /// The plain name that is offered beside a token element.
    protocols: Arc<[String]>,
    /// The name of the query's parameter or of the cookie.
    name: Arc<str>,
}

/// What is wrong with a credential that shall be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is none.
    Missing,
    /// It is not a token.
    Malformed,
    /// Its signature is not its own.
    Tampered,
    /// It has expired.
    Expired,
}

impl Fault {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Tampered => "tampered",
            Self::Expired => "expired",
        }
    }
}

/// A credential as it stands in a request.
#[derive(Clone, Default)]
pub struct Presented {
    /// The subprotocols to offer.
    pub protocols: Vec<String>,
    /// The value of `Authorization`.
    pub authorization: Option<String>,
    /// The value of `Cookie`.
    pub cookie: Option<String>,
    /// What stands in the query, without `?` or `&`.
    pub query: Option<String>,
    /// The token itself, to keep it out of reports where a server sends it back.
    pub token: Option<String>,
}

impl Credentials {
    /// `protocols` are offered in every request; where a form needs a plain name beside the token and there is none,
    /// `jwt-auth` is offered. `name` is that of the query's parameter or of the cookie.
    pub fn new(source: Source, form: Form, protocols: Vec<String>, name: &str) -> Self {
        Self { source, form, protocols: protocols.into(), name: name.into() }
    }

    /// Nothing is presented.
    pub fn none() -> Self {
        Self::new(Source::None, Form::Subprotocol, Vec::new(), "token")
    }

    /// The form.
    pub const fn form(&self) -> Form {
        self.form
    }

    /// Whether there is a credential to present.
    pub const fn is_some(&self) -> bool {
        !matches!(self.source, Source::None)
    }

    /// In words, for reports: never a token.
    pub fn describe(&self) -> String {
        match &self.source {
            Source::None => "none".to_owned(),
            Source::Tokens(tokens) if tokens.len() == 1 => "one token for all".to_owned(),
            Source::Tokens(tokens) => format!("{} tokens in turns", tokens.len()),
            Source::Mint(mint) => format!("a token minted for each connection, {} users", mint.users),
        }
    }

    /// The good credential of connection `number`.
    pub fn good(&self, number: u64) -> Presented {
        self.present(self.token(number))
    }

    /// The faults that can be made with these tokens, in the order in which they take turns.
    pub fn faults(&self) -> &'static [Fault] {
        match self.source {
            Source::None => &[Fault::Missing, Fault::Malformed],
            Source::Tokens(_) => &[Fault::Missing, Fault::Malformed, Fault::Tampered],
            Source::Mint(_) => &[Fault::Missing, Fault::Malformed, Fault::Tampered, Fault::Expired],
        }
    }

    /// A credential of connection `number` that shall be refused, and why.
    pub fn bad(&self, number: u64) -> (Presented, Fault) {
        let faults = self.faults();
        let fault = faults[(number % faults.len() as u64) as usize];
        let token = match fault {
            Fault::Missing => None,
            Fault::Malformed => Some("abc".to_owned()),
            Fault::Tampered => self.token(number).as_deref().map(tamper),
            Fault::Expired => match &self.source {
                Source::Mint(mint) => Some(mint.token(number, true)),
                Source::None | Source::Tokens(_) => None,
            },
        };
        (self.present(token), fault)
    }

    fn token(&self, number: u64) -> Option<String> {
        match &self.source {
            Source::None => None,
            Source::Tokens(tokens) => tokens.get((number % tokens.len().max(1) as u64) as usize).cloned(),
            Source::Mint(mint) => Some(mint.token(number, false)),
        }
    }

    fn present(&self, token: Option<String>) -> Presented {
        let mut presented = Presented { protocols: self.protocols.to_vec(), ..Presented::default() };
        let Some(token) = token else { return presented };
        match self.form {
            Form::Subprotocol => {
                if presented.protocols.is_empty() {
                    presented.protocols.push("jwt-auth".to_owned());
                }
                presented.protocols.push(format!("jwt.{}", base64url::encode(&token)));
            }
            Form::Bearer => presented.authorization = Some(format!("Bearer {token}")),
            Form::TwoElement => presented.protocols.extend(["jwt".to_owned(), token.clone()]),
            Form::Query => presented.query = Some(format!("{}={token}", self.name)),
            Form::Cookie => presented.cookie = Some(format!("{}={token}", self.name)),
        }
        presented.token = Some(token);
        presented
    }
}

impl Presented {
    /// `text` without the token, in any of the forms in which it was sent.
    pub fn redact(&self, text: &str) -> String {
        let Some(token) = self.token.as_deref().filter(|token| token.len() >= SHORTEST) else {
            return text.to_owned();
        };
        // The signature alone makes a token of what anyone could write.
        let signature = token.rsplit('.').next().filter(|signature| signature.len() >= SHORTEST);
        let mut clean = text.replace(token, HIDDEN).replace(&base64url::encode(token), HIDDEN);
        if let Some(signature) = signature {
            clean = clean.replace(signature, HIDDEN);
        }
        clean
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, {})", self.form.name(), self.describe())
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented(..)")
    }
}

/// Another first character of the signature: the last one may have bits that do not count.
fn tamper(token: &str) -> String {
    let at = token.rfind('.').map_or(0, |dot| dot + 1);
    let other = if token[at..].starts_with('A') { 'B' } else { 'A' };
    let rest = token[at..].char_indices().nth(1).map_or("", |(next, _)| &token[at + next..]);
    format!("{}{other}{rest}", &token[..at])
}

const HIDDEN: &str = "[token]";

/// Shorter texts turn up by chance.
const SHORTEST: usize = 16;

#[cfg(test)]
mod tests {
    use portcullis_token::{Issuer, KeySet, Policy, Verifier};

    use super::*;

    const SECRET: &str = "Qm7-tR2x_Wz9KpL4vYc8NhD3sFgJ6bTe1UaXo5Ei0rM";

    fn minting(form: Form) -> Credentials {
        let mint = Mint::new(&SECRET.into(), Some("k"), Map::new(), 3, 60).unwrap();
        Credentials::new(Source::Mint(Arc::new(mint)), form, Vec::new(), "access_token")
    }

    fn verify(token: &str) -> Result<String, String> {
        let now = CLOCK.unix_seconds();
        let mut keys = KeySet::new();
        keys.add_signer(&Signer::hs256(Some("k"), &SECRET.into()).unwrap()).unwrap();
        let issuer = Issuer { audiences: vec!["portcullis".into()], ..Issuer::unnamed(keys) };
        let verifier = Verifier::new([issuer], Policy::default(), 0);
        verifier
            .verify(token, now)
            .map(|identity| identity.subject().to_owned())
            .map_err(|rejection| rejection.reason.id().to_owned())
    }

    #[test]
    fn minted_tokens_are_good_and_each_its_own() {
        let credentials = minting(Form::Bearer);
        let tokens: Vec<String> = (0..4).map(|number| credentials.good(number).token.unwrap()).collect();
        let subjects: Vec<String> = tokens.iter().map(|token| verify(token).unwrap()).collect();
        assert_eq!(subjects, ["bench-0", "bench-1", "bench-2", "bench-0"]);
        assert_ne!(tokens[0], tokens[3], "the same user, another token");
    }

    #[test]
    fn bad_ones_are_refused_each_for_its_own_reason() {
        let credentials = minting(Form::Bearer);
        let refused: Vec<_> = (0..4)
            .map(|number| {
                let (presented, fault) = credentials.bad(number);
                (fault, presented.token.map(|token| verify(&token).unwrap_err()))
            })
            .collect();
        assert_eq!(
            refused,
            [
                (Fault::Missing, None),
                (Fault::Malformed, Some("TOKEN_MALFORMED".to_owned())),
                (Fault::Tampered, Some("SIGNATURE_INVALID".to_owned())),
                (Fault::Expired, Some("TOKEN_EXPIRED".to_owned())),
            ]
        );
    }

    #[test]
    fn each_form_stands_where_it_belongs() {
        let token = || Source::Tokens(["a.b.c".to_owned()].into());
        let present = |form| Credentials::new(token(), form, Vec::new(), "t").good(7);
        assert_eq!(present(Form::Subprotocol).protocols, ["jwt-auth", "jwt.YS5iLmM"]);
        assert_eq!(present(Form::Bearer).authorization.as_deref(), Some("Bearer a.b.c"));
        assert_eq!(present(Form::TwoElement).protocols, ["jwt", "a.b.c"]);
        assert_eq!(present(Form::Query).query.as_deref(), Some("t=a.b.c"));
        assert_eq!(present(Form::Cookie).cookie.as_deref(), Some("t=a.b.c"));
        let own = Credentials::new(token(), Form::Subprotocol, vec!["chat".into()], "t").good(0);
        assert_eq!(own.protocols, ["chat", "jwt.YS5iLmM"]);
        assert!(Credentials::none().good(0).token.is_none());
        for form in Form::ALL {
            assert_eq!(form.name().parse(), Ok(form));
        }
    }

    #[test]
    fn tokens_are_kept_out_of_what_is_told() {
        let presented = minting(Form::Subprotocol).good(1);
        let token = presented.token.clone().unwrap();
        let wrapped = base64url::encode(&token);
        let signature = token.rsplit('.').next().unwrap();
        let told = presented.redact(&format!("bad {token}, jwt.{wrapped}, {signature}"));
        assert_eq!(told, "bad [token], jwt.[token], [token]");
        assert!(!format!("{presented:?} {:?}", minting(Form::Bearer)).contains(signature));
    }
}
