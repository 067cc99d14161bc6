//! What a client offers as credentials: header lines, subprotocol arrays in code, and plain lists.

use std::ops::Range;

use portcullis_diagnose::SUBPROTOCOLS;

use super::{
    credential::{Credential, Pasted, Place, looks_like_jwt, split_prefix},
    element::{Element, dynamic, item_of, with_placeholder},
};

/// Where an offer was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Lines of a request's header, from a log, a browser's tools or a command line.
    RequestHeader,
    /// Lines of a response's header: what a server selected.
    ResponseHeader,
    /// Code: `new WebSocket(url, [...])` or another array of subprotocols.
    Code,
    /// Elements in running text.
    List,
}

/// The credentials of one handshake, as far as they were pasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) source: Source,
    /// Elements of `Sec-WebSocket-Protocol`, in order.
    pub(crate) elements: Vec<Element>,
    /// Values of `Authorization`.
    pub(crate) authorization: Vec<Element>,
    /// The bytes it takes in the text.
    pub(crate) range: Range<usize>,
}

/// Names that announce that the next element is the token.
const ANNOUNCING: [&str; 6] = ["jwt", "jwt-auth", "bearer", "token", "access_token", "anycable-token"];

/// The most offers, and the most elements of one.
const MAX_OFFERS: usize = 8;
const MAX_ELEMENTS: usize = 16;

/// The tokens inside an offer: behind a prefix, after an announcing name, after `Bearer`, or a JWT by its looks.
pub(crate) fn tokens(offer: &Offer) -> Vec<(Place, Pasted)> {
    let mut found = Vec::new();
    let mut announced = false;
    for element in offer.elements.iter().filter(|element| element.expression.is_none()) {
        let text = element.literal.as_str();
        if let Some((prefix, rest)) = split_prefix(text) {
            found.push((Place::Element(prefix), Pasted::new(rest)));
        } else if looks_like_jwt(text) || (announced && element.known_name().is_none()) {
            found.push((Place::Bare, Pasted::new(text)));
        }
        announced = ANNOUNCING.contains(&text);
    }
    for value in offer.authorization.iter().filter(|value| value.expression.is_none()) {
        let text = value.literal.as_str();
        if let Some((scheme, rest)) = text.split_once([' ', '\t'])
            && scheme.eq_ignore_ascii_case("bearer")
        {
            found.push((Place::Bearer, Pasted::new(rest.trim())));
        }
    }
    found
}

/// Header lines `Sec-WebSocket-Protocol` and `Authorization`, in whatever dress they were pasted. Lines of one header
/// section make one offer.
pub(crate) fn headers(text: &str, lower: &str) -> Vec<Offer> {
    const NAMES: [&str; 2] = ["sec-websocket-protocol", "authorization"];
    let mut sections: Vec<Offer> = Vec::new();
    let mut places: Vec<(usize, &str)> =
        NAMES.iter().flat_map(|name| lower.match_indices(name).take(64)).collect();
    places.sort_unstable();
    let mut read = 0;
    for (at, name) in places {
        // A name inside a value that was read already is part of that value; skipping it keeps this linear.
        if at < read {
            continue;
        }
        let Some((value, range)) = header_value(text, at, at + name.len()) else { continue };
        read = range.end;
        let source = direction(lower, at);
        let value_text = &text[value.clone()];
        let dynamic = dynamic(value_text, &text[value.end..]);
        let joins = sections.last().is_some_and(|last: &Offer| {
            let between = &text[last.range.end.min(at)..at];
            last.source == source
                && between.len() < 2000
                && !between.contains("\n\n")
                && !between.contains("\n\r\n")
        });
        if !joins {
            if sections.len() == MAX_OFFERS {
                break;
            }
            sections.push(Offer {
                source,
                elements: Vec::new(),
                authorization: Vec::new(),
                range: range.clone(),
            });
        }
        let Some(offer) = sections.last_mut() else { break };
        offer.range.end = range.end;
        if name == NAMES[1] {
            if offer.authorization.len() < MAX_ELEMENTS {
                offer.authorization.push(with_placeholder(value_text, dynamic));
            }
        } else {
            for element in value_text.split(',').take(MAX_ELEMENTS) {
                offer.elements.push(with_placeholder(element, dynamic));
            }
            offer.elements.truncate(MAX_ELEMENTS);
        }
    }
    sections
}

