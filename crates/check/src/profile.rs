//! What a server's messages look like, where it is known.

use serde::Deserialize;
use serde_json::Value;

use crate::form::within_quotes;

/// A dialect. The fields are those of the TOML file that `--profile FILE` takes; with `extends` it names a built-in profile
/// whose fields hold where it says nothing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name in reports.
    pub name: String,
    /// The subprotocol that a browser offers beside the token.
    #[serde(default = "plain")]
    pub protocol: String,
    /// Whether it is offered wherever the token stands, for nothing is spoken without it.
    #[serde(default)]
    pub protocol_required: bool,
    /// A message that a client sends first, before anything else.
    #[serde(default)]
    pub hello: Option<String>,
    /// The type that says that the server has taken it: nothing else is sent before.
    #[serde(default)]
    pub ready: Option<String>,
    /// A harmless message: what it is answered with tells whether a server listens.
    #[serde(default)]
    pub probe: Option<String>,
    /// The type by which the server asks whether the client is alive, where it does so with messages.
    #[serde(default)]
    pub heartbeat: Option<String>,
    /// What a client that is alive answers.
    #[serde(default)]
    pub heartbeat_answer: Option<String>,
    /// The member that names a message's type; `packet` where messages are Socket.IO's packets.
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
    /// A message by which a client asks to hear what goes on, where nothing comes unasked.
    #[serde(default)]
    pub listen: Option<String>,
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
    /// `extends` names no built-in profile.
    #[error("`extends` names a profile that is built in: {}", Profile::NAMES.join(", "))]
    Extends,
    /// A question without an end.
    #[error("the profile has a `question` and no `ends`: name the types of message that end an answer")]
    NoEnd,
}

impl Profile {
    /// Names of the profiles that are built in.
    pub const NAMES: [&str; 5] = ["portcullis", "generic", "ag-ui", "graphql-ws", "socketio"];

    /// A built-in profile.
    pub fn named(name: &str) -> Option<Self> {
        Self::source(name).map(|text| Self::from_toml(text).expect("the built-in profiles are right"))
    }

    fn source(name: &str) -> Option<&'static str> {
        Some(match name {
            "portcullis" => include_str!("../profiles/portcullis.toml"),
            "generic" => include_str!("../profiles/generic.toml"),
            "ag-ui" => include_str!("../profiles/ag-ui.toml"),
            "graphql-ws" => include_str!("../profiles/graphql-ws.toml"),
            "socketio" => include_str!("../profiles/socketio.toml"),
            _ => return None,
        })
    }

    /// Reads a profile.
    ///
    /// # Errors
    /// If the text is not TOML of this shape, or asks a question that has no end.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        let mut own: toml::Table = toml::from_str(text)?;
        if let Some(base) = own.remove("extends") {
            let base = base.as_str().and_then(Self::source).ok_or(ProfileError::Extends)?;
            for (name, value) in base.parse::<toml::Table>()? {
                own.entry(name).or_insert(value);
            }
        }
        let profile: Self = own.try_into()?;
        if profile.question.is_some() && profile.ends.is_empty() {
            return Err(ProfileError::NoEnd);
        }
        Ok(profile)
    }

    /// The type of a message, if it is JSON that has one. Of Socket.IO's packets it is the event's name, else the digits
    /// that they begin with.
    pub(crate) fn kind(&self, text: &str) -> Option<String> {
        if self.type_field == "packet" {
            let (digits, rest) =
                text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
            // A namespace may stand before the event: `42/rooms,["done"]`.
            let event = rest.find('[').filter(|_| digits.starts_with("42"));
            let event = event.and_then(|at| serde_json::from_str::<Value>(&rest[at..]).ok()?.get(0).cloned());
            return match event {
                Some(Value::String(event)) => Some(event),
                _ => (!digits.is_empty()).then(|| digits.to_owned()),
            };
        }
        let value: Value = serde_json::from_str(text).ok()?;
        value.get(&self.type_field)?.as_str().map(ToOwned::to_owned)
    }

    /// What a client that is alive says to a message that asks for it.
    pub(crate) fn answer_to_heartbeat(&self, text: &str) -> Option<&str> {
        let answer = self.heartbeat_answer.as_deref()?;
        (self.kind(text)? == *self.heartbeat.as_ref()?).then_some(answer)
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
        let content = within_quotes(content);
        Some(question.replace("{id}", id).replace("{thread}", thread).replace("{content}", &content))
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
        assert_eq!(blocks.len(), 2);
        let profile = Profile::from_toml(blocks[0]).unwrap();
        let question: Value = serde_json::from_str(&profile.ask("i", "t", "why \"1006\"").unwrap()).unwrap();
        assert_eq!(question["text"], "why \"1006\"");
        let rooms = Profile::from_toml(blocks[1]).unwrap();
        assert_eq!(rooms.kind(r#"42/rooms,["done",{}]"#).as_deref(), Some("done"));
        for text in [
            include_str!("../../../testbeds/profile.toml"),
            include_str!("../../../testbeds/graphql.toml"),
            include_str!("../../../testbeds/socketio.toml"),
        ] {
            Profile::from_toml(text).unwrap();
        }
    }

    #[test]
    fn faults_of_a_file_are_told() {
        let error = Profile::from_toml("name = \"x\"\nqestion = \"y\"\n").unwrap_err().to_string();
        assert!(error.contains("qestion"), "{error}");
        let error = Profile::from_toml("name = \"x\"\nquestion = \"y\"\n").unwrap_err();
        assert!(matches!(error, ProfileError::NoEnd));
        let error = Profile::from_toml("name = \"x\"\nextends = \"soap\"\n").unwrap_err().to_string();
        assert!(error.contains("graphql-ws"), "{error}");
    }

    #[test]
    fn a_profile_extends_a_built_in_one() {
        let text = "name = \"ours\"\nextends = \"socketio\"\nhello = '40{\"a\":1}'\n";
        let profile = Profile::from_toml(text).unwrap();
        assert_eq!((profile.name.as_str(), profile.hello.as_deref()), ("ours", Some("40{\"a\":1}")));
        assert_eq!(profile.greeting.as_deref(), Some("0"));
    }

    #[test]
    fn messages_are_known_by_their_type_or_their_members() {
        let profile = Profile::named("generic").unwrap();
        assert_eq!(profile.shape(r#"{"type":"pong","id":7}"#), "pong");
        assert_eq!(profile.shape(r#"{"b":1,"a":2}"#), "{a,b}");
        assert_eq!(profile.shape("hello"), "hello");
        let packets = Profile::named("socketio").unwrap();
        for (packet, shape) in [
            ("42[\"x\",{}]", "x"),
            ("4217[\"x\"]", "x"),
            ("40{\"sid\":\"a\"}", "40"),
            ("2", "2"),
            ("42[", "42"),
        ] {
            assert_eq!(packets.shape(packet), shape);
        }
    }
}
