//! What every record promises, as tests: [`contract!`](crate::contract) makes one of each promise.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::sync::Arc;

use bytes::Bytes;
use portcullis_event::{
    AgentId, AgentThinking, Envelope, Epoch, EventId, MessageId, Position, RunId, ThreadId, Timestamp, Wire,
};

pub use futures_executor::block_on;

use crate::{
    Accepted, AppendError, Change, EventLog, Limits, OpenRun, Owner, OwnerLog, Page, Place, Question, Quota,
    Record, Repeat, Stream,
};

/// How much a record that is put to the test keeps of a user.
pub const LIMITS: Limits =
    Limits { events: 1_000, bytes: 1 << 20, threads: 50, owner_bytes: 4 << 20, all_bytes: 6 << 20 };

/// One test for each promise. `$make` gives a new record that keeps [`LIMITS`] of a user, as `Arc<dyn EventLog>`, and with it
/// whatever has to live as long.
#[macro_export]
macro_rules! contract {
    ($make:expr) => {
        $crate::contract! { $make =>
            what_was_committed_can_be_read_in_order
            a_page_holds_what_was_asked_for_and_at_least_one_event
            owners_and_threads_are_apart
            what_does_not_fit_is_refused_and_so_is_what_comes_behind_it
            whoever_opens_again_fences_the_one_before
            a_message_is_accepted_once
            what_is_beyond_the_bounds_is_gone_and_the_rest_has_no_gap
            an_owner_s_threads_are_listed_in_pages_the_latest_first
            a_thread_that_is_forgotten_leaves_nothing_and_takes_nothing_else_away
            a_run_is_open_until_its_last_event
            a_question_is_kept_until_it_is_asked_again_or_its_run_ends
            old_streams_go_but_none_with_an_open_run
            threads_that_open_runs_kept_beyond_the_bound_go_once_these_have_ended
            an_owner_who_has_as_much_as_may_be_is_full_until_something_goes
        }
    };
    ($make:expr => $($promise:ident)*) => {
        $(
            #[test]
            fn $promise() {
                let (log, _kept) = $make;
                $crate::suite::block_on($crate::suite::$promise(log));
            }
        )*
    };
}

fn owner(name: &str) -> Owner {
    Owner::new(Some("i"), name)
}

fn thread(name: &str) -> ThreadId {
    ThreadId::new(name).unwrap()
}

