//! Logins: families of refresh tokens, each token good for one use (RFC 9700 §4.14.2, "refresh token rotation").
//!
//! A token that comes a second time is in two hands, and nobody can tell whose is the owner's: the whole family ends.
//! There is no grace for a token used twice in quick succession, because a thief gets the same grace; a client must
//! have one refresh under way at a time, and logs in again when an answer was lost.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction};
use zeroize::Zeroizing;

use super::{Accounts, Error, User, credential, hex, store};
use crate::secrets::{REFRESH_PREFIX, SecretHash, generate};

/// How many used tokens of a family are remembered, so that a client that refreshes without pause fills no disk. An
/// older one that comes back is refused as unknown.
const USED_TOKENS_KEPT: u64 = 256;
/// How long an ended family is remembered, so that its tokens are told why they are refused; and what is said of its end, by
/// the time of day and by that for which servers ran.
const ENDED_KEPT: u64 = 7 * 86_400;
/// How many ended families one login clears away.
const CLEARED_AT_ONCE: u32 = 64;

/// How long logins last and how many there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionPolicy {
    /// Seconds that a refresh token is good unused.
    pub refresh_ttl: u64,
    /// Seconds that a login lasts, however often refreshed.
    pub session_ttl: u64,
    /// Logins of one user at a time.
    pub max_per_user: u32,
}

/// A login and its fresh refresh token.
pub(crate) struct Session {
    /// Names the login; the `sid` of its access tokens.
    pub id: String,
    pub user: User,
    pub refresh_token: Zeroizing<String>,
}

/// Why a refresh token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Never given out, or forgotten since.
    Unknown,
    /// Good once, and not used in time.
    Expired,
    /// Its login ended: logout, another password, account disabled, too many logins, or reuse seen before.
    Revoked,
    /// Used before. Its login ends with this.
    Reused,
}

impl Accounts {
    /// Begins a login of an enabled user. `verified_hash` is the stored hash that the password was checked against.
    ///
    /// None where the account was disabled, or its password changed since it was checked.
    pub(crate) fn start_session(
        &self,
        user_id: &str,
        verified_hash: Option<&str>,
        policy: SessionPolicy,
    ) -> Result<Option<Session>, Error> {
        let now = self.0.clock.unix_seconds();
        let mut connection = self.0.connection.lock();
        let transaction = store::write(&mut connection)?;
        let Some(found) = credential(&transaction, "id", user_id)? else { return Ok(None) };
        if !found.user.enabled || verified_hash.is_some_and(|hash| hash != found.hash) {
            return Ok(None);
        }
        clear_ended(&transaction, now)?;
        make_room(&transaction, user_id, policy.max_per_user, now)?;
        let id = hex(&crate::random::<16>());
        let end = now.saturating_add(policy.session_ttl);
        let insert = "INSERT INTO families (id, user_id, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)";
        transaction.prepare_cached(insert)?.execute((&id, user_id, now, end))?;
        let refresh_token = add_token(&transaction, &id, 1, end.min(now.saturating_add(policy.refresh_ttl)))?;
        let update = "UPDATE users SET last_login_at = ?2 WHERE id = ?1";
        transaction.prepare_cached(update)?.execute((user_id, now))?;
        transaction.commit()?;
        let user = User { last_login_at: Some(now), ..found.user };
        Ok(Some(Session { id, user, refresh_token }))
    }

