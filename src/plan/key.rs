//! The cache key: SHA-256 over the canonical backend request, each part length-prefixed (design.md section 4).
//!
//! FNV would be faster, and a visitor could build a collision.

use http::HeaderMap;
use sha2::{Digest, Sha256};

/// Changes when the canonical form does, so that old and new objects never meet.
const VERSION: &[u8] = b"edge-personalizer/1";

/// SHA-256 over `parts`, each with its length in front: no two lists of parts give the same bytes.
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    sha.finalize().into()
}

/// What a shared request sends, trace headers aside.
#[derive(Debug)]
pub struct Canonical<'a> {
    /// The backend's name.
    pub backend: &'a str,
    /// The method.
    pub method: &'a str,
    /// Scheme, host, path and query.
    pub url: &'a str,
    /// Exactly the headers that are sent.
    pub headers: &'a HeaderMap,
}

impl Canonical<'_> {
    /// The key. The order in which different headers were added doesn't matter; the order of one header's lines does.
    pub fn key(&self) -> [u8; 32] {
        let mut lines: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        // Stable: lines of one name stay in their order.
        lines.sort_by_key(|(name, _)| *name);
        let head = [VERSION, self.backend.as_bytes(), self.method.as_bytes(), self.url.as_bytes()];
        digest(head.into_iter().chain(lines.iter().flat_map(|(name, value)| [name.as_bytes(), value])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(url: &str, lines: &[(&'static str, &'static str)]) -> [u8; 32] {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        Canonical { backend: "origin", method: "GET", url, headers: &headers }.key()
    }

    #[test]
    fn the_order_of_different_headers_does_not_matter() {
        assert_eq!(key("/", &[("a", "1"), ("b", "2")]), key("/", &[("b", "2"), ("a", "1")]));
        assert_ne!(key("/", &[("a", "1"), ("a", "2")]), key("/", &[("a", "2"), ("a", "1")]));
    }

    #[test]
    fn no_separator_trick_makes_two_requests_one() {
        let keys = [
            key("/a", &[("b", "c")]),
            key("/ab", &[("b", "c")]),
            key("/", &[("a", "b"), ("b", "c")]),
            key("/", &[("a", "bb"), ("b", "c")]),
            key("/", &[("a", "b")]),
            key("/", &[("a", ""), ("b", "")]),
            key("/", &[]),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
