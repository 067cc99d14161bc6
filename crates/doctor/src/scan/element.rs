//! One subprotocol element or header value, as code and headers write it: literal text, then perhaps an expression.

use portcullis_diagnose::SUBPROTOCOLS;

use super::credential::{Pasted, blacked_out, looks_like_jwt, split_prefix};

/// What stands for a value that only the running program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    /// The value as it is.
    Plain,
    /// `btoa(…)` and the like: standard base64 with its `+`, `/` and `=`.
    Base64,
    /// A function whose name says base64url.
    Base64Url,
}

/// One subprotocol element or header value: literal text, then perhaps an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) literal: Pasted,
    pub(crate) expression: Option<Expression>,
}

impl Element {
    pub(crate) fn literal(text: &str) -> Self {
        Self { literal: Pasted::new(text.trim()), expression: None }
    }

    /// A name that may be shown as it is: it is well known, so it cannot be anyone's secret.
    pub(crate) fn known_name(&self) -> Option<&'static str> {
        let here = self.literal.as_str();
        SUBPROTOCOLS.into_iter().find(|name| self.expression.is_none() && *name == here)
    }
}

/// Whether the program's own value follows a literal: `'Bearer ' + token`.
pub(super) fn dynamic(value: &str, after: &str) -> Option<Expression> {
    let after = after.trim_start_matches(['"', '\'', '`', ' ']);
    (after.starts_with('+') || after.starts_with(".concat") || value.ends_with("%s"))
        .then_some(Expression::Plain)
}

/// Cuts a value at a placeholder: `${token}`, `{token}`, `<token>`, `$TOKEN`, `…`.
pub(super) fn with_placeholder(value: &str, dynamic: Option<Expression>) -> Element {
    let value = value.trim();
    let value = value.trim_end_matches("%s");
    // Go's `{"Bearer " + token}`.
    if let Some(inside) = value.strip_prefix(['{', '[']).filter(|inside| inside.starts_with(['"', '`'])) {
        return item_of(inside.trim_end_matches(['}', ']']));
    }
    // `{ Authorization: header }`: a variable, and the end of what is around it.
    let variable = value.trim_end_matches(['}', ')', ']', ' ']);
    if variable.len() < value.len()
        && (1..=40).contains(&variable.len())
        && variable.bytes().all(|b| b.is_ascii_alphanumeric() || b"._$".contains(&b))
        && !looks_like_jwt(variable)
    {
        return Element { literal: Pasted::new(""), expression: Some(Expression::Plain) };
    }
    if let Some(at) = blacked_out(value) {
        // What is left of a token says nothing; what stands before it does.
        let literal = &value[..value[..at].find("eyJ").unwrap_or(at)];
        let literal = match split_prefix(literal) {
            Some((prefix, _)) => &literal[..prefix.len()],
            None => literal,
        };
        return Element { literal: Pasted::new(literal), expression: Some(Expression::Plain) };
    }
    match value.find(['$', '{', '<']) {
        // A `$` in the middle of a token is a wrong character, not a placeholder.
        Some(at) if value[..at].ends_with(['.', ' ']) || at == 0 => {
            Element { literal: Pasted::new(&value[..at]), expression: Some(expression(&value[at..])) }
        }
        _ => Element { literal: Pasted::new(value), expression: dynamic },
    }
}

fn expression(code: &str) -> Expression {
    let code = code.to_ascii_lowercase();
    let cleaned = code.contains("replace") || code.contains("trim");
    if code.contains("base64url")
        || code.contains("b64url")
        || code.contains("urlsafe")
        || code.contains("toBase64Url")
    {
        Expression::Base64Url
    } else if code.contains("btoa") || code.contains("base64") || code.contains("b64encode") {
        if cleaned { Expression::Base64Url } else { Expression::Base64 }
    } else {
        Expression::Plain
    }
}

/// One item of an array: a quoted literal, a template, a concatenation or a bare expression.
pub(super) fn item_of(item: &str) -> Element {
    let item = item.strip_prefix('f').filter(|rest| rest.starts_with(['"', '\''])).unwrap_or(item);
    let Some(quote) = item.chars().next().filter(|c| matches!(c, '"' | '\'' | '`')) else {
        let code = Pasted::new("");
        return Element { literal: code, expression: Some(expression(item)) };
    };
    let body = &item[1..];
    let (literal, rest) = body.split_once(quote).unwrap_or((body, ""));
    let dynamic = rest.trim_start().strip_prefix(['+', '.']).map(expression);
    with_placeholder(literal, dynamic)
}
