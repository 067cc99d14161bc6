//! `check_token_form`, `check_request` and `check_response`: the handshake core on what was pasted.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use portcullis_agent::{ToolError, ToolOutput};
use portcullis_handshake::{Head, HeadLimits, Policy, Preflight, PreflightRequest, Upgrade};
use portcullis_reason::{Reason, Rejection};
use portcullis_token::inspect;
use serde_json::{Value, json};

use super::{context::Context, token::judge};
use crate::{
    case::{Case, Sound, Weight},
    found::Browser,
    scan::{
        credential::{Pasted, looks_like_jwt, split_prefix},
        element::{Element, Expression},
        offer::{Offer, Source},
    },
    surroundings::Configuration,
};

/// Stands for the token where code computes it: well-formed, signed by nobody.
const SAMPLE: &str =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJzYW1wbGUifQ.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Where the page of a browser's handshake is taken to come from: the server itself, so that the origin rule passes
/// and the form alone is judged.
const HOST: &str = "localhost:8000";
const ORIGIN: &str = "http://localhost:8000";

pub(super) fn args(offer: &Offer) -> Value {
    let elements: Vec<String> = offer.elements.iter().map(describe).collect();
    let authorization: Vec<String> = offer.authorization.iter().map(describe).collect();
    json!({ "source": source(offer.source), "protocols": elements, "authorization": authorization })
}

const fn source(source: Source) -> &'static str {
    match source {
        Source::RequestHeader => "request header",
        Source::ResponseHeader => "response header",
        Source::Code => "code",
        Source::List => "text",
    }
}

/// An element as it may be shown: prefixes and well-known names as they are, anything else by its size.
fn describe(element: &Element) -> String {
    let text = element.literal.as_str();
    if let Some(name) = element.known_name() {
        return name.to_owned();
    }
    let (lead, rest) = match (split_prefix(text), text.split_once(' ')) {
        (Some((prefix, rest)), _) => (prefix, rest),
        (None, Some((scheme, rest))) if scheme.eq_ignore_ascii_case("bearer") => ("Bearer ", rest),
        _ if text.eq_ignore_ascii_case("bearer") => ("Bearer", ""),
        _ => ("", text),
    };
    let rest = match (element.expression, rest.trim()) {
        (Some(Expression::Plain), _) => "<expression>".to_owned(),
        (Some(Expression::Base64), _) => "<base64 of an expression>".to_owned(),
        (Some(Expression::Base64Url), _) => "<base64url of an expression>".to_owned(),
        (None, "") => String::new(),
        (None, rest) if lead.is_empty() && !looks_like_jwt(rest) => {
            format!("<{} characters>", rest.chars().count())
        }
        (None, rest) => format!("<token, {} bytes, {}>", rest.len(), inspect(rest, 0).fingerprint),
    };
    format!("{lead}{rest}")
}

/// The element as the program would send it.
fn sent(element: &Element) -> String {
    let value = match element.expression {
        None => String::new(),
        Some(Expression::Plain) => SAMPLE.to_owned(),
        Some(Expression::Base64) => STANDARD.encode(format!("{SAMPLE}A")),
        Some(Expression::Base64Url) => URL_SAFE_NO_PAD.encode(SAMPLE),
    };
    let literal = element.literal.as_str();
    let gap = if literal.eq_ignore_ascii_case("bearer") && !value.is_empty() { " " } else { "" };
    format!("{literal}{gap}{value}")
}

