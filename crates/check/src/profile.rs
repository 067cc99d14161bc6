//! What a server's messages look like, where it is known.

use serde::Deserialize;
use serde_json::Value;

/// A dialect. The fields are those of the TOML file that `--profile FILE` takes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name in reports.
    pub name: String,
    /// The subprotocol that a browser offers beside the token.
    #[serde(default = "plain")]
    pub protocol: String,
    /// A message that a client sends first, before anything else.
    #[serde(default)]
    pub hello: Option<String>,
    /// A harmless message: what it is answered with tells whether a server listens.
    #[serde(default)]
    pub probe: Option<String>,
    /// The member that names a message's type.
    #[serde(default = "type_field")]
    pub type_field: String,
    /// The type of the first message that the server sends by itself.
    #[serde(default)]
    pub greeting: Option<String>,
    /// Where the greeting names the user, as a JSON pointer.
    #[serde(default)]
    pub greeting_user: Option<String>,
    /// The question, with `{id}`, `{thread}` and `{content}` in it.
    #[serde(default)]
    pub question: Option<String>,
    /// Types that end an answer.
    #[serde(default)]
    pub ends: Vec<String>,
    /// Types that end an answer as a failure.
    #[serde(default)]
    pub failures: Vec<String>,
    /// Types that come in this order between question and end.
    #[serde(default)]
    pub order: Vec<String>,
    /// The member with a message's number within its thread.
    #[serde(default)]
    pub sequence_field: Option<String>,
    /// The type that acknowledges a question.
    #[serde(default)]
    pub accepted: Option<String>,
    /// A message that asks for what was missed, with `{thread}`, `{epoch}` and `{after}` in it.
    #[serde(default)]
    pub resume: Option<String>,
    /// A message that renews the token, with `{token}` in it.
    #[serde(default)]
    pub renewal: Option<String>,
    /// The type of a message that refuses another one.
    #[serde(default)]
    pub error: Option<String>,
}

/// Why a file is not a profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not TOML, or a member that there is not.
    #[error("the profile is not right: {0}")]
    Toml(#[from] toml::de::Error),
    /// A question without an end.
    #[error("the profile has a `question` and no `ends`: name the types of message that end an answer")]
    NoEnd,
}

impl Profile {
    /// Names of the profiles that are built in.
    pub const NAMES: [&str; 5] = ["portcullis", "generic", "ag-ui", "graphql-ws", "socketio"];

    /// A built-in profile.
    pub fn named(name: &str) -> Option<Self> {
        let text = match name {
            "portcullis" => include_str!("../profiles/portcullis.toml"),
            "generic" => include_str!("../profiles/generic.toml"),
            "ag-ui" => include_str!("../profiles/ag-ui.toml"),
            "graphql-ws" => include_str!("../profiles/graphql-ws.toml"),
            "socketio" => include_str!("../profiles/socketio.toml"),
            _ => return None,
        };
        Some(Self::from_toml(text).expect("the built-in profiles are right"))
    }

    /// Reads a profile.
    ///
    /// # Errors
    /// If the text is not TOML of this shape, or asks a question that has no end.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        let profile: Self = toml::from_str(text)?;
        if profile.question.is_some() && profile.ends.is_empty() {
            return Err(ProfileError::NoEnd);
        }
        Ok(profile)
    }

    /// The type of a message, if it is JSON that has one. Socket.IO's packets are told apart by their first digits.
    pub(crate) fn kind(&self, text: &str) -> Option<String> {
        if self.type_field == "packet" {
            let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            return (digits > 0).then(|| text[..digits].to_owned());
        }
        let value: Value = serde_json::from_str(text).ok()?;
        value.get(&self.type_field)?.as_str().map(ToOwned::to_owned)
    }

    /// What a message is recognised by: its type, else its members, else its text.
    pub(crate) fn shape(&self, text: &str) -> String {
        if let Some(kind) = self.kind(text) {
            return kind;
        }
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(members)) => {
                let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
                names.sort_unstable();
                format!("{{{}}}", names.join(","))
            }
            _ => text.chars().take(40).collect(),
        }
    }

    /// The question, filled in.
    pub(crate) fn ask(&self, id: &str, thread: &str, content: &str) -> Option<String> {
        let question = self.question.as_ref()?;
        // As it stands inside of a JSON string, whose quotes are the template's.
        let content = serde_json::to_string(content).ok()?;
        let content = &content[1..content.len() - 1];
        Some(question.replace("{id}", id).replace("{thread}", thread).replace("{content}", content))
    }
}

fn plain() -> String {
    "jwt-auth".to_owned()
}

fn type_field() -> String {
    "type".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_can_be_read() {
        for name in Profile::NAMES {
            assert_eq!(Profile::named(name).unwrap().name, name);
        }
        assert!(Profile::named("no-such").is_none());
    }

    /// What the documentation shows is what the program takes.
    #[test]
    fn the_profiles_in_the_documentation_can_be_read() {
        let page = include_str!("../../../docs/check.md");
        let blocks: Vec<&str> =
            page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert_eq!(blocks.len(), 1);
        let profile = Profile::from_toml(blocks[0]).unwrap();
        let question: Value = serde_json::from_str(&profile.ask("i", "t", "why \"1006\"").unwrap()).unwrap();
        assert_eq!(question["text"], "why \"1006\"");
        Profile::from_toml(include_str!("../../../testbeds/profile.toml")).unwrap();
    }

    #[test]
    fn faults_of_a_file_are_told() {
        let error = Profile::from_toml("name = \"x\"\nqestion = \"y\"\n").unwrap_err().to_string();
        assert!(error.contains("qestion"), "{error}");
        let error = Profile::from_toml("name = \"x\"\nquestion = \"y\"\n").unwrap_err();
        assert!(matches!(error, ProfileError::NoEnd));
    }

    #[test]
    fn messages_are_known_by_their_type_or_their_members() {
        let profile = Profile::named("generic").unwrap();
        assert_eq!(profile.shape(r#"{"type":"pong","id":7}"#), "pong");
        assert_eq!(profile.shape(r#"{"b":1,"a":2}"#), "{a,b}");
        assert_eq!(profile.shape("hello"), "hello");
        assert_eq!(Profile::named("socketio").unwrap().shape("42[\"x\"]"), "42");
    }
}
