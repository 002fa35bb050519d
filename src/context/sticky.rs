//! Sticky buckets in a cookie: the assignments that a visitor keeps although the rules have changed (GrowthBook SDK
//! specification 0.8.0, "Sticky bucketing").
//!
//! The cookie holds `1.<base64url of JSON>`. The JSON maps `attributeName||attributeValue` to that document's
//! assignments, themselves a map of `<experiment key>__<bucket version>` to a variation's key. Whole keys are
//! compared, never prefixes: `menu__0` and `menu_underline__0` are two experiments.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

pub use crate::rules::settings::sticky::StickySettings;
use crate::wire::cookies::{Cookies, SetCookie};

/// The version before the first dot; a cookie of another version is ignored.
const VERSION: &str = "1.";
/// Between an attribute's name and its value in a document's key.
const SEPARATOR: &str = "||";
/// Bytes of the longest document key, experiment key or variation key.
const LONGEST_KEY: usize = 256;
/// Documents a cookie holds: one each for the user's, the visitor's and a fallback attribute, with room to spare.
const MOST_DOCUMENTS: usize = 8;

/// Assignments of one attribute value: `<experiment key>__<bucket version>` → variation key.
pub type Assignments = BTreeMap<String, String>;

/// All of a visitor's sticky documents, by `attributeName||attributeValue`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StickyDocuments(BTreeMap<String, Assignments>);

impl StickyDocuments {
    /// The assignments kept for this attribute value.
    #[must_use]
    pub fn get(&self, attribute: &str, value: &str) -> Option<&Assignments> {
        self.0.get(&document_key(attribute, value))
    }

    /// Every document: key (`attributeName||attributeValue`) and assignments.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Assignments)> {
        self.0.iter().map(|(key, assignments)| (key.as_str(), assignments))
    }

    /// Keeps one assignment. Returns whether anything changed, and so whether the cookie must be sent; what doesn't
    /// fit the limits is not kept.
    pub fn assign(&mut self, attribute: &str, value: &str, experiment: &str, variation: &str) -> bool {
        let key = document_key(attribute, value);
        let fits = is_document_key(&key) && is_key(experiment) && is_key(variation);
        if !fits || (!self.0.contains_key(&key) && self.0.len() >= MOST_DOCUMENTS) {
            return false;
        }
        let assignments = self.0.entry(key).or_default();
        if assignments.get(experiment).is_some_and(|kept| kept == variation) {
            return false;
        }
        assignments.insert(experiment.to_owned(), variation.to_owned());
        true
    }

    /// Drops the documents of anyone else who used this browser: only those of the given attribute values stay.
    pub fn retain(&mut self, current: &[(&str, &str)]) {
        self.0.retain(|key, _| current.iter().any(|(attribute, value)| *key == document_key(attribute, value)));
    }

    /// Reads a cookie's value. Anything but a well-formed document set gives an empty one: a visitor is then bucketed
    /// afresh, which is what the specification says of a lost document. A single document or assignment that breaks a
    /// limit is left out.
    #[must_use]
    pub fn decode(cookie: &str) -> Self {
        let stored = cookie
            .strip_prefix(VERSION)
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            .and_then(|json| serde_json::from_slice::<BTreeMap<String, Assignments>>(&json).ok())
            .unwrap_or_default();
        let documents = stored
            .into_iter()
            .filter(|(key, _)| is_document_key(key))
            .take(MOST_DOCUMENTS)
            .map(|(key, mut assignments)| {
                assignments.retain(|experiment, variation| is_key(experiment) && is_key(variation));
                (key, assignments)
            })
            .filter(|(_, assignments)| !assignments.is_empty())
            .collect();
        Self(documents)
    }

    /// The cookie's value; `None` where it would be longer than `limit` bytes.
    #[must_use]
    pub fn encode(&self, limit: usize) -> Option<String> {
        let json = serde_json::to_vec(&self.0).ok()?;
        let text = format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(json));
        (text.len() <= limit).then_some(text)
    }
}

