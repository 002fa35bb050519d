//! Which lines have been read before: logs arrive at least once, and some twice.

use std::hash::{BuildHasher as _, Hasher};
use std::sync::{Mutex, PoisonError};

use foldhash::quality::FixedState;

/// Maps whose keys are short texts and numbers. Fixed: two reports of the same lines do the same.
pub type Map<K, V> = std::collections::HashMap<K, V, foldhash::fast::FixedState>;

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
    now: Table,
    before: Table,
    forgot: bool,
}

/// Hashes, each as near as can be to the place that its low bits name (Knuth, The Art of Computer Programming, volume 3, algorithm 6.4L):
/// nearly each look at so many of them waits for memory, and here it waits once.
#[derive(Debug, Default)]
struct Table {
    /// A power of two of them; 0 where there is none.
    slots: Vec<u64>,
    used: usize,
}

impl Table {
    /// The place of a hash, or the empty one where it would be; `None` where there are no places.
    fn find(&self, line: u64) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = usize::try_from(line & u64::try_from(mask).ok()?).ok()?;
        loop {
            let slot = *self.slots.get(at)?;
            if slot == line || slot == 0 {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    fn contains(&self, line: u64) -> bool {
        self.find(line).and_then(|at| self.slots.get(at)).is_some_and(|slot| *slot == line)
    }

    /// Whether the hash is new.
    fn insert(&mut self, line: u64) -> bool {
        // Five eighths full at most: there is always an end to a search, and it is near.
        if self.used >= self.slots.len() / 8 * 5 {
            let more = vec![0; (self.slots.len() * 2).max(64)];
            self.used = 0;
            for line in std::mem::replace(&mut self.slots, more).into_iter().filter(|line| *line != 0) {
                self.insert(line);
            }
        }
        match self.find(line).and_then(|at| self.slots.get_mut(at)) {
            Some(slot) if *slot == 0 => {
                *slot = line;
                self.used += 1;
                true
            }
            _ => false,
        }
    }
}

impl Part {
    /// Whether this line is new to this part, which keeps at least `most`.
    fn is_new(&mut self, line: u64, most: usize) -> bool {
        // Nought marks an empty place.
        let line = line.max(1);
        if self.before.contains(line) || !self.now.insert(line) {
            return false;
        }
        if self.now.used >= most {
            self.forgot |= self.before.used > 0;
            self.before = std::mem::take(&mut self.now);
        }
        true
    }
}

impl Seen {
    /// Remembers at least `most` lines.
    pub fn new(most: usize) -> Self {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Self { parts, most: (most / PARTS).max(1) }
    }

    /// Whether this line is new.
    pub fn is_new(&self, line: u64) -> bool {
        let part = place(line).and_then(|part| self.parts.get(part));
        part.is_none_or(|part| part.lock().unwrap_or_else(PoisonError::into_inner).is_new(line, self.most))
    }

    /// The same for one who reads alone: nothing is locked.
    pub fn is_new_alone(&mut self, line: u64) -> bool {
        let part = place(line).and_then(|part| self.parts.get_mut(part));
        part.is_none_or(|part| part.get_mut().unwrap_or_else(PoisonError::into_inner).is_new(line, self.most))
    }

    /// Whether any was forgotten.
    pub fn forgot(&self) -> bool {
        self.parts.iter().any(|part| part.lock().unwrap_or_else(PoisonError::into_inner).forgot)
    }
}

/// The part that remembers a line. The table's places go by other bits.
fn place(line: u64) -> Option<usize> {
    usize::try_from(line >> 32 & 63).ok()
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
        let mut seen = Seen::new(64 * 100);
        let lines: Vec<u64> = (0..2_000_u32).map(|line| hash(&[&line.to_be_bytes()])).collect();
        assert!(lines.iter().all(|line| seen.is_new(*line)));
        assert!(lines.iter().all(|line| !seen.is_new(*line)));
        assert!(lines.iter().all(|line| !seen.is_new_alone(*line)));
        assert!(!seen.forgot());
        assert!((0..50_000_u32).all(|line| seen.is_new(hash(&[b"other", &line.to_be_bytes()]))));
        assert!(seen.forgot());
    }

    #[test]
    fn where_one_text_ends_counts() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }
}
