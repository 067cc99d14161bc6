//! What one run said, as agents are shown it later.

use portcullis_agent::{Message, Part, ToolCall};
use portcullis_event::ToolCompleted;
use serde_json::Value;

/// The question of a run, the tools that were used for it, and its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn {
    messages: Vec<Message>,
    /// What was said while calls had no result yet: it stands behind the results.
    later: Vec<String>,
    /// Calls of the last message with calls that have no result yet.
    open: usize,
    /// Where that message stands.
    calls_at: usize,
}

impl Turn {
    /// A turn that begins with what was asked.
    pub(crate) fn asked(question: String) -> Self {
        Self { messages: vec![Message::user(question)], ..Self::default() }
    }

    /// Notes what the user said meanwhile.
    pub(crate) fn said(&mut self, words: String) {
        self.later.push(words);
        self.settle();
    }

    /// Puts what was said behind the results, once all are there.
    fn settle(&mut self) {
        if self.open == 0 {
            self.messages.extend(self.later.drain(..).map(Message::user));
        }
    }

    /// Notes that a tool began. Tools that overlap are calls of one message, so that all results can follow it.
    pub(crate) fn tool_began(&mut self, call: ToolCall) {
        if self.open > 0
            && let Some(Message::Assistant { tool_calls, .. }) = self.messages.get_mut(self.calls_at)
        {
            tool_calls.push(call);
        } else {
            self.calls_at = self.messages.len();
            self.messages.push(Message::Assistant { content: Vec::new(), tool_calls: vec![call] });
        }
        self.open += 1;
    }

    /// Notes what came of a tool that began; each ends once.
    fn tool_ended(&mut self, call_id: String, result: String, ok: bool) {
        self.messages.push(Message::Tool { call_id, content: vec![Part::Text(result)], ok });
        self.open = self.open.saturating_sub(1);
        self.settle();
    }

    /// Notes what came of a tool that began, as it was told.
    pub(crate) fn tool_completed(&mut self, tool: &ToolCompleted) {
        let result = tool.result.as_ref().map_or_else(|| tool.result_summary.clone(), Value::to_string);
        self.tool_ended(tool.execution_id.to_string(), result, tool.ok);
    }

    /// Notes the answer; an empty one, of a run that failed, says nothing.
    pub(crate) fn answer(&mut self, answer: String) {
        if !answer.is_empty() {
            self.messages.push(Message::assistant(answer));
        }
    }

    /// How much it holds.
    pub(crate) fn bytes(&self) -> usize {
        let later: usize = self.later.iter().map(String::len).sum();
        later + self.messages.iter().map(Message::bytes).sum::<usize>()
    }

    pub(crate) fn into_messages(self) -> Vec<Message> {
        self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(turn: Turn) -> Vec<String> {
        let shape = |message: &Message| match message {
            Message::User { .. } => format!("user {}", message.text()),
            Message::Assistant { tool_calls, .. } if tool_calls.is_empty() => {
                format!("assistant {}", message.text())
            }
            Message::Assistant { tool_calls, .. } => {
                let ids: Vec<_> = tool_calls.iter().map(|call| call.id.as_str()).collect();
                format!("calls {}", ids.join(" "))
            }
            Message::Tool { call_id, .. } => format!("result {call_id}"),
        };
        turn.into_messages().iter().map(shape).collect()
    }

    fn turn(script: &[&str]) -> Turn {
        let mut turn = Turn::asked("q".to_owned());
        for step in script {
            match step.split_once(' ').expect("a step names a tool") {
                ("said", words) => turn.said(words.to_owned()),
                ("began", id) => turn.tool_began(ToolCall {
                    id: id.to_owned(),
                    name: "t".to_owned(),
                    arguments: "{}".to_owned(),
                }),
                (_, id) => turn.tool_ended(id.to_owned(), String::new(), true),
            }
        }
        turn
    }

    #[test]
    fn results_stand_right_behind_the_message_of_their_calls() {
        let apart = turn(&["began a", "ended a", "began b", "ended b"]);
        assert_eq!(shape(apart), ["user q", "calls a", "result a", "calls b", "result b"]);
        let overlapping =
            turn(&["began a", "began b", "ended a", "began c", "ended c", "ended b", "began d", "ended d"]);
        assert_eq!(
            shape(overlapping),
            ["user q", "calls a b c", "result a", "result c", "result b", "calls d", "result d"]
        );
    }

    #[test]
    fn what_is_said_meanwhile_stands_behind_the_results() {
        let said =
            turn(&["said a", "began b", "said c", "began d", "ended b", "said e", "ended d", "said f"]);
        assert_eq!(
            shape(said),
            ["user q", "user a", "calls b d", "result b", "result d", "user c", "user e", "user f"]
        );
    }

    #[test]
    fn what_is_not_known_and_what_failed_says_nothing() {
        let mut answered = Turn::default();
        answered.answer("a".to_owned());
        assert_eq!(shape(answered), ["assistant a"]);
        let mut failed = turn(&["began a", "ended a"]);
        failed.answer(String::new());
        assert_eq!(shape(failed), ["user q", "calls a", "result a"]);
    }
}
