//! What was said in a thread, in the roles and parts that models and other agents speak of.

use std::{borrow::Cow, fmt};

/// One message of a thread.
///
/// Of an [`Assistant`](Self::Assistant)'s tool calls each has its [`Tool`](Self::Tool) message, and these stand right
/// behind it: chat completion APIs take no other order.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// What the user said. Untrusted; it may contain the user's own token.
    User {
        /// Its parts, in order.
        content: Vec<Part>,
    },
    /// What an agent said, or the tools that it called.
    Assistant {
        /// Its parts, in order; none where it only called tools.
        content: Vec<Part>,
        /// The tools.
        tool_calls: Vec<ToolCall>,
    },
    /// What came of a tool call.
    Tool {
        /// The id of its [`ToolCall`].
        call_id: String,
        /// Its parts, in order.
        content: Vec<Part>,
        /// Whether the tool came to a result.
        ok: bool,
    },
}

/// A piece of what a message says.
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    /// Words.
    Text(String),
}

/// One call of a tool.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Unique within its run.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as a JSON text.
    pub arguments: String,
}

impl Message {
    /// What a user said in words.
    pub fn user(text: impl Into<String>) -> Self {
        Self::User { content: vec![Part::Text(text.into())] }
    }

    /// What an agent said in words.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::Assistant { content: vec![Part::Text(text.into())], tool_calls: Vec::new() }
    }

    /// Its words, one part behind the other.
    pub fn text(&self) -> Cow<'_, str> {
        match self.content() {
            [] => Cow::Borrowed(""),
            [Part::Text(text)] => Cow::Borrowed(text),
            parts => parts.iter().map(|Part::Text(text)| text.as_str()).collect(),
        }
    }

    /// How much it holds: the bytes of its words, calls and names.
    pub fn bytes(&self) -> usize {
        let content: usize = self.content().iter().map(|Part::Text(text)| text.len()).sum();
        content
            + match self {
                Self::User { .. } => 0,
                Self::Assistant { tool_calls, .. } => {
                    tool_calls.iter().map(|call| call.id.len() + call.name.len() + call.arguments.len()).sum()
                }
                Self::Tool { call_id, .. } => call_id.len(),
            }
    }

    fn content(&self) -> &[Part] {
        match self {
            Self::User { content } | Self::Assistant { content, .. } | Self::Tool { content, .. } => content,
        }
    }
}

// Written by hand: what was said, and with it a pasted token, must not reach a log through `Debug`.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self {
            Self::User { .. } => "User",
            Self::Assistant { .. } => "Assistant",
            Self::Tool { .. } => "Tool",
        };
        write!(f, "{role}({} bytes)", self.bytes())
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Text(text) = self;
        write!(f, "Text({} bytes)", text.len())
    }
}

impl fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolCall").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_counted_and_never_shown() {
        let call = ToolCall { id: "c".into(), name: "look".into(), arguments: r#"{"secret":1}"#.into() };
        let parts = |texts: &[&str]| texts.iter().map(|text| Part::Text((*text).into())).collect::<Vec<_>>();
        let table = [
            (Message::user("a secret"), "a secret", 8),
            (Message::assistant("a secret"), "a secret", 8),
            (Message::User { content: parts(&["a ", "secret"]) }, "a secret", 8),
            (Message::User { content: Vec::new() }, "", 0),
            (Message::Assistant { content: Vec::new(), tool_calls: vec![call] }, "", 17),
            (Message::Tool { call_id: "c".into(), content: parts(&["secret"]), ok: true }, "secret", 7),
        ];
        for (message, text, bytes) in table {
            assert_eq!(message.text(), text);
            assert_eq!(message.bytes(), bytes);
            let shown = format!("{message:?}");
            assert!(!shown.contains("secret") && shown.contains(&format!("{bytes} bytes")), "{shown}");
        }
    }
}
