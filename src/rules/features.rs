//! The dictionary `features`, filed when a feature of it is first asked for: a route that uses none doesn't pay for those of others.

use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::dictionary::{BANDITS, DEFINITIONS, part_name};
use super::fault::{self, Fault};
use crate::growthbook::{DefinitionSource, Index, Places};

/// The features of a dictionary's parts.
#[derive(Debug)]
pub struct Features {
    texts: Vec<String>,
    filed: OnceLock<Filed>,
}

/// The contextual bandits beside those features.
#[derive(Debug)]
pub struct Bandits(Arc<Features>);

#[derive(Debug, Default)]
struct Filed {
    features: Index,
    bandits: Index,
    faults: Vec<Fault>,
}

impl Features {
    /// Those of the dictionary's parts, none of which is looked at yet.
    pub fn new(texts: &[String]) -> Arc<Self> {
        Arc::new(Self { texts: texts.to_vec(), filed: OnceLock::new() })
    }

    /// Their bandits.
    pub fn bandits(self: &Arc<Self>) -> Arc<Bandits> {
        Arc::new(Bandits(Arc::clone(self)))
    }

    /// What of the dictionary can't be filed. `is_wanted`: it is filed for this where no feature has been asked for.
    pub fn faults(&self, is_wanted: bool) -> &[Fault] {
        let filed = if is_wanted { Some(self.filed()) } else { self.filed.get() };
        filed.map_or(&[], |filed| &filed.faults)
    }

    fn filed(&self) -> &Filed {
        self.filed.get_or_init(|| {
            let mut filed = Filed::default();
            for (index, text) in self.texts.iter().enumerate() {
                match Places::of_members(text, &DEFINITIONS, BANDITS) {
                    Ok([features, bandits]) => filed.add(text, features, bandits),
                    // Something is wrong with it: what that is, and what of it can serve, takes several looks.
                    Err(_) => filed.add_broken(&part_name("features", index + 1), text),
                }
            }
            filed
        })
    }
}

impl Filed {
    fn add(&mut self, text: &str, features: Places, bandits: Places) {
        if !bandits.is_empty() {
            self.bandits.add(text, bandits);
        }
        if !features.is_empty() {
            self.features.add(text, features);
        }
    }

    /// The member that can serve of a text whose other member can't.
    fn add_broken(&mut self, entry: &str, text: &str) {
        #[derive(Deserialize)]
        struct Bandits<'a> {
            #[serde(borrow, rename = "contextualBandits")]
            content: Option<&'a RawValue>,
        }
        let content = match super::definitions::content(text) {
            Ok(content) => content,
            Err(error) => return self.faults.push(Fault::new(entry, "", fault::house_wording(&error))),
        };
        let bandits = serde_json::from_str::<Bandits<'_>>(text).ok().and_then(|bandits| bandits.content);
        let mut file = |content: Option<&RawValue>, member: &str, index: &mut Index| {
            let Some(content) = content.map(RawValue::get) else { return };
            match Places::of_object(content) {
                Ok(places) => index.add(content, places),
                Err(fault) => self.faults.push(Fault::new(entry, format!("/{member}{}", fault.pointer), fault.message)),
            }
        };
        file(content, "features", &mut self.features);
        file(bandits, BANDITS, &mut self.bandits);
    }
}

impl DefinitionSource for Features {
    fn count(&self) -> usize {
        self.filed().features.count()
    }

    fn find(&self, key: &str) -> Option<usize> {
        self.filed().features.find(key)
    }

    fn entry(&self, place: usize) -> Option<(&str, &str)> {
        self.filed().features.entry(place)
    }
}

impl DefinitionSource for Bandits {
    fn count(&self) -> usize {
        self.0.filed().bandits.count()
    }

    fn find(&self, key: &str) -> Option<usize> {
        self.0.filed().bandits.find(key)
    }

    fn entry(&self, place: usize) -> Option<(&str, &str)> {
        self.0.filed().bandits.entry(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(features: &dyn DefinitionSource, key: &str) -> Option<String> {
        let (_, json) = features.entry(features.find(key)?)?;
        Some(json.to_owned())
    }

    fn named(features: &Features, is_wanted: bool) -> Vec<String> {
        features.faults(is_wanted).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_is_looked_at_until_a_feature_is_asked_for_or_mistakes_are_wanted() {
        let features = Features::new(&["{".to_owned(), r#"{"features":{"a":1}}"#.to_owned()]);
        assert!(named(&features, false).is_empty() && features.filed.get().is_none());
        assert_eq!(found(&*features, "a").as_deref(), Some("1"), "a part that is broken takes no other with it");
        assert!(named(&features, false)[0].starts_with("features: expected JSON"));
        let others = Features::new(&["[]".to_owned()]);
        assert_eq!(named(&others, true).len(), 1);
    }

    #[test]
    fn of_a_key_the_first_part_counts_and_within_a_part_its_last() {
        let parts = [r#"{"parts":2,"features":{"a":1,"a":2}}"#, r#"{"features":{"a":3,"b":{"x":[4]}},"$comment":""}"#];
        let features = Features::new(&parts.map(str::to_owned));
        assert_eq!(
            ["a", "b", "c"].map(|key| found(&*features, key)),
            [Some("2".into()), Some(r#"{"x":[4]}"#.into()), None]
        );
        assert_eq!((features.count(), features.entry(0).map(|(key, _)| key)), (2, Some("a")));
        assert!(named(&features, true).is_empty());
    }

    #[test]
    fn bandits_serve_beside_features_that_cannot_and_the_other_way_round() {
        let one = Features::new(&[r#"{"features":5,"contextualBandits":{"cb":{}}}"#.to_owned()]);
        assert_eq!((found(&*one.bandits(), "cb").as_deref(), one.count()), (Some("{}"), 0));
        assert!(named(&one, true)[0].starts_with("features/features: expected definitions as JSON"));
        let other = Features::new(&[r#"{"features":{"a":1},"contextualBandits":[]}"#.to_owned()]);
        assert_eq!((found(&*other, "a").as_deref(), other.bandits().count()), (Some("1"), 0));
        assert!(named(&other, true)[0].starts_with("features/contextualBandits: expected"));
        let none = Features::new(&[r#"{"features":null}"#.to_owned()]);
        assert_eq!((none.count(), named(&none, true).len()), (0, 0));
    }
}