fn document_key(attribute: &str, value: &str) -> String {
    format!("{attribute}{SEPARATOR}{value}")
}

fn is_document_key(key: &str) -> bool {
    is_key(key)
        && key.split_once(SEPARATOR).is_some_and(|(attribute, value)| !attribute.is_empty() && !value.is_empty())
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_KEY && !text.chars().any(char::is_control)
}

impl StickySettings {
    /// The documents that a client sent; none where the cookie is absent, broken or longer than the limit.
    #[must_use]
    pub fn read(&self, cookies: &Cookies<'_>) -> StickyDocuments {
        cookies
            .get(&self.cookie)
            .filter(|value| value.len() <= self.max_bytes)
            .map(StickyDocuments::decode)
            .unwrap_or_default()
    }

    /// The `Set-Cookie` value for these documents; `None` where they are too large: the cookie then stays as it was.
    #[must_use]
    pub fn set_cookie(&self, documents: &StickyDocuments) -> Option<HeaderValue> {
        SetCookie {
            name: &self.cookie,
            value: &documents.encode(self.max_bytes)?,
            domain: self.domain.as_deref(),
            max_age: Some(self.days.saturating_mul(86_400)),
            same_site: self.same_site,
        }
        .render()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, header};

    #[test]
    fn assignments_survive_the_round_trip() {
        let mut documents = StickyDocuments::default();
        assert!(documents.assign("id", "ü||1", "menu__0", "control"));
        assert!(documents.assign("id", "ü||1", "menu_underline__0", "1"));
        assert!(!documents.assign("id", "ü||1", "menu__0", "control"), "nothing new");
        assert!(documents.assign("visitorId", "abc", "menu__0", "2"));
        let settings = StickySettings::default();
        let set = settings.set_cookie(&documents).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, set.to_str().unwrap().split(';').next().unwrap().parse().unwrap());
        let read = settings.read(&Cookies::of(&headers));
        assert_eq!(read, documents);
        assert_eq!(read.get("id", "ü||1").unwrap()["menu__0"], "control");
        assert_eq!(read.get("id", "ü||1").unwrap()["menu_underline__0"], "1");
        assert_eq!(read.get("id", "ü"), None);
    }

    #[test]
    fn the_next_person_at_this_browser_starts_afresh() {
        let mut documents = StickyDocuments::default();
        documents.assign("id", "alice", "menu__0", "1");
        documents.assign("id", "bob", "menu__0", "2");
        documents.retain(&[("id", "bob"), ("visitorId", "v")]);
        assert_eq!(documents.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["id||bob"]);
    }

    #[test]
    fn what_is_broken_or_too_large_is_ignored() {
        let encode = |json: &str| format!("1.{}", URL_SAFE_NO_PAD.encode(json));
        for bad in [
            String::new(),
            "1.".to_owned(),
            "1.!!".to_owned(),
            "2.e30".to_owned(),
            encode("[]"),
            encode("{\"id||1\":{\"a__0\":1}}"),
            encode("{\"id||1\":{\"a__0\":\"x\"}"),
            encode("{\"id\":{\"a__0\":\"x\"}}"),
            encode("{\"||1\":{\"a__0\":\"x\"}}"),
            encode("{\"id||\":{\"a__0\":\"x\"}}"),
            encode("{\"id||1\":{\"a__0\":\"\\r\\n\"}}"),
        ] {
            assert_eq!(StickyDocuments::decode(&bad), StickyDocuments::default(), "{bad}");
        }
        let mut documents = StickyDocuments::default();
        for n in 0..200 {
            documents.assign("id", "1", &format!("experiment-{n}__0"), "control");
        }
        assert_eq!(documents.encode(2048), None);
        assert!(StickySettings::default().set_cookie(&documents).is_none());
        for n in 0..20 {
            documents.assign("id", &format!("{n}"), "a__0", "x");
        }
        assert_eq!(documents.iter().count(), MOST_DOCUMENTS);
        assert!(!documents.assign("id", "1", &"k".repeat(257), "x"));
        assert!(!documents.assign("id", "", "a__0", "x"));
    }
}
