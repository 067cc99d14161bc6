//! The accounts and their logins, in one database file that several processes may use at once.
//!
//! Every method blocks on the disk, and `add` and `set_password` on a password hash; async callers move them to a
//! blocking thread.

mod name;
mod sessions;
mod store;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use portcullis_units::Clock;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row};
use serde::Serialize;

use crate::{
    PasswordOptions,
    password::{self, Hasher},
};

pub use name::MAX_NAME;
pub(crate) use name::UserName;
pub(crate) use sessions::{Refusal, Session, SessionPolicy};

/// Where the accounts of a data directory are.
pub fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("accounts.sqlite3")
}

/// Why something about an account cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text cannot be a user name.
    #[error("the user name {0}")]
    Name(&'static str),
    /// There is an account of that name, in this or another case.
    #[error("there is already an account of that name")]
    Exists,
    /// No account has that name.
    #[error("there is no account of that name")]
    Unknown,
    /// The password's length, or its hash.
    #[error(transparent)]
    Password(#[from] password::Error),
    /// Another process has been writing for too long. Trying again helps.
    #[error("the account database is busy")]
    Busy(#[source] rusqlite::Error),
    /// The database was written by a later version.
    #[error("the account database is of version {found}, this program knows {known}; use a newer one")]
    TooNew {
        /// The file's version.
        found: i64,
        /// The latest version that this program knows.
        known: usize,
    },
    /// The file or its folder cannot be made or opened.
    #[error("cannot open the account database {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The database failed.
    #[error("the account database failed")]
    Database(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(error),
            _ => Self::Database(error),
        }
    }
}

impl Error {
    /// Whether the same call may succeed later.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Busy(_))
    }
}

/// An account, without its password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// 32 hexadecimal digits that never change and are never given to another; the `sub` of the user's tokens.
    pub id: String,
    /// As its owner writes it.
    pub name: String,
    /// Whether the user may log in.
    pub enabled: bool,
    /// Seconds since the epoch.
    pub created_at: u64,
    /// Seconds since the epoch.
    pub password_changed_at: u64,
    /// Seconds since the epoch, if ever.
    pub last_login_at: Option<u64>,
}

impl User {
    /// The form of the name by which the account is found.
    pub(crate) fn key(&self) -> String {
        UserName::parse(&self.name).map_or_else(|_| self.name.clone(), |name| name.key)
    }

    const COLUMNS: &str = "users.id, users.name, users.enabled, users.created_at, users.password_changed_at, users.last_login_at";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            enabled: row.get(2)?,
            created_at: row.get(3)?,
            password_changed_at: row.get(4)?,
            last_login_at: row.get(5)?,
        })
    }
}

/// An account with its stored hash, on its way to a password check.
pub(crate) struct Credential {
    pub user: User,
    pub hash: String,
}

/// The account database. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

struct Inner {
    connection: Mutex<Connection>,
    hasher: Arc<Hasher>,
    clock: Clock,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}

