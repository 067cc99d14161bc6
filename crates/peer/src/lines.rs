//! How much of what peers do is logged line by line.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    net::IpAddr,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use portcullis_units::{Gcra, Rate};

use crate::{Allowances, Host};

/// How often it is told what was left out.
const SUM_INTERVAL: Duration = Duration::from_secs(10);
/// Hosts that are told apart, among those with lines and among those that had some left out.
const HOSTS: usize = 4_096;

/// Log lines about what peers do: bounded in all, for each kind and for each host, so that no flood fills a disk or hides
/// what others do. What is left out is summed up.
///
/// One listener writes 100 lines a second at most; of one kind five a second in the long run, and of one host one.
#[derive(Debug)]
pub struct Lines {
    listener: &'static str,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    all: Gcra,
    kinds: HashMap<&'static str, Gcra>,
    hosts: Allowances<Host>,
    left_out: LeftOut,
    /// When it was last told what was left out.
    summed_up: Instant,
}

/// What was left out since it was last told.
#[derive(Debug, Default)]
struct LeftOut {
    lines: u64,
    kinds: BTreeMap<&'static str, u64>,
    hosts: HashMap<Host, u64>,
}

impl Lines {
    /// None written yet. `listener` names whose lines they are in the sums.
    pub fn new(listener: &'static str, now: Instant) -> Self {
        let state = State {
            all: Gcra::default(),
            kinds: HashMap::new(),
            hosts: Allowances::new(rate(1, 1_000), HOSTS),
            left_out: LeftOut::default(),
            summed_up: now,
        };
        Self { listener, state: Mutex::new(state) }
    }

    /// Whether a line of this kind about this peer may be written now. If not, it is counted.
    ///
    /// `kind` is one of a few constants, such as a reason's identifier: never a peer's own text.
    pub fn may_write(&self, kind: &'static str, peer: IpAddr, now: Instant) -> bool {
        let (may, sum) = {
            let mut state = self.state.lock();
            (state.may_write(kind, peer.into(), now), state.take_sum(now))
        };
        if let Some(sum) = sum {
            self.tell(&sum);
        }
        may
    }

    /// Logs what was left out, if anything was and the last time is a while ago. To be called now and then, since the end of
    /// a flood is not seen otherwise.
    pub fn sum_up(&self, now: Instant) {
        let sum = self.state.lock().take_sum(now);
        if let Some(sum) = sum {
            self.tell(&sum);
        }
    }

    fn tell(&self, LeftOut { lines, kinds, hosts }: &LeftOut) {
        let kinds = kinds.iter().fold(String::new(), |mut text, (kind, lines)| {
            let _ = write!(text, "{}{kind} {lines}", if text.is_empty() { "" } else { ", " });
            text
        });
        let most = hosts.iter().max_by_key(|(_, lines)| **lines);
        let most = most.map(|(host, lines)| format!("{host} {lines}")).unwrap_or_default();
        tracing::warn!(
            listener = self.listener,
            suppressed = lines,
            kinds,
            hosts = hosts.len(),
            most,
            "more was refused than is logged one by one"
        );
    }
}

impl State {
    fn may_write(&mut self, kind: &'static str, host: Host, now: Instant) -> bool {
        // Each is asked before any is used, so that what one of them stops costs the others nothing.
        let (all, each) = (rate(100, 100), rate(5, 1_000));
        let kinds = self.kinds.entry(kind).or_default();
        let may = self.all.ask(&all, now).is_ok()
            && kinds.ask(&each, now).is_ok()
            && self.hosts.take(host, now).is_ok();
        if may {
            let _ = self.all.take(&all, now);
            let _ = kinds.take(&each, now);
            return true;
        }
        let left_out = &mut self.left_out;
        left_out.lines += 1;
        *left_out.kinds.entry(kind).or_default() += 1;
        if left_out.hosts.len() < HOSTS || left_out.hosts.contains_key(&host) {
            *left_out.hosts.entry(host).or_default() += 1;
        }
        false
    }

    fn take_sum(&mut self, now: Instant) -> Option<LeftOut> {
        if self.left_out.lines == 0 || now.saturating_duration_since(self.summed_up) < SUM_INTERVAL {
            return None;
        }
        self.summed_up = now;
        Some(std::mem::take(&mut self.left_out))
    }
}

fn rate(per_second: u32, burst: u32) -> Rate {
    let number = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    Rate::per_second(number(per_second), number(burst))
}

#[cfg(test)]
mod tests {
    use portcullis_units::Clock;

    use super::*;

    fn ip(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    fn state() -> (State, Instant) {
        let now = Clock::system().instant();
        (Lines::new("test", now).state.into_inner(), now)
    }

    #[test]
    fn a_flood_is_logged_up_to_the_bound_and_then_summed_up() {
        let (mut state, now) = state();
        let written = (0..1_000).filter(|_| state.may_write("A", ip(1).into(), now)).count();
        assert_eq!(written, 100);
        assert!(state.take_sum(now).is_none(), "not at once");
        let later = now + SUM_INTERVAL;
        let sum = state.take_sum(later).unwrap();
        assert_eq!((sum.lines, sum.kinds["A"], sum.hosts[&Host::from(ip(1))]), (900, 900, 900));
        assert!(state.take_sum(later + SUM_INTERVAL).is_none(), "told once");
    }

    #[test]
    fn in_the_long_run_one_host_writes_a_line_a_second_and_one_kind_five() {
        for (hosts, least, most) in [(1, 3_600, 3_600 + 1_000), (10_000, 5 * 3_600, 5 * 3_600 + 1_000)] {
            let (mut state, start) = state();
            let mut written = 0;
            for n in 0..36_000_u32 {
                let now = start + Duration::from_millis(u64::from(n) * 100);
                written += u32::from(state.may_write("A", ip(n % hosts).into(), now));
            }
            assert!((least..=most).contains(&written), "{hosts} hosts: {written}");
        }
    }

    #[test]
    fn a_flood_hides_neither_another_kind_nor_another_host() {
        let (mut state, start) = state();
        let mut now = start;
        for _ in 0..3_000 {
            now += Duration::from_millis(20);
            state.may_write("A", ip(1).into(), now);
        }
        assert!(!state.may_write("A", ip(1).into(), now));
        assert!(state.may_write("A", ip(2).into(), now));
        assert!(state.may_write("B", ip(3).into(), now));
    }

    #[test]
    fn what_is_left_out_is_counted_in_bounded_memory() {
        let (mut state, now) = state();
        for n in 0..100_000 {
            state.may_write("A", ip(n).into(), now);
        }
        assert_eq!(state.left_out.lines, 99_900);
        assert!(state.left_out.hosts.len() <= HOSTS && state.hosts.len() <= HOSTS);
    }
}
