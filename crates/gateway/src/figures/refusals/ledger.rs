//! The last refused handshakes, one by one.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use portcullis_event::Timestamp;
use portcullis_reason::{Reason, Rejection};
use serde::Serialize;

use super::Evidence;

/// Refusals that are kept.
const KEPT: usize = 1_000;

/// One refused handshake, as an operator may see it: no value of a credential is in it, in any form.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    /// Counts up from the start of the process; set by the ledger.
    pub(crate) seq: u64,
    pub(crate) request_id: String,
    pub(crate) at: Timestamp,
    pub(crate) reason: Reason,
    pub(crate) title: &'static str,
    pub(crate) status: Option<u16>,
    pub(crate) fault: &'static str,
    /// What exactly was found; for operators alone.
    pub(crate) detail: String,
    /// What the client was told to change.
    pub(crate) hint: Option<String>,
    pub(crate) remedy: String,
    /// The form in which the token came, where one was found.
    pub(crate) form: Option<&'static str>,
    pub(crate) peer: SocketAddr,
    /// This server's own probe.
    pub(crate) probe: bool,
    /// None where the head could not be read.
    pub(crate) evidence: Option<Evidence>,
}

impl Entry {
    pub(crate) fn new(
        rejection: &Rejection,
        request_id: &str,
        at: Timestamp,
        peer: SocketAddr,
        form: Option<&'static str>,
        probe: bool,
        evidence: Option<Evidence>,
    ) -> Self {
        let reason = rejection.reason;
        Self {
            seq: 0,
            request_id: request_id.to_owned(),
            at,
            reason,
            title: reason.title(),
            status: reason.status(),
            fault: reason.fault().as_str(),
            detail: rejection.detail.to_string(),
            hint: rejection.hint.as_ref().map(ToString::to_string),
            remedy: reason.help().remedy().to_owned(),
            form,
            peer,
            probe,
            evidence,
        }
    }
}

/// Which refusals are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter<'f> {
    pub(crate) reason: Option<Reason>,
    pub(crate) request_id: Option<&'f str>,
    /// Older than this number alone.
    pub(crate) before: Option<u64>,
    pub(crate) limit: usize,
}

/// The last refusals, newest first. Bounded.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    next: u64,
    records: VecDeque<Arc<Entry>>,
}

impl Ledger {
    pub(crate) fn add(&self, mut refusal: Entry) {
        let mut records = self.0.lock();
        refusal.seq = records.next;
        records.next += 1;
        records.records.push_front(Arc::new(refusal));
        records.records.truncate(KEPT);
    }

    pub(crate) fn find(&self, filter: &Filter<'_>) -> Vec<Arc<Entry>> {
        let records = self.0.lock();
        let matches = |refusal: &&Arc<Entry>| {
            filter.reason.is_none_or(|reason| refusal.reason == reason)
                && filter.request_id.is_none_or(|id| refusal.request_id == id)
                && filter.before.is_none_or(|seq| refusal.seq < seq)
        };
        records.records.iter().filter(matches).take(filter.limit).cloned().collect()
    }

    /// The number that the next refusal will have: one that grew says that there is something new.
    pub(crate) fn next(&self) -> u64 {
        self.0.lock().next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(reason: Reason, id: usize) -> Entry {
        Entry::new(
            &Rejection::new(reason, "found"),
            &format!("n-{id}"),
            Timestamp::from_unix_ms(0),
            SocketAddr::from(([192, 0, 2, 1], 4)),
            None,
            false,
            None,
        )
    }

    #[test]
    fn the_last_thousand_are_kept_newest_first() {
        let ledger = Ledger::default();
        for id in 0..2_500 {
            ledger.add(refusal(Reason::NoToken, id));
        }
        let all = ledger.find(&Filter { limit: 10_000, ..Filter::default() });
        assert_eq!(all.len(), KEPT);
        assert_eq!((all[0].seq, all[0].request_id.as_str()), (2_499, "n-2499"));
        assert_eq!(ledger.next(), 2_500);
    }

    #[test]
    fn found_by_reason_by_request_and_page_by_page() {
        let ledger = Ledger::default();
        for id in 0..10 {
            ledger.add(refusal(if id % 2 == 0 { Reason::NoToken } else { Reason::TokenExpired }, id));
        }
        let ids = |filter: Filter<'_>| {
            ledger.find(&filter).iter().map(|refusal| refusal.request_id.clone()).collect::<Vec<_>>()
        };
        let even = Filter { reason: Some(Reason::NoToken), limit: 2, ..Filter::default() };
        assert_eq!(ids(even.clone()), ["n-8", "n-6"]);
        assert_eq!(ids(Filter { before: Some(6), ..even }), ["n-4", "n-2"]);
        assert_eq!(ids(Filter { request_id: Some("n-3"), limit: 9, ..Filter::default() }), ["n-3"]);
        assert_eq!(
            ids(Filter {
                request_id: Some("n-3"),
                reason: Some(Reason::NoToken),
                limit: 9,
                ..Filter::default()
            }),
            [""; 0]
        );
    }
}
