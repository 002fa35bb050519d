//! A string of IAB's Global Privacy Platform (IAB Tech Lab, "Global Privacy Platform, Consent String Specification" 1.0, and the
//! specifications of its sections), as far as it says yes or no.
//!
//! ```text
//! DBACNYA~CPSG_8A…~1YNN        header ~ section ~ section …; the header names the sections' ids in the same order
//! ```
//!
//! Of European and Canadian sections the purposes count, as in a TCF string. Of American ones the opt-outs count: of sale, of sharing, of
//! targeted advertising, and Global Privacy Control. A section in which a no may stand and that can't be read makes the whole string
//! unreadable.

use super::tcf::{self, Purposes};

/// Bytes of a string that is read at all: a cookie's length (6265bis, section 5.6).
const LONGEST: usize = 4096;
/// Sections that a string may have: all that exist, with room.
const MOST_SECTIONS: usize = 64;
/// Bits of the longest Fibonacci number that is read: 10,945 is the greatest.
const FIBONACCI_BITS: usize = 20;
/// The header's type and its version (section "Header Encoding").
const HEADER: (u32, u32) = (3, 1);
/// The Canadian section's version, and the bits before its purposes: version 6, created 36, updated 36, CMP 12 + 12, screen 6, language 12,
/// vendor list 12, policy 6, non-standard stacks 1, special features 12.
const CANADIAN: (u32, usize) = (1, 145);
/// Subsection type of Global Privacy Control.
const GPC: u32 = 1;

/// What a string says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Every section that asks for purposes has them, and there is one.
    Yes,
    /// A section has not what it takes, or an opt-out.
    No,
    /// Nothing: no section asks for purposes, and nobody opted out.
    Nothing,
}

/// Why a string can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GppError {
    /// Longer than a cookie can be.
    TooLong,
    /// The header is none of version 1.
    Header,
    /// The header names more or fewer sections than there are.
    Sections,
    /// The section of this id can't be read, or isn't known.
    Section(u32),
}

/// What the string `text` says, where a yes takes every one of `purposes` (1 to 24).
///
/// # Errors
///
/// The text is no GPP string, or a section of it can't be read.
pub fn read(text: &[u8], purposes: &[u8]) -> Result<Said, GppError> {
    if text.len() > LONGEST {
        return Err(GppError::TooLong);
    }
    let mut parts = text.split(|byte| *byte == b'~');
    let ids = section_ids(parts.next().unwrap_or_default()).ok_or(GppError::Header)?;
    let mut all = Said::Nothing;
    let mut unreadable = None;
    for id in ids {
        let section = parts.next().ok_or(GppError::Sections)?;
        match (all, said(id, section, purposes)) {
            (_, None) => unreadable = unreadable.or(Some(GppError::Section(id))),
            (_, Some(Said::No)) => all = Said::No,
            (Said::Nothing, Some(Said::Yes)) => all = Said::Yes,
            _ => {}
        }
    }
    match (all, unreadable) {
        _ if parts.next().is_some() => Err(GppError::Sections),
        // A no is one, whatever else stands there.
        (Said::No, _) | (_, None) => Ok(all),
        (_, Some(error)) => Err(error),
    }
}

/// The ids in a header: type 6 bits, version 6, then the number of ranges 12, and for each whether it is a group, the distance from the last
/// id, and for a group its length.
fn section_ids(header: &[u8]) -> Option<Vec<u32>> {
    let mut bits = Bits::of(header)?;
    if (bits.int(6)?, bits.int(6)?) != HEADER {
        return None;
    }
    let (mut ids, mut last) = (Vec::new(), 0_u32);
    for _ in 0..bits.int(12)? {
        let is_group = bits.bit()?;
        let first = last.checked_add(bits.fibonacci()?)?;
        last = if is_group { first.checked_add(bits.fibonacci()?)? } else { first };
        for id in first..=last {
            if ids.len() == MOST_SECTIONS {
                return None;
            }
            ids.push(id);
        }
    }
    Some(ids)
}

