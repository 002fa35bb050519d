//! Sticky buckets in a cookie: the assignments that a visitor keeps although the rules have changed (GrowthBook SDK
//! specification 0.8.0, "Sticky bucketing").
//!
//! The cookie holds `1.<base64url of JSON>`. The JSON maps `attributeName||attributeValue` to that document's
//! assignments, themselves a map of `<experiment key>__<bucket version>` to a variation's key. Whole keys are
//! compared, never prefixes: `menu__0` and `menu_underline__0` are two experiments.
//!
//! GrowthBook's own SDKs keep each document in a cookie of its own (`BrowserCookieStickyBucketService` of `@growthbook/growthbook`). What one of
//! them has remembered in the browser counts here, too; where both know an experiment, the edge's own cookie does.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use percent_encoding::percent_decode;

use crate::growthbook::{StickyBuckets, StickyDocument};
pub use crate::rules::settings::sticky::StickySettings;
use crate::wire::cookies::Cookies;

/// The version before the first dot; a cookie of another version is ignored.
const VERSION: &str = "1.";
/// How the names of the SDKs' cookies begin; `attributeName||attributeValue` follows. The value is the document as JSON, percent-encoded.
const SDK_COOKIES: &[u8] = b"gbStickyBuckets__";
/// Between an attribute's name and its value in a document's key.
const SEPARATOR: &str = "||";
/// Bytes of the longest document key, experiment key or variation key.
const LONGEST_KEY: usize = 256;
/// Documents a cookie holds: one each for the user's, the visitor's and a fallback attribute, with room to spare.
const MOST_DOCUMENTS: usize = 8;

/// A cookie's JSON: assignments by `attributeName||attributeValue`.
type Stored = BTreeMap<String, BTreeMap<String, String>>;

/// Reads a cookie's value. Anything but a well-formed document set gives none: a visitor is then bucketed afresh, which is what the
/// specification says of a lost document. A single document or assignment that breaks a limit is left out.
#[must_use]
pub fn decode(cookie: &str) -> Vec<StickyDocument> {
    let stored = cookie
        .strip_prefix(VERSION)
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .and_then(|json| serde_json::from_slice::<Stored>(&json).ok())
        .unwrap_or_default();
    let documents = stored.into_iter().filter_map(|(key, assignments)| {
        let (name, value) = key.split_once(SEPARATOR)?;
        let (attribute_name, attribute_value) = (name.to_owned(), value.to_owned());
        within_limits(StickyDocument { attribute_name, attribute_value, assignments })
    });
    documents.take(MOST_DOCUMENTS).collect()
}

/// The cookie's value for these documents, as far as they are within the limits; `None` where it would be longer than `limit` bytes.
#[must_use]
pub fn encode<'a>(documents: impl IntoIterator<Item = &'a StickyDocument>, limit: usize) -> Option<String> {
    let documents = documents.into_iter().filter_map(|document| within_limits(document.clone())).take(MOST_DOCUMENTS);
    let stored: Stored = documents
        .map(|document| {
            let key = format!("{}{SEPARATOR}{}", document.attribute_name, document.attribute_value);
            (key, document.assignments)
        })
        .collect();
    let json = serde_json::to_vec(&stored).ok()?;
    let text = format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(json));
    (text.len() <= limit).then_some(text)
}

/// Adds the assignments of `documents` to `remembered`. Whether anything is different now, and so whether the cookie must be sent.
pub fn remember(remembered: &mut StickyBuckets, documents: &[StickyDocument]) -> bool {
    let mut changed = false;
    for document in documents {
        let Some(mut document) = within_limits(document.clone()) else { continue };
        let known = remembered.get(&document.attribute_name, &document.attribute_value);
        let mut assignments = known.map(|known| known.assignments.clone()).unwrap_or_default();
        let before = assignments.clone();
        assignments.append(&mut document.assignments);
        if assignments != before {
            changed = true;
            remembered.put(StickyDocument { assignments, ..document });
        }
    }
    changed
}

/// The documents in the cookies of GrowthBook's SDKs; none of one that is broken or longer than `limit` bytes.
fn of_sdks(cookies: &Cookies<'_>, limit: usize) -> impl Iterator<Item = StickyDocument> {
    let values = cookies.iter().filter(|(name, _)| name.starts_with(SDK_COOKIES)).map(|(_, value)| value);
    let documents = values.filter(move |value| value.len() <= limit).filter_map(|value| {
        let json: Vec<u8> = percent_decode(value).collect();
        within_limits(serde_json::from_slice(&json).ok()?)
    });
    documents.take(MOST_DOCUMENTS)
}

/// The document without the assignments that break a limit; `None` where nothing is left, or the document itself breaks one.
fn within_limits(mut document: StickyDocument) -> Option<StickyDocument> {
    let StickyDocument { attribute_name: name, attribute_value: value, assignments } = &mut document;
    let key = name.len().saturating_add(SEPARATOR.len()).saturating_add(value.len());
    assignments.retain(|experiment, variation| is_key(experiment) && is_key(variation));
    let sound = key <= LONGEST_KEY && is_key(name) && is_key(value) && !name.contains(SEPARATOR);
    (sound && !assignments.is_empty()).then_some(document)
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_KEY && !text.chars().any(char::is_control)
}

