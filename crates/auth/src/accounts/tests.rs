//! The account database, without the server.

use std::{num::NonZeroU32, time::Duration};

use portcullis_units::{ByteSize, Clock, Hand};
use tempfile::TempDir;

use super::*;
use crate::secrets::{REFRESH_PREFIX, SecretHash, parse};

const DAY: u64 = 86_400;
const POLICY: SessionPolicy = SessionPolicy { refresh_ttl: 30 * DAY, session_ttl: 90 * DAY, max_per_user: 3 };

fn cheap() -> PasswordOptions {
    PasswordOptions { memory: ByteSize::from_kib(8), passes: NonZeroU32::MIN, ..PasswordOptions::default() }
}

fn open() -> (TempDir, Accounts, Hand) {
    let folder = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual(1_700_000_000);
    let accounts = Accounts::open_with(file(folder.path()), &cheap(), clock).unwrap();
    (folder, accounts, hand)
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * DAY)
}

fn hash(session: &Session) -> SecretHash {
    parse(REFRESH_PREFIX, &session.refresh_token).unwrap()
}

fn login(accounts: &Accounts, user: &User) -> Session {
    accounts.start_session(&user.id, None, POLICY).unwrap().unwrap()
}

fn rotate(accounts: &Accounts, token: &SecretHash) -> Result<Session, Refusal> {
    accounts.rotate(token, POLICY).unwrap().map_err(|(refusal, _)| refusal)
}

#[test]
fn accounts_are_added_found_and_listed() {
    let (_folder, accounts, _) = open();
    assert!(accounts.is_empty().unwrap());
    let bob = accounts.add("Bob", "bob's password").unwrap();
    let ada = accounts.add("ada@example.com", "ada's password").unwrap();
    assert_eq!((bob.id.len(), bob.enabled, bob.created_at), (32, true, 1_700_000_000));
    assert_ne!(bob.id, ada.id);
    assert_eq!(accounts.find(" BOB ").unwrap(), Some(bob.clone()));
    assert_eq!(accounts.find("nobody").unwrap(), None);
    assert_eq!(accounts.find("\0").unwrap(), None);
    assert_eq!(accounts.list().unwrap(), [ada, bob]);
    assert!(!accounts.is_empty().unwrap());
}

#[test]
fn what_cannot_be_done_says_why() {
    let (_folder, accounts, _) = open();
    accounts.add("ada", "ada's password").unwrap();
    assert!(matches!(accounts.add("ADA", "another password"), Err(Error::Exists)));
    assert!(matches!(accounts.add("", "another password"), Err(Error::Name(_))));
    assert!(matches!(accounts.add("bob", "short"), Err(Error::Password(_))));
    assert!(matches!(accounts.set_password("bob", "bob's password"), Err(Error::Unknown)));
    assert!(matches!(accounts.set_password("ada", "short"), Err(Error::Password(_))));
    assert!(matches!(accounts.disable("bob"), Err(Error::Unknown)));
    assert!(matches!(accounts.enable("\u{202e}"), Err(Error::Unknown)));
}

#[test]
fn a_second_handle_sees_and_makes_changes_at_once() {
    let (folder, first, _) = open();
    let second = Accounts::open_with(file(folder.path()), &cheap(), Clock::system()).unwrap();
    let ada = second.add("ada", "ada's password").unwrap();
    let session = login(&first, &ada);
    assert!(!second.disable("ada").unwrap().enabled);
    assert_eq!(rotate(&first, &hash(&session)).err(), Some(Refusal::Revoked));
}

#[test]
fn writers_of_two_handles_wait_for_each_other() {
    let (folder, first, _) = open();
    let second = Accounts::open_with(file(folder.path()), &cheap(), Clock::system()).unwrap();
    std::thread::scope(|scope| {
        for (prefix, accounts) in [("a", &first), ("b", &second)] {
            scope.spawn(move || {
                for n in 0..20 {
                    accounts.add(&format!("{prefix}{n}"), "some password").unwrap();
                }
            });
        }
    });
    assert_eq!(first.list().unwrap().len(), 40);
}

#[test]
fn a_login_needs_an_enabled_account_and_the_hash_that_was_checked() {
    let (_folder, accounts, _) = open();
    let ada = accounts.add("ada", "ada's password").unwrap();
    let name = UserName::parse("ada").unwrap();
    let checked = accounts.credential(&name).unwrap().unwrap().hash;
    let start = || accounts.start_session(&ada.id, Some(&checked), POLICY).unwrap().is_some();
    assert!(start());
    accounts.disable("ada").unwrap();
    assert!(!start());
    accounts.enable("ada").unwrap();
    assert!(start());
    accounts.set_password("ada", "another password").unwrap();
    assert!(!start());
    assert!(accounts.start_session("nobody", None, POLICY).unwrap().is_none());
}

#[test]
fn each_refusal_is_earned() {
    type Act = fn(&Accounts, &Hand, &mut SecretHash);
    let table: &[(&str, Act, Result<(), Refusal>)] = &[
        ("fresh", |_, _, _| {}, Ok(())),
        ("a minute before its end", |_, hand, _| hand.advance(Duration::from_secs(30 * DAY - 60)), Ok(())),
        ("at its end", |_, hand, _| hand.advance(days(30)), Err(Refusal::Expired)),
        ("used", |a, _, token| drop(rotate(a, token)), Err(Refusal::Reused)),
        (
            "used, long ago",
            |a, hand, token| {
                let _ = rotate(a, token);
                hand.advance(days(40));
            },
            Err(Refusal::Reused),
        ),
        ("unknown", |_, _, token| token[0] ^= 1, Err(Refusal::Unknown)),
        ("logged out", |a, _, token| drop(a.logout(token)), Err(Refusal::Revoked)),
        (
            "another password",
            |a, _, _| drop(a.set_password("ada", "another password")),
            Err(Refusal::Revoked),
        ),
        ("disabled", |a, _, _| drop(a.disable("ada")), Err(Refusal::Revoked)),
        (
            "disabled and enabled",
            |a, _, _| {
                a.disable("ada").unwrap();
                a.enable("ada").unwrap();
            },
            Err(Refusal::Revoked),
        ),
    ];
    for (name, act, expected) in table {
        let (_folder, accounts, hand) = open();
        let ada = accounts.add("ada", "ada's password").unwrap();
        let mut token = hash(&login(&accounts, &ada));
        act(&accounts, &hand, &mut token);
        assert_eq!(rotate(&accounts, &token).map(drop), *expected, "{name}");
    }
}