    /// Takes a refresh token for its successor, or refuses it; one transaction, so of two at once one is the second.
    pub(crate) fn rotate(
        &self,
        presented: &SecretHash,
        policy: SessionPolicy,
    ) -> Result<Result<Session, (Refusal, Option<String>)>, Error> {
        let now = self.0.clock.unix_seconds();
        let mut connection = self.0.connection.lock();
        let transaction = store::write(&mut connection)?;
        let Some(token) = Token::find(&transaction, presented)? else {
            return Ok(Err((Refusal::Unknown, None)));
        };
        let refuse = |refusal| Ok(Err((refusal, Some(token.user.id.clone()))));
        if token.revoked {
            return refuse(Refusal::Revoked);
        }
        if token.used {
            revoke(&transaction, &token.family, "reuse", now)?;
            transaction.commit()?;
            return refuse(Refusal::Reused);
        }
        if token.expires_at <= now {
            return refuse(Refusal::Expired);
        }
        if !token.user.enabled {
            revoke(&transaction, &token.family, "disabled", now)?;
            transaction.commit()?;
            return refuse(Refusal::Revoked);
        }
        let spend = "UPDATE refresh_tokens SET used_at = ?2 WHERE hash = ?1";
        transaction.prepare_cached(spend)?.execute((presented, now))?;
        let forget = "DELETE FROM refresh_tokens WHERE family_id = ?1 AND generation <= ?2";
        let oldest = token.generation.saturating_sub(USED_TOKENS_KEPT);
        transaction.prepare_cached(forget)?.execute((&token.family, oldest))?;
        let expires_at = token.family_end.min(now.saturating_add(policy.refresh_ttl));
        let refresh_token = add_token(&transaction, &token.family, token.generation + 1, expires_at)?;
        transaction.commit()?;
        Ok(Ok(Session { id: token.family, user: token.user, refresh_token }))
    }

    /// Ends the login that a refresh token, used or not, belongs to. Gives its user, if there was anything to end.
    pub(crate) fn logout(&self, presented: &SecretHash) -> Result<Option<String>, Error> {
        match self.login_of(presented)? {
            Some(session) => self.end_login(&session, false),
            None => Ok(None),
        }
    }
}

/// Logins that ended.
impl Accounts {
    /// What ended behind the place `after` of the journal, each login with the second of its end; and the place behind
    /// it.
    pub(crate) fn ended(&self, after: i64) -> Result<(Vec<(String, u64)>, i64), Error> {
        let connection = self.0.connection.lock();
        let select = "SELECT number, family_id, ended_at FROM ended WHERE number > ?1 ORDER BY number";
        let mut place = after;
        let mut logins = Vec::new();
        for row in connection
            .prepare_cached(select)?
            .query_map([after], |row| Ok((row.get::<_, i64>(0)?, (row.get(1)?, row.get(2)?))))?
        {
            let (number, login) = row?;
            place = number;
            logins.push(login);
        }
        Ok((logins, place))
    }

    /// Adds to the time for which servers ran.
    pub(crate) fn ran(&self, time: Duration) -> Result<(), Error> {
        let connection = self.0.connection.lock();
        connection.prepare_cached("UPDATE run SET seconds = seconds + ?1")?.execute([time.as_secs()])?;
        Ok(())
    }

    /// Ends the login that `session` names, or with `all` every one of its user's. Gives the user, if there was
    /// anything to end.
    pub(crate) fn end_login(&self, session: &str, all: bool) -> Result<Option<String>, Error> {
        let now = self.0.clock.unix_seconds();
        let mut connection = self.0.connection.lock();
        let transaction = store::write(&mut connection)?;
        let select = "SELECT user_id FROM families WHERE id = ?1 AND revoked_at IS NULL";
        let user: Option<String> =
            transaction.prepare_cached(select)?.query_row([session], |row| row.get(0)).optional()?;
        let Some(user) = user else { return Ok(None) };
        if all {
            revoke_all(&transaction, &user, "logout", now)?;
        } else {
            revoke(&transaction, session, "logout", now)?;
        }
        transaction.commit()?;
        Ok(Some(user))
    }

    /// The login that a refresh token, used or not, belongs to.
    pub(crate) fn login_of(&self, presented: &SecretHash) -> Result<Option<String>, Error> {
        Ok(Token::find(&self.0.connection.lock(), presented)?.map(|token| token.family))
    }
}

/// A stored refresh token with its family and user.
struct Token {
    user: User,
    generation: u64,
    expires_at: u64,
    used: bool,
    family: String,
    family_end: u64,
    revoked: bool,
}

