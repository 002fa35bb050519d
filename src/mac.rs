//! HMAC-SHA256 (RFC 2104, FIPS 180-4): keys that never print, and comparison in constant time.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of the shortest key accepted: NIST SP 800-107 revision 1, section 5.3.4, asks for 112 bits; the next power
/// of two is easier to remember.
pub const SHORTEST_KEY: usize = 16;

/// A key, ready to use. The bytes it was made from are not kept.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// A key from its bytes; `None` where there are fewer than [`SHORTEST_KEY`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < SHORTEST_KEY {
            return None;
        }
        Hmac::new_from_slice(bytes).ok().map(Self)
    }

    /// The 32-byte tag over the concatenation of `parts`.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.over(parts).finalize().into_bytes().into()
    }

    /// Whether `tag` is the whole tag over the concatenation of `parts`; takes the same time wherever they differ.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.over(parts).verify_slice(tag).is_ok()
    }

    fn over(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_tag_comes_out() {
        // RFC 4231, test case 1.
        let key = MacKey::new(&[0x0b; 20]).unwrap();
        let tag = key.tag(&[b"Hi ", b"There"]);
        assert_eq!(
            base16ct::lower::encode_string(&tag),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert!(key.verify(&[b"Hi There"], &tag));
    }

    #[test]
    fn a_shortened_or_changed_tag_is_refused() {
        let key = MacKey::new(&[7; 32]).unwrap();
        let tag = key.tag(&[b"message"]);
        for length in 0..tag.len() {
            assert!(!key.verify(&[b"message"], &tag[..length]));
        }
        for bit in 0..256 {
            let mut flipped = tag;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify(&[b"message"], &flipped));
        }
    }

    #[test]
    fn a_short_key_is_none_and_no_key_prints() {
        assert!(MacKey::new(b"").is_none());
        assert!(MacKey::new(&[1; 15]).is_none());
        let key = MacKey::new(b"correct horse battery").unwrap();
        assert!(!format!("{key:?}").contains("horse"));
    }
}
