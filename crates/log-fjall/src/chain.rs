//! That every batch is there: each leaves a record of its number, and the numbers have no gap.
//!
//! The database reads its journals up to the first damage, and goes on with what it has. A number that is missing tells of
//! it. Records are kept for as long as a batch can be in a journal alone.

use std::{collections::VecDeque, ops::Range};

use crate::values::Link;

/// The records of batches.
#[derive(Debug)]
pub(crate) struct Chain {
    number: u64,
    last: Link,
    /// The number of a batch and the bytes up to it, at some distance from each other.
    marks: VecDeque<(u64, u64)>,
}

/// What was found of the records of batches.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The last one, with its number.
    pub(crate) last: Option<(u64, Link)>,
    /// How many are missing before it.
    missing: u64,
    marks: VecDeque<(u64, u64)>,
}

impl Found {
    /// Looks through the records: those from the first one on of which the last one tells, in their order.
    pub(crate) fn new<E>(
        last: (u64, Link),
        records: impl IntoIterator<Item = Result<(u64, Link), E>>,
    ) -> Result<Self, E> {
        let mut found = Self { last: Some(last), ..Self::default() };
        let mut next = last.1.low;
        for record in records {
            let (number, link) = record?;
            found.missing += number.saturating_sub(next);
            next = number + 1;
            if number.is_multiple_of(STRIDE) {
                found.marks.push_back((number, link.written));
            }
        }
        Ok(found)
    }

    /// The batches that are missing, of those up to one that was certainly there.
    pub(crate) fn lost(&self, certain: u64) -> u64 {
        self.missing + certain.saturating_sub(self.last.map_or(0, |(number, _)| number))
    }
}

impl Chain {
    /// Goes on behind what was found. Where something is lost, the chain begins anew behind `certain`.
    pub(crate) fn new(id: u64, found: Found, certain: u64) -> Self {
        let whole = found.lost(certain) == 0;
        let Found { last, marks, .. } = found;
        let new = Link { id, low: 1, serial: 1, written: 0 };
        let (number, mut last) = last.unwrap_or((0, new));
        let number = number.max(certain);
        if !whole {
            last.low = number + 1;
        }
        Self { number, last, marks: if whole { marks } else { VecDeque::new() } }
    }

    /// The number of the last batch.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// A number for a stream that no other has.
    pub(crate) const fn serial(&mut self) -> u64 {
        let serial = self.last.serial;
        self.last.serial += 1;
        serial
    }

    /// No stream gets a number before this one.
    pub(crate) fn reserve(&mut self, serial: u64) {
        self.last.serial = self.last.serial.max(serial);
    }

    /// The record of the next batch, which is so long, and the records that need not be kept any more.
    pub(crate) fn next(&self, bytes: u64) -> (Link, Range<u64>) {
        let written = self.last.written + bytes + RECORD;
        let mut low = self.last.low;
        if let Some((mark, _)) = self.marks.front().filter(|(_, until)| written - until > KEPT) {
            low = low.max(*mark);
        }
        (Link { low, written, ..self.last }, self.last.low..low)
    }

    /// Takes up that it was written.
    pub(crate) fn written(&mut self, link: Link) {
        self.number += 1;
        self.last = link;
        while self.marks.front().is_some_and(|(mark, _)| *mark <= link.low) {
            self.marks.pop_front();
        }
        if self.number.is_multiple_of(STRIDE) {
            self.marks.push_back((self.number, link.written));
        }
    }
}

/// The bytes of batches that may be in journals alone: two journals of 64 MB, and tables that wait to be written.
const KEPT: u64 = 192 << 20;
/// Records that are let go of together.
const STRIDE: u64 = 1_024;
/// What a batch and its record cost in the journal beside what is in it.
const RECORD: u64 = 26 + 21 + 9 + 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes batches of one megabyte, and gives the records that are kept.
    fn kept(chain: &mut Chain, records: &mut Vec<(u64, Link)>, batches: u64) {
        for _ in 0..batches {
            let (link, gone) = chain.next(1 << 20);
            records.retain(|(number, _)| !gone.contains(number));
            records.push((chain.number() + 1, link));
            chain.written(link);
        }
    }

    fn found(records: &[(u64, Link)]) -> Found {
        let Some(last) = records.last() else { return Found::default() };
        let known = records.iter().filter(|(number, _)| *number >= last.1.low);
        Found::new::<()>(*last, known.copied().map(Ok)).unwrap()
    }

    #[test]
    fn records_are_kept_as_long_as_a_batch_may_be_in_a_journal_alone_and_no_longer() {
        let mut chain = Chain::new(7, Found::default(), 0);
        let mut records = Vec::new();
        kept(&mut chain, &mut records, 10_000);
        assert_eq!(chain.number(), 10_000);
        let count = records.len() as u64;
        assert!((KEPT >> 20..=(KEPT >> 20) + 2 * STRIDE).contains(&count), "{count}");
        // It goes on with what is found of it.
        let again = found(&records);
        assert_eq!((again.lost(10_000), again.lost(9_000), again.lost(10_002)), (0, 0, 2));
        let mut chain = Chain::new(7, again, 10_000);
        kept(&mut chain, &mut records, 10_000);
        assert!((records.len() as u64) < (KEPT >> 20) + 2 * STRIDE);
        assert_eq!(found(&records).lost(20_000), 0);
    }

    #[test]
    fn a_record_that_is_missing_is_told_of_wherever_it_was() {
        let mut chain = Chain::new(7, Found::default(), 0);
        let mut records = Vec::new();
        kept(&mut chain, &mut records, 3_000);
        let all = records.len();
        for at in [0, 1, all / 2, all - 1] {
            let mut some = records.clone();
            some.remove(at);
            let found = found(&some);
            assert_eq!(found.lost(3_000), 1, "{at}");
            let chain = Chain::new(7, found, 3_000);
            let (next, gone) = chain.next(0);
            assert_eq!((chain.number(), next.low, gone.count()), (3_000, 3_001, 0), "it begins anew");
        }
        assert_eq!(Found::default().lost(5), 5, "nothing is left");
    }

    #[test]
    fn no_stream_gets_the_number_of_another() {
        let mut chain = Chain::new(7, Found::default(), 0);
        assert_eq!((chain.serial(), chain.serial()), (1, 2));
        chain.reserve(9);
        chain.reserve(5);
        assert_eq!(chain.serial(), 9);
    }
}