/// What one section says; `None` where it can't be read.
fn said(id: u32, section: &[u8], purposes: &[u8]) -> Option<Said> {
    let wanted = |found: Purposes| if purposes.iter().all(|p| found.contains(*p)) { Said::Yes } else { Said::No };
    match id {
        // TCF version 1 has been over since 2020; 3 and 4 are the string's own.
        1 | 3 | 4 => Some(Said::Nothing),
        2 => tcf::purposes(section).ok().map(wanted),
        5 => canadian(section).map(wanted),
        6 => match section {
            [b'1', _, b'Y' | b'y', _] => Some(Said::No),
            [b'1', _, b'N' | b'n' | b'-', _] => Some(Said::Nothing),
            _ => None,
        },
        // The notices before the opt-outs, and how many opt-outs there are: sale and sharing or targeted advertising; nationally, all three.
        7 => american(section, 2, 6, 3),
        11 | 18 => american(section, 1, 4, 2),
        8..=23 => american(section, 1, 3, 2),
        _ => None,
    }
}

/// The purposes with express or implied consent.
fn canadian(section: &[u8]) -> Option<Purposes> {
    let core = section.split(|byte| *byte == b'.').next()?;
    let mut bits = Bits::of(core)?;
    let (version, skipped) = CANADIAN;
    if bits.int(6)? != version {
        return None;
    }
    bits.skip(skipped);
    Some(Purposes::from_bits(bits.int(24)? | bits.int(24)?))
}

/// A section of the United States: version 6 bits, then fields of 2 bits, of which the opt-outs follow `notices`. 0 means not applicable, 1
/// opted out, 2 not opted out.
fn american(section: &[u8], newest: u32, notices: usize, opt_outs: usize) -> Option<Said> {
    let mut segments = section.split(|byte| *byte == b'.');
    let mut bits = Bits::of(segments.next()?)?;
    if !(1..=newest).contains(&bits.int(6)?) {
        return None;
    }
    bits.skip(notices * 2);
    let mut opted_out = false;
    for _ in 0..opt_outs {
        match bits.int(2)? {
            1 => opted_out = true,
            0 | 2 => {}
            _ => return None,
        }
    }
    for segment in segments {
        let mut bits = Bits::of(segment)?;
        opted_out |= bits.int(2)? == GPC && bits.bit()?;
    }
    Some(if opted_out { Said::No } else { Said::Nothing })
}

/// Six bits a character, in the alphabet of base64url, without padding.
#[derive(Debug, Clone, Copy)]
struct Bits<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    /// The bits of `text`; `None` where a character is none of the alphabet.
    fn of(text: &'a [u8]) -> Option<Self> {
        text.iter().all(|byte| sextet(*byte).is_some()).then_some(Self { text, at: 0 })
    }

    fn skip(&mut self, bits: usize) {
        self.at = self.at.saturating_add(bits);
    }

    fn bit(&mut self) -> Option<bool> {
        let sextet = self.text.get(self.at / 6).copied().and_then(sextet)?;
        let bit = sextet >> (5 - self.at % 6) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// An unsigned number of at most 32 bits, the highest first.
    fn int(&mut self, width: usize) -> Option<u32> {
        (0..width).try_fold(0, |number: u32, _| Some(number << 1 | u32::from(self.bit()?)))
    }

    /// A number in Fibonacci coding: the bits of 1, 2, 3, 5, 8, …, and a second 1 at the end.
    fn fibonacci(&mut self) -> Option<u32> {
        let (mut here, mut next, mut sum, mut before) = (1_u32, 2_u32, 0_u32, false);
        for _ in 0..FIBONACCI_BITS {
            let bit = self.bit()?;
            if bit && before {
                return Some(sum);
            }
            sum += if bit { here } else { 0 };
            (here, next, before) = (next, here + next, bit);
        }
        None
    }
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