/// The rules of the running server, for one mode called `main`.
fn policy(configuration: &Configuration) -> Result<Policy<()>, ToolError> {
    let mut builder =
        Policy::builder().mode("main", ()).accept_two_element_form(configuration.accept_two_element_form);
    let base = Policy::<()>::builder().build().map_err(|error| ToolError(error.to_string()))?;
    for (path, _) in &configuration.paths {
        builder = builder.route(path, ());
    }
    if configuration.paths.is_empty() {
        builder = builder.route("/ws", ());
    }
    for origin in &configuration.origins {
        builder = builder.allow_origin(origin);
    }
    for prefix in configuration
        .credential_prefixes
        .iter()
        .filter(|prefix| base.credential_prefixes().all(|known| known != *prefix))
    {
        builder = builder.credential_prefix(prefix);
    }
    for name in
        configuration.subprotocols.iter().filter(|name| base.subprotocols().all(|known| known != *name))
    {
        builder = builder.credential_name(name);
    }
    if let Ok(bytes @ 1..) = usize::try_from(configuration.max_token_bytes) {
        builder = builder.max_token_bytes(bytes);
    }
    builder.build().map_err(|error| ToolError(format!("The configuration could not be read: {error}")))
}

/// What came of a form, apart from the token itself.
enum Verdict {
    Refused(Rejection),
    /// Taken as this form, with this subprotocol selected; the token is then verified.
    Taken {
        form: &'static str,
        selected: Option<String>,
        token: Option<Reason>,
    },
}

pub(super) fn check(offer: &Offer, context: &Context, case: &mut Case) -> Result<ToolOutput, ToolError> {
    let policy = policy(&context.configuration)?;
    let elements: Vec<String> = offer.elements.iter().map(sent).collect();
    let protocols: Vec<&str> = elements.iter().map(String::as_str).collect();
    let is_variable = |value: &&Element| value.literal.as_str().is_empty() && value.expression.is_some();
    if offer.authorization.iter().any(|value| is_variable(&value)) {
        case.step("Make sure that the value of `Authorization` begins with `Bearer ` and a space; the code alone does not show it.");
    }
    let authorization: Vec<String> = offer
        .authorization
        .iter()
        .map(|value| if is_variable(&value) { format!("Bearer {SAMPLE}") } else { sent(value) })
        .collect();
    let browser =
        context.browser != Browser::No || (offer.source == Source::Code && authorization.is_empty());
    let request = PreflightRequest {
        mode: "main",
        protocols: &protocols,
        authorization: authorization.first().map(String::as_str),
        origin: browser.then_some(ORIGIN),
        host: Some(HOST),
    };
    let decide = || -> Result<Verdict, Rejection> {
        if let Some(rejection) = never_sent(offer, &elements, context) {
            return Err(rejection);
        }
        if authorization.len() > 1 {
            return Err(Rejection::new(Reason::AmbiguousCredentials, "more than one Authorization field"));
        }
        let found = Preflight::check(&request, &policy)?.credentials(&policy)?;
        let sample = found.token() == SAMPLE || found.token().starts_with(SAMPLE);
        let token = if sample { None } else { judge(found.token(), context).reason() };
        let selected = found.select(&policy)?.map(|name| name.to_string());
        Ok(Verdict::Taken { form: found.form().as_str(), selected, token })
    };
    let verdict = decide().unwrap_or_else(Verdict::Refused);
    let shape = shape(offer);
    let mut output = conclude(&verdict, &format!("The form {shape}"), case);
    match (&verdict, offer.source) {
        (Verdict::Taken { .. }, Source::Code) => case.sound.push(Sound::Code),
        (Verdict::Taken { .. }, _) => case.sound.push(Sound::Sent),
        (Verdict::Refused(_), _) => {}
    }
    if matches!(verdict, Verdict::Taken { token: None, .. }) {
        case.otherwise(&IF_REFUSED);
    }
    unusual_lead(offer, context, case);
    if offer.elements.iter().any(|element| element.expression == Some(Expression::Base64)) {
        case.step(
            "`btoa` makes standard base64: replace `+` by `-` and `/` by `_`, and drop the `=` at the end: \
             `btoa(token).replace(/\\+/g, '-').replace(/\\//g, '_').replace(/=+$/, '')`.",
        );
    }
    if context.browser == Browser::Perhaps && !offer.authorization.is_empty() {
        case.step(
            "In Node this works; a browser's `WebSocket` ignores headers and cannot send `Authorization`: use `['jwt-auth', 'jwt.' + \
             base64url(token)]` there.",
        );
    }
    if let Some(Value::Object(result)) = &mut output.result {
        result.insert("as_browser".to_owned(), Value::Bool(browser));
    }
    Ok(output)
}

