//! Regular expressions as the specification has them: JavaScript's syntax, the visitor's input.
//!
//! `regex-lite` matches in time linear in the input, whatever the pattern, so that no visitor can stall the edge. What needs
//! backtracking (look-around, back-references) isn't there: such a pattern never matches, and the checker names it.

use regex_lite::{Regex, RegexBuilder};

/// A compiled pattern takes no more than this, so that nested repetitions (`(a{1000}){1000}`) can't fill the heap.
const LARGEST_PROGRAM: usize = 1 << 20;

/// A pattern, compiled once.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    regex: Option<Regex>,
}

impl Pattern {
    /// Compiles a pattern; one that can't be compiled never matches.
    pub(crate) fn new(source: &str, insensitive: bool) -> Self {
        Self { regex: Self::compile(source, insensitive).ok() }
    }

    /// For a place where no pattern stands.
    pub(crate) fn never() -> Self {
        Self { regex: None }
    }

    /// Why a pattern never matches.
    #[cfg(feature = "tools")]
    pub(crate) fn check(source: &str) -> Result<(), String> {
        Self::compile(source, false).map(drop).map_err(|error| error.to_string())
    }

    fn compile(source: &str, insensitive: bool) -> Result<Regex, regex_lite::Error> {
        RegexBuilder::new(&translate(source)).case_insensitive(insensitive).size_limit(LARGEST_PROGRAM).build()
    }

    /// Whether the pattern is found anywhere in the text.
    pub(crate) fn is_found_in(&self, text: &str) -> bool {
        self.regex.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// Inside brackets `[`, `&` and `~` are plain characters to JavaScript and operators to Rust.
fn translate(source: &str) -> String {
    let mut translated = String::with_capacity(source.len());
    let mut in_class = false;
    let mut characters = source.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                translated.push('\\');
                translated.extend(characters.next());
                continue;
            }
            '[' if !in_class => in_class = true,
            ']' => in_class = false,
            '[' | '&' | '~' if in_class => translated.push('\\'),
            _ => {}
        }
        translated.push(character);
    }
    translated
}
