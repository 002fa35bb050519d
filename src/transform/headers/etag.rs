//! `ETag`s of rewritten answers: the origin's, and what it was rewritten with.

use base16ct::lower::encode_string as hex;
use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

/// Starts every `ETag` made here: an origin's own that looks like it would have to be meant.
const PREFIX: &str = "ep1";
/// Longest `ETag` of an origin that is carried on; a longer one is dropped.
const MAX_ORIGIN: usize = 512;

/// What a body was rewritten with: the variant and the plan. Two answers of one version and one origin `ETag` mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// A version from all that shapes the body: the variant's parts, a plan's
    /// [`fingerprint`](crate::transform::html::HtmlPlan::fingerprint), the rule set's revision. Order counts.
    pub fn new<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // Length first: no two lists of parts give the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        // 96 bits: an equal pair would be a wrong 304, and nobody outside chooses the parts.
        Self(hash.finalize().first_chunk::<12>().map(|short| hex(short)).unwrap_or_default())
    }

    /// Puts this version's `ETag` in the place of the origin's (RFC 9110 section 8.8.3).
    pub(super) fn derive(&self, headers: &mut HeaderMap) {
        let derived = headers.remove(header::ETAG).as_ref().and_then(|value| self.derived(value.as_bytes()));
        if let Some(value) = derived {
            headers.insert(header::ETAG, value);
        }
    }

    /// Gives the origin its own `ETag`s back in `If-None-Match`. Others go: of another version, of the origin itself
    /// (the client has that from before the page was personalized), and `*`, which any version would satisfy.
    pub(super) fn translate(&self, headers: &mut HeaderMap) {
        let lines = headers.get_all(header::IF_NONE_MATCH);
        let ours: Vec<Vec<u8>> =
            lines.iter().flat_map(|line| tags(line.as_bytes())).filter_map(|tag| self.original(tag)).collect();
        headers.remove(header::IF_NONE_MATCH);
        if let Ok(value) = HeaderValue::from_bytes(&ours.join(&b", "[..]))
            && !ours.is_empty()
        {
            headers.insert(header::IF_NONE_MATCH, value);
        }
    }

    /// The same for `If-Match`. Where none of the client's is of this version, the field stays as it is: nothing then matches, and
    /// the origin refuses the change (RFC 9110 section 13.1.1).
    pub(super) fn translate_match(&self, headers: &mut HeaderMap) {
        let lines = headers.get_all(header::IF_MATCH);
        let ours: Vec<Vec<u8>> =
            lines.iter().flat_map(|line| tags(line.as_bytes())).filter_map(|tag| self.original(tag)).collect();
        if let Ok(value) = HeaderValue::from_bytes(&ours.join(&b", "[..]))
            && !ours.is_empty()
        {
            headers.insert(header::IF_MATCH, value);
        }
    }

    /// `W/"opaque"` → `W/"ep1-<version>-w-opaque"`.
    fn derived(&self, origin: &[u8]) -> Option<HeaderValue> {
        let origin = origin.trim_ascii();
        let (strength, quoted) = match origin.strip_prefix(b"W/") {
            Some(rest) => ("w", rest),
            None => ("s", origin),
        };
        let opaque = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        if opaque.len() > MAX_ORIGIN || !opaque.iter().all(|b| is_etagc(*b)) {
            return None;
        }
        let mut value = format!("W/\"{PREFIX}-{}-{strength}-", self.0).into_bytes();
        value.extend_from_slice(opaque);
        value.push(b'"');
        HeaderValue::from_bytes(&value).ok()
    }

    /// The origin's `ETag` in one of this version; `None` for any other. `tag` is the opaque part.
    fn original(&self, tag: &[u8]) -> Option<Vec<u8>> {
        let rest = tag.strip_prefix(format!("{PREFIX}-{}-", self.0).as_bytes())?;
        let (start, opaque) = match rest.split_at_checked(2)? {
            (b"w-", opaque) => (&b"W/\""[..], opaque),
            (b"s-", opaque) => (&b"\""[..], opaque),
            _ => return None,
        };
        Some([start, opaque, b"\""].concat())
    }
}

/// The opaque parts of a list of entity tags, weak or not: `If-None-Match` compares weakly (RFC 9110 section 13.1.2).
/// A list that isn't one ends there.
fn tags(mut list: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        while let Some((b' ' | b'\t' | b',', rest)) = list.split_first() {
            list = rest;
        }
        let quoted = list.strip_prefix(b"W/").unwrap_or(list).strip_prefix(b"\"")?;
        let end = quoted.iter().position(|b| *b == b'"')?;
        let (tag, rest) = quoted.split_at_checked(end)?;
        list = rest.get(1..).unwrap_or_default();
        tag.iter().all(|b| is_etagc(*b)).then_some(tag)
    })
}

/// `etagc` (RFC 9110 section 8.8.3): any visible character but the quote, and bytes above ASCII.
fn is_etagc(b: u8) -> bool {
    matches!(b, 0x21 | 0x23..=0x7e | 0x80..=0xff)
}
