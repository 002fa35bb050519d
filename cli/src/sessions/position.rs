//! How far the edge has taken an input: a small file, replaced as a whole.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use edge_personalizer::rules::manifest::digest;
use serde::{Deserialize, Serialize};

use super::input::{Input, Line};

/// What the file holds. Nothing of anybody's session: a digest tells whether the input is still the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    /// The last line that the edge has decided on, from 1.
    line: u64,
    /// Of that line.
    digest: String,
}

/// A position that outlives the program.
#[derive(Debug)]
pub struct Position {
    path: PathBuf,
}

impl Position {
    /// The file need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Reads on to where the last run ended; gives that line, or `None` at the start of an input.
    ///
    /// # Errors
    ///
    /// The file can't be read, or the input is another one.
    pub fn skip(&self, input: &mut Input) -> anyhow::Result<Option<Line>> {
        let place = self.path.display();
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{place}: can't be read")),
        };
        let stored: Stored = serde_json::from_str(&text)
            .with_context(|| format!("{place}: expected what --resume has written, but found something else"))?;
        while let Some(line) = input.line()? {
            if line.number == stored.line && of(&line) == stored.digest {
                return Ok(Some(line));
            }
            if line.number >= stored.line {
                break;
            }
        }
        bail!(
            "{place}: expected the input of which {} lines were taken, but found another one: remove the file to start anew \
             (updates may be sent again)",
            stored.line
        )
    }

    /// Notes that the edge has decided on every line up to this one.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub fn save(&self, line: &Line) -> anyhow::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let text = serde_json::to_string(&Stored { line: line.number, digest: of(line) })?;
        let write = || -> anyhow::Result<()> {
            // Beside it and renamed: half a position would be no position.
            let mut beside = tempfile::NamedTempFile::new_in(folder)?;
            beside.write_all(text.as_bytes())?;
            beside.as_file().sync_all()?;
            beside.persist(&self.path)?;
            Ok(())
        };
        write().with_context(|| format!("{}: can't be written", self.path.display()))
    }
}

fn of(line: &Line) -> String {
    digest(line.text.as_deref().unwrap_or_else(|reason| reason))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn input(text: &'static str) -> Input {
        Input::start(Cursor::new(text), 100)
    }

    #[test]
    fn a_run_goes_on_after_the_last_line_that_was_taken() {
        let folder = tempfile::tempdir().unwrap();
        let position = Position::new(folder.path().join("state"));
        let mut first = input("1\n\n3\n4\n");
        assert_eq!(position.skip(&mut first).unwrap(), None);
        first.line().unwrap();
        position.save(&first.line().unwrap().unwrap()).unwrap();

        let mut second = input("1\n\n3\n4\n");
        assert_eq!(position.skip(&mut second).unwrap().map(|line| line.number), Some(3));
        assert_eq!(second.line().unwrap().unwrap().number, 4);
    }

    #[test]
    fn another_input_is_not_resumed() {
        let folder = tempfile::tempdir().unwrap();
        let position = Position::new(folder.path().join("state"));
        let mut first = input("1\n2\n");
        first.line().unwrap();
        position.save(&first.line().unwrap().unwrap()).unwrap();
        for other in ["1\nx\n3\n", "1\n", "", "1\n\n2\n"] {
            assert!(position.skip(&mut input(other)).is_err(), "{other:?}");
        }
        fs::write(folder.path().join("state"), "{").unwrap();
        assert!(position.skip(&mut input("1\n2\n")).is_err());
    }
}
