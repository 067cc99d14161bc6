//! Reading what a client sent: the v1 form and the flat forms of older front ends, on every path alike.
//!
//! A text is read in two steps. First its known members are found, each as a piece of the text, which costs no
//! allocation and skips unknown members whatever they hold. Then the members that the command needs are read, and the
//! first that does not fit is named in the rejection. Nothing of the client's text is repeated there.

use portcullis_reason::{Reason, Rejection};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use crate::{
    Ack, Approve, CancelRun, ClientMessage, Command, Decision, Epoch, MessageId, Ping, Reauthenticate,
    Resume, ResumePoint, Secret, Steer, ThreadId, UserMessage,
};

/// The most threads that one `resume` may name.
pub const MAX_RESUME_THREADS: usize = 100;

/// The longest payload of a `ping`, in bytes as sent.
pub const MAX_PING_BYTES: usize = 1024;

/// The most levels that JSON of a client's own making may nest, in `context` and in the payload of a `ping`: whoever prints it
/// or walks through it then does bounded work for each of its bytes.
pub const MAX_DEPTH: usize = 32;

/// The largest number that every JSON reader keeps exactly (RFC 8259 §6).
pub const MAX_SEQ: u64 = (1 << 53) - 1;

/// Reads a client's text message.
///
/// All these are understood, whatever the connection's mode:
/// - `{"type","id"?,"thread_id"?,"payload":{…}}`, protocol v1;
/// - the same with the payload's members beside `type`, and `message` or `text` for `content`.
///
/// A member that stands in both places is taken from `payload`; a null member counts as absent; unknown members are
/// ignored; a known member that appears twice in one object is refused.
///
/// # Errors
/// [`Reason::MessageMalformed`], its hint naming the member and what is expected there.
pub fn decode(text: &str) -> Result<ClientMessage, Rejection> {
    let outer = members(text, "the message")?;
    let kind: Box<str> = match outer.r#type {
        Some(raw) => read(raw).ok_or_else(|| malformed("`type` must be a string"))?,
        None => return Err(malformed("`type` is missing")),
    };
    let kind = Kind::from_name(&kind).ok_or_else(|| malformed(UNKNOWN_TYPE))?;
    let inner = match outer.payload {
        Some(raw) if kind != Kind::Ping => members(raw.get(), "`payload`")?,
        _ => Members::default(),
    };
    let members = Both { outer: &outer, inner: &inner };
    let id = match outer.id {
        Some(raw) => Some(read(raw).ok_or_else(|| bad_id("id"))?),
        None => None,
    };
    let (thread_id, command) = members.command(kind)?;
    Ok(ClientMessage { id, thread_id, command })
}

/// The `id` of a message that [`decode`] refused, so that the `error` can name it.
pub fn message_id_of(text: &str) -> Option<MessageId> {
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
    }
    let members: Id<'_> = serde_json::from_str(text).ok().filter(|_| is_object(text))?;
    members.id.and_then(read)
}

/// Reads the `resume` parameters of an upgrade's query: `resume=THREAD:EPOCH:SEQ`, one for each thread, percent-encoded;
/// the epoch may be empty where the number is 0. Other parameters are left alone.
///
/// # Errors
/// [`Reason::MessageMalformed`] for a parameter of another shape, a thread named twice, or too many threads.
pub fn resume_from_query(query: &str) -> Result<Vec<ResumePoint>, Rejection> {
    let threads = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("resume="))
        .map(|value| {
            percent_decoded(value).as_deref().and_then(point).ok_or_else(|| malformed(RESUME_PARAMETER))
        })
        .collect::<Result<Vec<_>, _>>()?;
    checked(threads)
}

/// `THREAD:EPOCH:SEQ`. Neither an epoch nor a number has a colon, so the thread is what stands before the last two.
fn point(text: &str) -> Option<ResumePoint> {
    let mut parts = text.rsplitn(3, ':');
    let (seq, epoch, thread) = (parts.next()?, parts.next()?, parts.next()?);
    // Parsing alone would also take a plus sign.
    let is_number = seq.bytes().all(|byte| byte.is_ascii_digit());
    let after_seq = seq.parse().ok().filter(|&seq| is_number && seq <= MAX_SEQ)?;
    let epoch = if epoch.is_empty() && after_seq == 0 { None } else { Some(Epoch::new(epoch).ok()?) };
    Some(ResumePoint { thread_id: ThreadId::new(thread).ok()?, epoch, after_seq })
}

