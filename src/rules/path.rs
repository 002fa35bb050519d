//! Path patterns: exact, `{name}` for one segment, a trailing `*` for the rest (design.md section 3.3).

use std::borrow::Cow;
use std::cmp::Ordering;

use percent_encoding::percent_decode_str;

use crate::wire::path::normal_form;

/// How a segment matches, the most specific first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Parameter(String),
    Rest,
}

impl Segment {
    fn rank(&self) -> u8 {
        match self {
            Self::Literal(_) => 0,
            Self::Parameter(_) => 1,
            Self::Rest => 2,
        }
    }
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    segments: Vec<Segment>,
    anchor: String,
}

/// What a pattern's names and its `*` matched, still percent-encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captures {
    named: Vec<(String, String)>,
    rest: Option<String>,
}

impl Captures {
    /// The segment called `name`, decoded; `None` where the pattern has no such name or the bytes aren't UTF-8.
    pub fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, value) = self.named.iter().find(|(known, _)| known == name)?;
        percent_decode_str(value).decode_utf8().ok()
    }

    /// What each name matched, still encoded.
    #[cfg(feature = "tools")]
    pub fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        self.named.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What the `*` matched, still encoded.
    pub fn rest(&self) -> Option<&str> {
        self.rest.as_deref()
    }
}

