//! A path as a log line shows it: some of its segments may have been left out.

use crate::record::{bounded, path};
use crate::rules::RuleSet;

/// What stands for a segment that was left out.
const OPAQUE: &str = "opaque-segment";

/// A line's path, ready to be decided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownPath {
    /// The path, with a stand-in for each segment that was left out.
    pub path: String,
    /// Whether there is one.
    pub is_opaque: bool,
    /// Whether nobody knows how it goes on.
    pub is_cut: bool,
}

impl ShownPath {
    /// Reads the path of a line.
    #[must_use]
    pub fn read(shown: &str) -> Self {
        let (mut segments, mut is_opaque) = (Vec::new(), false);
        let last = shown.matches('/').count();
        for (index, segment) in shown.split('/').enumerate() {
            let stand_in = || format!("{OPAQUE}-{index}");
            let named = segment.starts_with('{') && segment.ends_with('}');
            let segment = match segment.strip_suffix(";redacted") {
                Some("redacted") => stand_in(),
                Some(name) => format!("{name};{}", stand_in()),
                None if named || segment == "redacted" || (segment == "*" && index == last) => stand_in(),
                None => segment.to_owned(),
            };
            is_opaque |= segment.contains(OPAQUE);
            segments.push(segment);
        }
        // A longer text was cut, on a character's border.
        let is_cut = shown.ends_with("/*") || bounded(&format!("{shown}zzzz")).len() < shown.len() + 4;
        Self { path: segments.join("/"), is_opaque, is_cut }
    }

    /// Whether a route may match the path that doesn't match it as it is shown, or the other way round.
    #[must_use]
    pub fn may_be_anothers(&self, rules: &RuleSet) -> bool {
        let is_open = |segment: &str| segment.contains(OPAQUE);
        self.is_opaque
            && rules.routes.all().any(|(route, _)| {
                route.pattern.may_match(&self.path, is_open) && route.pattern.captures(&self.path).is_none()
            })
    }
}

/// A path that rules made of a line's, as the line would show it.
#[must_use]
pub fn shown(made: &str, rules: &RuleSet) -> String {
    let own = rules.settings.log.redaction.of(made).path;
    let shown = path::shown(&own);
    let segments = shown.split('/').map(|segment| if segment.contains(OPAQUE) { "redacted" } else { segment });
    bounded(&segments.collect::<Vec<_>>().join("/")).to_owned()
}

/// A text with `redacted` in place of stand-ins, for people.
#[must_use]
pub fn in_words(text: &str) -> String {
    let stand_in = format!("{OPAQUE}-");
    let mut parts = text.split(&stand_in);
    let mut words = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        words.push_str("redacted");
        words.push_str(part.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_has_a_stand_in() {
        let read = |shown: &str| ShownPath::read(shown);
        assert_eq!(read("/a/b"), ShownPath { path: "/a/b".into(), is_opaque: false, is_cut: false });
        assert_eq!(read("/u/redacted/o").path, "/u/opaque-segment-2/o");
        assert_eq!(read("/cart;redacted").path, "/cart;opaque-segment-1");
        assert_eq!(read("/reset/{token}").path, "/reset/opaque-segment-2");
        assert!(read("/files/*").is_cut && read(&"/a".repeat(256)).is_cut && !read(&"/a".repeat(200)).is_cut);
    }
}
