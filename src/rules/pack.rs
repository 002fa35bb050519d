//! A rule set as one value of the KV store: for sets too large for the config store.
//!
//! A cold request among a thousand routes and a thousand features needs some three routes and a handful of features. As JSON the value
//! would have to be scanned to its end before the first of them is known: half a megabyte is some milliseconds in wasm, several times
//! what the rest of the request takes. So the value is a table of offsets in front of the JSON texts, sorted as they are looked up:
//! routes by the literal start of their path (its anchor), features by key. Finding one is a binary search over bytes that are
//! already there; nothing is parsed, copied or allocated but the routes that can match. The small dictionaries lie beside them as
//! whole texts, since every request needs their settings and regions.
//!
//! ```text
//! "EPRULES1"                           8 bytes
//! counts: routes, anchors, features, dictionaries      u32 each, little-endian as all numbers here
//! routes        (text, path)           in the order of the list; text, path, name and key are offset and length, u32 each
//! anchors       (name, first, count)   sorted by name; `first` and `count` point into the next table
//! filed         u32                    routes by anchor, each anchor's in the order of the list
//! features      (key, text)            sorted by key
//! dictionaries  (name, text)
//! the bytes that all of these point into
//! ```
//!
//! Every offset is checked when it is followed: bytes from elsewhere give `None`, never a panic.

#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "tools"))]
mod write;

#[cfg(any(test, feature = "tools"))]
pub use write::write;

use crate::growthbook::DefinitionSource;

/// The first bytes; the digit is the layout's version.
const MAGIC: &[u8; 8] = b"EPRULES1";
/// Bytes of a number.
const WORD: usize = 4;
/// Bytes of a row of two texts.
const ROW: usize = 4 * WORD;
/// Bytes in front of the tables: magic and counts.
const HEAD: usize = MAGIC.len() + 4 * WORD;

/// A pack, as it was read. Nothing of it has been parsed.
#[derive(Debug)]
pub struct Pack {
    bytes: Vec<u8>,
    routes: Table,
    anchors: Table,
    filed: Table,
    features: Table,
    dictionaries: Table,
}

/// Rows of one size.
#[derive(Debug, Clone, Copy)]
struct Table {
    start: usize,
    rows: usize,
}

impl Pack {
    /// Takes the value of a KV store.
    ///
    /// # Errors
    ///
    /// "expected …, but found …": the bytes are no pack of this version, or end before their tables do.
    pub fn read(bytes: Vec<u8>) -> Result<Self, String> {
        if !bytes.starts_with(MAGIC) {
            let found = bytes.get(..MAGIC.len()).unwrap_or(&bytes).escape_ascii().to_string();
            return Err(format!("expected a rule set that starts with EPRULES1, but found '{found}'"));
        }
        let count = |index: usize| word(&bytes, MAGIC.len() + index * WORD);
        let counts = || Some((count(0)?, count(1)?, count(2)?, count(3)?));
        let too_short = || format!("expected the rule set's tables, but found only {} bytes", bytes.len());
        let (routes, anchors, features, dictionaries) = counts().ok_or_else(too_short)?;
        let mut start = HEAD;
        let mut table = |rows: usize, size: usize| {
            let table = Table { start, rows };
            start = rows.checked_mul(size).and_then(|length| start.checked_add(length))?;
            (start <= bytes.len()).then_some(table)
        };
        let mut tables = || {
            Some([
                table(routes, ROW)?,
                table(anchors, ROW)?,
                table(routes, WORD)?,
                table(features, ROW)?,
                table(dictionaries, ROW)?,
            ])
        };
        let [routes, anchors, filed, features, dictionaries] = tables().ok_or_else(too_short)?;
        Ok(Self { bytes, routes, anchors, filed, features, dictionaries })
    }

    /// The JSON text and the path of a route, by its place in the list.
    pub fn route(&self, index: usize) -> Option<(&str, &str)> {
        let row = self.routes.row(index, ROW)?;
        Some((self.text(row)?, self.text(row + 2 * WORD)?))
    }

    /// How many routes there are.
    pub fn routes(&self) -> usize {
        self.routes.rows
    }

    /// The places of the routes whose path starts with exactly these literal segments.
    pub fn filed_under(&self, anchor: &str) -> impl Iterator<Item = usize> {
        let row = self.row_of(self.anchors, anchor);
        let range = row.and_then(|row| Some((self.word(row + 2 * WORD)?, self.word(row + 3 * WORD)?)));
        let (first, count) = range.unwrap_or_default();
        // A count beyond the table would only be slow; there are no more routes than this.
        (first..first.saturating_add(count.min(self.filed.rows)))
            .map_while(|index| self.word(self.filed.row(index, WORD)?))
    }

    /// The literal segments that paths of routes start with, each once.
    pub fn anchors(&self) -> impl Iterator<Item = &str> {
        (0..self.anchors.rows).filter_map(|index| self.text(self.anchors.row(index, ROW)?))
    }

    /// The whole text of a dictionary other than `routes`; of `features`, what stands beside the features.
    pub fn dictionary(&self, name: &str) -> Option<&str> {
        let rows = (0..self.dictionaries.rows).filter_map(|index| self.dictionaries.row(index, ROW));
        let row = rows.into_iter().find(|row| self.text(*row) == Some(name))?;
        self.text(row + 2 * WORD)
    }

    /// The row of a table sorted by its first text.
    fn row_of(&self, table: Table, name: &str) -> Option<usize> {
        Some(table.start + self.place_of(table, name)? * ROW)
    }

    /// The place of a name in a table sorted by its first text.
    fn place_of(&self, table: Table, name: &str) -> Option<usize> {
        let (mut low, mut high) = (0, table.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            let row = table.row(middle, ROW)?;
            match self.slice(row)?.cmp(name.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    fn word(&self, at: usize) -> Option<usize> {
        word(&self.bytes, at)
    }

    fn slice(&self, at: usize) -> Option<&[u8]> {
        let offset = self.word(at)?;
        let end = offset.checked_add(self.word(at + WORD)?)?;
        self.bytes.get(offset..end)
    }

    fn text(&self, at: usize) -> Option<&str> {
        std::str::from_utf8(self.slice(at)?).ok()
    }
}

/// The features.
impl DefinitionSource for Pack {
    fn count(&self) -> usize {
        self.features.rows
    }

    fn find(&self, key: &str) -> Option<usize> {
        self.place_of(self.features, key)
    }

    fn entry(&self, place: usize) -> Option<(&str, &str)> {
        let row = self.features.row(place, ROW)?;
        Some((self.text(row)?, self.text(row + 2 * WORD)?))
    }
}

impl Table {
    fn row(self, index: usize, size: usize) -> Option<usize> {
        (index < self.rows).then(|| self.start + index * size)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at.checked_add(WORD)?)?;
    usize::try_from(u32::from_le_bytes(word.try_into().ok()?)).ok()
}