/// Undoes percent-encoding (RFC 3986 §2.1); none if an escape is cut off or the result is not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

/// What a message asks for, aliases resolved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    UserMessage,
    CancelRun,
    Steer,
    Approve,
    Resume,
    Ack,
    Reauthenticate,
    Ping,
}

impl Kind {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "user_message" | "chat" | "agent_request" | "start_agent" | "agent_task" => Self::UserMessage,
            "cancel_run" => Self::CancelRun,
            "steer" => Self::Steer,
            "approve" => Self::Approve,
            "resume" => Self::Resume,
            "ack" => Self::Ack,
            "reauthenticate" => Self::Reauthenticate,
            "ping" => Self::Ping,
            _ => return None,
        })
    }
}

/// The members that have a meaning in some message, each as it stands in the text.
#[derive(Default, Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    thread_id: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
    content: Option<&'a RawValue>,
    message: Option<&'a RawValue>,
    text: Option<&'a RawValue>,
    agent: Option<&'a RawValue>,
    context: Option<&'a RawValue>,
    run_id: Option<&'a RawValue>,
    approval_id: Option<&'a RawValue>,
    decision: Option<&'a RawValue>,
    comment: Option<&'a RawValue>,
    threads: Option<&'a RawValue>,
    epoch: Option<&'a RawValue>,
    after_seq: Option<&'a RawValue>,
    seq: Option<&'a RawValue>,
    token: Option<&'a RawValue>,
}

/// A message's members and its payload's.
struct Both<'m, 'a> {
    outer: &'m Members<'a>,
    inner: &'m Members<'a>,
}

