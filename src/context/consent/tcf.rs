//! The core segment of an IAB TCF consent string, as far as the purposes (IAB Europe, Transparency & Consent
//! Framework, "Consent string and vendor list formats v2", "The core string").

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes of a string that is read at all. The core segment of a real one, with every vendor, stays below 2,000.
const LONGEST: usize = 4096;
/// Bits before `PurposesConsent`: version 6, created 36, updated 36, CMP id 12, CMP version 12, screen 6, language
/// 12, vendor list version 12, policy version 6, service-specific 1, non-standard texts 1, special features 12.
const PURPOSES_AT: usize = 152;
/// Bits before the vendor section: after the purposes come 24 of legitimate interest, 1 of purpose-one treatment, 12
/// of the publisher's country.
const CORE_BITS: usize = PURPOSES_AT + 24 + 24 + 1 + 12;
/// The only version of the format in use; version 1 ended in 2020.
const VERSION: u8 = 2;

/// The purposes a visitor consents to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purposes(u32);

impl Purposes {
    /// The purposes of 24 bits, of which the highest is purpose 1.
    pub(super) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Whether purpose `number` (1 to 24) is consented to.
    #[must_use]
    pub fn contains(self, number: u8) -> bool {
        (1..=24).contains(&number) && (self.0 >> (24 - u32::from(number))) & 1 == 1
    }
}

/// Why a string is no TCF version 2 string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcfError {
    /// Longer than a TCF string can be.
    TooLong,
    /// Not base64url without padding.
    NotBase64,
    /// Another version than 2.
    Version,
    /// It ends before the purposes do.
    TooShort,
}

/// The purposes consented to in the core segment, the part before the first dot.
///
/// # Errors
///
/// The text is no TCF version 2 string.
pub fn purposes(text: &[u8]) -> Result<Purposes, TcfError> {
    if text.len() > LONGEST {
        return Err(TcfError::TooLong);
    }
    let core = text.split(|byte| *byte == b'.').next().unwrap_or_default();
    // The purposes end at bit 176 of 213: the head of the segment is enough, and the bits of its last character that
    // fill up an octet need not be zero there.
    let needed = CORE_BITS.div_ceil(24) * 4;
    let head = core.get(..needed).unwrap_or(core);
    let bytes = URL_SAFE_NO_PAD.decode(head).map_err(|_| TcfError::NotBase64)?;
    if !core.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return Err(TcfError::NotBase64);
    }
    if bytes.first().map(|byte| byte >> 2) != Some(VERSION) {
        return Err(TcfError::Version);
    }
    if bytes.len() * 8 < CORE_BITS {
        return Err(TcfError::TooShort);
    }
    match bytes.get(PURPOSES_AT / 8..PURPOSES_AT / 8 + 3) {
        Some([a, b, c]) => Ok(Purposes(u32::from(*a) << 16 | u32::from(*b) << 8 | u32::from(*c))),
        _ => Err(TcfError::TooShort),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAAAAAgAQBAAAAAAAGBAAgAAAAAAAFAAECAAAgAAQARAEQAAAAAJAAIAAgAAAYQEAAAQmAgBC3ZAYzUw";

    fn listed(text: &str) -> Result<Vec<u8>, TcfError> {
        purposes(text.as_bytes()).map(|found| (0..=30).filter(|n| found.contains(*n)).collect())
    }

    /// A core segment with exactly these purposes.
    fn with(consented: &[u8]) -> String {
        let mut bits = vec![false; 230];
        bits[4] = true;
        for purpose in consented {
            bits[PURPOSES_AT + usize::from(*purpose) - 1] = true;
        }
        bits.resize(232, false);
        let bytes: Vec<u8> =
            bits.chunks(8).map(|octet| octet.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    #[test]
    fn the_purposes_of_the_published_example_come_out() {
        assert_eq!(listed(EXAMPLE), Ok(vec![1, 2, 3]));
    }

    #[test]
    fn every_purpose_is_found_at_its_bit() {
        assert_eq!(listed(&with(&[])), Ok(vec![]));
        for purpose in 1..=24 {
            assert_eq!(listed(&with(&[purpose])), Ok(vec![purpose]));
        }
    }

    #[test]
    fn what_is_not_a_version_2_string_is_an_error() {
        assert_eq!(listed(""), Err(TcfError::Version));
        assert_eq!(listed("BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA"), Err(TcfError::Version), "version 1");
        assert_eq!(listed("C***"), Err(TcfError::NotBase64));
        assert_eq!(listed(&"C".repeat(5000)), Err(TcfError::TooLong));
        let core = EXAMPLE.split('.').next().unwrap();
        for length in 1..35 {
            assert!(listed(&core[..length]).is_err(), "{length}");
        }
        assert!(purposes(b"C\xff\xfe").is_err());
    }
}