#[test]
fn reuse_ends_the_family_and_only_the_family() {
    let (_folder, accounts, _) = open();
    let ada = accounts.add("ada", "ada's password").unwrap();
    let (one, other) = (login(&accounts, &ada), login(&accounts, &ada));
    let next = rotate(&accounts, &hash(&one)).unwrap();
    assert_eq!(next.id, one.id);
    assert_eq!(rotate(&accounts, &hash(&one)).err(), Some(Refusal::Reused));
    assert_eq!(rotate(&accounts, &hash(&next)).err(), Some(Refusal::Revoked));
    assert_eq!(rotate(&accounts, &hash(&one)).err(), Some(Refusal::Revoked));
    assert!(rotate(&accounts, &hash(&other)).is_ok());
}

#[test]
fn refreshing_does_not_outlive_the_login() {
    let (_folder, accounts, hand) = open();
    let ada = accounts.add("ada", "ada's password").unwrap();
    let mut session = login(&accounts, &ada);
    for _ in 0..4 {
        hand.advance(days(20));
        session = rotate(&accounts, &hash(&session)).unwrap();
    }
    hand.advance(days(10));
    assert_eq!(rotate(&accounts, &hash(&session)).err(), Some(Refusal::Expired));
}

#[test]
fn the_oldest_login_makes_room() {
    let (_folder, accounts, _) = open();
    let ada = accounts.add("ada", "ada's password").unwrap();
    let sessions: Vec<_> = (0..4).map(|_| login(&accounts, &ada)).collect();
    assert_eq!(rotate(&accounts, &hash(&sessions[0])).err(), Some(Refusal::Revoked));
    for session in &sessions[1..] {
        assert!(rotate(&accounts, &hash(session)).is_ok());
    }
}

#[test]
fn neither_refreshes_nor_logins_fill_the_disk() {
    let (_folder, accounts, hand) = open();
    let ada = accounts.add("ada", "ada's password").unwrap();
    let count = |table: &str| -> u64 {
        let connection = accounts.0.connection.lock();
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    let first = login(&accounts, &ada);
    let mut session = rotate(&accounts, &hash(&first)).unwrap();
    for _ in 0..300 {
        session = rotate(&accounts, &hash(&session)).unwrap();
    }
    assert_eq!(count("refresh_tokens"), 257);
    assert_eq!(rotate(&accounts, &hash(&first)).err(), Some(Refusal::Unknown));
    for _ in 0..20 {
        login(&accounts, &ada);
    }
    assert_eq!(count("families"), 2 * 3);
    hand.advance(days(100));
    login(&accounts, &ada);
    assert_eq!(count("families"), 1);
    assert_eq!(count("refresh_tokens"), 1);
}

#[test]
fn what_ended_is_told_until_both_times_have_passed() {
    let (folder, accounts, hand) = open();
    let ada = accounts.add("ada", "ada's password").unwrap();
    let first = login(&accounts, &ada);
    let told = |accounts: &Accounts| accounts.ended(0).unwrap().0.iter().any(|(id, _)| *id == first.id);
    accounts.logout(&hash(&first)).unwrap();
    // The time of day is set forth, somebody logs in, and it is set back.
    hand.set(1_700_000_000 + 30 * DAY);
    login(&accounts, &ada);
    hand.set(1_700_000_000);
    login(&accounts, &ada);
    assert!(told(&accounts));
    let again = Accounts::open_with(file(folder.path()), &cheap(), Clock::manual(1_700_000_000).0).unwrap();
    assert!(told(&again), "also through a restart");
    accounts.ran(days(8)).unwrap();
    login(&accounts, &ada);
    assert!(told(&accounts), "by the time of day it is no week ago");
    hand.advance(days(8));
    login(&accounts, &ada);
    assert!(!told(&accounts));
}

#[test]
fn of_many_refreshes_at_once_one_wins() {
    let (folder, first, _) = open();
    let second = Accounts::open_with(file(folder.path()), &cheap(), Clock::manual(1_700_000_000).0).unwrap();
    let token = hash(&login(&first, &first.add("ada", "ada's password").unwrap()));
    let won = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|n| {
                let accounts = if n % 2 == 0 { &first } else { &second };
                scope.spawn(move || rotate(accounts, &token).is_ok())
            })
            .collect();
        tries.into_iter().map(|one| u32::from(one.join().unwrap())).sum::<u32>()
    });
    assert_eq!(won, 1);
}

#[test]
fn the_database_holds_no_password_and_no_token() {
    let (folder, accounts, _) = open();
    let ada = accounts.add("ada", "ada's own password").unwrap();
    let session = login(&accounts, &ada);
    let mut stored = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        stored.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let holds = |needle: &[u8]| stored.windows(needle.len()).any(|window| window == needle);
    assert!(holds(b"$argon2id$"));
    assert!(!holds(b"ada's own password"));
    assert!(!holds(&session.refresh_token.as_bytes()[4..20]));
}
