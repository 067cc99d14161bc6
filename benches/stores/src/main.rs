//! Stores under the write pattern of the event log: small events of a thousand threads, committed in batches, read back
//! by the suffix of one thread, trimmed at its front.
//!
//!     cargo run --release --manifest-path benches/stores/Cargo.toml -- FOLDER
//!
//! FOLDER has to be on the device that is meant, and is left as it was.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

/// Keys and values to write, and keys to remove, in one commit.
struct Batch {
    add: Vec<(Vec<u8>, Vec<u8>)>,
    remove: Vec<Vec<u8>>,
}

trait Store {
    /// Commits; with `sync` it is on the device then.
    fn commit(&mut self, batch: &Batch, sync: bool) -> Result<()>;
    /// Reads a range, and counts.
    fn read(&mut self, from: &[u8], to: &[u8]) -> Result<usize>;
}

struct Fjall(fjall::Database, fjall::Keyspace);

impl Fjall {
    fn open(folder: &Path) -> Result<Self> {
        let database = fjall::Database::builder(folder.join("fjall")).max_journaling_size(64 << 20).open()?;
        let events = database
            .keyspace("events", || fjall::KeyspaceCreateOptions::default().max_memtable_size(8 << 20))?;
        Ok(Self(database, events))
    }
}

impl Store for Fjall {
    fn commit(&mut self, batch: &Batch, sync: bool) -> Result<()> {
        let mode = if sync { fjall::PersistMode::SyncData } else { fjall::PersistMode::Buffer };
        let mut write = self.0.batch().durability(Some(mode));
        batch.add.iter().for_each(|(key, value)| write.insert(&self.1, key.clone(), value.clone()));
        batch.remove.iter().for_each(|key| write.remove(&self.1, key.clone()));
        Ok(write.commit()?)
    }

    fn read(&mut self, from: &[u8], to: &[u8]) -> Result<usize> {
        let mut count = 0;
        for entry in self.1.range(from.to_vec()..to.to_vec()) {
            count += usize::from(!entry.value()?.is_empty());
        }
        Ok(count)
    }
}

struct Redb(redb::Database);

const EVENTS: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("events");

impl Store for Redb {
    fn commit(&mut self, batch: &Batch, sync: bool) -> Result<()> {
        let mut write = self.0.begin_write()?;
        if !sync {
            write.set_durability(redb::Durability::None)?;
        }
        {
            let mut events = write.open_table(EVENTS)?;
            for (key, value) in &batch.add {
                events.insert(key.as_slice(), value.as_slice())?;
            }
            for key in &batch.remove {
                events.remove(key.as_slice())?;
            }
        }
        Ok(write.commit()?)
    }

    fn read(&mut self, from: &[u8], to: &[u8]) -> Result<usize> {
        use redb::ReadableDatabase as _;
        let events = self.0.begin_read()?.open_table(EVENTS)?;
        let mut count = 0;
        for entry in events.range(from..to)? {
            count += usize::from(!entry?.1.value().is_empty());
        }
        Ok(count)
    }
}

struct Sqlite(rusqlite::Connection);

impl Sqlite {
    fn open(folder: &Path) -> Result<Self> {
        let connection = rusqlite::Connection::open(folder.join("events.sqlite3"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let table =
            "CREATE TABLE IF NOT EXISTS events (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID";
        connection.execute_batch(table)?;
        Ok(Self(connection))
    }
}

impl Store for Sqlite {
    fn commit(&mut self, batch: &Batch, sync: bool) -> Result<()> {
        self.0.pragma_update(None, "synchronous", if sync { "FULL" } else { "NORMAL" })?;
        let write = self.0.transaction()?;
        {
            let mut insert = write.prepare_cached("INSERT INTO events VALUES (?1, ?2)")?;
            for (key, value) in &batch.add {
                insert.execute((key, value))?;
            }
            let mut delete = write.prepare_cached("DELETE FROM events WHERE key = ?1")?;
            for key in &batch.remove {
                delete.execute([key])?;
            }
        }
        Ok(write.commit()?)
    }

    fn read(&mut self, from: &[u8], to: &[u8]) -> Result<usize> {
        let mut select =
            self.0.prepare_cached("SELECT value FROM events WHERE key >= ?1 AND key < ?2 ORDER BY key")?;
        let mut rows = select.query((from, to))?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += usize::from(!row.get_ref(0)?.as_blob()?.is_empty());
        }
        Ok(count)
    }
}

fn key(thread: u64, seq: u64) -> Vec<u8> {
    [thread.to_be_bytes(), seq.to_be_bytes()].concat()
}

/// Bytes that do not compress, the same in each run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count.div_ceil(8)).flat_map(|_| self.next().to_ne_bytes()).take(count).collect()
    }
}

fn measure(name: &str, folder: &Path, open: &dyn Fn() -> Result<Box<dyn Store>>) -> Result<()> {
    let mut store = open()?;
    let mut noise = Noise(88_172_645_463_325_252);
    let mut numbers = vec![0; 1_000];
    for (size, sync) in [(1, true), (32, true), (256, true), (32, false)] {
        let (began, mut commits, mut worst) = (Instant::now(), 0, Duration::ZERO);
        while began.elapsed() < Duration::from_secs(3) {
            let add = (0..size)
                .map(|_| {
                    let thread = noise.next() % 1_000;
                    numbers[thread as usize] += 1;
                    (key(thread, numbers[thread as usize]), noise.bytes(300))
                })
                .collect();
            let batch = Batch { add, remove: Vec::new() };
            let commit = Instant::now();
            store.commit(&batch, sync)?;
            worst = worst.max(commit.elapsed());
            commits += 1;
        }
        let rate = f64::from(commits * size) / began.elapsed().as_secs_f64();
        println!(
            "{name:8} batches of {size:3}, sync {sync:5}: {rate:9.0} events/s, slowest commit {worst:.1?}"
        );
    }
    // One long thread among the others.
    for part in 0..100 {
        let add = (0..100).map(|index| (key(5_000, part * 100 + index), noise.bytes(300))).collect();
        store.commit(&Batch { add, remove: Vec::new() }, true)?;
    }
    let began = Instant::now();
    let count = store.read(&key(5_000, 0), &key(5_001, 0))?;
    println!("{name:8} reading {count} events of one thread: {:.1?}", began.elapsed());
    drop(store);
    let began = Instant::now();
    let mut store = open()?;
    println!("{name:8} opening again: {:.1?}, on the device {} MiB", began.elapsed(), size(folder)? >> 20);
    anyhow::ensure!(store.read(&key(5_000, 0), &key(5_001, 0))? == count, "{name} lost something");
    Ok(())
}

fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

fn main() -> Result<()> {
    let base = std::env::args_os().nth(1).context("usage: portcullis-stores FOLDER")?;
    let base = Path::new(&base).join("portcullis-stores");
    for name in ["fjall", "redb", "sqlite"] {
        let folder = base.join(name);
        fs::create_dir_all(&folder)?;
        measure(name, &folder, &|| {
            Ok(match name {
                "fjall" => Box::new(Fjall::open(&folder)?) as Box<dyn Store>,
                "redb" => Box::new(Redb(redb::Database::create(folder.join("events.redb"))?)),
                _ => Box::new(Sqlite::open(&folder)?),
            })
        })?;
    }
    Ok(fs::remove_dir_all(base)?)
}