/// The segments of a path that a pattern has no literal for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask<'p> {
    /// Index and name.
    pub named: Vec<(usize, &'p str)>,
    /// The index of the first segment that `*` stands for.
    pub rest: Option<usize>,
}

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    ///
    /// "expected …, but found …".
    pub fn compile(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else {
            return Err(format!("expected a path that starts with '/', but found '{text}'"));
        };
        if let Some(found) = text.find(['?', '#']).and_then(|at| text.get(at..)) {
            return Err(format!("expected a path without query and fragment, but found '{found}'"));
        }
        let count = path.split('/').count();
        let mut segments = Vec::with_capacity(count);
        for (index, segment) in path.split('/').enumerate() {
            if segment == "*" {
                if index + 1 != count {
                    return Err(format!("expected '*' as the last segment only, but found '{text}'"));
                }
                segments.push(Segment::Rest);
            } else if let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                let named = |known: &Segment| matches!(known, Segment::Parameter(known) if known == name);
                if name.is_empty() || name.contains(['{', '}']) || name == "rest" || segments.iter().any(named) {
                    return Err(format!("expected a name of its own within braces, but found '{segment}'"));
                }
                segments.push(Segment::Parameter(name.to_owned()));
            } else if segment.contains(['*', '{', '}']) {
                return Err(format!("expected '*' or '{{name}}' as a whole segment, but found '{segment}'"));
            } else {
                segments.push(Segment::Literal(normal_form(segment).into_owned()));
            }
        }
        let mut anchor = String::new();
        for segment in &segments {
            let Segment::Literal(literal) = segment else {
                break;
            };
            anchor.push('/');
            anchor.push_str(literal);
        }
        Ok(Self { segments, anchor })
    }

    /// The literal segments that the pattern starts with: the key under which a router files it.
    pub fn anchor(&self) -> &str {
        &self.anchor
    }

    /// What the pattern captures of `path` (in [`normal_form`]); `None` where it doesn't match.
    pub fn captures(&self, path: &str) -> Option<Captures> {
        let mut captures = Captures::default();
        let mut rest = path.strip_prefix('/');
        for segment in &self.segments {
            let remaining = rest?;
            if *segment == Segment::Rest {
                captures.rest = Some(remaining.to_owned());
                return Some(captures);
            }
            let (head, tail) = match remaining.split_once('/') {
                Some((head, tail)) => (head, Some(tail)),
                None => (remaining, None),
            };
            match segment {
                Segment::Literal(literal) if literal == head => {}
                Segment::Parameter(name) if !head.is_empty() => captures.named.push((name.clone(), head.to_owned())),
                _ => return None,
            }
            rest = tail;
        }
        rest.is_none().then_some(captures)
    }

    /// Whether it may match a path of which nobody knows those segments that `is_open` says of.
    #[cfg(feature = "tools")]
    pub fn may_match(&self, path: &str, is_open: impl Fn(&str) -> bool) -> bool {
        let mut rest = path.strip_prefix('/');
        for segment in &self.segments {
            let (Some(remaining), false) = (rest, *segment == Segment::Rest) else { return rest.is_some() };
            let (head, tail) = match remaining.split_once('/') {
                Some((head, tail)) => (head, Some(tail)),
                None => (remaining, None),
            };
            let matches = match segment {
                Segment::Literal(literal) => literal == head || is_open(head),
                Segment::Parameter(_) | Segment::Rest => !head.is_empty(),
            };
            if !matches {
                return false;
            }
            rest = tail;
        }
        rest.is_none()
    }

    /// Which of a path's segments (in normal form, empty ones left out) have names, and where its `*` begins; `None` where it doesn't match.
    /// Unlike a route, letters match in either case.
    pub fn mask<'p>(&'p self, path: &[&str]) -> Option<Mask<'p>> {
        let mut mask = Mask { named: Vec::new(), rest: None };
        let own = self.segments.iter().filter(|segment| !matches!(segment, Segment::Literal(text) if text.is_empty()));
        let mut path = path.iter().enumerate();
        let mut seen = 0;
        for segment in own {
            if *segment == Segment::Rest {
                mask.rest = Some(seen);
                return Some(mask);
            }
            let (index, found) = path.next()?;
            seen = index + 1;
            match segment {
                Segment::Literal(literal) if literal.eq_ignore_ascii_case(found) => {}
                Segment::Parameter(name) => mask.named.push((index, name)),
                _ => return None,
            }
        }
        path.next().is_none().then_some(mask)
    }

    /// Literal before `{name}` before `*`, segment by segment from the left.
    pub fn specificity(&self, other: &Self) -> Ordering {
        let ranks = |pattern: &Self| pattern.segments.iter().map(Segment::rank).collect::<Vec<_>>();
        ranks(self).cmp(&ranks(other))
    }

    /// The names that templates may refer to as `path.<name>`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
            Segment::Rest => Some("rest"),
        })
    }

    /// Whether every path that `other` matches is matched by this one too.
    pub fn covers(&self, other: &Self) -> bool {
        let mut theirs = other.segments.iter();
        for ours in &self.segments {
            match (ours, theirs.next()) {
                (Segment::Rest, Some(_)) => return true,
                (Segment::Parameter(_), Some(Segment::Parameter(_))) => {}
                (Segment::Parameter(_), Some(Segment::Literal(literal))) if !literal.is_empty() => {}
                (Segment::Literal(ours), Some(Segment::Literal(theirs))) if ours == theirs => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }
}

/// How far into a path a look-up needs to go: as far as the longest anchor that any pattern is filed under.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    segments: usize,
    bytes: usize,
}

impl Reach {
    /// Goes at least as far as `anchor`.
    pub fn extend_to(&mut self, anchor: &str) {
        self.segments = self.segments.max(anchor.matches('/').count());
        self.bytes = self.bytes.max(anchor.len());
    }
}

