//! Identifiers: short strings with a checked alphabet, shared by counting, so that a clone costs no allocation.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use ts_rs::TS;

/// The most characters an identifier may have.
pub const MAX_ID: usize = 128;

/// The text is not an identifier: it is empty, longer than [`MAX_ID`], or has a character that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an identifier: 1 to 128 visible ASCII characters are expected")
    }
}

impl std::error::Error for InvalidId {}

/// Visible ASCII: no space, no control character, nothing that needs escaping in a log or a header field.
fn is_visible(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

/// What may stand in a URL without escaping and beside a `:` without ambiguity.
fn is_url_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

macro_rules! ids {
    ($( $(#[doc = $doc:literal])+ $name:ident: $allowed:ident, $pattern:literal; )+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema, TS)]
        #[serde(transparent)]
        #[schemars(transparent)]
        pub struct $name(
            #[schemars(regex(pattern = $pattern))]
            #[ts(type = "string")]
            Arc<str>,
        );

        impl $name {
            /// Takes `text` if it is an identifier.
            ///
            /// # Errors
            /// [`InvalidId`] if it is not.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                let fits = (1..=MAX_ID).contains(&text.len()) && text.bytes().all($allowed);
                if fits { Ok(Self(Arc::from(text))) } else { Err(InvalidId) }
            }

            /// The identifier's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The identifier's text, shared.
            pub fn to_arc(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;
            fn try_from(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    )+ };
}

ids! {
    /// Names a client's message, so that sending it again does not run it again. Chosen by the client.
    MessageId: is_visible, "^[!-~]{1,128}$";
    /// Names a conversation of one user. Chosen by the client or, where it left it out, by the server.
    ThreadId: is_visible, "^[!-~]{1,128}$";
    /// Names one run of an agent.
    RunId: is_visible, "^[!-~]{1,128}$";
    /// Names one connection.
    ConnectionId: is_visible, "^[!-~]{1,128}$";
    /// Names one use of a tool; `tool_executing` and its `tool_completed` share it.
    ExecutionId: is_visible, "^[!-~]{1,128}$";
    /// Names a question to a person.
    ApprovalId: is_visible, "^[!-~]{1,128}$";
    /// Names an agent, as configured.
    AgentId: is_visible, "^[!-~]{1,128}$";
    /// Names one message of the server.
    EventId: is_visible, "^[!-~]{1,128}$";
    /// Names one life of a thread's stream. A stream that was lost and rebuilt has another one, so that a client
    /// never mistakes it for the old.
    Epoch: is_url_safe, "^[0-9A-Za-z_-]{1,128}$";
}

impl EventId {
    /// `PREFIX-NUMBER`: for senders that count, such as a connection for its control messages.
    ///
    /// # Errors
    /// [`InvalidId`] if the whole is not an identifier.
    pub fn numbered(prefix: &str, number: u64) -> Result<Self, InvalidId> {
        // Made for every event: in one allocation, where `format!` grows the text piece by piece.
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number);
        let mut text = String::with_capacity(prefix.len() + 1 + digits.len());
        text.extend([prefix, "-", digits]);
        Self::new(&text)
    }
}

/// A place in a thread's stream: clients drop what they have seen by it, and resume from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
pub struct Position {
    /// Which life of the stream.
    pub epoch: Epoch,
    /// Counts the thread's events from 1, without gaps, within the epoch.
    #[ts(type = "number")]
    pub seq: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_visible_ascii_of_bounded_length() {
        let longest = "~".repeat(MAX_ID);
        for text in ["a", "!", "0b8e-4f", "tenant:user/thread#1", longest.as_str()] {
            assert_eq!(ThreadId::new(text).map(|id| id.to_string()), Ok(text.to_owned()));
        }
        let too_long = "a".repeat(MAX_ID + 1);
        for text in ["", " ", "a b", "a\n", "a\u{7f}", "a\0", "ä", too_long.as_str()] {
            assert_eq!(ThreadId::new(text), Err(InvalidId), "{text:?}");
            let json = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<ThreadId>(&json).is_err(), "{text:?}: the wire is checked alike");
        }
    }

    #[test]
    fn an_epoch_can_stand_beside_a_colon_and_in_an_address() {
        for text in ["k3Jq", "0198-a_B"] {
            assert!(Epoch::new(text).is_ok());
        }
        for text in ["a:b", "a%20", "a+b", "a/b", ""] {
            assert_eq!(Epoch::new(text), Err(InvalidId), "{text:?}");
        }
    }

    #[test]
    fn a_clone_shares_the_text() {
        let id = RunId::new("r-1").unwrap();
        let again = id.clone();
        assert!(Arc::ptr_eq(&id.to_arc(), &again.to_arc()));
        assert_eq!(id, again);
        assert_eq!(format!("{id} {id:?}"), "r-1 RunId(r-1)");
    }

    #[test]
    fn numbered_ids_are_checked_as_a_whole() {
        assert_eq!(EventId::numbered("c-1", 7).unwrap().as_str(), "c-1-7");
        assert_eq!(EventId::numbered(&"c".repeat(MAX_ID), 7), Err(InvalidId));
    }
}
