//! Which lines have been read before: logs arrive at least once, and some twice.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

use foldhash::quality::FixedState;

/// Maps whose keys are short texts and numbers. Fixed: two reports of the same lines do the same.
pub type Map<K, V> = std::collections::HashMap<K, V, foldhash::fast::FixedState>;

/// Readers seldom want the same part.
const PARTS: usize = 64;

/// For keys that are hashes themselves.
#[derive(Debug, Default, Clone, Copy)]
pub struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(&[bytes]);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Hashes of lines. The last so many are remembered: a line that comes again later than that counts twice.
#[derive(Debug)]
pub struct Seen {
    parts: Vec<Mutex<Part>>,
    most: usize,
}

#[derive(Debug, Default)]
struct Part {
    now: HashSet<u64, BuildHasherDefault<Itself>>,
    before: HashSet<u64, BuildHasherDefault<Itself>>,
    forgot: bool,
}

impl Seen {
    /// Remembers at least `most` lines.
    pub fn new(most: usize) -> Self {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Self { parts, most: (most / PARTS).max(1) }
    }

    /// Whether this line is new.
    pub fn is_new(&self, line: u64) -> bool {
        // The low bits choose the place within a part, the highest ones are its tag.
        let part = usize::try_from(line >> 32 & 63).ok().and_then(|part| self.parts.get(part));
        let Some(part) = part else { return true };
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        if part.before.contains(&line) || !part.now.insert(line) {
            return false;
        }
        if part.now.len() >= self.most {
            part.forgot |= !part.before.is_empty();
            part.before = std::mem::take(&mut part.now);
        }
        true
    }

    /// Whether any was forgotten.
    pub fn forgot(&self) -> bool {
        self.parts.iter().any(|part| part.lock().unwrap_or_else(PoisonError::into_inner).forgot)
    }
}

/// A hash of several texts, the same in every run. Lengths count too: `ab`, `c` isn't `a`, `bc`.
pub fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    for part in parts {
        hasher.write(part);
        hasher.write_usize(part.len());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_new_once_as_long_as_it_is_remembered() {
        let seen = Seen::new(64 * 100);
        let lines: Vec<u64> = (0..2_000_u32).map(|line| hash(&[&line.to_be_bytes()])).collect();
        assert!(lines.iter().all(|line| seen.is_new(*line)));
        assert!(lines.iter().all(|line| !seen.is_new(*line)));
        assert!(!seen.forgot());
        assert!((0..50_000_u32).all(|line| seen.is_new(hash(&[b"other", &line.to_be_bytes()]))));
        assert!(seen.forgot());
    }

    #[test]
    fn where_one_text_ends_counts() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }
}
