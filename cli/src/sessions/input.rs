//! NDJSON, line by line, in batches: a batch is complete when it is full, or when its first line has waited long enough.

use std::io::{self, BufRead, Read as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that are read ahead.
const AHEAD: usize = 1_024;

/// A line that isn't blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1; blank lines count.
    pub number: u64,
    /// Bytes of the input up to its end.
    pub read: u64,
    /// What it holds, without white space around it; or why it can't be sent.
    pub text: Result<String, String>,
}

/// How large a batch may be, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Lines.
    pub lines: usize,
    /// Bytes, each line's end included.
    pub bytes: usize,
    /// How long the first line waits for others.
    pub linger: Duration,
}

/// Lines that a thread reads, so that waiting for them can end.
pub struct Input {
    lines: Receiver<io::Result<Line>>,
    next: Option<Line>,
    failed: Option<io::Error>,
}

impl Input {
    /// Starts to read. A line of more than `longest` bytes can't be sent.
    pub fn start(reader: impl BufRead + Send + 'static, longest: usize) -> Self {
        let (sender, lines) = sync_channel(AHEAD);
        // It ends with its input, or with the first line that nobody takes any more.
        thread::spawn(move || read(reader, longest, &sender));
        Self { lines, next: None, failed: None }
    }

    /// The next line, whenever it comes; `None` at the end.
    pub fn line(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.next.take() {
            return Ok(Some(line));
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.lines.recv().ok().transpose()
    }

    /// The next batch; `None` at the end. An error of the input comes after the lines before it.
    pub fn batch(&mut self, limits: Limits) -> io::Result<Option<Vec<Line>>> {
        let Some(first) = self.line()? else { return Ok(None) };
        let end = Instant::now() + limits.linger;
        let mut bytes = size(&first);
        let mut batch = vec![first];
        while batch.len() < limits.lines {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Ok(line)) if bytes + size(&line) > limits.bytes => {
                    self.next = Some(line);
                    break;
                }
                Ok(Ok(line)) => {
                    bytes += size(&line);
                    batch.push(line);
                }
                Ok(Err(error)) => {
                    self.failed = Some(error);
                    break;
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(Some(batch))
    }
}

fn size(line: &Line) -> usize {
    line.text.as_ref().map_or(0, |text| text.len() + 1)
}

fn read(mut reader: impl BufRead, longest: usize, lines: &SyncSender<io::Result<Line>>) {
    let (mut number, mut total) = (0, 0);
    loop {
        let line = match next(&mut reader, longest, &mut total) {
            Ok(Some(text)) => {
                number += 1;
                if text.as_deref() == Ok("") {
                    continue;
                }
                Ok(Line { number, read: total, text })
            }
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let failed = line.is_err();
        if lines.send(line).is_err() || failed {
            return;
        }
    }
}

/// A line, trimmed; of one that is too long, no more than `longest` bytes are ever held.
fn next(reader: &mut impl BufRead, longest: usize, total: &mut u64) -> io::Result<Option<Result<String, String>>> {
    let mut bytes = Vec::new();
    // Two more than are allowed: the line's end.
    let limit = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(2);
    let mut read = reader.by_ref().take(limit).read_until(b'\n', &mut bytes)?;
    if read == 0 {
        return Ok(None);
    }
    let whole = bytes.last() == Some(&b'\n');
    if !whole {
        read += skip(reader)?;
    }
    *total += u64::try_from(read).unwrap_or_default();
    let text = bytes.trim_ascii();
    if text.len() > longest || (!whole && read > bytes.len()) {
        return Ok(Some(Err(format!("expected at most {longest} bytes, but found more"))));
    }
    Ok(Some(match std::str::from_utf8(text) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err("expected UTF-8, but found other bytes".to_owned()),
    }))
}

/// Skips the rest of a line; says how many bytes that was.
fn skip(reader: &mut impl BufRead) -> io::Result<usize> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        let (length, last) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(length);
        skipped += length;
        if last {
            return Ok(skipped);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};
    use std::sync::mpsc;

    use super::*;

    const LIMITS: Limits = Limits { lines: 3, bytes: 20, linger: Duration::from_millis(50) };

    fn all(bytes: &[u8], longest: usize) -> Vec<(u64, Result<String, String>)> {
        let mut input = Input::start(Cursor::new(bytes.to_vec()), longest);
        let mut lines = Vec::new();
        while let Some(line) = input.line().unwrap() {
            lines.push((line.number, line.text));
        }
        lines
    }

    #[test]
    fn blank_lines_count_but_are_not_sent() {
        let lines = all(b"{\"a\":1}\r\n\n  \n {} \n[", 100);
        assert_eq!(lines, [(1, Ok("{\"a\":1}".to_owned())), (4, Ok("{}".to_owned())), (5, Ok("[".to_owned()))]);
    }

    #[test]
    fn a_line_that_is_too_long_or_no_text_is_named_and_the_next_one_read() {
        let lines = all(b"aaaaa\nbbbbbb\r\n\xff\ncccccccccccccccccccccc\nddddd", 5);
        let faults: Vec<_> = lines.iter().filter_map(|(number, text)| text.as_ref().err().map(|_| *number)).collect();
        assert_eq!(faults, [2, 3, 4]);
        assert_eq!(lines[4], (5, Ok("ddddd".to_owned())));
        assert_eq!(all(b"eeeeeeeee", 5).len(), 1, "at the end of the input, too");
    }

    #[test]
    fn a_batch_is_bounded_by_lines_and_by_bytes() {
        let text = "1\n2\n3\n4\n55555555555555\n6666666\n7\n";
        let mut input = Input::start(Cursor::new(text), 100);
        let mut batches = Vec::new();
        while let Some(batch) = input.batch(LIMITS).unwrap() {
            batches.push(batch.iter().map(|line| line.number).collect::<Vec<_>>());
        }
        assert_eq!(batches, [vec![1, 2, 3], vec![4, 5], vec![6, 7]]);
        let mut input = Input::start(Cursor::new(text), 100);
        let mut read = 0;
        while let Some(line) = input.line().unwrap() {
            read = line.read;
        }
        assert_eq!(read, text.len() as u64);
    }

    /// A pipe: what is sent can be read, and reading waits.
    struct Pipe(mpsc::Receiver<&'static str>, &'static [u8]);

    impl io::Read for Pipe {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.1.is_empty() {
                match self.0.recv() {
                    Ok("broken") => return Err(io::Error::other("broken")),
                    Ok(text) => self.1 = text.as_bytes(),
                    Err(_) => return Ok(0),
                }
            }
            self.1.read(buffer)
        }
    }

