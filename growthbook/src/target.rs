//! On which pages an experiment runs (specification: `urlPatterns`).

use super::stored;
use super::url::Url;
use crate::condition::{Compiler, Fault, Pattern, PatternWork};

/// What stands for any text in a pattern, once it has been through the URL parser, which doesn't let a `*` pass as a host.
const WILDCARD: &str = "_____";

/// The patterns of an experiment.
#[derive(Debug, Clone)]
pub(super) struct Targets(Vec<(bool, Matcher)>);

#[derive(Debug, Clone)]
enum Matcher {
    Simple(Simple),
    Pattern(Pattern),
    /// Of an unknown kind, or not a URL: matches no page.
    Never,
}

impl Targets {
    pub(super) fn compile(stored: &[stored::UrlTarget], compiler: &mut Compiler) -> Result<Self, Fault> {
        let compile = |target: &stored::UrlTarget, compiler: &mut Compiler| {
            let matcher = match target.kind.as_str() {
                "simple" => Simple::compile(&target.pattern).map_or(Matcher::Never, Matcher::Simple),
                "regex" => Matcher::Pattern(
                    compiler.under("pattern", |compiler| Pattern::compile(&target.pattern, false, compiler))?,
                ),
                _ => Matcher::Never,
            };
            Ok((target.include != Some(false), matcher))
        };
        let targets = stored.iter().enumerate();
        let targets = targets.map(|(index, target)| compiler.under(index, |compiler| compile(target, compiler)));
        Ok(Self(targets.collect::<Result<_, _>>()?))
    }

    /// Whether a page is among those included, or at least not among those excluded if nothing is included.
    pub(super) fn include(&self, url: &str, work: Option<&PatternWork>) -> bool {
        let Some(url) = Url::parse(url, "_") else { return false };
        let matches = |matcher: &Matcher| match matcher {
            Matcher::Simple(simple) => simple.matches(&url),
            Matcher::Pattern(pattern) => {
                pattern.is_found_in(&url.to_text(), work) || pattern.is_found_in(&url.to_text_without_origin(), work)
            }
            Matcher::Never => false,
        };
        let mut included = None;
        for (include, matcher) in &self.0 {
            match (include, matches(matcher)) {
                (false, true) => return false,
                (false, false) => {}
                (true, matched) => included = Some(included.unwrap_or(false) || matched),
            }
        }
        !self.0.is_empty() && included.unwrap_or(true)
    }
}

/// A pattern that looks like a URL with `*` in it. Each part is matched for itself; parts that it doesn't have match anything.
#[derive(Debug, Clone)]
struct Simple {
    host: Glob,
    path: Glob,
    fragment: Option<Glob>,
    parameters: Vec<(Box<str>, Glob)>,
}

impl Simple {
    fn compile(pattern: &str) -> Option<Self> {
        // A host without a scheme shows by a dot before any of `:`, `/` and `?`.
        let head = pattern.find([':', '/', '?']).map_or(pattern, |end| pattern.get(..end).unwrap_or_default());
        let absolute = if head.contains('.') { format!("https://{pattern}") } else { pattern.to_owned() };
        let url = Url::parse(&absolute.replace('*', WILDCARD), WILDCARD)?;
        let path = url.path.strip_prefix('/').unwrap_or(&url.path);
        Some(Self {
            host: Glob::new(&url.host),
            path: Glob::new(path.strip_suffix('/').unwrap_or(path)),
            fragment: url.fragment.as_deref().filter(|fragment| !fragment.is_empty()).map(Glob::new),
            parameters: url.parameters().map(|(name, value)| (name.into(), Glob::new(&value))).collect(),
        })
    }

    fn matches(&self, url: &Url) -> bool {
        self.host.matches(&url.host)
            && self.matches_path(&url.path)
            && self.fragment.as_ref().is_none_or(|glob| glob.matches(url.fragment.as_deref().unwrap_or_default()))
            && self.parameters.iter().all(|(name, glob)| glob.matches(&url.parameter(name).unwrap_or_default()))
    }

    /// Slashes at both ends are optional.
    fn matches_path(&self, path: &str) -> bool {
        let start = path.strip_prefix('/').unwrap_or(path);
        let bare = |path: &str| path.strip_suffix('/').is_some_and(|path| self.path.matches(path));
        self.path.matches(path) || self.path.matches(start) || bare(path) || bare(start)
    }
}

/// A text with wildcards, without regard to case.
#[derive(Debug, Clone)]
struct Glob {
    /// What stands between the wildcards, in lower case.
    pieces: Vec<Box<str>>,
}

impl Glob {
    fn new(pattern: &str) -> Self {
        Self { pieces: pattern.to_lowercase().split(WILDCARD).map(Into::into).collect() }
    }

    /// The first piece must start the text and the last one end it; those between are found from left to right, the earliest
    /// place first, which is enough: time grows with the text alone.
    fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let Some((first, others)) = self.pieces.split_first() else { return text.is_empty() };
        let Some((last, between)) = others.split_last() else { return text == **first };
        let Some(mut rest) = text.strip_prefix(&**first) else { return false };
        for piece in between {
            let Some((_, after)) = rest.split_once(&**piece) else { return false };
            rest = after;
        }
        rest.ends_with(&**last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(targets: &[stored::UrlTarget]) -> Targets {
        Targets::compile(targets, &mut Compiler::default()).unwrap()
    }

    fn simple(pattern: &str, url: &str) -> bool {
        let target = stored::UrlTarget { include: None, kind: "simple".into(), pattern: pattern.into() };
        compiled(&[target]).include(url, None)
    }

    #[test]
    fn a_simple_pattern_is_compared_part_by_part() {
        assert!(simple("/shop", "https://example.com/shop/?a=1#x"));
        assert!(simple("example.com/Shop/*", "http://EXAMPLE.com/shop/shoes"));
        assert!(simple("*.example.com/*", "https://www.example.com/"));
        assert!(!simple("*.example.com/*", "https://example.com/"));
        assert!(simple("https://example.com/a?q=*", "https://example.com/a?x=1&q=anything"));
        assert!(!simple("https://example.com/a?q=1", "https://example.com/a"));
        assert!(!simple("/a#part", "https://example.com/a"));
        assert!(simple("/a.b", "https://example.com/a.b"));
        assert!(!simple("/a.b", "https://example.com/axb"));
        assert!(simple("*", "https://example.com/"));
    }

    #[test]
    fn exclusions_win_and_alone_include_the_rest() {
        let target = |include, kind: &str, pattern: &str| stored::UrlTarget {
            include: Some(include),
            kind: kind.into(),
            pattern: pattern.into(),
        };
        let targets = compiled(&[target(true, "simple", "/shop/*"), target(false, "regex", "^/shop/sale")]);
        assert!(targets.include("https://h/shop/shoes", None));
        assert!(!targets.include("https://h/shop/sale/1", None));
        assert!(!targets.include("https://h/blog", None));
        let targets = compiled(&[target(false, "simple", "/shop")]);
        assert!(targets.include("https://h/blog", None));
        assert!(!compiled(&[]).include("https://h/", None));
        assert!(!compiled(&[target(true, "globs", "*")]).include("https://h/", None));
    }
}