impl Token {
    fn find(connection: &Connection, hash: &SecretHash) -> Result<Option<Self>, Error> {
        let query = format!(
            "SELECT {}, t.generation, t.expires_at, t.used_at IS NOT NULL, f.id, f.expires_at, f.revoked_at IS NOT NULL
             FROM refresh_tokens t JOIN families f ON f.id = t.family_id JOIN users ON users.id = f.user_id
             WHERE t.hash = ?1",
            User::COLUMNS
        );
        let read = |row: &Row<'_>| {
            Ok(Self {
                user: User::read(row)?,
                generation: row.get(6)?,
                expires_at: row.get(7)?,
                used: row.get(8)?,
                family: row.get(9)?,
                family_end: row.get(10)?,
                revoked: row.get(11)?,
            })
        };
        Ok(connection.prepare_cached(&query)?.query_row([hash], read).optional()?)
    }
}

/// Ends every login of a user.
pub(super) fn revoke_all(connection: &Connection, user_id: &str, by: &str, now: u64) -> Result<(), Error> {
    let update =
        "UPDATE families SET revoked_at = ?3, revoked_by = ?2 WHERE user_id = ?1 AND revoked_at IS NULL";
    connection.prepare_cached(update)?.execute((user_id, by, now))?;
    Ok(())
}

fn revoke(connection: &Connection, family: &str, by: &str, now: u64) -> Result<(), Error> {
    let update = "UPDATE families SET revoked_at = ?3, revoked_by = ?2 WHERE id = ?1 AND revoked_at IS NULL";
    connection.prepare_cached(update)?.execute((family, by, now))?;
    Ok(())
}

fn add_token(
    transaction: &Transaction<'_>,
    family: &str,
    generation: u64,
    expires_at: u64,
) -> Result<Zeroizing<String>, Error> {
    let (text, hash) = generate(REFRESH_PREFIX);
    let insert =
        "INSERT INTO refresh_tokens (hash, family_id, generation, expires_at) VALUES (?1, ?2, ?3, ?4)";
    transaction.prepare_cached(insert)?.execute((hash, family, generation, expires_at))?;
    Ok(text)
}

/// Ends the oldest logins of a user until one more fits, and forgets those that ended before them.
fn make_room(connection: &Connection, user_id: &str, max: u32, now: u64) -> Result<(), Error> {
    let end_oldest = "UPDATE families SET revoked_at = ?3, revoked_by = 'limit' WHERE id IN (
        SELECT id FROM families WHERE user_id = ?1 AND revoked_at IS NULL
        ORDER BY created_at DESC, rowid DESC LIMIT -1 OFFSET ?2)";
    connection.prepare_cached(end_oldest)?.execute((user_id, max.saturating_sub(1), now))?;
    // Someone who logs in and out in a loop must not fill the disk before the ended ones age.
    let forget = "DELETE FROM families WHERE id IN (
        SELECT id FROM families WHERE user_id = ?1 AND revoked_at IS NOT NULL
        ORDER BY revoked_at DESC, rowid DESC LIMIT -1 OFFSET ?2)";
    connection.prepare_cached(forget)?.execute((user_id, max))?;
    Ok(())
}

fn clear_ended(connection: &Connection, now: u64) -> Result<(), Error> {
    let clear = "DELETE FROM families WHERE id IN (SELECT id FROM families WHERE expires_at < ?1 LIMIT ?2)";
    connection.prepare_cached(clear)?.execute((now.saturating_sub(ENDED_KEPT), CLEARED_AT_ONCE))?;
    let clear = "DELETE FROM ended WHERE number IN (
        SELECT number FROM ended, run WHERE ended_at < ?1 AND ended_run + ?2 < seconds ORDER BY number LIMIT ?3)";
    let before = now.saturating_sub(ENDED_KEPT);
    connection.prepare_cached(clear)?.execute((before, ENDED_KEPT, CLEARED_AT_ONCE))?;
    Ok(())
}
