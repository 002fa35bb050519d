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

/// Keys that count at once, while they are rotated.
const MOST_KEYS: usize = 8;

/// The texts of a stored secret: a JSON array of texts, or texts with white space or commas between them. Empty ones are left out, and so is
/// what comes after the first eight.
pub fn texts(stored: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(stored).unwrap_or_default().trim_ascii();
    let texts: Vec<String> = if text.starts_with('[') {
        serde_json::from_str(text).unwrap_or_default()
    } else {
        text.split(|letter: char| letter.is_ascii_whitespace() || letter == ',').map(str::to_owned).collect()
    };
    texts.into_iter().filter(|text| !text.is_empty()).take(MOST_KEYS).collect()
}

/// The keys of a stored secret, the one to sign with first. What is too short is left out.
#[must_use]
pub fn keys(stored: &[u8]) -> Vec<MacKey> {
    texts(stored).iter().filter_map(|text| MacKey::new(text.as_bytes())).collect()
}

/// Secrets that a peer shows as they are, several while they are rotated. Their tags are kept, not they.
#[derive(Default)]
pub struct Passwords(Vec<[u8; 32]>);

impl Passwords {
    /// The secrets in a stored one, as [`keys`] reads it; those below [`SHORTEST_KEY`] bytes are left out.
    #[must_use]
    pub fn parse(stored: &[u8]) -> Self {
        let long = |text: &String| text.len() >= SHORTEST_KEY;
        Self(
            texts(stored)
                .iter()
                .filter(|text| long(text))
                .filter_map(|text| Some(own_key()?.tag(&[text.as_bytes()])))
                .collect(),
        )
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `shown` is one of them. It takes the same time wherever they differ, and whichever it is.
    #[must_use]
    pub fn have(&self, shown: &[u8]) -> bool {
        let Some(key) = own_key() else { return false };
        self.0.iter().fold(false, |known, tag| known | key.verify(&[shown], tag))
    }
}

/// Tags are compared where texts of different length could not be without telling it.
fn own_key() -> Option<MacKey> {
    MacKey::new(b"edge-personalizer shown secret 1")
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords(…)")
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
    fn secrets_rotate_and_an_empty_entry_lets_nobody_in() {
        let (one, two) = ("a-secret-of-16-by", "another-secret-of-some-length");
        for stored in [
            format!("{one}\n{two}"),
            format!(" {one} , ,, {two} short"),
            format!("[\"{one}\", \"\", \"{two}\", \"short\"]"),
        ] {
            let known = Passwords::parse(stored.as_bytes());
            assert!(known.have(one.as_bytes()) && known.have(two.as_bytes()), "{stored}");
            for shown in
                ["", " ", ",", "short", "\"\"", &one[1..], &format!("{one} "), &format!("{one},{two}"), &stored]
            {
                assert!(!known.have(shown.as_bytes()), "{shown} of {stored}");
            }
            assert_eq!(keys(stored.as_bytes()).len(), 2);
        }
        for stored in ["", " ", ",", "[]", "[\"\"]", "{}", "[1]", "[", "\u{fe}"] {
            assert!(Passwords::parse(stored.as_bytes()).is_empty() && keys(stored.as_bytes()).is_empty(), "{stored}");
        }
        assert!(Passwords::parse(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").is_empty());
    }

    #[test]
    fn a_short_key_is_none_and_no_key_prints() {
        assert!(MacKey::new(b"").is_none());
        assert!(MacKey::new(&[1; 15]).is_none());
        let key = MacKey::new(b"correct horse battery").unwrap();
        assert!(!format!("{key:?}").contains("horse"));
    }
}
