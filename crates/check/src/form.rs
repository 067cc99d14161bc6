//! Where a server takes the token from.

use std::{fmt, str::FromStr};

use portcullis_token::base64url;

use crate::request::Request;

/// A kind of place, as it is asked for on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormKind {
    /// An element of `Sec-WebSocket-Protocol` beside a plain name: `jwt-auth, jwt.<token>`.
    Subprotocol,
    /// `Authorization: Bearer <token>`.
    Bearer,
    /// Two elements of `Sec-WebSocket-Protocol`: `jwt, <token>`.
    TwoElement,
    /// A parameter of the query.
    Query,
    /// A cookie.
    Cookie,
    /// A header line, query or first message of one's own, with `{token}` or `{token_base64url}` in it.
    Template(Template),
}

/// A place of one's own: a text, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Template {
    /// `?t={token}`.
    Query(String),
    /// `X-Token: {token}`.
    Header(String),
    /// `{"type":"connection_init","payload":{"token":"{token}"}}`: after the 101, before anything else.
    Message(String),
}

/// Why a text is not a form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Neither a name nor a template.
    #[error(
        "`{0}` is not a form: subprotocol, bearer, two-element, query, cookie, or a template such as `X-Token: {{token}}`, \
         `?t={{token}}` or the message `{{\"token\":\"{{token}}\"}}`"
    )]
    Unknown(String),
    /// A template without a place for the token.
    #[error("the template `{0}` has neither {{token}} nor {{token_base64url}} in it")]
    NoToken(String),
}

impl FromStr for FormKind {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        Ok(match text {
            "subprotocol" => Self::Subprotocol,
            "bearer" => Self::Bearer,
            "two-element" => Self::TwoElement,
            "query" => Self::Query,
            "cookie" => Self::Cookie,
            _ => {
                let own = text.to_owned();
                let is_header =
                    |(name, _): (&str, &str)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
                let (is_header, is_query) =
                    (text.split_once(": ").is_some_and(is_header), text.starts_with('?'));
                match (is_query, is_header, text.contains("{token}") || text.contains("{token_base64url}")) {
                    (true, _, true) => Self::Template(Template::Query(own)),
                    (_, true, true) => Self::Template(Template::Header(own)),
                    (false, false, true) => Self::Template(Template::Message(own)),
                    (false, false, false) => return Err(FormError::Unknown(own)),
                    _ => return Err(FormError::NoToken(own)),
                }
            }
        })
    }
}

/// One exact way of sending a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// `<plain>, <prefix><token>`, the token in base64url once more or as it is.
    Subprotocol {
        /// The name that the server may select.
        plain: String,
        /// What stands before the token.
        prefix: String,
        /// Whether the token is wrapped in base64url.
        wrapped: bool,
    },
    /// `Authorization: Bearer`.
    Bearer,
    /// `<name>, <token>`.
    TwoElement {
        /// The first element.
        name: String,
    },
    /// `?<name>=<token>`.
    Query {
        /// The parameter.
        name: String,
    },
    /// `Cookie: <name>=<token>`.
    Cookie {
        /// The cookie.
        name: String,
    },
    /// A template.
    Template(Template),
}

impl FormKind {
    /// The exact ways to try for this kind, the likeliest first.
    pub(crate) fn candidates(&self, plain: &str) -> Vec<Form> {
        let of = |names: &[&str], make: fn(String) -> Form| {
            names.iter().map(|name| make((*name).to_owned())).collect()
        };
        match self {
            Self::Subprotocol => [true, false]
                .into_iter()
                .map(|wrapped| Form::Subprotocol {
                    plain: plain.to_owned(),
                    prefix: "jwt.".to_owned(),
                    wrapped,
                })
                .collect(),
            Self::Bearer => vec![Form::Bearer],
            Self::TwoElement => of(&["jwt", "bearer", "access_token"], |name| Form::TwoElement { name }),
            Self::Query => of(QUERY_NAMES, |name| Form::Query { name }),
            Self::Cookie => of(COOKIE_NAMES, |name| Form::Cookie { name }),
            Self::Template(template) => vec![Form::Template(template.clone())],
        }
    }

    /// Every kind that is tried where none is given.
    pub(crate) const fn usual() -> [Self; 5] {
        [Self::Subprotocol, Self::Bearer, Self::TwoElement, Self::Query, Self::Cookie]
    }
}

impl Form {
    /// Puts a token into a request.
    pub(crate) fn apply(&self, request: Request, token: &str) -> Request {
        match self {
            Self::Subprotocol { wrapped: true, .. } => {
                self.apply_raw(request, &base64url::encode(token.as_bytes()))
            }
            _ => self.apply_raw(request, token),
        }
    }

