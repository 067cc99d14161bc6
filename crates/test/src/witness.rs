//! What a client may see of a server, and what it may not.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

/// What one client saw of its server, through all of that one's deaths.
#[derive(Debug, Default)]
pub struct Witness {
    /// Runs by the message that asked.
    accepted: BTreeMap<String, String>,
    /// Threads in which a message was accepted.
    asked: HashSet<String>,
    /// Deletions of a thread that may have happened, and of which nothing was heard.
    deletions: HashMap<String, usize>,
    /// Messages whose run may have been deleted.
    excused: HashSet<String>,
    /// Events by thread and number.
    seen: BTreeMap<String, BTreeMap<u64, Value>>,
    /// What no client may ever see.
    faults: Vec<String>,
}

/// What a witness finds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What no client may ever see.
    pub faults: Vec<String>,
    /// Runs that were cut off and begun anew.
    pub begun_anew: usize,
    /// The ends of runs that have no answer.
    pub failed: Vec<Value>,
}

impl Witness {
    /// The runs that were told as accepted, by the messages that asked.
    pub const fn accepted(&self) -> &BTreeMap<String, String> {
        &self.accepted
    }

    /// From now on the thread may be gone, or another one under its name.
    pub fn may_be_deleted(&mut self, thread_id: &str) {
        *self.deletions.entry(thread_id.to_owned()).or_default() += 1;
    }

    /// The run of this message may have been deleted with its thread: it may be gone, and asking again makes another.
    pub fn excuse(&mut self, message_id: &str) {
        self.excused.insert(message_id.to_owned());
    }

    /// Whether a deletion of which nothing was heard may have happened.
    pub fn deletion_explains(&self, thread_id: &str) -> bool {
        self.deletions.get(thread_id).is_some_and(|left| *left > 0)
    }

    /// Whether a deletion explains that the thread is not what it was; each does once.
    fn explained(&mut self, thread_id: &str) -> bool {
        let left = self.deletions.get_mut(thread_id).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }

    /// The last event that was seen of a thread.
    pub fn last(&self, thread_id: &str) -> Option<&Value> {
        self.seen.get(thread_id)?.last_key_value().map(|(_, event)| event)
    }

    /// How many events were seen.
    pub fn events(&self) -> usize {
        self.seen.values().map(BTreeMap::len).sum()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.accepted.is_empty() && self.seen.is_empty()
    }

    /// Writes down what came.
    pub fn take(&mut self, message: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if message["type"] == "message_accepted" {
            let (asked, run) = (text(&message["payload"]["message_id"]), text(&message["payload"]["run_id"]));
            let excused = self.excused.contains(&asked);
            if let Some(known) = self.accepted.insert(asked, run.clone())
                && known != run
                && !excused
            {
                self.faults.push(format!("a second run, beside {known}: {message}"));
            }
            self.asked.insert(text(&message["payload"]["thread_id"]));
        } else if message["type"] == "resume_gap" {
            self.gap(message);
        } else if let Some(seq) = message["seq"].as_u64() {
            let thread_id = text(&message["thread_id"]);
            if self.last(&thread_id).is_some_and(|last| last["epoch"] != message["epoch"]) {
                if !self.explained(&thread_id) {
                    self.faults.push(format!("another stream: {message}"));
                }
                self.seen.remove(&thread_id);
            }
            let seen = self.seen.entry(thread_id).or_default();
            let next = seen.last_key_value().map_or(1, |(last, _)| last + 1);
            if seq < next {
                self.faults.push(format!("a repeat: {message}"));
            } else if seq > next {
                self.faults.push(format!("a hole before {message}"));
            }
            seen.insert(seq, message.clone());
        }
    }

    /// A thread of which nothing was told may be one that is not there yet.
    fn gap(&mut self, message: &Value) {
        let thread_id = message["payload"]["thread_id"].as_str().unwrap_or_default();
        let reason = &message["payload"]["reason"];
        let told = self.seen.contains_key(thread_id) || self.asked.contains(thread_id);
        if !told && reason == "unknown_thread" {
            return;
        }
        if (reason == "unknown_thread" || reason == "epoch_changed") && self.explained(thread_id) {
            self.seen.remove(thread_id);
            self.asked.remove(thread_id);
        } else {
            self.faults.push(format!("a gap: {message}"));
        }
    }

