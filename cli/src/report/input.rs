//! Where lines come from: files, folders, patterns, standard input; plain, gzip, zstd; a server of ClickHouse. Large plain files are read in
//! pieces, at the same time.

use std::fs::{self, File};
use std::io::{self, BufReader, Chain, Cursor, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use indicatif::ProgressBar;
use memchr::{memchr, memchr_iter, memrchr};

use super::clickhouse::Question;

/// Bytes of a piece of a plain file.
const PIECE: u64 = 64 << 20;
/// Bytes that are read at once. Fastly's lines have at most 16 kB: what is longer than this is no line.
const BUFFER: usize = 1 << 20;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A part of the input that one reader reads from its beginning to its end.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Standard input.
    Standard,
    /// A compressed file, or a pipe.
    Whole(PathBuf),
    /// The lines of a plain file that begin in these bytes.
    Range(PathBuf, u64, u64),
    /// What a server answers.
    Asked(Question),
}

/// Everything to be read, the largest pieces first come first; and how many bytes that are, where anybody knows.
pub fn pieces(logs: &[String]) -> anyhow::Result<(Vec<Piece>, Option<u64>)> {
    let (mut pieces, mut length) = (Vec::new(), Some(0));
    for log in logs {
        if log == "-" {
            pieces.push(Piece::Standard);
            length = None;
            continue;
        }
        let files = files(log)?;
        if files.is_empty() {
            bail!("{log}: expected files of log lines, but found none");
        }
        for file in files {
            let about = fs::metadata(&file).with_context(|| format!("{}: can't be read", file.display()))?;
            if !about.is_file() {
                // A pipe has no length, and is read once.
                pieces.push(Piece::Whole(file));
                length = None;
                continue;
            }
            let size = about.len();
            length = length.map(|length| length + size);
            if is_compressed(&file)? {
                pieces.push(Piece::Whole(file));
                continue;
            }
            let mut start = 0;
            while start < size {
                let end = (start + PIECE).min(size);
                pieces.push(Piece::Range(file.clone(), start, end));
                start = end;
            }
        }
    }
    Ok((pieces, length))
}

/// The files that one argument names, sorted.
///
/// # Errors
///
/// There is nothing of that name; a pattern may find nothing.
pub fn files(log: &str) -> anyhow::Result<Vec<PathBuf>> {
    let path = Path::new(log);
    if path.exists() {
        let mut files = Vec::new();
        collect(path, &mut files)?;
        files.sort();
        return Ok(files);
    }
    if !log.contains(['*', '?', '[']) {
        bail!("{log}: expected a file, a folder or a pattern, but found nothing of that name");
    }
    let found =
        glob::glob(log).with_context(|| format!("{log}: expected a pattern as logs/*.gz, but can't read it"))?;
    let mut files = Vec::new();
    for path in found {
        collect(&path?, &mut files)?;
    }
    Ok(files)
}

/// A file; or of a folder all files in it and below it, but for hidden ones.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("{}: can't be read", path.display()))? {
        let entry = entry?;
        // A link that leads nowhere has no lines.
        if !entry.file_name().to_string_lossy().starts_with('.') && entry.path().exists() {
            collect(&entry.path(), files)?;
        }
    }
    Ok(())
}

/// Whether a file is packed, by its first bytes.
pub fn is_compressed(path: &Path) -> anyhow::Result<bool> {
    let mut file = File::open(path).with_context(|| format!("{}: can't be read", path.display()))?;
    let mut head = [0; 4];
    let length = filled(&mut file, &mut head).with_context(|| format!("{}: can't be read", path.display()))?;
    let head = head.get(..length).unwrap_or_default();
    Ok(head.starts_with(&GZIP) || head.starts_with(&ZSTD))
}

/// How reading a piece ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// Bytes of lines, as they are when unpacked.
    pub bytes: u64,
    /// Lines that are too long to be one.
    pub too_long: u64,
    /// The compressed file ended in the middle.
    pub cut_off: bool,
}