    /// Puts a text where the token goes, without wrapping it.
    pub(crate) fn apply_raw(&self, request: Request, text: &str) -> Request {
        match self {
            Self::Subprotocol { plain, prefix, .. } => {
                request.set("Sec-WebSocket-Protocol", &format!("{plain}, {prefix}{text}"))
            }
            Self::Bearer => request.set("Authorization", &format!("Bearer {text}")),
            Self::TwoElement { name } => request.set("Sec-WebSocket-Protocol", &format!("{name}, {text}")),
            Self::Query { name } => request.query(name, text),
            Self::Cookie { name } => request.add("Cookie", &format!("{name}={text}")),
            Self::Template(template) => template.apply(request, text),
        }
    }

    /// What a client offers that sends no token: the plain name of a form that has one.
    pub(crate) fn apply_nothing(&self, request: Request) -> Request {
        match self {
            Self::Subprotocol { plain, .. } => request.set("Sec-WebSocket-Protocol", plain),
            Self::TwoElement { name } => request.set("Sec-WebSocket-Protocol", name),
            _ => request,
        }
    }

    /// The form with another text where the token goes, as an element of the list.
    pub(crate) fn element(&self, token: &str) -> Option<String> {
        match self {
            Self::Subprotocol { prefix, wrapped: true, .. } => {
                Some(format!("{prefix}{}", base64url::encode(token.as_bytes())))
            }
            Self::Subprotocol { prefix, .. } => Some(format!("{prefix}{token}")),
            _ => None,
        }
    }

    /// Whether the token stands among the subprotocols.
    pub(crate) const fn offers_protocols(&self) -> bool {
        matches!(self, Self::Subprotocol { .. } | Self::TwoElement { .. })
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subprotocol { plain, prefix, wrapped: true } => {
                write!(f, "Sec-WebSocket-Protocol: {plain}, {prefix}<base64url(token)>")
            }
            Self::Subprotocol { plain, prefix, wrapped: false } => {
                write!(f, "Sec-WebSocket-Protocol: {plain}, {prefix}<token>")
            }
            Self::Bearer => f.write_str("Authorization: Bearer <token>"),
            Self::TwoElement { name } => write!(f, "Sec-WebSocket-Protocol: {name}, <token>"),
            Self::Query { name } => write!(f, "?{name}=<token>"),
            Self::Cookie { name } => write!(f, "Cookie: {name}=<token>"),
            Self::Template(Template::Query(text) | Template::Header(text) | Template::Message(text)) => {
                f.write_str(text)
            }
        }
    }
}

impl Template {
    fn apply(&self, request: Request, text: &str) -> Request {
        let wrapped = base64url::encode(text.as_bytes());
        let fill = |template: &str, text: &str| {
            template.replace("{token_base64url}", &wrapped).replace("{token}", text)
        };
        match self {
            Self::Query(template) => {
                let filled = fill(template.trim_start_matches('?'), text);
                let (name, value) = filled.split_once('=').unwrap_or((&filled, ""));
                request.query(name, value)
            }
            Self::Header(template) => {
                let filled = fill(template, text);
                let (name, value) = filled.split_once(": ").unwrap_or((&filled, ""));
                request.set(name, value)
            }
            Self::Message(template) => request.hello(&fill(template, &within_quotes(text))),
        }
    }
}

/// A text as it stands between the quotes of a JSON string.
pub(crate) fn within_quotes(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Parameters in which tokens are met.
pub(crate) const QUERY_NAMES: &[&str] = &["token", "access_token", "jwt", "auth"];
/// Cookies in which tokens are met.
pub(crate) const COOKIE_NAMES: &[&str] = &["token", "access_token", "jwt", "session"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_puts_the_token_where_it_says() {
        let request = || Request::upgrade("/ws", "h");
        let subprotocol =
            Form::Subprotocol { plain: "jwt-auth".into(), prefix: "jwt.".into(), wrapped: true };
        let sent = subprotocol.apply(request(), "a.b.c");
        assert_eq!(sent.value("Sec-WebSocket-Protocol"), Some("jwt-auth, jwt.YS5iLmM"));
        assert_eq!(Form::Bearer.apply(request(), "t").value("authorization"), Some("Bearer t"));
        assert_eq!(Form::Query { name: "jwt".into() }.apply(request(), "t").target, "/ws?jwt=t");
        let template: FormKind = "X-Token: v1 {token_base64url}".parse().unwrap();
        let sent = template.candidates("")[0].apply(request(), "a.b.c");
        assert_eq!(sent.value("X-Token"), Some("v1 YS5iLmM"));
        let template: FormKind = "?t={token}".parse().unwrap();
        assert_eq!(template.candidates("")[0].apply(request(), "x").target, "/ws?t=x");
        let template: FormKind =
            r#"{"type": "connection_init", "payload": {"token": "{token}"}}"#.parse().unwrap();
        let sent = template.candidates("")[0].apply(request(), "a\"b");
        assert_eq!(
            sent.hello.as_deref(),
            Some(r#"{"type": "connection_init", "payload": {"token": "a\"b"}}"#)
        );
    }

    #[test]
    fn a_form_that_is_none_is_told() {
        assert!(matches!("basic".parse::<FormKind>(), Err(FormError::Unknown(_))));
        assert!(matches!("X-Token: abc".parse::<FormKind>(), Err(FormError::NoToken(_))));
    }
}