    /// Holds what was seen against the threads that the server has now, and the runs that go on.
    pub fn check(&self, threads: &[(&str, &[Value])], open: &HashSet<String>) -> Found {
        let mut found = Found { faults: self.faults.clone(), ..Found::default() };
        let faults = &mut found.faults;
        for (thread_id, stream) in threads {
            for (index, event) in stream.iter().enumerate() {
                if event["seq"].as_u64() != Some(index as u64 + 1) {
                    faults.push(format!("a hole in the record of {thread_id} before {event}"));
                }
            }
        }
        for (thread_id, seen) in &self.seen {
            let stream = threads.iter().find(|(id, _)| id == thread_id).map_or(&[][..], |(_, stream)| stream);
            let epochs =
                [stream.last(), self.last(thread_id)].map(|event| event.map(|event| &event["epoch"]));
            if epochs[0] != epochs[1] && self.deletion_explains(thread_id) {
                continue;
            }
            for (seq, event) in seen {
                let index = usize::try_from(*seq).unwrap_or(usize::MAX).wrapping_sub(1);
                if stream.get(index) != Some(event) {
                    faults.push(format!("what was seen is not what is there: {event}"));
                }
            }
        }
        for (message, run) in &self.accepted {
            let events = threads.iter().flat_map(|(_, stream)| stream.iter());
            let own: Vec<_> = events.filter(|event| event["run_id"] == run.as_str()).collect();
            let own = match own.split_first() {
                Some((first, run)) if first["type"] == "user_message" => {
                    if first["payload"]["message_id"] != message.as_str() {
                        faults.push(format!("{message} is told as another: {first}"));
                    }
                    run.to_vec()
                }
                Some((first, _)) => {
                    faults.push(format!("{message} was not told before its run: {first}"));
                    continue;
                }
                None => own,
            };
            if own.is_empty() && (open.contains(run) || self.excused.contains(message)) {
                continue;
            }
            check_run(message, &own, open.contains(run), faults);
            found.begun_anew += usize::from(begins(&own).count() > 1);
            found
                .failed
                .extend(own.last().filter(|end| end["type"] == "agent_failed").map(|&end| end.clone()));
        }
        found
    }
}

/// Whether an event is the end of its run.
pub fn is_terminal(event: &Value) -> bool {
    event["type"] == "agent_completed" || event["type"] == "agent_failed"
}

/// The beginnings of a run.
fn begins<'e>(run: &[&'e Value]) -> impl Iterator<Item = &'e Value> {
    run.iter().copied().filter(|event| event["type"] == "agent_started")
}