/// Gives every line of a piece to `take`, without its end.
///
/// # Errors
///
/// The file can't be read. A compressed file that ends too early is no error: what came before counts.
pub fn lines(piece: &Piece, bar: &ProgressBar, mut take: impl FnMut(&[u8])) -> anyhow::Result<Ended> {
    match piece {
        Piece::Standard => {
            let whole = unpacked(bar.wrap_read(io::stdin().lock())).context("standard input: can't be read")?;
            each_line(whole, &mut take).context("standard input")
        }
        Piece::Whole(path) => {
            let place = || path.display().to_string();
            let file = File::open(path).with_context(place)?;
            each_line(unpacked(bar.wrap_read(file)).with_context(place)?, &mut take).with_context(place)
        }
        Piece::Range(path, start, end) => range(path, *start, *end, bar, &mut take),
        Piece::Asked(question) => question.lines(bar, &mut take),
    }
}

/// The lines that begin from `start` to before `end`.
fn range(path: &Path, start: u64, end: u64, bar: &ProgressBar, take: &mut impl FnMut(&[u8])) -> anyhow::Result<Ended> {
    let place = || path.display().to_string();
    let mut file = File::open(path).with_context(place)?;
    let mut lead = 0;
    if start > 0 {
        // One byte back: a line that begins at `start` has its predecessor's end there.
        file.seek(SeekFrom::Start(start - 1)).with_context(place)?;
        lead = skip_line(&mut BufReader::new(&file)).with_context(place)?;
        file.seek(SeekFrom::Start(start - 1 + lead)).with_context(place)?;
    }
    let begin = if start > 0 { start - 1 + lead } else { 0 };
    if begin >= end {
        bar.inc(end - start);
        return Ok(Ended::default());
    }
    // Up to the last byte of the piece, then to the end of the line that it is in.
    file.seek(SeekFrom::Start(end - 1)).with_context(place)?;
    let tail = skip_line(&mut BufReader::new(&file)).with_context(place)?;
    file.seek(SeekFrom::Start(begin)).with_context(place)?;
    let read = bar.wrap_read(file.take(end - 1 + tail - begin));
    each_line(read, take).with_context(place)
}

/// Bytes up to the next line's beginning, or the end.
fn skip_line(reader: &mut impl io::BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        let length = buffer.len();
        match memchr(b'\n', buffer) {
            Some(at) => return Ok(skipped + as_u64(at) + 1),
            None if length == 0 => return Ok(skipped),
            None => skipped += as_u64(length),
        }
        reader.consume(length);
    }
}

/// A reader of what is in a packed stream; the stream itself where it isn't packed.
fn unpacked<'r, R: Read + 'r>(mut packed: R) -> io::Result<Box<dyn Read + 'r>> {
    let mut head = vec![0; 4];
    let length = filled(&mut packed, &mut head)?;
    head.truncate(length);
    let (is_gzip, is_zstd) = (head.starts_with(&GZIP), head.starts_with(&ZSTD));
    let whole: Chain<Cursor<Vec<u8>>, R> = Cursor::new(head).chain(packed);
    Ok(if is_gzip {
        Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(BUFFER / 4, whole)))
    } else if is_zstd {
        Box::new(zstd::Decoder::new(whole)?)
    } else {
        Box::new(whole)
    })
}

/// Fills a buffer as far as there is something: how far that is, and what ended it before, if it was a fault.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

/// The same where a fault is the end of everything.
fn filled(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    match fill(reader, buffer) {
        (length, None) => Ok(length),
        (_, Some(error)) => Err(error),
    }
}

/// Whether a compressed file ends in the middle, or has something else behind its end.
fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | InvalidData | InvalidInput) || error.to_string().contains("incomplete frame")
}