/// The value of a header whose name ends at `end`, and the range of both; none where the name is just mentioned.
fn header_value(text: &str, at: usize, end: usize) -> Option<(Range<usize>, Range<usize>)> {
    let opened = text[..at].chars().next_back().filter(|c| matches!(c, '"' | '\'' | '`'));
    let mut rest = &text[end..];
    let mut quoted_name = false;
    if let Some(quote) = opened
        && let Some(after) = rest.strip_prefix(quote)
    {
        rest = after;
        quoted_name = true;
    }
    rest = rest.trim_start_matches([' ', '\t']);
    if quoted_name && let Some(after) = rest.strip_prefix(',') {
        // HAR: {"name": "...", "value": "..."}.
        rest = after.trim_start().strip_prefix("\"value\"")?.trim_start();
    }
    rest = rest.strip_prefix([':', '='])?.trim_start_matches([' ', '\t']);
    if rest.starts_with('[') {
        return None;
    }
    let prefixed = rest.strip_prefix('f').filter(|after| after.starts_with(['"', '\'']));
    rest = prefixed.unwrap_or(rest);
    let (from, to) = if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'' | '`')) {
        let from = text.len() - rest.len() + 1;
        (from, text[from..].find([quote, '\n']).map_or(text.len(), |i| from + i))
    } else {
        let from = text.len() - rest.len();
        let stop: &[char] = match opened.filter(|_| !quoted_name) {
            Some('"') => &['"', '\n'],
            Some('\'') => &['\'', '\n'],
            Some(_) => &['`', '\n'],
            None => &['\n'],
        };
        (from, text[from..].find(stop).map_or(text.len(), |i| from + i))
    };
    let to = from + text[from..to].trim_end().len();
    if from == to && text[to..].trim_start_matches([' ', '\t', '\r']).starts_with('\n') {
        // Browsers' tools copy the name and the value on lines of their own.
        let next = text[to..].trim_start();
        let line = next.lines().next().unwrap_or_default();
        let begin = text.len() - next.len();
        if begin - to <= 4
            && !line.contains(": ")
            && !line.trim_end().ends_with(':')
            && !line.contains("HTTP/")
        {
            return Some((begin..begin + line.len(), at..begin + line.len()));
        }
    }
    Some((from..to, at..to))
}

/// Whether a header at `at` was sent by a server, by the nearest start line or heading before it.
fn direction(lower: &str, at: usize) -> Source {
    let line_start = lower[..at].rfind('\n').map_or(0, |i| i + 1);
    match lower[line_start..at].trim_start().chars().next() {
        Some('<') => return Source::ResponseHeader,
        Some('>') => return Source::RequestHeader,
        _ => {}
    }
    let mut from = at.saturating_sub(8192);
    while !lower.is_char_boundary(from) {
        from += 1;
    }
    for line in lower[from..at].lines().rev() {
        let line = line.trim();
        if line.starts_with("http/1.") || line.starts_with("response headers") {
            return Source::ResponseHeader;
        }
        if line.contains(" http/1.") || line.starts_with("request headers") {
            return Source::RequestHeader;
        }
    }
    Source::RequestHeader
}

/// Arrays and `new WebSocket(...)` calls in code.
pub(crate) fn code(text: &str, lower: &str) -> Vec<Offer> {
    let mut offers = Vec::new();
    // Each attempt at an array may read ahead; the budget keeps hostile nesting linear.
    let mut budget = 2 * text.len() + 1024;
    let mut at = 0;
    while offers.len() < MAX_OFFERS
        && let Some(i) = text[at..].find('[')
    {
        let open = at + i;
        at = open + 1;
        let (elements, read) = array(&text[at..]);
        budget = budget.saturating_sub(read);
        if budget == 0 {
            break;
        }
        if let Some(elements) = elements
            && is_offer(&elements, lower, open)
        {
            offers.push(Offer {
                source: Source::Code,
                elements,
                authorization: Vec::new(),
                range: open..at + read,
            });
            at += read;
        }
    }
    for (call, name) in lower.match_indices("new websocket(").take(MAX_OFFERS) {
        if let Some(offer) = constructor(text, call, call + name.len())
            && !offers
                .iter()
                .any(|other| other.range.start < offer.range.end && offer.range.start < other.range.end)
        {
            offers.push(offer);
        }
    }
    offers
}

/// Whether an array looks like subprotocols: one element bears or announces a token, or code around it says so.
fn is_offer(elements: &[Element], lower: &str, open: usize) -> bool {
    let mut from = open.saturating_sub(80);
    while !lower.is_char_boundary(from) {
        from += 1;
    }
    let before = &lower[from..open];
    let named = before.contains("websocket") || before.contains("protocols");
    elements.iter().any(|element| {
        let text = element.literal.as_str();
        (element.expression.is_none() || !text.is_empty())
            && (named && !text.is_empty()
                || split_prefix(text).is_some()
                || looks_like_jwt(text)
                || ANNOUNCING.contains(&text))
    })
}