impl<'a> Both<'_, 'a> {
    /// A member of the payload, or of the message where the payload has none.
    fn find(&self, member: impl Fn(&Members<'a>) -> Option<&'a RawValue>) -> Option<&'a RawValue> {
        member(self.inner).or_else(|| member(self.outer))
    }

    fn command(&self, kind: Kind) -> Result<(Option<ThreadId>, Command), Rejection> {
        let thread_id = self.thread_id()?;
        let command = match kind {
            Kind::UserMessage => Command::UserMessage(self.user_message()?),
            Kind::CancelRun => Command::CancelRun(CancelRun {
                run_id: required(self.find(|m| m.run_id), "`run_id` is missing", ID_EXPECTED.run)?,
            }),
            Kind::Steer => Command::Steer(Steer {
                run_id: required(self.find(|m| m.run_id), "`run_id` is missing", ID_EXPECTED.run)?,
                content: self.words()?,
            }),
            Kind::Approve => Command::Approve(self.approve()?),
            Kind::Resume => Command::Resume(Resume { threads: self.threads()? }),
            Kind::Ack => {
                let seq = self.find(|m| m.seq);
                let seq = seq.map(number).ok_or_else(|| malformed("`seq` is missing"))?;
                Command::Ack(Ack {
                    thread_id: thread_id.clone().ok_or_else(|| malformed("`thread_id` is missing"))?,
                    seq: seq.ok_or_else(|| malformed("`seq` must be an integer from 0 to 2^53 - 1"))?,
                })
            }
            Kind::Reauthenticate => Command::Reauthenticate(self.reauthenticate()?),
            Kind::Ping => Command::Ping(self.ping()?),
        };
        Ok((thread_id, command))
    }

    /// Front ends put the thread beside the payload or into it. Two different ones would be a message to the wrong
    /// thread, so that is refused.
    fn thread_id(&self) -> Result<Option<ThreadId>, Rejection> {
        let read_id = |raw| read::<ThreadId>(raw).ok_or_else(|| bad_id("thread_id"));
        let outer = self.outer.thread_id.map(read_id).transpose()?;
        let inner = self.inner.thread_id.map(read_id).transpose()?;
        match (outer, inner) {
            (Some(outer), Some(inner)) if outer != inner => Err(malformed(
                "`thread_id` stands in the message and in its payload with two different values",
            )),
            (outer, inner) => Ok(inner.or(outer)),
        }
    }

    fn words(&self) -> Result<String, Rejection> {
        let words = |m: &Members<'a>| m.content.or(m.message).or(m.text);
        let content: String = required(
            self.find(words),
            "`content` is missing: the user's words",
            "`content` must be a string",
        )?;
        if content.trim().is_empty() {
            return Err(malformed("`content` must not be empty"));
        }
        Ok(content)
    }

    fn user_message(&self) -> Result<UserMessage, Rejection> {
        let content = self.words()?;
        let agent = match self.find(|m| m.agent) {
            Some(raw) => Some(read(raw).ok_or_else(|| bad_id("agent"))?),
            None => None,
        };
        let extra = match self.find(|m| m.context) {
            Some(raw) => Some(any_json(raw).ok_or_else(|| malformed(UNREADABLE_CONTEXT))?),
            None => None,
        };
        Ok(UserMessage { content, agent, context: extra })
    }

    fn approve(&self) -> Result<Approve, Rejection> {
        let approval_id =
            required(self.find(|m| m.approval_id), "`approval_id` is missing", ID_EXPECTED.approval)?;
        let decision: Box<str> = required(self.find(|m| m.decision), "`decision` is missing", DECISION)?;
        let decision = match &*decision {
            "approved" => Decision::Approved,
            "denied" => Decision::Denied,
            _ => return Err(malformed(DECISION)),
        };
        let comment = match self.find(|m| m.comment) {
            Some(raw) => Some(read(raw).ok_or_else(|| malformed("`comment` must be a string"))?),
            None => None,
        };
        Ok(Approve { approval_id, decision, comment })
    }

    fn threads(&self) -> Result<Vec<ResumePoint>, Rejection> {
        let raws: Vec<&RawValue> = match self.find(|m| m.threads) {
            Some(raw) => {
                serde_json::from_str(raw.get()).map_err(|_| malformed("`threads` must be an array"))?
            }
            None => return Err(malformed("`threads` is missing")),
        };
        if raws.len() > MAX_RESUME_THREADS {
            return Err(malformed("`threads` must have at most 100 entries"));
        }
        checked(raws.into_iter().map(resume_point).collect::<Result<_, _>>()?)
    }

    fn reauthenticate(&self) -> Result<Reauthenticate, Rejection> {
        let token: Box<str> =
            required(self.find(|m| m.token), "`token` is missing", "`token` must be a string")?;
        if token.is_empty() {
            return Err(malformed("`token` must not be empty"));
        }
        Ok(Reauthenticate { token: Secret::new(token) })
    }

    fn ping(&self) -> Result<Ping, Rejection> {
        let Some(raw) = self.outer.payload else { return Ok(Ping::default()) };
        if raw.get().len() > MAX_PING_BYTES {
            return Err(malformed("the `payload` of `ping` must have at most 1024 bytes"));
        }
        let echo = any_json(raw).ok_or_else(|| malformed(UNREADABLE_PING))?;
        Ok(Ping { echo })
    }
}

fn resume_point(raw: &RawValue) -> Result<ResumePoint, Rejection> {
    let members = members(raw.get(), "each entry of `threads`")?;
    let thread_id =
        required(members.thread_id, "an entry of `threads` has no `thread_id`", ID_EXPECTED.thread)?;
    let after_seq =
        members.after_seq.map(number).ok_or_else(|| malformed("an entry of `threads` has no `after_seq`"))?;
    let after_seq =
        after_seq.ok_or_else(|| malformed("`after_seq` must be an integer from 0 to 2^53 - 1"))?;
    let epoch: Option<Epoch> = match members.epoch {
        Some(raw) => Some(read(raw).ok_or_else(|| malformed("`epoch` must be one that the server sent"))?),
        None => None,
    };
    if epoch.is_none() && after_seq > 0 {
        return Err(malformed(
            "an entry of `threads` has no `epoch`: it may be left out only where `after_seq` is 0",
        ));
    }
    Ok(ResumePoint { thread_id, epoch, after_seq })
}

