//! Any operations on a session, by its peer, its driver and the clock: no panic, one close at most and nothing behind it,
//! nothing received once it ends, bounded answers, and an end once time has passed.
#![no_main]

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use libfuzzer_sys::fuzz_target;
use portcullis_frame::Limits;
use portcullis_reason::{CloseProfile, Reason};
use portcullis_session::{Heartbeat, Options, Rates, Session, Spent, Transmit};
use portcullis_units::{Gcra, Rate};

/// Pongs that are sent between two looks at what is to be sent.
const MOST_PONGS: usize = 64;

const REASONS: [Reason; 6] = [
    Reason::Draining,
    Reason::SlowConsumer,
    Reason::TokenExpired,
    Reason::TokenRevoked,
    Reason::NotReady,
    Reason::Internal,
];

fuzz_target!(|input: &[u8]| {
    let Some((&choice, operations)) = input.split_first() else { return };
    let mut driver = Driver::new(choice);
    let mut rest = operations;
    while let Some((&operation, behind)) = rest.split_first() {
        rest = behind;
        let argument = usize::from(operation >> 3);
        match operation & 7 {
            0..=3 => {
                let (piece, behind) = rest.split_at(rest.len().min(1 + argument * 4));
                rest = behind;
                driver.receive(piece);
            }
            4 => driver.wait(Duration::from_millis(argument as u64 * 500)),
            5 => driver.session.end(REASONS[argument % REASONS.len()]),
            6 => {
                let (warn, end) = (argument as u64, 2 * argument as u64);
                let later = |seconds| Some(driver.now + Duration::from_secs(seconds));
                driver.session.renew(later(warn), later(end));
            }
            _ => driver.transmit(),
        }
    }
    driver.end();
});

struct Driver {
    session: Session,
    options: Options,
    now: Instant,
    spent: [Gcra; 2],
    closed: bool,
}

impl Driver {
    fn new(choice: u8) -> Self {
        let number = |number| NonZeroU32::new(number).unwrap();
        let rate = |burst| Rate::per_second(number(2), number(burst));
        let options = Options {
            heartbeat: Heartbeat { interval: Duration::from_secs(5), timeout: Duration::from_secs(3) },
            limits: Limits { frame: 96, message: 160, fragments: 6 },
            rates: (choice & 1 == 0).then(|| Rates { messages: rate(3), controls: rate(200) }),
            binary: choice & 2 == 0,
            close_timeout: Duration::from_secs(5),
            close_profile: if choice & 4 == 0 { CloseProfile::Standard } else { CloseProfile::Application },
        };
        let now = Instant::now();
        let end = (choice & 8 == 0).then_some(now + Duration::from_mins(1));
        let session = Session::new(&options, now, end.map(|end| end - Duration::from_secs(20)), end);
        Self { session, options, now, spent: <[Gcra; 2]>::default(), closed: false }
    }

    fn receive(&mut self, piece: &[u8]) {
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        let Self { session, options, now, spent, .. } = self;
        let ending = !session.is_open();
        let rates = options.rates;
        let mut spend = |what| {
            let Some(rates) = &rates else { return true };
            let [messages, controls] = &mut *spent;
            match what {
                Spent::Message => messages.take(&rates.messages, *now).is_ok(),
                Spent::Control => controls.take(&rates.controls, *now).is_ok(),
            }
        };
        while session.receive(options, *now, &mut input, &mut spend).is_some() {
            assert!(!ending, "received while it ends");
        }
        assert!(input.is_empty() || !session.is_open(), "left unread");
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.session.handle_timeout(&self.options, self.now);
        if let Some(due) = self.session.poll_timeout(&self.options) {
            assert!(due > self.now, "due now, and not done");
        }
    }

    fn transmit(&mut self) {
        let mut sent = 0;
        while let Some(transmit) = self.session.poll_transmit(&self.options, || self.now) {
            assert!(!self.closed, "behind the close");
            sent += 1;
            // The latest pongs, a ping and a close.
            assert!(sent <= MOST_PONGS + 2, "too much at once");
            match transmit {
                Transmit::Soon(frame) => assert!(matches!(frame[0], 0x89 | 0x8A) && frame.len() <= 127),
                Transmit::Last { frame, code } => {
                    assert!(frame[0] == 0x88 && frame.len() <= 127);
                    assert_eq!(code.is_none(), frame.len() == 2);
                    self.closed = true;
                }
            }
        }
    }

    /// A peer that says nothing any more is let go of in bounded time.
    fn end(&mut self) {
        for _ in 0..64 {
            self.transmit();
            let Some(due) = self.session.poll_timeout(&self.options) else { break };
            self.now = self.now.max(due);
            self.session.handle_timeout(&self.options, self.now);
        }
        self.transmit();
        assert!(self.session.is_over() && self.closed, "it goes on without its peer");
    }
}