/// A run begins, ends once and last unless it is still open, and each tool that it began has ended.
fn check_run(message: &str, events: &[&Value], open: bool, faults: &mut Vec<String>) {
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap_or_default()).collect();
    let end = events.last().filter(|event| is_terminal(event));
    match events.iter().filter(|event| is_terminal(event)).count() {
        ends if ends == usize::from(!open)
            && end.is_some() != open
            && kinds.first() == Some(&"agent_started") =>
        {
            // The first beginning has no number, then comes the second, and no more.
            for (index, event) in begins(events).enumerate() {
                let attempt = event["payload"]["attempt"].as_u64();
                if attempt != (index > 0).then_some(2) || index > 1 {
                    faults.push(format!("begins wrongly: {event}"));
                }
            }
        }
        1 => faults.push(format!("out of order: {message} has {kinds:?}")),
        ends => faults.push(format!("{message} has {ends} ends: {kinds:?}")),
    }
    let mut tools = HashSet::new();
    for event in events {
        let id = event["payload"]["execution_id"].as_str().unwrap_or_default();
        let paired = match event["type"].as_str() {
            Some("agent_started") => tools.is_empty(),
            Some("tool_executing") => tools.insert(id),
            Some("tool_completed") => tools.remove(id),
            _ => true,
        };
        if !paired {
            faults.push(format!("a tool's end or start is not paired: {event}"));
        }
    }
    // One that goes on, or that begins again, may have one at work.
    if !open && !tools.is_empty() {
        faults.push(format!("{message} left tools open: {tools:?}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn none() -> HashSet<String> {
        HashSet::new()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one stream, and each fault that it can have")]
    fn each_fault_is_found() {
        let event = |seq: u64, kind: &str, tool: &str| json!({ "type": kind, "thread_id": "t", "seq": seq, "run_id": "r", "payload": { "execution_id": tool } });
        let said = |seq: u64| {
            let mut said = event(seq, "user_message", "");
            said["payload"] = json!({ "message_id": "m", "run_id": "r", "content": "think" });
            said
        };
        let whole = || {
            vec![
                said(1),
                event(2, "agent_started", ""),
                event(3, "tool_executing", "x"),
                event(4, "tool_completed", "x"),
                event(5, "agent_completed", ""),
            ]
        };
        let told = || {
            let mut witness = Witness::default();
            let accepted = json!({ "type": "message_accepted", "payload": { "message_id": "m", "run_id": "r", "thread_id": "t" } });
            witness.take(&accepted);
            for event in whole() {
                witness.take(&event);
            }
            witness
        };
        assert_eq!(told().check(&[("t", &whole())], &none()), Found::default());
        let found = |witness: Witness, stream: &[Value], fault: &str| {
            let faults = witness.check(&[("t", stream)], &none()).faults;
            assert!(faults.iter().any(|it| it.contains(fault)), "{fault}: {faults:?}");
        };
        let without = |index: usize| {
            let mut stream = whole();
            stream.remove(index);
            stream
        };
        found(told(), &without(2), "a hole in the record");
        found(told(), &without(3), "left tools open");
        found(told(), &without(2), "not paired");
        found(told(), &without(4), "m has 0 ends");
        found(told(), &without(4), "what was seen is not what is there");
        found(told(), &without(1), "out of order");
        found(told(), &without(0), "was not told before its run");
        let mut another = whole();
        another[0]["payload"]["message_id"] = json!("n");
        found(told(), &another, "told as another");
        let begun_again = |attempt: Option<u64>| {
            let mut stream = [whole(), whole()].concat();
            stream.drain(4..6);
            for (index, event) in stream.iter_mut().enumerate() {
                event["seq"] = json!(index + 1);
            }
            stream[4]["payload"]["attempt"] = json!(attempt);
            stream
        };
        let accepted = || Witness { accepted: told().accepted, ..Witness::default() };
        let again = accepted().check(&[("t", &begun_again(Some(2)))], &none());
        assert_eq!(again, Found { begun_anew: 1, ..Found::default() });
        found(accepted(), &begun_again(None), "begins wrongly");
        found(accepted(), &begun_again(Some(3)), "begins wrongly");
        let mut failed = whole();
        failed[4]["type"] = json!("agent_failed");
        let end = accepted().check(&[("t", &failed)], &none());
        assert_eq!(end, Found { failed: vec![failed[4].clone()], ..Found::default() });
        found(told(), &[whole(), vec![event(6, "agent_failed", "")]].concat(), "m has 2 ends");
        found(told(), &[whole(), vec![event(6, "agent_thinking", "")]].concat(), "out of order");
        let mut repeated = told();
        repeated.take(&event(5, "agent_completed", ""));
        found(repeated, &whole(), "a repeat");
        let mut hole = told();
        hole.take(&event(7, "agent_thinking", ""));
        found(hole, &whole(), "a hole before");
        let mut gap = told();
        let unknown =
            json!({ "type": "resume_gap", "payload": { "thread_id": "t", "reason": "unknown_thread" } });
        gap.take(&unknown);
        found(gap, &whole(), "a gap");
        let mut early = Witness::default();
        early.take(&unknown);
        assert_eq!(early.check(&[], &none()), Found::default(), "it may not be there yet");
        let mut lost_thread = Witness { asked: told().asked, ..Witness::default() };
        lost_thread.take(&unknown);
        found(lost_thread, &[], "a gap");
        let mut other = event(1, "agent_started", "");
        (other["epoch"], other["run_id"]) = (json!("new"), json!("s"));
        let mut deleted = told();
        deleted.take(&other);
        found(deleted, &whole(), "another stream");
        let mut deleted = told();
        deleted.may_be_deleted("t");
        deleted.excuse("m");
        assert_eq!(deleted.check(&[("t", &[])], &none()), Found::default(), "it may be gone");
        deleted.take(&other);
        assert_eq!(deleted.check(&[("t", &[other])], &none()), Found::default(), "and another one");
        found(deleted, &whole(), "what was seen is not what is there");
        let open = HashSet::from(["r".to_owned()]);
        assert_eq!(accepted().check(&[("t", &whole()[..4])], &open), Found::default());
        let mut at_work = begun_again(Some(2));
        at_work.truncate(6);
        assert_eq!(accepted().check(&[("t", &at_work)], &open).faults, [""; 0], "a tool is at work");
        assert_eq!(accepted().check(&[("t", &whole())], &open).faults.len(), 1, "it has ended, and is open");
        let mut twice = told();
        let again = json!({ "type": "message_accepted", "payload": { "message_id": "m", "run_id": "s", "thread_id": "t" } });
        twice.take(&again);
        found(twice, &whole(), "a second run");
        let mut lost = Witness::default();
        lost.take(&again);
        found(lost, &whole(), "m has 0 ends");
        let mut early = begun_again(Some(2));
        early.remove(3);
        found(accepted(), &early, "not paired");
    }
}