/// Reads the elements of an array up to its `]`, and how many bytes were looked at.
fn array(text: &str) -> (Option<Vec<Element>>, usize) {
    let mut elements = Vec::new();
    let mut item = String::new();
    let (mut depth, mut quote) = (0u32, None);
    for (i, c) in text.char_indices() {
        match quote {
            Some(q) if c == q => quote = None,
            Some('`') => {}
            Some(_) if c == '\n' => return (None, i + 1),
            Some(_) => {}
            None => match c {
                '"' | '\'' | '`' => quote = Some(c),
                '(' | '{' => depth += 1,
                ')' | '}' => match depth.checked_sub(1) {
                    Some(less) => depth = less,
                    None => return (None, i + 1),
                },
                '[' => return (None, i),
                ']' | ',' if depth == 0 => {
                    if !item.trim().is_empty() {
                        elements.push(item_of(item.trim()));
                    }
                    item.clear();
                    if c == ']' {
                        return (Some(elements), i + 1);
                    }
                    if elements.len() == MAX_ELEMENTS {
                        return (None, i + 1);
                    }
                    continue;
                }
                _ => {}
            },
        }
        item.push(c);
    }
    (None, text.len())
}

/// `new WebSocket(url)` or `new WebSocket(url, 'name')`; arrays are found on their own.
fn constructor(text: &str, at: usize, open: usize) -> Option<Offer> {
    let mut end = (open + 16_384).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let (mut depth, mut quote, mut comma) = (0u32, None, None);
    for (i, c) in text[open..end].char_indices() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(' | '{' | '[') => depth += 1,
            (None, ')') if depth == 0 => {
                let close = open + i;
                let argument = comma.map_or("", |comma: usize| text[comma + 1..close].trim());
                let name = comma.is_some()
                    && argument.bytes().all(|b| b.is_ascii_alphanumeric() || b"._$".contains(&b));
                let lower = argument.to_ascii_lowercase();
                // A variable may hold the whole list, unless its name says what it is.
                let names_list = name && !(lower.ends_with("token") || lower.ends_with("jwt"));
                if argument.starts_with(['[', '{']) || names_list {
                    return None;
                }
                let elements = if argument.is_empty() { Vec::new() } else { vec![item_of(argument)] };
                return Some(Offer {
                    source: Source::Code,
                    elements,
                    authorization: Vec::new(),
                    range: at..close + 1,
                });
            }
            (None, ')' | '}' | ']') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 && comma.is_none() => comma = Some(open + i),
            (Some(_) | None, _) => {}
        }
    }
    None
}

/// Groups credentials of running text into offers: neighbours with nothing but a comma between, and the plain names
/// beside them (`jwt-auth, jwt.x`). A JWT by itself says nothing about how it was sent, so it makes no offer.
pub(crate) fn lists(text: &str, credentials: &[Credential], taken: &[Offer]) -> Vec<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    let is_gap = |gap: &str| gap.contains(',') && gap.chars().all(|c| ", \"'`\t".contains(c));
    for credential in credentials {
        let range = &credential.range;
        if taken.iter().any(|offer| offer.range.start < range.end && range.start < offer.range.end) {
            continue;
        }
        let element = Element::literal(&text[range.clone()].replace(['\n', '\r'], ""));
        if let Some(last) = offers.last_mut()
            && last.authorization.is_empty()
            && last.elements.len() < MAX_ELEMENTS
            && is_gap(&text[last.range.end.min(range.start)..range.start])
        {
            last.elements.push(element);
            last.range.end = range.end;
            continue;
        }
        if offers.len() == MAX_OFFERS {
            break;
        }
        let before = text[..range.start].trim_end_matches(['"', '\'', '`', ' ']);
        let name = before.strip_suffix(',').and_then(|before| {
            let before = before.trim_end_matches(['"', '\'', '`', ' ']);
            SUBPROTOCOLS.into_iter().filter(|name| before.ends_with(name)).max_by_key(|name| name.len())
        });
        let mut offer = Offer {
            source: Source::List,
            elements: Vec::new(),
            authorization: Vec::new(),
            range: range.clone(),
        };
        match (credential.place, name) {
            (Place::Bearer, _) => offer.authorization.push(element),
            (Place::Element(_) | Place::UnknownPrefix, None) => offer.elements.push(element),
            (Place::Element(_) | Place::UnknownPrefix | Place::Bare, Some(name)) => {
                offer.elements.extend([Element::literal(name), element]);
            }
            (Place::Bare | Place::Query | Place::Cookie | Place::OtherHeader, _) => continue,
        }
        let after = text[range.end..].trim_start_matches(['"', '\'', '`', ' ']);
        if let Some(after) = after.strip_prefix(',') {
            let after = after.trim_start_matches(['"', '\'', '`', ' ']);
            let name =
                SUBPROTOCOLS.into_iter().filter(|name| after.starts_with(name)).max_by_key(|name| name.len());
            let whole = name.filter(|name| {
                !after[name.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '.' || c == '-')
            });
            offer.elements.extend(whole.map(Element::literal));
        }
        offers.push(offer);
    }
    offers
}