/// Gives every line of a plain stream to `take`, without its end.
///
/// # Errors
///
/// As [`lines`].
pub fn each_line(mut reader: impl Read, take: &mut impl FnMut(&[u8])) -> anyhow::Result<Ended> {
    let mut buffer = vec![0; BUFFER];
    let (mut kept, mut ended, mut skipping) = (0_usize, Ended::default(), false);
    loop {
        let space = buffer.get_mut(kept..).unwrap_or_default();
        let (length, fault) = fill(&mut reader, space);
        match fault {
            Some(error) if is_cut(&error) => ended.cut_off = true,
            Some(error) => return Err(error.into()),
            None => {}
        }
        ended.bytes += as_u64(length);
        let is_last = length < buffer.len() - kept;
        let filled = kept + length;
        let text = buffer.get(..filled).unwrap_or_default();
        let whole = match memrchr(b'\n', text) {
            Some(at) => at + 1,
            None if is_last => filled,
            None => 0,
        };
        let whole = if is_last { filled } else { whole };
        let mut start = 0;
        let complete = text.get(..whole).unwrap_or_default();
        for end in memchr_iter(b'\n', complete).chain(is_last.then_some(whole)) {
            let line = complete.get(start..end).unwrap_or_default();
            start = end + 1;
            if !std::mem::take(&mut skipping) && !line.is_empty() {
                take(line);
            }
        }
        if is_last {
            return Ok(ended);
        }
        if whole == 0 {
            // A buffer without an end of line.
            ended.too_long += u64::from(!skipping);
            skipping = true;
            kept = 0;
        } else {
            buffer.copy_within(whole..filled, 0);
            kept = filled - whole;
        }
    }
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn read(piece: &Piece) -> (Vec<String>, Ended) {
        let mut found = Vec::new();
        let ended =
            lines(piece, &ProgressBar::hidden(), |line| found.push(String::from_utf8(line.to_vec()).unwrap())).unwrap();
        (found, ended)
    }

    #[test]
    fn pieces_of_a_file_have_every_line_once_wherever_they_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        for text in ["a\nbb\nccc\n\ndddd", "a\nbb\nccc\ndddd\n", "one line"] {
            fs::write(&path, text).unwrap();
            let expected: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
            let size = text.len() as u64;
            for cut in 0..=size {
                let mut found = Vec::new();
                for (start, end) in [(0, cut), (cut, size)].into_iter().filter(|(start, end)| start < end) {
                    found.extend(read(&Piece::Range(path.clone(), start, end)).0);
                }
                assert_eq!(found, expected, "cut at {cut}");
            }
        }
    }

    #[test]
    fn packed_files_are_known_by_their_first_bytes_and_survive_a_cut() {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (0..200_000).map(|line| format!("line {line}\n")).collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        let gzip = gzip.finish().unwrap();
        let twice = [gzip.as_slice(), &gzip].concat();
        let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
        for (name, bytes, times) in [("a.ndjson", &twice, 2), ("b.txt", &zstd, 1)] {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            let (pieces, length) = pieces(&[path.display().to_string()]).unwrap();
            assert_eq!((pieces.len(), length), (1, Some(bytes.len() as u64)));
            let (found, ended) = read(&pieces[0]);
            assert_eq!((found.len(), ended.cut_off), (200_000 * times, false));
            assert_eq!(ended.bytes, (text.len() * times) as u64);
            fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
            let (found, ended) = read(&pieces[0]);
            assert!(ended.cut_off && found.len() < 200_000 * times, "{} {ended:?}", found.len());
            // What was unpacked before the cut counts, though it fills no buffer; the last line may be half of one.
            assert!(
                found
                    .iter()
                    .rev()
                    .skip(1)
                    .rev()
                    .enumerate()
                    .all(|(at, line)| *line == format!("line {}", at % 200_000))
            );
            fs::write(&path, &bytes[..bytes.len() / 8]).unwrap();
            assert!(read(&pieces[0]).0.len() > 1_000, "{name}");
        }
    }

    #[test]
    fn a_line_without_end_is_left_out_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        fs::write(&path, format!("a\n{}\nb\n", "x".repeat(3 * BUFFER))).unwrap();
        let (found, ended) = read(&Piece::Range(path.clone(), 0, fs::metadata(&path).unwrap().len()));
        assert_eq!((found, ended.too_long), (vec!["a".to_owned(), "b".to_owned()], 1));
    }

    #[test]
    fn folders_and_patterns_are_looked_through() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("day")).unwrap();
        for name in ["a.log", "day/b.log", ".hidden"] {
            fs::write(folder.path().join(name), "x\n").unwrap();
        }
        let at = |name: &str| folder.path().join(name).display().to_string();
        assert_eq!(pieces(&[at("")]).unwrap().0.len(), 2);
        assert_eq!(pieces(&[at("**/*.log")]).unwrap().0.len(), 2);
        for (log, said) in [("none.log", "found nothing of that name"), ("*.gz", "found none")] {
            let error = format!("{:#}", pieces(&[at(log)]).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }
}