/// The rules that hold for a whole list of threads.
fn checked(threads: Vec<ResumePoint>) -> Result<Vec<ResumePoint>, Rejection> {
    if threads.len() > MAX_RESUME_THREADS {
        return Err(malformed("at most 100 threads can be resumed at once"));
    }
    let repeated =
        threads.iter().enumerate().any(|(i, a)| threads[..i].iter().any(|b| a.thread_id == b.thread_id));
    if repeated { Err(malformed("a thread is named twice")) } else { Ok(threads) }
}

/// Whether a JSON text is an object: serde would fill a struct from an array too, in the order of its members.
fn is_object(text: &str) -> bool {
    text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{')
}

fn read<T: DeserializeOwned>(raw: &RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// Any JSON, as deep as it may be.
fn any_json(raw: &RawValue) -> Option<Value> {
    if depth(raw.get()) <= MAX_DEPTH { read(raw) } else { None }
}

/// How deep a JSON text nests: 0 for what is neither an array nor an object.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn number(raw: &RawValue) -> Option<u64> {
    read(raw).filter(|&number: &u64| number <= MAX_SEQ)
}

fn required<T: DeserializeOwned>(
    raw: Option<&RawValue>,
    missing: &'static str,
    expected: &'static str,
) -> Result<T, Rejection> {
    read(raw.ok_or_else(|| malformed(missing))?).ok_or_else(|| malformed(expected))
}

fn malformed(hint: &'static str) -> Rejection {
    Rejection::new(Reason::MessageMalformed, hint).with_hint(hint)
}

fn bad_id(member: &str) -> Rejection {
    let hint = format!("`{member}` must be a string of 1 to 128 visible ASCII characters, or be left out");
    Rejection::new(Reason::MessageMalformed, hint.clone()).with_hint(hint)
}

/// The members of an object; its text is not repeated in the rejection.
fn members<'a>(text: &'a str, what: &str) -> Result<Members<'a>, Rejection> {
    let is_object = is_object(text);
    let refuse = |error: Option<&serde_json::Error>| {
        let hint = match error {
            Some(error) if error.is_syntax() || error.is_eof() => {
                format!("{what} is not JSON: see line {}, column {}", error.line(), error.column())
            }
            // A struct of optional members refuses an object for one thing alone.
            Some(error) if is_object => {
                format!("{what} has a member twice: see line {}, column {}", error.line(), error.column())
            }
            _ => format!("{what} must be a JSON object"),
        };
        Rejection::new(Reason::MessageMalformed, hint.clone()).with_hint(hint)
    };
    match serde_json::from_str(text) {
        Ok(members) if is_object => Ok(members),
        Ok(_) => Err(refuse(None)),
        Err(error) => Err(refuse(Some(&error))),
    }
}

const UNKNOWN_TYPE: &str = "`type` must be user_message (or chat, agent_request, start_agent, agent_task), cancel_run, \
                            approve, resume, ack, reauthenticate or ping";
const UNREADABLE_CONTEXT: &str =
    "`context` must not nest deeper than 32 levels, hold half a surrogate pair, or a number out of range";
const UNREADABLE_PING: &str =
    "`payload` must not nest deeper than 32 levels, hold half a surrogate pair, or a number out of range";
const DECISION: &str = "`decision` must be \"approved\" or \"denied\"";
const RESUME_PARAMETER: &str = "`resume` must be THREAD:EPOCH:SEQ, percent-encoded";
const ID_EXPECTED: IdExpected = IdExpected {
    run: "`run_id` must be a string of 1 to 128 visible ASCII characters",
    approval: "`approval_id` must be a string of 1 to 128 visible ASCII characters",
    thread: "`thread_id` must be a string of 1 to 128 visible ASCII characters",
};

struct IdExpected {
    run: &'static str,
    approval: &'static str,
    thread: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hint of the rejection that `text` earns.
    fn hint(text: &str) -> String {
        decode(text).unwrap_err().hint.unwrap().into_owned()
    }