impl Accounts {
    /// Opens the database at `path` (see [`file()`]), or makes it, with passwords hashed at the default cost.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::TooNew`] or [`Error::Database`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, &PasswordOptions::default(), Clock::system())
    }

    /// As [`open`](Self::open), with the cost of new hashes and the clock given.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Error::Password`] for a cost out of range.
    pub fn open_with(
        path: impl AsRef<Path>,
        passwords: &PasswordOptions,
        clock: Clock,
    ) -> Result<Self, Error> {
        let hasher = Arc::new(Hasher::new(passwords)?);
        let connection = Mutex::new(store::open(path.as_ref())?);
        Ok(Self(Arc::new(Inner { connection, hasher, clock })))
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Password`], [`Error::Exists`].
    pub fn add(&self, name: &str, password: &str) -> Result<User, Error> {
        let name = UserName::parse(name)?;
        let hash = self.0.hasher.hash(password)?;
        let id = hex(&crate::random::<16>());
        let now = self.0.clock.unix_seconds();
        let mut connection = self.0.connection.lock();
        let transaction = store::write(&mut connection)?;
        let added = transaction.execute(
            "INSERT INTO users (id, name, name_key, password_hash, created_at, password_changed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT (name_key) DO NOTHING",
            (&id, &name.display, &name.key, &hash, now),
        )?;
        if added == 0 {
            return Err(Error::Exists);
        }
        transaction.commit()?;
        let password_changed_at = now;
        Ok(User {
            id,
            name: name.display,
            enabled: true,
            created_at: now,
            password_changed_at,
            last_login_at: None,
        })
    }

    /// All accounts by name.
    ///
    /// # Errors
    /// [`Error::Busy`] or [`Error::Database`].
    pub fn list(&self) -> Result<Vec<User>, Error> {
        let connection = self.0.connection.lock();
        let mut query =
            connection.prepare_cached(&format!("SELECT {} FROM users ORDER BY name_key", User::COLUMNS))?;
        let users = query.query_map([], User::read)?.collect::<Result<_, _>>()?;
        Ok(users)
    }

    /// The account of that name, in any case.
    ///
    /// # Errors
    /// [`Error::Busy`] or [`Error::Database`]. A text that cannot be a name is nobody's.
    pub fn find(&self, name: &str) -> Result<Option<User>, Error> {
        let Ok(name) = UserName::parse(name) else { return Ok(None) };
        Ok(self.credential(&name)?.map(|found| found.user))
    }

    /// Whether there is no account at all.
    ///
    /// # Errors
    /// [`Error::Busy`] or [`Error::Database`].
    pub fn is_empty(&self) -> Result<bool, Error> {
        let connection = self.0.connection.lock();
        Ok(!connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM users)")?
            .query_row([], |row| row.get(0))?)
    }

    /// Gives an account another password, and ends all its logins.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Password`].
    pub fn set_password(&self, name: &str, password: &str) -> Result<User, Error> {
        // Before the hash: a mistyped name should not cost one.
        self.find(name)?.ok_or(Error::Unknown)?;
        let hash = self.0.hasher.hash(password)?;
        let now = self.0.clock.unix_seconds();
        self.change(name, "password", |connection, id| {
            let update = "UPDATE users SET password_hash = ?2, password_changed_at = ?3 WHERE id = ?1";
            connection.prepare_cached(update)?.execute((id, &hash, now))?;
            Ok(())
        })
    }

    /// Ends all logins of a user; they may log in again.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn log_out(&self, name: &str) -> Result<User, Error> {
        self.change(name, "logout", |_, _| Ok(()))
    }

    /// Keeps a user out, and ends all their logins.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn disable(&self, name: &str) -> Result<User, Error> {
        self.change(name, "disabled", |connection, id| {
            connection.prepare_cached("UPDATE users SET enabled = 0 WHERE id = ?1")?.execute([id])?;
            Ok(())
        })
    }

    /// Lets a user in again. What was ended stays ended.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn enable(&self, name: &str) -> Result<User, Error> {
        self.change(name, "disabled", |connection, id| {
            connection.prepare_cached("UPDATE users SET enabled = 1 WHERE id = ?1")?.execute([id])?;
            Ok(())
        })
    }

    /// One change to an account, and the end of all its logins, or neither.
    fn change(
        &self,
        name: &str,
        revoked_by: &str,
        change: impl FnOnce(&Connection, &str) -> Result<(), Error>,
    ) -> Result<User, Error> {
        let name = UserName::parse(name).map_err(|_| Error::Unknown)?;
        let now = self.0.clock.unix_seconds();
        let mut connection = self.0.connection.lock();
        let transaction = store::write(&mut connection)?;
        let user = credential(&transaction, "name_key", &name.key)?.ok_or(Error::Unknown)?.user;
        change(&transaction, &user.id)?;
        sessions::revoke_all(&transaction, &user.id, revoked_by, now)?;
        let user = credential(&transaction, "id", &user.id)?.ok_or(Error::Unknown)?.user;
        transaction.commit()?;
        Ok(user)
    }

    /// The account of that name with its hash.
    pub(crate) fn credential(&self, name: &UserName) -> Result<Option<Credential>, Error> {
        credential(&self.0.connection.lock(), "name_key", &name.key)
    }

    /// Stores a hash of the same password at the present cost, unless the password was changed in between.
    pub(crate) fn upgrade_hash(&self, user_id: &str, old: &str, new: &str) -> Result<(), Error> {
        let mut connection = self.0.connection.lock();
        let transaction = store::write(&mut connection)?;
        let update = "UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2";
        transaction.prepare_cached(update)?.execute([user_id, old, new])?;
        transaction.commit()?;
        Ok(())
    }

    /// Reads from the database, to see whether it answers.
    pub(crate) fn probe(&self) -> Result<(), Error> {
        self.is_empty().map(drop)
    }

    pub(crate) fn hasher(&self) -> &Arc<Hasher> {
        &self.0.hasher
    }
}

/// `column` is one of ours, never a peer's text.
fn credential(connection: &Connection, column: &str, value: &str) -> Result<Option<Credential>, Error> {
    let query = format!("SELECT {}, users.password_hash FROM users WHERE users.{column} = ?1", User::COLUMNS);
    let read = |row: &Row<'_>| Ok(Credential { user: User::read(row)?, hash: row.get(6)? });
    Ok(connection.prepare_cached(&query)?.query_row([value], read).optional()?)
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
