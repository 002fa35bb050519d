//! Logs that grow: new files of a folder, lines that are appended to known ones, and a stream.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{BufRead as _, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::SystemTime;

use anyhow::Context as _;
use indicatif::ProgressBar;
use memchr::memrchr;

use crate::report::input::{self, Piece};

/// Bytes that are read at once. Fastly's lines have at most 16 kB: what is longer than this is no line.
const CHUNK: u64 = 4 << 20;
/// Lines of a stream that wait to be read.
const WAITING: usize = 10_000;

/// Logs, read as far as they are written.
pub struct Follower {
    sources: Vec<Source>,
    /// Files that nobody has written to since then hold nothing of interest.
    since: SystemTime,
}

enum Source {
    /// Standard input; `None` once it has ended.
    Stream(Option<Receiver<Vec<u8>>>),
    /// A file, a folder or a pattern, and what is known of its files.
    Files(String, BTreeMap<PathBuf, Known>),
}

/// How far a file is read.
#[derive(Debug, Default)]
struct Known {
    read: u64,
    /// The size when it was looked at last: a packed file is read once it has stopped growing.
    size: u64,
    identity: u64,
    is_packed: bool,
}

impl Follower {
    /// Follows files, folders, patterns, and `-`. Files that weren't written to since then are passed over.
    ///
    /// # Errors
    ///
    /// One of them isn't there.
    pub fn new(logs: &[String], since: SystemTime) -> anyhow::Result<Self> {
        let source = |log: &String| {
            if log == "-" {
                return Ok(Source::Stream(Some(stream())));
            }
            input::files(log)?;
            Ok(Source::Files(log.clone(), BTreeMap::new()))
        };
        Ok(Self { sources: logs.iter().map(source).collect::<anyhow::Result<_>>()?, since })
    }

    /// Gives every line that has come since the last time. `false` once no more can come, because all streams have ended and there is nothing
    /// else.
    ///
    /// # Errors
    ///
    /// A file can't be read; what was read before counts.
    pub fn poll(&mut self, mut take: impl FnMut(&[u8])) -> anyhow::Result<bool> {
        let mut goes_on = false;
        for source in &mut self.sources {
            match source {
                Source::Stream(lines) => {
                    while let Some(receiver) = lines {
                        match receiver.try_recv() {
                            Ok(line) => take(&line),
                            Err(TryRecvError::Empty) => {
                                goes_on = true;
                                break;
                            }
                            Err(TryRecvError::Disconnected) => *lines = None,
                        }
                    }
                }
                Source::Files(log, known) => {
                    goes_on = true;
                    for path in input::files(log)? {
                        // One that has just been moved away comes again under its new name.
                        let Ok(about) = fs::metadata(&path) else { continue };
                        if about.modified().is_ok_and(|modified| modified < self.since) {
                            continue;
                        }
                        let known = known.entry(path.clone()).or_default();
                        known.grown(&path, &about, &mut take)?;
                    }
                }
            }
        }
        Ok(goes_on)
    }
}

impl Known {
    fn grown(&mut self, path: &Path, about: &Metadata, take: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        let (size, identity) = (about.len(), identity(about));
        if identity != self.identity || size < self.read {
            // Another file under this name. Lines that come again are known by their ids.
            *self = Self { identity, ..Self::default() };
        }
        let is_still = std::mem::replace(&mut self.size, size) == size;
        if size == self.read {
            return Ok(());
        }
        if self.read == 0 {
            self.is_packed = input::is_compressed(path)?;
        }
        if self.is_packed {
            if is_still {
                input::lines(&Piece::Whole(path.to_owned()), &ProgressBar::hidden(), take)?;
                self.read = size;
            }
            return Ok(());
        }
        let place = || path.display().to_string();
        let mut file = File::open(path).with_context(place)?;
        loop {
            file.seek(SeekFrom::Start(self.read)).with_context(place)?;
            let mut bytes = Vec::new();
            (&file).take(CHUNK).read_to_end(&mut bytes).with_context(place)?;
            let is_full = u64::try_from(bytes.len()).is_ok_and(|length| length == CHUNK);
            // The rest of a line comes with its end; a chunk without an end is no line.
            let whole = memrchr(b'\n', &bytes).map_or(if is_full { bytes.len() } else { 0 }, |end| end + 1);
            for line in bytes.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n') {
                if !line.is_empty() {
                    take(line);
                }
            }
            self.read += u64::try_from(whole).unwrap_or_default();
            if !is_full {
                return Ok(());
            }
        }
    }
}

#[cfg(unix)]
fn identity(about: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(about)
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> u64 {
    0
}

/// Standard input, read by a thread: it waits for lines.
fn stream() -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::sync_channel(WAITING);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            match input.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if sender.send(line).is_err() => return,
                Ok(_) => {}
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn polled(follower: &mut Follower) -> Vec<String> {
        let mut lines = Vec::new();
        assert!(follower.poll(|line| lines.push(String::from_utf8(line.to_vec()).unwrap())).unwrap());
        lines
    }

    #[test]
    fn appended_lines_and_new_files_come_once_and_half_a_line_waits() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.log"), "one\ntw").unwrap();
        let mut follower = Follower::new(&[folder.path().display().to_string()], SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(polled(&mut follower), ["one"]);
        assert!(polled(&mut follower).is_empty());
        let mut file = fs::OpenOptions::new().append(true).open(at("a.log")).unwrap();
        file.write_all(b"o\nthree\n").unwrap();
        fs::write(at("b.log"), "four\n").unwrap();
        assert_eq!(polled(&mut follower), ["two", "three", "four"]);
        // Moved away, and begun anew.
        fs::rename(at("a.log"), folder.path().join(".a.log.1")).unwrap();
        fs::write(at("a.log"), "five, and longer than what was there\n").unwrap();
        assert_eq!(polled(&mut follower), ["five, and longer than what was there"]);
    }

    #[test]
    fn a_packed_file_is_read_when_it_has_stopped_growing() {
        let folder = tempfile::tempdir().unwrap();
        let mut follower = Follower::new(&[folder.path().display().to_string()], SystemTime::UNIX_EPOCH).unwrap();
        fs::write(folder.path().join("a.zst"), zstd::encode_all(&b"one\ntwo\n"[..], 1).unwrap()).unwrap();
        assert!(polled(&mut follower).is_empty());
        assert_eq!(polled(&mut follower), ["one", "two"]);
        assert!(polled(&mut follower).is_empty());
    }

    #[test]
    fn old_files_are_passed_over_and_what_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.log"), "one\n").unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        let mut follower = Follower::new(&[folder.path().display().to_string()], later).unwrap();
        assert!(polled(&mut follower).is_empty());
        assert!(Follower::new(&["none".to_owned()], later).is_err());
    }
}
