//! `--follow`: an input that grows.

use std::{
    collections::HashMap,
    fs::{File, Metadata},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use portcullis_diagnose::{Engine, Incident, Report, shown};
use serde::Serialize;
use tokio::sync::mpsc;

use super::{input, text};
use crate::output::{Format, Output, Usage};

/// How often a file is looked at for more.
const PAUSE: Duration = Duration::from_millis(250);
/// How often incidents are told that arose or grew. Lines of one event are mostly written within this.
const TELL: Duration = Duration::from_secs(1);

/// Follows the input until it ends or the command is interrupted; gives what was found in all.
pub(super) fn run(path: &Path, stdin: bool, out: Output) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut following = Following { engine: Engine::new(), told: HashMap::new(), out };
        if stdin {
            following.stdin().await?;
        } else {
            following.file(path).await?;
        }
        let report = std::mem::take(&mut following.engine).finish();
        following.tell(&report)?;
        Ok(report)
    })
}

struct Following {
    engine: Engine,
    /// How often each incident was seen when it was last told.
    told: HashMap<String, u64>,
    out: Output,
}

impl Following {
    async fn stdin(&mut self) -> anyhow::Result<()> {
        let (pieces, mut received) = mpsc::channel::<io::Result<Vec<u8>>>(4);
        // A thread of its own: reading standard input cannot be given up, and ends with the process.
        std::thread::spawn(move || {
            let mut buffer = vec![0; input::BUFFER];
            loop {
                let piece = match io::stdin().lock().read(&mut buffer) {
                    Ok(0) => return,
                    Ok(length) => Ok(buffer[..length].to_vec()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = piece.is_err();
                if pieces.blocking_send(piece).is_err() || failed {
                    return;
                }
            }
        });
        let mut tell = tokio::time::interval(TELL);
        let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            tokio::select! {
                piece = received.recv() => match piece {
                    Some(piece) => self.engine.feed(&piece.context("cannot read standard input")?),
                    None => return Ok(()),
                },
                _ = tell.tick() => self.tell(&self.engine.report())?,
                _ = &mut interrupt => return Ok(()),
            }
        }
    }

    async fn file(&mut self, path: &Path) -> anyhow::Result<()> {
        let name = path.display();
        let mut tail = Tail::open(path).with_context(|| format!("cannot read {name}"))?;
        let mut start = [0; input::MAGIC];
        let length = tail.file.read_at(&mut start, 0).unwrap_or_default();
        if input::packer(&start[..length]).is_some() {
            return Err(
                Usage(format!("{name} is compressed, and will not grow: leave `--follow` out")).into()
            );
        }
        let mut look = tokio::time::interval(PAUSE);
        let mut tell = tokio::time::interval(TELL);
        let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            tokio::select! {
                _ = look.tick() => tail
                    .read(&mut |piece| match piece {
                        Piece::Bytes(bytes) => self.engine.feed(bytes),
                        Piece::NextFile => self.engine.next_file(),
                    })
                    .with_context(|| format!("cannot read {name}"))?,
                _ = tell.tick() => self.tell(&self.engine.report())?,
                _ = &mut interrupt => return Ok(()),
            }
        }
    }

    /// Tells what arose or grew since it was told last.
    fn tell(&mut self, report: &Report) -> anyhow::Result<()> {
        for incident in &report.incidents {
            let hop = incident.hop.map_or("", |hop| hop.name());
            let key = format!("{} {hop}", incident.name());
            let before = self.told.get(&key).copied().unwrap_or(0);
            if incident.count <= before {
                continue;
            }
            self.told.insert(key, incident.count);
            Output::write(match self.out.format() {
                Format::Json => serde_json::to_string(&Change::new(incident, before))?,
                _ if before == 0 => text::incident(incident, self.out.palette()),
                _ => self.grown(incident, before),
            })?;
        }
        Ok(())
    }

    fn grown(&self, incident: &Incident, before: u64) -> String {
        let at = incident.last.map(shown).unwrap_or_default();
        let hop = incident.hop.map_or("", |hop| hop.name());
        let headline = text::headline(incident, self.out.palette());
        format!("{headline} +{} (now {})  {hop}  {at}", incident.count - before, incident.count)
    }
}

/// One line of JSON for each change.
#[derive(Serialize)]
struct Change<'a> {
    event: &'static str,
    more: u64,
    incident: &'a Incident,
}

impl<'a> Change<'a> {
    fn new(incident: &'a Incident, before: u64) -> Self {
        let event = if before == 0 { "arose" } else { "grew" };
        Self { event, more: incident.count - before, incident }
    }
}

/// What comes of a file that is followed.
enum Piece<'b> {
    Bytes(&'b [u8]),
    /// What comes now stands in another file, or in this one after it was cut.
    NextFile,
}

/// A file that is written by others: it grows, is cut, or is replaced by another of its name.
struct Tail {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
    position: u64,
    buffer: Vec<u8>,
}

impl Tail {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let identity = identity(&file.metadata()?);
        Ok(Self { path: path.to_owned(), file, identity, position: 0, buffer: vec![0; input::BUFFER] })
    }

    /// Hands over everything new.
    fn read(&mut self, sink: &mut impl FnMut(Piece<'_>)) -> io::Result<()> {
        if self.file.metadata()?.len() < self.position {
            // It was cut (`copytruncate`): what is there now was written since.
            self.position = self.file.seek(SeekFrom::Start(0))?;
            sink(Piece::NextFile);
        }
        self.rest(sink)?;
        // Rotation renames the old file, which may still have had a few lines, and makes a new one, sooner or later.
        match File::open(&self.path) {
            Ok(file) => {
                let identity = identity(&file.metadata()?);
                if identity != self.identity {
                    self.rest(sink)?;
                    sink(Piece::NextFile);
                    (self.file, self.identity, self.position) = (file, identity, 0);
                    self.rest(sink)?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn rest(&mut self, sink: &mut impl FnMut(Piece<'_>)) -> io::Result<()> {
        loop {
            match self.file.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => {
                    self.position += length as u64;
                    sink(Piece::Bytes(&self.buffer[..length]));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    #[test]
    fn a_tail_survives_truncation_and_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let append = |text: &str| {
            let mut file = File::options().append(true).create(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        append("one\ntw");
        let mut tail = Tail::open(&path).unwrap();
        let mut seen = String::new();
        let read = |tail: &mut Tail, seen: &mut String| {
            let mut take = |piece: Piece<'_>| match piece {
                Piece::Bytes(bytes) => seen.push_str(str::from_utf8(bytes).unwrap()),
                Piece::NextFile => seen.push('\n'),
            };
            tail.read(&mut take).unwrap();
        };
        read(&mut tail, &mut seen);
        append("o\n");
        read(&mut tail, &mut seen);
        assert_eq!(seen, "one\ntwo\n");
        fs::write(&path, "3\n").unwrap();
        read(&mut tail, &mut seen);
        assert_eq!(seen, "one\ntwo\n\n3\n");
        append("late");
        fs::rename(&path, folder.path().join("log.1")).unwrap();
        read(&mut tail, &mut seen);
        append("four\n");
        read(&mut tail, &mut seen);
        read(&mut tail, &mut seen);
        assert_eq!(seen, "one\ntwo\n\n3\nlate\nfour\n");
    }
}
