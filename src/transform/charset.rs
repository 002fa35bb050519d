//! In which encodings a page can be rewritten.

use lol_html::AsciiCompatibleEncoding;

/// The encoding of a page that can be rewritten: ASCII means itself in it (HTML syntax is found bytewise).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset {
    pub(super) encoding: AsciiCompatibleEncoding,
    /// Nobody said: a `<meta charset>` may still.
    pub(super) undeclared: bool,
}

impl Charset {
    /// UTF-8, as declared.
    pub fn utf_8() -> Self {
        Self { encoding: AsciiCompatibleEncoding::utf_8(), undeclared: false }
    }

    /// From the `charset` parameter of a `Content-Type`, if there is one. An encoding label is read as the Encoding
    /// Standard says ("get an encoding"). `None` where the page can't be rewritten: UTF-16, ISO-2022-JP, unknown labels.
    pub fn from_label(label: Option<&str>) -> Option<Self> {
        let Some(label) = label else {
            return Some(Self { encoding: AsciiCompatibleEncoding::utf_8(), undeclared: true });
        };
        let encoding = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes())?;
        Some(Self { encoding: AsciiCompatibleEncoding::new(encoding)?, undeclared: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ascii_compatible_pages_can_be_rewritten() {
        for label in [None, Some("utf-8"), Some("UTF8"), Some("windows-1252"), Some("shift_jis"), Some("iso-8859-1")] {
            assert!(Charset::from_label(label).is_some(), "{label:?}");
        }
        for label in ["utf-16", "utf-16le", "utf-16be", "iso-2022-jp", "utf-7", "klingon", ""] {
            assert_eq!(Charset::from_label(Some(label)), None, "{label:?}");
        }
    }
}
