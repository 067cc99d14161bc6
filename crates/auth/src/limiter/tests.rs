use portcullis_units::{Clock, Duration as Span};
use proptest::prelude::*;

use super::*;

fn limiter(account: u32, address: u32) -> Limiter {
    Limiter::new(&AttemptOptions {
        account_burst: number(account),
        account_interval: Span::from_secs(30),
        address_burst: number(address),
        address_interval: Span::from_secs(5),
        table_size: number(4_096),
    })
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn v4(network: u8, n: u8) -> IpAddr {
    IpAddr::from([10, 0, network, n])
}

/// Whether an attempt without a device is let through, or for how many seconds it has to wait.
fn attempt(limiter: &Limiter, name: &str, address: IpAddr, now: Instant) -> Result<Attempt, u32> {
    limiter.attempt(name, address, None, now).map_err(Wait::as_secs)
}

fn after(now: Instant, seconds: u64) -> Instant {
    now + Duration::from_secs(seconds)
}

#[test]
fn a_host_has_so_many_tries_of_a_name_and_regains_them_as_told() {
    let (limiter, now) = (limiter(3, 100), Clock::system().instant());
    for _ in 0..3 {
        assert!(attempt(&limiter, "ada", ip("192.0.2.1"), now).is_ok());
    }
    assert_eq!(attempt(&limiter, "ada", ip("192.0.2.1"), now).err(), Some(30));
    assert_eq!(attempt(&limiter, "ada", ip("192.0.2.1"), after(now, 29)).err(), Some(1));
    assert!(attempt(&limiter, "bob", ip("192.0.2.1"), after(now, 29)).is_ok());
    assert!(attempt(&limiter, "ada", ip("192.0.2.1"), after(now, 30)).is_ok());
    assert_eq!(attempt(&limiter, "ada", ip("192.0.2.1"), after(now, 30)).err(), Some(30));
}

#[test]
fn an_address_is_limited_whatever_it_tries() {
    let (limiter, now) = (limiter(3, 4), Clock::system().instant());
    for n in 0..4 {
        assert!(attempt(&limiter, &format!("user {n}"), ip("192.0.2.1"), now).is_ok());
    }
    assert_eq!(attempt(&limiter, "another", ip("192.0.2.1"), now).err(), Some(5));
    assert_eq!(attempt(&limiter, "another", ip("::ffff:192.0.2.1"), now).err(), Some(5));
    assert!(attempt(&limiter, "another", ip("192.0.2.2"), now).is_ok());
}

#[test]
fn a_64_is_one_address() {
    let (limiter, now) = (limiter(9, 1), Clock::system().instant());
    assert!(attempt(&limiter, "a", ip("2001:db8:0:1::1"), now).is_ok());
    assert!(attempt(&limiter, "b", ip("2001:db8:0:1:ffff::2"), now).is_err());
    assert!(attempt(&limiter, "c", ip("2001:db8:0:2::1"), now).is_ok());
}

#[test]
fn an_owner_on_a_new_device_gets_in_while_strangers_poll_their_name_from_everywhere() {
    let (limiter, start) = (limiter(10, 50), Clock::system().instant());
    for second in 0..300 {
        let now = after(start, second);
        for n in 0..=255 {
            let _ = attempt(&limiter, "ada", v4(n / 16, n), now);
        }
        if second >= 30 && second % 30 == 0 {
            // Of a network with strangers in it and of a quiet one.
            let n = u8::try_from(second / 30).unwrap();
            assert!(attempt(&limiter, "ada", v4(0, 100 + n), now).is_ok(), "after {second} s");
            assert!(attempt(&limiter, "ada", v4(200 + n, 1), after(now, 5)).is_ok(), "after {second} s");
        }
    }
}

#[test]
fn a_holder_of_a_48_is_one_stranger_to_a_name_and_has_so_many_hosts_at_most() {
    let (limiter, now) = (limiter(10, 50), Clock::system().instant());
    let host = |n: u16| ip(&format!("2001:db8:1:{n:x}::1"));
    let taken = (0..5_000).filter(|&n| attempt(&limiter, "ada", host(n), now).is_ok()).count();
    assert_eq!(taken, 10, "the common allowance");
    assert!(attempt(&limiter, "ada", ip("2001:db8:2::1"), now).is_ok(), "another one's");

    let names = (0..50_000_u32).map(|n| (format!("nobody {n}"), ip(&format!("2001:db8:3:{:x}::1", n / 10))));
    let taken = names.filter(|(name, host)| attempt(&limiter, name, *host, now).is_ok()).count();
    assert_eq!(taken, 8 * 50 + 100, "eight hosts' and the newcomers'");
    assert!(attempt(&limiter, "nobody", ip("2001:db8:4::1"), now).is_ok());
}

#[test]
fn who_logged_in_from_a_host_has_an_allowance_there_that_strangers_cannot_touch() {
    let (limiter, now) = (limiter(10, 48), Clock::system().instant());
    let here = v4(1, 1);
    let login = attempt(&limiter, "ada", here, now).unwrap();
    limiter.succeeded(&login, now);
    for n in 0..1_000_u16 {
        let _ = attempt(&limiter, &format!("nobody {n}"), here, now);
        let _ = attempt(&limiter, "ada", v4(2, n as u8), now);
    }
    assert_eq!(attempt(&limiter, "bob", here, now).err(), Some(5));
    for n in 0..12 {
        let again = attempt(&limiter, "ada", here, now).unwrap();
        assert_eq!(again.claim.lane, Lane::Known, "{n}");
        limiter.succeeded(&again, now);
    }
    assert_eq!(attempt(&limiter, "ada", here, now).err(), Some(5));
    // Two logins a second go on for ever, whatever is done to the host.
    for n in 1..600 {
        let later = now + Duration::from_millis(500 * n);
        let _ = attempt(&limiter, "bob", here, later);
        let again = attempt(&limiter, "ada", here, later).unwrap();
        limiter.succeeded(&again, later);
    }
}

#[test]
fn a_device_gets_in_from_anywhere() {
    let (limiter, now) = (limiter(10, 48), Clock::system().instant());
    let (here, device) = (v4(1, 1), Some([7; 16]));
    for n in 0..1_000_u16 {
        let _ = attempt(&limiter, "ada", v4(2, n as u8), now);
        let _ = attempt(&limiter, &format!("nobody {n}"), here, now);
    }
    assert!(attempt(&limiter, "ada", here, now).is_err());
    for _ in 0..10 {
        assert_eq!(limiter.attempt("ada", here, device, now).unwrap().claim.lane, Lane::Known);
    }
    assert!(limiter.attempt("ada", here, device, now).is_err(), "ten wrong passwords and no more");
}

#[test]
fn whoever_asked_least_has_the_better_claim() {
    let (limiter, now) = (limiter(1_000, 1_000), Clock::system().instant());
    let claim = |address| attempt(&limiter, "ada", address, now).unwrap().claim;
    let first = claim(v4(1, 1));
    for n in 0..5 {
        let again = claim(v4(1, 1));
        assert!(first < again, "{n}");
        assert!(claim(v4(1, 10 + n)) < again, "{n}: another of the same network");
        assert!(claim(v4(10 + n, 1)) < claim(v4(1, 20 + n)), "{n}: of a quiet network");
    }
}

#[test]
fn success_gives_the_name_its_attempts_back_and_not_the_address() {
    let (limiter, now) = (limiter(2, 3), Clock::system().instant());
    let here = ip("192.0.2.1");
    attempt(&limiter, "ada", here, now).unwrap();
    let good = attempt(&limiter, "ada", here, now).unwrap();
    limiter.succeeded(&good, now);
    // As somebody who is known; then nothing is left of either.
    assert!(attempt(&limiter, "ada", here, now).is_ok());
    assert_eq!(attempt(&limiter, "ada", here, now).err(), Some(5));
}

#[test]
fn an_attempt_taken_back_costs_nothing() {
    let (limiter, now) = (limiter(1, 1), Clock::system().instant());
    for _ in 0..5 {
        let attempt = attempt(&limiter, "ada", ip("192.0.2.1"), now).unwrap();
        limiter.take_back(&attempt);
    }
    assert!(attempt(&limiter, "ada", ip("192.0.2.1"), now).is_ok());
    assert!(attempt(&limiter, "ada", ip("192.0.2.1"), now).is_err());
}

#[test]
fn a_flood_of_names_does_not_make_room_for_the_one_under_attack() {
    let (limiter, now) = (limiter(3, 1_000_000), Clock::system().instant());
    for _ in 0..3 {
        attempt(&limiter, "ada", ip("192.0.2.1"), now).unwrap();
    }
    for n in 0..10_000 {
        attempt(&limiter, &format!("noise {n}"), ip("192.0.2.1"), now).unwrap();
    }
    assert!(attempt(&limiter, "ada", ip("192.0.2.1"), now).is_err());
}

proptest! {
    #[test]
    fn one_host_gets_never_more_than_the_burst_and_its_refill(steps in proptest::collection::vec(0u64..20_000, 1..200)) {
        let (limiter, start) = (limiter(5, 1_000_000), Clock::system().instant());
        let (mut passed, mut taken) = (0, 0u64);
        for step in steps {
            passed += step;
            let now = start + Duration::from_millis(passed);
            taken += u64::from(attempt(&limiter, "ada", ip("192.0.2.1"), now).is_ok());
            prop_assert!(taken <= 5 + passed / 30_000);
        }
    }
}