/// The anchors under which a pattern that matches `path` can be filed: every prefix that ends before a `/`, and the whole, as far as
/// `reach`. The client chooses how many slashes its path has; the rules choose how many of its prefixes are looked up.
pub fn anchors(path: &str, reach: Reach) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.take(reach.segments + 1).take_while(move |end| *end <= reach.bytes).filter_map(|end| path.get(..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::compile(pattern).unwrap().captures(&normal_form(path)).is_some()
    }

    #[test]
    fn a_trailing_star_takes_the_rest_which_may_be_empty() {
        assert!(matches("/api/products/*", "/api/products/all"));
        assert!(matches("/api/products/*", "/api/products/"));
        assert!(matches("/api/products/*", "/api/products/a/b//c"));
        assert!(!matches("/api/products/*", "/api/products"));
        assert!(!matches("/api/products/*", "/api//products/all"));
        assert!(matches("/*", "/"));
    }

    #[test]
    fn a_name_takes_one_segment_which_is_not_empty() {
        let pattern = Pattern::compile("/p/{sku}/reviews").unwrap();
        let captures = pattern.captures("/p/a%2Fb/reviews").unwrap();
        assert_eq!(captures.parameter("sku").as_deref(), Some("a/b"));
        assert!(!matches("/p/{sku}/reviews", "/p//reviews"));
        assert!(!matches("/p/{sku}/reviews", "/p/a/b/reviews"));
    }

    #[test]
    fn spellings_of_one_path_match_the_same_route() {
        assert!(matches("/account", "/%61ccount"));
        assert!(matches("/café", "/caf%c3%a9"));
        assert!(!matches("/a/b", "/a%2fb"));
        assert!(!matches("/account", "/account;x=y"));
        assert!(!matches("/account", "/account/x.css"));
        assert_eq!(normal_form("/a%2fb%zz%"), "/a%2Fb%25zz%25");
    }

    #[test]
    fn literal_goes_before_name_before_star() {
        let order =
            |one: &str, other: &str| Pattern::compile(one).unwrap().specificity(&Pattern::compile(other).unwrap());
        assert_eq!(order("/a/b/*", "/a/{x}/c"), Ordering::Less);
        assert_eq!(order("/a/{x}", "/a/*"), Ordering::Less);
        assert_eq!(order("/a/{x}", "/b/{y}"), Ordering::Equal);
    }

    #[test]
    fn every_matching_pattern_is_filed_under_an_anchor_of_the_path() {
        for (pattern, path) in
            [("/*", "/a/b"), ("/a/b", "/a/b"), ("/a/{x}", "/a/b"), ("/a/b/*", "/a/b/"), ("/", "/"), ("/{x}", "/q")]
        {
            let pattern = Pattern::compile(pattern).unwrap();
            assert!(pattern.captures(path).is_some());
            let mut reach = Reach::default();
            reach.extend_to(pattern.anchor());
            assert!(anchors(path, reach).any(|anchor| anchor == pattern.anchor()), "{pattern:?} {path}");
        }
    }

    #[test]
    fn a_path_is_looked_at_no_deeper_than_the_deepest_literal_start() {
        let mut reach = Reach::default();
        assert_eq!(anchors("/a/b", reach).collect::<Vec<_>>(), [""]);
        reach.extend_to("/shop/women");
        reach.extend_to("/");
        assert_eq!(anchors("/shop/women/shoes/42", reach).collect::<Vec<_>>(), ["", "/shop", "/shop/women"]);
        assert_eq!(anchors("/women-and-men/shoes", reach).collect::<Vec<_>>(), [""]);
        // The work that 8,000 slashes cause is the work that three cause.
        for path in ["/".repeat(8_000) + "a", format!("/{}", "a/".repeat(4_000)), format!("/{}", "a".repeat(8_000))] {
            let looked_up: Vec<&str> = anchors(&path, reach).collect();
            assert!(looked_up.len() <= 3, "{}", looked_up.len());
            assert!(looked_up.iter().map(|anchor| anchor.len()).sum::<usize>() <= 2 * "/shop/women".len());
        }
    }

    #[test]
    fn a_pattern_covers_what_it_matches_all_of() {
        let covers = |one: &str, other: &str| Pattern::compile(one).unwrap().covers(&Pattern::compile(other).unwrap());
        assert!(covers("/a/*", "/a/b/{c}"));
        assert!(covers("/a/{x}", "/a/b"));
        assert!(!covers("/a/b", "/a/{x}"));
        assert!(!covers("/a/{x}", "/a/*"));
    }

    #[test]
    fn a_star_in_the_middle_is_a_fault() {
        assert!(Pattern::compile("/a/*/b").is_err());
        assert!(Pattern::compile("/a*").is_err());
        assert!(Pattern::compile("a").is_err());
        assert!(Pattern::compile("/{x}/{x}").is_err());
    }
}
