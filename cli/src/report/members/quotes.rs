//! Where the strings of a line begin and end: all its quotes, found sixteen bytes at a time before anything is read.

use wide::u8x16;

/// Bytes to a word of [`Quotes`].
const BLOCK: usize = 64;

/// The quotes that no backslash stands before, one bit for each byte of a text (Langdale and Lemire, "Parsing gigabytes of JSON per
/// second", section 3.1.1).
#[derive(Debug, Default)]
pub struct Quotes(Vec<u64>);

impl Quotes {
    /// Looks for the quotes of this text, and forgets those of another. `None` where it is no UTF-8, or has control characters of those that
    /// JSON doesn't allow in a text (RFC 8259, section 7).
    pub fn of<'l>(&mut self, line: &'l [u8]) -> Option<&'l str> {
        let text = std::str::from_utf8(line).ok()?;
        self.0.clear();
        let (blocks, rest) = line.as_chunks::<BLOCK>();
        let mut last = [b' '; BLOCK];
        last.iter_mut().zip(rest).for_each(|(last, byte)| *last = *byte);
        let (mut controls, mut is_escaped) = (u8x16::splat(0), false);
        for block in blocks.iter().chain([&last]) {
            let found = Found::of(block, &mut controls);
            let escaped = if found.backslashes == 0 { u64::from(is_escaped) } else { found.escaped(is_escaped) };
            is_escaped = found.backslashes & !escaped & LAST != 0;
            self.0.push(found.quotes & !escaped);
        }
        (!controls.any()).then_some(text)
    }

    /// The place behind the string whose first quote stands at `open`.
    #[inline]
    pub fn behind(&self, open: usize) -> Option<usize> {
        let from = open + 1;
        let mut word = from / BLOCK;
        let mut bits = self.0.get(word)? & u64::MAX << (from % BLOCK);
        while bits == 0 {
            word += 1;
            bits = *self.0.get(word)?;
        }
        // At most 63.
        Some(word * BLOCK + bits.trailing_zeros() as usize + 1)
    }
}

/// The last byte of a block.
const LAST: u64 = 1 << (BLOCK - 1);

/// What stands in a block, one bit for each byte.
struct Found {
    quotes: u64,
    backslashes: u64,
}

impl Found {
    #[inline]
    fn of(block: &[u8; BLOCK], controls: &mut u8x16) -> Self {
        let mut found = Self { quotes: 0, backslashes: 0 };
        let (parts, _) = block.as_chunks::<16>();
        for part in parts.iter().rev() {
            let part = u8x16::new(*part);
            let bits = |byte| u64::from(part.simd_eq(u8x16::splat(byte)).to_bitmask());
            found.quotes = found.quotes << 16 | bits(b'"');
            found.backslashes = found.backslashes << 16 | bits(b'\\');
            *controls |= part.min(u8x16::splat(b' ' - 1)).simd_eq(part);
        }
        found
    }

    /// The bytes that a backslash stands before which has none before it itself. `first`: the first byte is one.
    fn escaped(&self, first: bool) -> u64 {
        let mut escaped = u64::from(first);
        let mut left = self.backslashes & !escaped;
        while left != 0 {
            let next = (left & left.wrapping_neg()) << 1;
            escaped |= next;
            // This one, and the next where it is one: it escapes nothing.
            left &= (left - 1) & !next;
        }
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, byte by byte.
    fn quotes(line: &[u8]) -> Vec<usize> {
        let mut is_escaped = false;
        let mut found = Vec::new();
        for (at, byte) in line.iter().enumerate() {
            if *byte == b'"' && !is_escaped {
                found.push(at);
            }
            is_escaped = *byte == b'\\' && !is_escaped;
        }
        found
    }

    #[test]
    fn quotes_are_found_where_they_stand_and_unless_they_are_escaped() {
        let mut state = 11_u64;
        let mut all = Quotes::default();
        for round in 0..4_000_usize {
            let mut random = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state >> 33
            };
            // Some lines have many backslashes in a row, some none.
            let kinds: &[u8] = if round % 3 == 0 { b"a \"" } else { b"\\\\\\\"a" };
            let line: Vec<u8> = (0..round % 200).map(|_| kinds[random() as usize % kinds.len()]).collect();
            assert!(all.of(&line).is_some());
            let mut found = Vec::new();
            // The place before the first byte can't be asked for.
            if line.first() == Some(&b'"') {
                found.push(0);
            }
            let mut at = 0;
            while let Some(next) = all.behind(at) {
                at = next - 1;
                found.push(at);
            }
            assert_eq!(found, quotes(&line), "{}", String::from_utf8_lossy(&line));
        }
    }

    #[test]
    fn a_line_with_control_characters_is_none() {
        let mut all = Quotes::default();
        for place in [0, 15, 16, 63, 64, 70] {
            for control in 0..b' ' {
                let mut line = [b'x'; 71];
                line[place] = control;
                assert!(all.of(&line).is_none(), "{place} {control}");
            }
        }
        assert!(all.of("\u{7f} é€\u{80}".as_bytes()).is_some());
        assert!(all.of(b"\xff").is_none());
        assert_eq!(all.of(b""), Some(""));
    }
}