    #[test]
    fn a_pipe_that_stays_open_does_not_hold_a_batch_back() {
        let (pipe, end) = mpsc::channel();
        let mut input = Input::start(BufReader::new(Pipe(end, b"")), 100);
        pipe.send("1\n2\n").unwrap();
        let started = Instant::now();
        assert_eq!(input.batch(LIMITS).unwrap().unwrap().len(), 2);
        assert!(started.elapsed() >= LIMITS.linger && started.elapsed() < Duration::from_secs(20));
        pipe.send("3\n4").unwrap();
        assert_eq!(input.batch(LIMITS).unwrap().unwrap().len(), 1, "half a line waits for its end");
        pipe.send("4\n").unwrap();
        assert_eq!(input.batch(LIMITS).unwrap().unwrap()[0].text, Ok("44".to_owned()));
        drop(pipe);
        assert_eq!(input.batch(LIMITS).unwrap(), None);
    }

    #[test]
    fn what_was_read_before_an_error_is_sent_before_it_shows() {
        let (pipe, end) = mpsc::channel();
        let mut input = Input::start(BufReader::new(Pipe(end, b"")), 100);
        pipe.send("1\n").unwrap();
        pipe.send("broken").unwrap();
        assert_eq!(input.batch(LIMITS).unwrap().unwrap().len(), 1);
        assert!(input.batch(LIMITS).is_err());
    }
}