/// What to do if a form that is right is refused.
const IF_REFUSED: [&str; 1] = [
    "If it is refused all the same, the token is what is left: paste it (an expired one of a test user), or the `reason` of the refusal.",
];

/// What a browser never sends, whatever the code says.
fn never_sent(offer: &Offer, elements: &[String], context: &Context) -> Option<Rejection> {
    let bad = |c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
    if offer.source == Source::Code && elements.iter().any(|element| element.contains(bad)) {
        let spaced = elements
            .iter()
            .any(|element| element.get(..7).is_some_and(|lead| lead.eq_ignore_ascii_case("bearer ")));
        let hint = if spaced {
            "Leave `Bearer ` out of a subprotocol: `['jwt-auth', 'jwt.' + base64url(token)]`. It belongs into the `Authorization` header."
        } else {
            "Encode with base64url without padding: `-` and `_` instead of `+` and `/`, and no `=`."
        };
        return Some(
            Rejection::new(
                Reason::TokenMalformed,
                "`new WebSocket` throws a SyntaxError before anything is sent: a subprotocol may not hold a space, `/`, `=` or quotes",
            )
            .with_hint(hint),
        );
    }
    let headers_alone =
        offer.elements.is_empty() && offer.authorization.iter().any(|value| value.expression.is_some());
    (context.browser == Browser::Yes && context.script && headers_alone).then(|| {
        Rejection::new(
            Reason::NoToken,
            "a browser's WebSocket cannot send `Authorization`: it ignores the headers, and the server sees no credential",
        )
        .with_hint("In a browser: `new WebSocket(url, ['jwt-auth', 'jwt.' + base64url(token)])`.")
    })
}

/// Names what stands before a token instead of a prefix that this server takes.
fn unusual_lead(offer: &Offer, context: &Context, case: &mut Case) {
    let prefixes = &context.configuration.credential_prefixes;
    for element in &offer.elements {
        let text = element.literal.as_str();
        if let Some((prefix, _)) = split_prefix(text)
            && !prefixes.is_empty()
            && !prefixes.iter().any(|known| known == prefix)
        {
            case.step(format!(
                "`{prefix}` is not one of this server's prefixes: send `jwt.` instead, or add it to `handshake.credential_prefixes`."
            ));
        }
        let lead = text.find("eyJ").map(|at| &text[..at]).unwrap_or_default();
        if lead.eq_ignore_ascii_case("jwt:")
            || lead.eq_ignore_ascii_case("jwt=")
            || lead.eq_ignore_ascii_case("jwt_")
        {
            case.step("Between `jwt` and the token belongs a dot: `jwt.<token>`.");
        }
    }
}

/// The offer on one line, with sizes in place of tokens.
fn shape(offer: &Offer) -> String {
    let mut parts = Vec::new();
    if !offer.authorization.is_empty() {
        let values: Vec<_> = offer.authorization.iter().map(describe).collect();
        parts.push(format!("`Authorization: {}`", values.join(", ")));
    }
    if !offer.elements.is_empty() {
        let values: Vec<_> = offer.elements.iter().take(8).map(describe).collect();
        parts.push(format!("`Sec-WebSocket-Protocol: {}`", values.join(", ")));
    }
    if parts.is_empty() { "without subprotocols".to_owned() } else { parts.join(" with ") }
}

