//! The database file: opened privately, migrated in order, shared between processes.

use std::{fs::File, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::Error;
use crate::files;

/// How long a process waits for another one's write to end.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// One step each; the number of steps taken is the file's `user_version`. Steps are never changed, only added.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE users (
        id                  TEXT PRIMARY KEY NOT NULL,
        name                TEXT NOT NULL,
        name_key            TEXT NOT NULL UNIQUE,
        password_hash       TEXT NOT NULL,
        enabled             INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
        created_at          INTEGER NOT NULL,
        password_changed_at INTEGER NOT NULL,
        last_login_at       INTEGER
    ) STRICT;

    -- A login and what grew out of it: one family of refresh tokens. Its id is the `sid` of its access tokens.
    CREATE TABLE families (
        id         TEXT PRIMARY KEY NOT NULL,
        user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        revoked_at INTEGER,
        revoked_by TEXT CHECK (revoked_by IN ('logout', 'reuse', 'password', 'disabled', 'limit'))
    ) STRICT;
    CREATE INDEX families_by_user ON families (user_id, created_at);
    CREATE INDEX families_by_end ON families (expires_at);

    CREATE TABLE refresh_tokens (
        hash       BLOB PRIMARY KEY NOT NULL CHECK (length(hash) = 32),
        family_id  TEXT NOT NULL REFERENCES families (id) ON DELETE CASCADE,
        generation INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        used_at    INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX refresh_tokens_by_family ON refresh_tokens (family_id, generation);
", "
    -- What ended, in the order of ending: read from a place on by the server, whoever ended it, in this process or another.
    -- A number and not a time leads the reader, because clocks jump.
    CREATE TABLE ended (
        number    INTEGER PRIMARY KEY AUTOINCREMENT,
        family_id TEXT NOT NULL,
        ended_at  INTEGER NOT NULL
    ) STRICT;
    CREATE TRIGGER families_end AFTER UPDATE OF revoked_at ON families
    WHEN OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL
    BEGIN
        INSERT INTO ended (family_id, ended_at) VALUES (NEW.id, NEW.revoked_at);
    END;
", "
    -- For how long servers ran on this database, in seconds. The time of day alone must not end a revocation: it can be set
    -- forth, which forgets, and back, where the token is good again.
    CREATE TABLE run (seconds INTEGER NOT NULL) STRICT;
    INSERT INTO run VALUES (0);
    ALTER TABLE ended ADD COLUMN ended_run INTEGER NOT NULL DEFAULT 0;
    DROP TRIGGER families_end;
    CREATE TRIGGER families_end AFTER UPDATE OF revoked_at ON families
    WHEN OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL
    BEGIN
        INSERT INTO ended (family_id, ended_at, ended_run) SELECT NEW.id, NEW.revoked_at, seconds FROM run;
    END;
"];

/// Opens or makes the database at `path`, brings it to this version's schema and sets it up for several processes.
pub(super) fn open(path: &Path) -> Result<Connection, Error> {
    let file_error = |source| Error::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        files::private_folder(folder).map_err(file_error)?;
    }
    // SQLite gives its -wal and -shm files the permissions of the main file, so this one is made first, and by us.
    drop(files::private_file(path).map_err(file_error)?);
    let _opening = lock(path).map_err(file_error)?;

    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A revocation that was answered must survive a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(32);
    migrate(&mut connection)?;
    Ok(connection)
}

/// One opener at a time: the switch to WAL ignores the busy timeout when two make it at once.
fn lock(path: &Path) -> std::io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = files::private_file(Path::new(&name))?;
    file.lock()?;
    Ok(file)
}

fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let transaction = write(connection)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    let Some(missing) = MIGRATIONS.get(done..) else {
        return Err(Error::TooNew { found: version, known: MIGRATIONS.len() });
    };
    for step in missing {
        transaction.execute_batch(step)?;
    }
    if !missing.is_empty() {
        transaction.pragma_update(
            None,
            "user_version",
            i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX),
        )?;
    }
    transaction.commit()?;
    Ok(())
}

/// A transaction that writes. It takes the write lock at its start: one that read first and wrote later would fail
/// where another process wrote in between.
pub(super) fn write(connection: &mut Connection) -> Result<Transaction<'_>, Error> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_later_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.sqlite3");
        let connection = open(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        assert!(matches!(open(&path), Err(Error::TooNew { found: 99, .. })));
    }

    #[test]
    fn something_that_is_no_database_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.sqlite3");
        std::fs::write(&path, "this is no database, it is a text of some length ".repeat(100)).unwrap();
        assert!(matches!(open(&path), Err(Error::Database(_))));
    }

    #[test]
    fn many_openers_at_once_all_succeed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.sqlite3");
        std::thread::scope(|scope| {
            let openers: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&path).map(drop))).collect();
            for opener in openers {
                opener.join().unwrap().unwrap();
            }
        });
    }

    #[cfg(unix)]
    #[test]
    fn every_file_is_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let connection = open(&folder.path().join("accounts.sqlite3")).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE; PRAGMA user_version = 1; COMMIT").unwrap();
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(
                entry.metadata().unwrap().permissions().mode() & 0o777,
                0o600,
                "{:?}",
                entry.file_name()
            );
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        assert_eq!(
            names,
            ["accounts.sqlite3", "accounts.sqlite3-shm", "accounts.sqlite3-wal", "accounts.sqlite3.lock"]
        );
    }
}
