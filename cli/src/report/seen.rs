//! Which lines have been read before: logs arrive at least once, and some twice.

use std::collections::HashSet;
use std::hash::Hasher as _;
use std::sync::{Mutex, PoisonError};

use fnv::{FnvBuildHasher, FnvHasher};

/// Readers seldom want the same part.
const PARTS: usize = 64;

/// Hashes of lines. The last so many are remembered: a line that comes again later than that counts twice.
#[derive(Debug)]
pub struct Seen {
    parts: Vec<Mutex<Part>>,
    most: usize,
}

#[derive(Debug, Default)]
struct Part {
    now: HashSet<u64, FnvBuildHasher>,
    before: HashSet<u64, FnvBuildHasher>,
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
        let part = usize::try_from(line % 64).ok().and_then(|part| self.parts.get(part));
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
    let mut hasher = FnvHasher::default();
    for part in parts {
        hasher.write(part);
        hasher.write_usize(part.len());
    }
    mixed(hasher.finish())
}

/// Spreads what FNV leaves in the low bits over all of them (the finish of MurmurHash3).
fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
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