fn conclude(verdict: &Verdict, subject: &str, case: &mut Case) -> ToolOutput {
    match verdict {
        Verdict::Refused(rejection) => {
            let reason = rejection.reason;
            let detail = sentence(&rejection.detail);
            case.found.push(format!("**{subject}**: this server answers `{reason}`. {detail}"));
            case.fault(reason, Weight::Decided, detail);
            if let Some(hint) = &rejection.hint {
                case.step(hint.as_ref());
            }
            let result = json!({
                "accepted": false,
                "reason": reason,
                "http_status": reason.status(),
                "detail": rejection.detail,
                "hint": rejection.hint,
            });
            ToolOutput {
                summary: format!("Refused with {reason}: {}", rejection.detail),
                result: Some(result),
            }
        }
        Verdict::Taken { form, selected, token } => {
            let selects = selected.as_deref().map_or_else(
                || "no subprotocol is selected".to_owned(),
                |name| format!("`{name}` is selected"),
            );
            let then = match token {
                Some(reason) => format!("the token itself is then refused with `{reason}`"),
                None => "the token is then verified".to_owned(),
            };
            case.found.push(format!("**{subject}**: the form is right ({form}; {selects}); {then}."));
            let result =
                json!({ "accepted": token.is_none(), "form": form, "selected": selected, "reason": token });
            ToolOutput { summary: format!("The form is right ({form}); {then}."), result: Some(result) }
        }
    }
}

/// Runs a whole pasted request through a handshake, up to its token.
pub(super) fn check_request(
    head: &Pasted,
    context: &Context,
    case: &mut Case,
) -> Result<ToolOutput, ToolError> {
    let policy = policy(&context.configuration)?;
    let decide = || -> Result<Verdict, Rejection> {
        let head = Head::parse(head.as_str().as_bytes(), &HeadLimits::default())?;
        let found = Upgrade::check(&head, &policy)?.credentials(&policy)?;
        let token = judge(found.token(), context).reason();
        Ok(Verdict::Taken { form: found.form().as_str(), selected: None, token })
    };
    let verdict = decide().unwrap_or_else(Verdict::Refused);
    if let Verdict::Taken { token, .. } = &verdict {
        case.sound.push(Sound::Sent);
        if token.is_none() {
            case.otherwise(&IF_REFUSED);
        }
    }
    if let Verdict::Refused(rejection) = &verdict
        && rejection.reason == Reason::OriginNotAllowed
    {
        case.step("The pasted request was judged by this server's own origin rule; for another server, compare with its list.");
    }
    Ok(conclude(&verdict, "The pasted request", case))
}

/// A server that selects the element which bears the token discloses it.
pub(super) fn check_response(offer: &Offer, case: &mut Case) -> ToolOutput {
    let echoed = offer.elements.iter().any(|element| {
        let text = element.literal.as_str();
        split_prefix(text).is_some() || looks_like_jwt(text)
    });
    if !echoed {
        let summary = "The server selected a plain name.".to_owned();
        case.found.push(format!(
            "**The server's answer**: it selects {}, a plain name, as it should.",
            shape(offer)
        ));
        return ToolOutput { summary, result: Some(json!({ "token_echoed": false })) };
    }
    case.found.push(
        "**The server's answer echoes the token**: it selects the subprotocol element that bears the credential. The token \
         then stands in responses, and in every log that keeps them."
            .to_owned(),
    );
    case.fault(
        Reason::NoCommonSubprotocol,
        Weight::Decided,
        "The server selects the token-bearing element instead of a plain name, which discloses the token.",
    );
    case.step("Let the server select a plain name (`jwt-auth`) that the client offers beside the token, never the element with the token.");
    case.step("Treat the tokens that were echoed as disclosed: shorten their life or revoke them.");
    ToolOutput {
        summary: "The token is echoed as the selected subprotocol.".to_owned(),
        result: Some(json!({ "token_echoed": true })),
    }
}

/// The log's detail as a sentence.
fn sentence(detail: &str) -> String {
    let mut chars = detail.chars();
    match chars.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str().trim_end_matches('.')),
        None => String::new(),
    }
}