    #[test]
    fn hints_say_where_and_what() {
        let table = [
            ("{\n  \"type\": ping\n}", "the message is not JSON: see line 2, column 11"),
            (r#"{"type":"ping","id":"a","id":"b"}"#, "the message has a member twice: see line 1, column 28"),
            ("[]", "the message must be a JSON object"),
            (r#"{"type":"chat","payload":7}"#, "`payload` must be a JSON object"),
            (
                r#"{"type":"chat","id":"a b","payload":{"content":"x"}}"#,
                "`id` must be a string of 1 to 128 visible ASCII characters, or be left out",
            ),
            (r#"{"type":"approve","payload":{"approval_id":"a","decision":"yes"}}"#, DECISION),
            (r#"{"type":"subscribe"}"#, UNKNOWN_TYPE),
        ];
        for (text, expected) in table {
            assert_eq!(hint(text), expected, "{text}");
        }
    }

    #[test]
    fn an_unknown_member_of_any_depth_costs_no_stack() {
        let depth = 200_000;
        let text = format!(r#"{{"type":"ping","x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert_eq!(decode(&text).unwrap().command, Command::Ping(Ping::default()));
    }

    #[test]
    fn depth_is_that_of_brackets_outside_of_strings() {
        for (json, expected) in [
            ("1", 0),
            (r#""[[{""#, 0),
            ("[]", 1),
            ("{}", 1),
            (r#"[[],{"a":[1]},[]]"#, 3),
            (r#"["\"[[", "\\", []]"#, 2),
            (r#"{"[{": {"\u005b": "]"}}"#, 2),
        ] {
            assert_eq!(depth(json), expected, "{json}");
        }
    }

    #[test]
    fn the_id_of_a_refused_message_is_found_where_it_can_be_read() {
        let id = |text| message_id_of(text).map(|id| id.to_string());
        assert_eq!(id(r#"{"type":"nonsense","id":"m-1","payload":{}}"#), Some("m-1".to_owned()));
        for text in ["", "[\"m-1\"]", r#"{"id":7}"#, r#"{"id":"a b"}"#, r#"{"type":"x"}"#, r#"{"id":"m-1""#] {
            assert_eq!(id(text), None, "{text}");
        }
    }

    #[test]
    fn resume_parameters_are_read_from_a_query() {
        let points = resume_from_query("mode=main&resume=t-1:k3Jq:4&resume=a%3Ab::0&x=resume").unwrap();
        let expected = [("t-1", Some("k3Jq"), 4), ("a:b", None, 0)];
        let found: Vec<_> = points
            .iter()
            .map(|point| (point.thread_id.as_str(), point.epoch.as_ref().map(Epoch::as_str), point.after_seq))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(resume_from_query(""), Ok(Vec::new()));
    }

    #[test]
    fn resume_parameters_of_another_shape_are_refused() {
        for query in [
            "resume=",
            "resume=t-1",
            "resume=t-1:k3Jq",
            "resume=t-1::4",
            "resume=:k3Jq:4",
            "resume=t-1:k3Jq:",
            "resume=t-1:k3Jq:-1",
            "resume=t-1:k3Jq:+1",
            "resume=t-1:k3Jq:9007199254740992",
            "resume=t-1:k3Jq:99999999999999999999999",
            "resume=t 1:k3Jq:4",
            "resume=t%2",
            "resume=t%:k3Jq:4",
            "resume=t%ff:k3Jq:4",
            "resume=t:e:1&resume=t:e:2",
        ] {
            let rejection = resume_from_query(query).unwrap_err();
            assert_eq!(rejection.reason, Reason::MessageMalformed, "{query}");
        }
        let many: Vec<_> = (0..=MAX_RESUME_THREADS).map(|n| format!("resume=t{n}:e:1")).collect();
        assert_eq!(resume_from_query(&many[1..].join("&")).unwrap().len(), MAX_RESUME_THREADS);
        assert!(resume_from_query(&many.join("&")).is_err());
    }
}