fn run_id(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

fn message_id(name: &str) -> MessageId {
    MessageId::new(&format!("m-{name}")).unwrap()
}

fn epoch(thread_id: &str) -> Epoch {
    Epoch::new(&format!("e-{thread_id}")).unwrap()
}

/// An event as it stands in a stream.
fn text(thread_id: &str, seq: u64) -> Bytes {
    let position = Position { epoch: epoch(thread_id), seq };
    let said = AgentThinking {
        agent_id: AgentId::new("a").unwrap(),
        thinking_content: format!("{thread_id} {seq}"),
        step_number: 1,
    };
    let id = EventId::numbered(position.epoch.as_str(), seq).unwrap();
    let now = Timestamp::from_unix_ms(0);
    let event = Envelope::event(id, position, thread(thread_id), run_id("r"), now, said);
    let mut out = Vec::new();
    event.write(Wire::V1, &mut out);
    out.into()
}

fn record(thread_id: &str, seq: u64, at: u64) -> Record {
    Record { thread_id: thread(thread_id), epoch: epoch(thread_id), seq, at, text: text(thread_id, seq) }
}

/// An event at a time that is its number.
fn event(thread_id: &str, seq: u64) -> Change {
    Change::Event { record: record(thread_id, seq, seq), ends: None }
}

fn open_run(name: &str, thread_id: &str) -> OpenRun {
    OpenRun {
        run_id: run_id(name),
        thread_id: thread(thread_id),
        message_id: message_id(name),
        agent_id: "a".to_owned(),
        agent_type: "builtin".to_owned(),
        user_id: "ann".to_owned(),
        accepted_at: 5,
        repeat: Repeat::Never,
    }
}

fn accept(name: &str, thread_id: &str) -> Change {
    Change::Accept { run: open_run(name, thread_id), told: None }
}

async fn open(log: &Arc<dyn EventLog>, who: &str) -> Arc<dyn OwnerLog> {
    log.open(owner(who)).await.unwrap()
}

/// Hands changes over together, and says what became of each.
async fn append(
    own: &Arc<dyn OwnerLog>,
    changes: impl IntoIterator<Item = Change>,
) -> Vec<Result<(), AppendError>> {
    let commits: Vec<_> = changes.into_iter().map(|change| own.append(change)).collect();
    let mut outcomes = Vec::new();
    for commit in commits {
        outcomes.push(commit.await);
    }
    outcomes
}

async fn commit(own: &Arc<dyn OwnerLog>, changes: impl IntoIterator<Item = Change>) {
    assert!(append(own, changes).await.iter().all(Result::is_ok));
}

/// The numbers that are kept of a thread; that their texts are right is seen to.
async fn kept(own: &Arc<dyn OwnerLog>, thread_id: &str) -> Option<(u64, u64)> {
    let id = thread(thread_id);
    let stream = own.stream(&id).await.unwrap()?;
    assert_eq!(stream.epoch, epoch(thread_id));
    let mut next = stream.first;
    loop {
        let page = own.read(&id, next - 1, 4_096).await.unwrap().unwrap();
        assert_eq!((&page.stream, page.from), (&stream, next));
        if page.events.is_empty() {
            assert_eq!(next, stream.tail + 1, "nothing is missing at the end");
            return Some((stream.first, stream.tail));
        }
        for event in page.events {
            assert_eq!(event, text(thread_id, next));
            next += 1;
        }
    }
}

/// What was committed can be read, page by page, in order, and a stream that is not there is none.
pub async fn what_was_committed_can_be_read_in_order(log: Arc<dyn EventLog>) {
    let own = open(&log, "ann").await;
    commit(&own, (1..=600).map(|seq| event("t", seq))).await;
    assert_eq!(kept(&own, "t").await, Some((1, 600)));
    assert_eq!(kept(&own, "other").await, None);
    assert_eq!(own.read(&thread("other"), 0, 100).await, Ok(None));
    assert_eq!(log.ready(), Ok(()));
}

/// A page begins where it was asked to, holds about as many bytes as it may, and one event at least.
pub async fn a_page_holds_what_was_asked_for_and_at_least_one_event(log: Arc<dyn EventLog>) {
    let own = open(&log, "ann").await;
    commit(&own, (1..=20).map(|seq| event("t", seq))).await;
    let size = text("t", 10).len();
    let page = async |after, most| {
        let Page { stream, from, events } = own.read(&thread("t"), after, most).await.unwrap().unwrap();
        assert_eq!(stream, Stream { epoch: epoch("t"), first: 1, tail: 20 });
        (from, events.len())
    };
    assert_eq!(page(9, 3 * size).await, (10, 3));
    assert_eq!(page(9, 1).await, (10, 1));
    assert_eq!(page(0, usize::MAX).await, (1, 20));
    assert_eq!(page(19, usize::MAX).await, (20, 1));
    assert_eq!(page(20, usize::MAX).await, (21, 0));
    assert_eq!(page(u64::MAX, usize::MAX).await, (21, 0));
}

/// Nobody sees another owner's streams, nor a thread another thread's.
pub async fn owners_and_threads_are_apart(log: Arc<dyn EventLog>) {
    let (ann, bob) = (open(&log, "ann").await, open(&log, "bob").await);
    commit(&ann, [event("t", 1), event("t2", 1), accept("r", "t")]).await;
    commit(&bob, [event("t3", 1)]).await;
    assert_eq!(kept(&ann, "t").await, Some((1, 1)));
    assert_eq!(kept(&bob, "t").await, None, "another's looks like one that is not there");
    assert_eq!(kept(&bob, "t3").await, Some((1, 1)));
    let accepted = Accepted { run_id: run_id("r"), thread_id: thread("t") };
    assert_eq!(ann.message(&message_id("r")).await, Ok(Some(accepted)));
    assert_eq!(bob.message(&message_id("r")).await, Ok(None));
    assert_eq!((ann.open_runs().await.unwrap().len(), bob.open_runs().await), (1, Ok(vec![])));
    assert_eq!(log.unfinished().await, Ok(vec![owner("ann")]));
}

/// A record that is not the next one of its stream is refused, the handle is at its end, and the stream has no hole.
pub async fn what_does_not_fit_is_refused_and_so_is_what_comes_behind_it(log: Arc<dyn EventLog>) {
    let own = open(&log, "ann").await;
    commit(&own, [event("t", 1)]).await;
    let outcomes = append(&own, [event("t", 2), event("t", 4), event("t", 3)]).await;
    assert_eq!(outcomes, [Ok(()), Err(AppendError::Fenced), Err(AppendError::Fenced)]);
    assert_eq!(append(&own, [event("t", 3)]).await, [Err(AppendError::Fenced)], "nothing more is taken");
    let own = open(&log, "ann").await;
    assert_eq!(kept(&own, "t").await, Some((1, 2)));
    commit(&own, [event("t", 3)]).await;
    let stranger = Record { epoch: epoch("other"), ..record("t", 4, 4) };
    let stranger = Change::Event { record: stranger, ends: None };
    assert_eq!(append(&own, [stranger]).await, [Err(AppendError::Fenced)]);
    assert_eq!(kept(&open(&log, "ann").await, "t").await, Some((1, 3)));
}

/// An owner is open once: the handle before takes nothing, and what it took is there.
pub async fn whoever_opens_again_fences_the_one_before(log: Arc<dyn EventLog>) {
    let first = open(&log, "ann").await;
    commit(&first, [event("t", 1)]).await;
    let second = open(&log, "ann").await;
    assert_eq!(append(&first, [event("t", 2)]).await, [Err(AppendError::Fenced)]);
    assert_eq!(kept(&second, "t").await, Some((1, 1)));
    commit(&second, [event("t", 2)]).await;
    assert_eq!(kept(&second, "t").await, Some((1, 2)));
}

/// The same message again is not accepted, and its first acceptance is told.
pub async fn a_message_is_accepted_once(log: Arc<dyn EventLog>) {
    let own = open(&log, "ann").await;
    let told =
        |name: &str, seq| Change::Accept { run: open_run(name, "t"), told: Some(record("t", seq, seq)) };
    commit(&own, [told("r", 1)]).await;
    let again = OpenRun { run_id: run_id("r2"), ..open_run("r", "t") };
    let again = Change::Accept { run: again, told: Some(record("t", 2, 2)) };
    let first = Accepted { run_id: run_id("r"), thread_id: thread("t") };
    assert_eq!(own.message(&message_id("r")).await, Ok(Some(first.clone())));
    assert_eq!(append(&own, [again]).await, [Err(AppendError::AlreadyAccepted(first))]);
    let own = open(&log, "ann").await;
    assert_eq!(kept(&own, "t").await, Some((1, 1)), "nothing of it is told");
    assert_eq!(own.open_runs().await, Ok(vec![open_run("r", "t")]));
    commit(&own, [told("other", 2)]).await;
    assert_eq!(kept(&own, "t").await, Some((1, 2)));
    // On another thread it is another message, and what its id leads to from then on.
    let elsewhere = OpenRun { run_id: run_id("r3"), ..open_run("r", "t2") };
    commit(&own, [Change::Accept { run: elsewhere, told: None }]).await;
    let last = Accepted { run_id: run_id("r3"), thread_id: thread("t2") };
    assert_eq!(own.message(&message_id("r")).await, Ok(Some(last)));
}

/// Of a long stream the last part is kept, and it begins where the stream says.
pub async fn what_is_beyond_the_bounds_is_gone_and_the_rest_has_no_gap(log: Arc<dyn EventLog>) {
    let own = open(&log, "ann").await;
    let last = 2 * LIMITS.events as u64 + 7;
    commit(&own, (1..=last).map(|seq| event("t", seq))).await;
    let (first, tail) = kept(&own, "t").await.unwrap();
    let count = tail - first + 1;
    assert_eq!(tail, last);
    assert!((LIMITS.events as u64 / 2..=LIMITS.events as u64).contains(&count), "{count}");
    let page = own.read(&thread("t"), 0, 1).await.unwrap().unwrap();
    assert_eq!((page.from, page.events.len()), (first, 1), "who asks for what is gone gets what is there");
    // And by bytes.
    let large = |seq: u64| {
        let text = Bytes::from(vec![b' '; LIMITS.bytes / 10]);
        Change::Event { record: Record { text, ..record("large", seq, seq) }, ends: None }
    };
    commit(&own, (1..=40).map(large)).await;
    let stream = own.stream(&thread("large")).await.unwrap().unwrap();
    assert_eq!(stream.tail, 40);
    assert!((4..=10).contains(&(stream.tail + 1 - stream.first)), "{stream:?}");
}

/// Threads come in the order of their last events, page by page, each with its last event.
pub async fn an_owner_s_threads_are_listed_in_pages_the_latest_first(log: Arc<dyn EventLog>) {
    let (ann, bob) = (open(&log, "ann").await, open(&log, "bob").await);
    assert_eq!(ann.threads(None, 10).await, Ok(vec![]));
    let at = |thread_id: &str, seq, at| Change::Event { record: record(thread_id, seq, at), ends: None };
    commit(&ann, [at("a", 1, 10), at("b", 1, 10), at("c", 1, 10), at("b", 2, 20), at("d", 1, 5)]).await;
    commit(&bob, [at("a", 1, 30)]).await;
    let list = async |after, most| {
        let threads = ann.threads(after, most).await.unwrap();
        let shown = threads.iter().map(|it| {
            assert_eq!(it.last, text(it.place.thread_id.as_str(), it.stream.tail));
            (it.place.thread_id.as_str().to_owned(), it.place.at, it.stream.tail)
        });
        shown.collect::<Vec<_>>()
    };
    let all =
        [("b", 20, 2), ("c", 10, 1), ("a", 10, 1), ("d", 5, 1)].map(|(id, at, seq)| (id.to_owned(), at, seq));
    assert_eq!(list(None, 10).await, all);
    assert_eq!(list(None, 2).await, all[..2]);
    let behind = |place: usize| Some(Place { at: all[place].1, thread_id: thread(&all[place].0) });
    assert_eq!(list(behind(1), 2).await, all[2..]);
    assert_eq!(list(behind(3), 2).await, []);
}

/// Nothing of a forgotten thread is told, and nothing else is gone; what comes after it is a stream of its own.
pub async fn a_thread_that_is_forgotten_leaves_nothing_and_takes_nothing_else_away(log: Arc<dyn EventLog>) {
    let (ann, bob) = (open(&log, "ann").await, open(&log, "bob").await);
    commit(&bob, [event("t", 1)]).await;
    // Handed over together, so that they may be written together.
    let changes = [
        accept("r", "t"),
        event("t", 1),
        accept("r2", "t2"),
        event("t2", 1),
        Change::Forget(thread("t")),
        event("t2", 2),
    ];
    commit(&ann, changes).await;
    assert_eq!(kept(&ann, "t").await, None);
    assert_eq!(ann.message(&message_id("r")).await, Ok(None));
    assert_eq!(kept(&ann, "t2").await, Some((1, 2)));
    assert_eq!(ann.open_runs().await, Ok(vec![open_run("r2", "t2")]));
    assert!(ann.message(&message_id("r2")).await.unwrap().is_some());
    assert_eq!(kept(&bob, "t").await, Some((1, 1)));
    commit(&ann, [event("t", 1)]).await;
    assert_eq!(kept(&ann, "t").await, Some((1, 1)));
    commit(&open(&log, "cem").await, [Change::Forget(thread("t"))]).await;
}

/// A run is open from its acceptance to the change that ends it.
pub async fn a_run_is_open_until_its_last_event(log: Arc<dyn EventLog>) {
    let own = open(&log, "ann").await;
    commit(&own, [accept("r", "t"), event("t", 1)]).await;
    assert_eq!(own.open_runs().await, Ok(vec![open_run("r", "t")]));
    commit(&own, [Change::Event { record: record("t", 2, 2), ends: Some(run_id("r")) }]).await;
    assert_eq!(own.open_runs().await, Ok(vec![]));
    assert_eq!(log.unfinished().await, Ok(vec![]));
}

/// A question stands beside its open run, and goes where the run begins again or ends.
pub async fn a_question_is_kept_until_it_is_asked_again_or_its_run_ends(log: Arc<dyn EventLog>) {
    let own = open(&log, "ann").await;
    let question = |content: &str| Question {
        content: content.to_owned(),
        context: Some(serde_json::json!({ "page": ["/login", null] })),
        fresh: true,
    };
    let run = |name: &str, accepted_at, repeat| OpenRun { accepted_at, repeat, ..open_run(name, "t") };
    let one = run("r1", 5, Repeat::Once(question("one")));
    let two = run("r2", 6, Repeat::Once(question("two")));
    let accepted = [two.clone(), one.clone()].map(|run| Change::Accept { run, told: None });
    commit(&own, accepted).await;
    assert_eq!(own.open_runs().await, Ok(vec![one, two.clone()]), "in the order of acceptance");
    // The first is run again: its question is gone, and it is still open, and its message is still known.
    let again = run("r1", 5, Repeat::Done);
    commit(&own, [Change::Reopen(again.clone())]).await;
    assert_eq!(own.open_runs().await, Ok(vec![again.clone(), two]));
    let accepted = Accepted { run_id: run_id("r1"), thread_id: thread("t") };
    assert_eq!(own.message(&message_id("r1")).await, Ok(Some(accepted)));
    // The second comes to its end.
    commit(&own, [Change::Event { record: record("t", 1, 1), ends: Some(run_id("r2")) }]).await;
    assert_eq!(own.open_runs().await, Ok(vec![again]));
}

/// A sweep takes what is old, and nothing that is at work.
pub async fn old_streams_go_but_none_with_an_open_run(log: Arc<dyn EventLog>) {
    let own = open(&log, "ann").await;
    let old = (1..=6)
        .map(|number| Change::Event { record: record(&format!("t{number}"), 1, number * 10), ends: None });
    commit(&own, old).await;
    commit(&own, [event("busy", 1), accept("r", "busy")]).await;
    assert_eq!(log.sweep(25).await, Ok(2));
    for (name, there) in [("t1", false), ("t2", false), ("t3", true), ("t6", true), ("busy", true)] {
        assert_eq!(kept(&own, name).await.is_some(), there, "{name}");
    }
    assert_eq!(own.message(&message_id("r")).await, Ok(None), "as old as that");
    commit(&own, [event("t1", 1), event("t6", 2)]).await;
    assert_eq!(log.sweep(5).await, Ok(2), "each goes by its last event");
    assert_eq!((kept(&own, "t6").await, kept(&own, "t3").await), (None, Some((1, 1))));
}

/// A thread with an open run makes room for none, and an owner who has more than may be for it comes back to the bound.
pub async fn threads_that_open_runs_kept_beyond_the_bound_go_once_these_have_ended(log: Arc<dyn EventLog>) {
    let own = open(&log, "ann").await;
    let count = async || own.threads(None, usize::MAX).await.unwrap().len();
    let busy = LIMITS.threads + 5;
    for number in 0..busy {
        let name = format!("t{number}");
        commit(&own, [accept(&name, &name), event(&name, 1)]).await;
    }
    assert_eq!(count().await, busy, "all of them are at work");
    for number in 0..busy {
        let record = record(&format!("t{number}"), 2, 2);
        commit(&own, [Change::Event { record, ends: Some(run_id(&format!("t{number}"))) }]).await;
    }
    commit(&own, [event("last", 1)]).await;
    assert_eq!(count().await, LIMITS.threads);
    assert_eq!(kept(&own, "last").await, Some((1, 1)));
}

/// What an owner has counts until it goes, with all that others have; and it is known again after another opening.
pub async fn an_owner_who_has_as_much_as_may_be_is_full_until_something_goes(log: Arc<dyn EventLog>) {
    let large = |thread_id: &str, seq: u64| {
        let text = Bytes::from(vec![b' '; LIMITS.bytes / 4]);
        Change::Event { record: Record { text, ..record(thread_id, seq, seq) }, ends: None }
    };
    let (own, other) = (open(&log, "ann").await, open(&log, "bob").await);
    let mut threads = Vec::new();
    while own.full().is_none() {
        threads.push(format!("t{}", threads.len()));
        assert!(threads.len() <= 6, "four megabytes are less than that");
        commit(&own, (1..=3).map(|seq| large(&threads[threads.len() - 1], seq))).await;
    }
    assert!(threads.len() >= 5, "nor are they so little");
    assert_eq!((own.full(), other.full()), (Some(Quota::Owner(LIMITS.owner_bytes)), None));
    let own = open(&log, "ann").await;
    assert_eq!(own.full(), Some(Quota::Owner(LIMITS.owner_bytes)), "known again");
    // What is under way goes on, and what was trimmed does not count.
    commit(&own, (4..=40).map(|seq| large(&threads[0], seq))).await;
    for number in 0..3 {
        commit(&other, (1..=3).map(|seq| large(&format!("t{number}"), seq))).await;
    }
    assert_eq!(other.full(), Some(Quota::All(LIMITS.all_bytes)));
    commit(&own, threads[1..3].iter().map(|id| Change::Forget(thread(id)))).await;
    assert_eq!((own.full(), other.full()), (None, None));
    commit(&other, [accept("r", "t0")]).await;
    commit(&own, threads.iter().map(|id| Change::Forget(thread(id)))).await;
    assert_eq!(log.sweep(u64::MAX).await, Ok(2), "the busy one stays");
    assert_eq!((own.full(), other.full()), (None, None));
}