impl StickySettings {
    /// The documents that a client sent; none where the cookie is absent, broken or longer than the limit. They may be another
    /// visitor's: see [`StickyBuckets::belonging_to`].
    #[must_use]
    pub fn read(&self, cookies: &Cookies<'_>) -> Vec<StickyDocument> {
        let own = cookies.get(&self.cookie).filter(|value| value.len() <= self.max_bytes);
        let mut documents = own.map(decode).unwrap_or_default();
        for found in of_sdks(cookies, self.max_bytes) {
            let is_same = |known: &&mut StickyDocument| {
                known.attribute_name == found.attribute_name && known.attribute_value == found.attribute_value
            };
            match documents.iter_mut().find(is_same) {
                Some(known) => {
                    for (experiment, variation) in found.assignments {
                        known.assignments.entry(experiment).or_insert(variation);
                    }
                }
                None => documents.push(found),
            }
        }
        documents
    }

    /// The `Set-Cookie` value for these documents; `None` where they are too large: the cookie then stays as it was.
    #[must_use]
    pub fn set_cookie(&self, documents: &StickyBuckets, host: &str) -> Option<HeaderValue> {
        self.render(&encode(documents.documents(), self.max_bytes)?, self.days.saturating_mul(86_400), host)
    }

    /// The `Set-Cookie` value that makes a client forget all documents.
    #[must_use]
    pub fn remove_cookie(&self, host: &str) -> Option<HeaderValue> {
        self.render("", 0, host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, header};

    fn document(attribute: &str, value: &str, assignments: &[(&str, &str)]) -> StickyDocument {
        let assignments = assignments.iter().map(|(key, arm)| ((*key).to_owned(), (*arm).to_owned())).collect();
        StickyDocument { attribute_name: attribute.into(), attribute_value: value.into(), assignments }
    }

    #[test]
    fn assignments_survive_the_round_trip() {
        let mut documents = StickyBuckets::new();
        assert!(remember(&mut documents, &[document("id", "ü||1", &[("menu__0", "control")])]));
        assert!(remember(&mut documents, &[document("id", "ü||1", &[("menu_underline__0", "1")])]));
        assert!(!remember(&mut documents, &[document("id", "ü||1", &[("menu__0", "control")])]), "nothing new");
        assert!(remember(&mut documents, &[document("visitorId", "abc", &[("menu__0", "2")])]));
        let settings = StickySettings::default();
        let set = settings.set_cookie(&documents, "shop.example").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, set.to_str().unwrap().split(';').next().unwrap().parse().unwrap());
        let read = settings.read(&Cookies::of(&headers));
        assert_eq!(read.iter().collect::<Vec<_>>(), documents.documents().collect::<Vec<_>>());
        assert_eq!(read[0], document("id", "ü||1", &[("menu__0", "control"), ("menu_underline__0", "1")]));
    }

    #[test]
    fn what_growthbooks_own_bundle_remembered_counts_where_the_edge_remembers_nothing() {
        let settings = StickySettings::default();
        // As js-cookie writes it: quotes and commas are encoded, brackets and colons stay.
        let of_bundle = "gbStickyBuckets__id||7={%22attributeName%22:%22id%22%2C%22attributeValue%22:%227%22%2C%22assignments%22:{%22menu__0%22:%221%22%2C%22hero__0%22:%222%22}}";
        let own = format!("ep_sticky={}", encode([&document("id", "7", &[("menu__0", "control")])], 2048).unwrap());
        let read = |cookies: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, cookies.join("; ").parse().unwrap());
            settings.read(&Cookies::of(&headers))
        };
        assert_eq!(read(&[of_bundle]), [document("id", "7", &[("menu__0", "1"), ("hero__0", "2")])]);
        assert_eq!(read(&[of_bundle, &own]), [document("id", "7", &[("menu__0", "control"), ("hero__0", "2")])]);
        for bad in ["gbStickyBuckets__id||7=", "gbStickyBuckets__id||7={}", "gbStickyBuckets__id||7=%ff"] {
            assert_eq!(read(&[bad]), [], "{bad}");
        }
        let long = format!("gbStickyBuckets__id||7={}", "x".repeat(3_000));
        assert_eq!(read(&[&long]), []);
    }

    #[test]
    fn what_is_broken_or_too_large_is_ignored() {
        let encoded = |json: &str| format!("1.{}", URL_SAFE_NO_PAD.encode(json));
        for bad in [
            String::new(),
            "1.".to_owned(),
            "1.!!".to_owned(),
            "2.e30".to_owned(),
            encoded("[]"),
            encoded("{\"id||1\":{\"a__0\":1}}"),
            encoded("{\"id||1\":{\"a__0\":\"x\"}"),
            encoded("{\"id\":{\"a__0\":\"x\"}}"),
            encoded("{\"||1\":{\"a__0\":\"x\"}}"),
            encoded("{\"id||\":{\"a__0\":\"x\"}}"),
            encoded("{\"id||1\":{\"a__0\":\"\\r\\n\"}}"),
        ] {
            assert_eq!(decode(&bad), [], "{bad}");
        }
        let mut many = document("id", "1", &[]);
        many.assignments = (0..200).map(|n| (format!("experiment-{n}__0"), "control".to_owned())).collect();
        assert_eq!(encode([&many], 2048), None);
        let people: Vec<_> = (0..20).map(|n| document("id", &n.to_string(), &[("a__0", "x")])).collect();
        assert_eq!(decode(&encode(&people, 4096).unwrap()).len(), MOST_DOCUMENTS);
        let mut documents = StickyBuckets::new();
        assert!(!remember(&mut documents, &[document("id", "1", &[(&"k".repeat(257), "x")])]));
        assert!(!remember(&mut documents, &[document("id", "", &[("a__0", "x")])]));
        assert!(!remember(&mut documents, &[document("id", &"v".repeat(256), &[("a__0", "x")])]));
    }
}
