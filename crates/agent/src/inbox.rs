//! The way into a run that goes on.

use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{said::Said, sink::EventSink};

/// Where an agent hears what its user says while it works. An agent that does not listen drops it, and who speaks to the run
/// is told so at once.
#[derive(Debug)]
pub struct Inbox {
    said: mpsc::Receiver<Said>,
    events: EventSink,
}

/// The way into an [`Inbox`].
#[derive(Clone, Debug)]
pub struct Letterbox {
    said: mpsc::Sender<Said>,
}

/// Why something cannot be said to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheard {
    /// Its agent does not listen, or not any more.
    Closed,
    /// As much as may wait does.
    Full,
}

impl Inbox {
    /// The inbox of the run that tells what it does through `events`, and the way into it. At most `capacity` messages wait
    /// there, one at least.
    pub fn channel(events: &EventSink, capacity: usize) -> (Letterbox, Self) {
        let (sender, said) = mpsc::channel(capacity.max(1));
        (Letterbox { said: sender }, Self { said, events: events.clone() })
    }

    /// Waits for what the user says next. From here on it counts as heard, and all of the user's devices are told.
    ///
    /// None once nobody can say anything any more. Dropping the future loses nothing.
    pub async fn hear(&mut self) -> Option<Said> {
        let said = self.said.recv().await?;
        self.events.heard(&said);
        Some(said)
    }
}

impl Letterbox {
    /// Says something to the run.
    ///
    /// # Errors
    /// [`Unheard`].
    pub fn say(&self, said: Said) -> Result<(), Unheard> {
        self.said.try_send(said).map_err(|error| match error {
            TrySendError::Full(_) => Unheard::Full,
            TrySendError::Closed(_) => Unheard::Closed,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use portcullis_event::MessageId;

    use super::*;
    use crate::AgentEvent;

    fn said(number: usize) -> Said {
        Said { message_id: MessageId::new(&format!("m{number}")).unwrap(), content: "a secret".to_owned() }
    }

    #[tokio::test]
    async fn what_is_heard_is_told_in_its_place() {
        let (sink, mut events) = EventSink::channel("r", 2);
        let (letterbox, mut inbox) = Inbox::channel(&sink, 4);
        sink.thinking("first").await.unwrap();
        letterbox.say(said(1)).unwrap();
        letterbox.say(said(2)).unwrap();
        assert_eq!(inbox.hear().await, Some(said(1)));
        sink.thinking("second").now_or_never().expect("what was heard takes no place").unwrap();
        let told: Vec<_> = std::iter::from_fn(|| events.try_recv()).collect();
        let [AgentEvent::Thinking { .. }, AgentEvent::Heard(heard), AgentEvent::Thinking { .. }] = &told[..]
        else {
            panic!("{told:?}")
        };
        assert_eq!(*heard, said(1), "and not the one that waits");
        assert!(!format!("{told:?}").contains("secret"));
        drop(letterbox);
        assert_eq!((inbox.hear().await, inbox.hear().await), (Some(said(2)), None));
    }

    #[test]
    fn an_inbox_is_bounded_and_says_when_nobody_listens() {
        let (sink, _events) = EventSink::channel("r", 2);
        let (letterbox, inbox) = Inbox::channel(&sink, 2);
        assert_eq!([1, 2, 3].map(|number| letterbox.say(said(number))), [Ok(()), Ok(()), Err(Unheard::Full)]);
        drop(inbox);
        assert_eq!(letterbox.say(said(4)), Err(Unheard::Closed));
    }
}
