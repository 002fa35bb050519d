//! Regular expressions as the specification has them: JavaScript's syntax, the visitor's input.
//!
//! `regex-lite` matches in time linear in the input, whatever the pattern, so that no visitor can stall the edge. What needs
//! backtracking (look-around, back-references) isn't there: such a pattern never matches, and is named. So is one that is too large:
//! time is also linear in a pattern's size, and `(.{0,90}){0,90}z` would take 50 ms for a text of 150 bytes. What a request's patterns take
//! together is bounded by [`PatternWork`].

use regex_lite::{Regex, RegexBuilder};

use super::compile::Compiler;
use super::fault::Fault;
use super::work::{PatternWork, allows};

/// Bytes of the longest pattern, as written.
const LONGEST: usize = 1024;
/// Sizes that a compiled pattern is measured in, in bytes; the last is the largest that is allowed. `^/shop/(men|women)/[a-z0-9-]+$` takes the
/// second, an e-mail address with bounds on its parts the last.
const SIZES: [usize; 7] = [1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];

/// A pattern, compiled once.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    regex: Option<Regex>,
    /// How large it is, compiled, in bytes.
    size: usize,
    /// What a text must start with, where that is plain to see: most patterns of paths are refused by it, at no cost.
    start: Option<Box<str>>,
}

impl Pattern {
    /// Compiles a pattern; one that can't be compiled never matches, and is noted.
    ///
    /// # Errors
    ///
    /// No room is left for it.
    pub(crate) fn compile(source: &str, insensitive: bool, compiler: &mut Compiler) -> Result<Self, Fault> {
        if source.len() > LONGEST {
            compiler.note(Fault::new(format!(
                "expected a pattern of at most {LONGEST} bytes, but found one of {}, which never matches",
                source.len()
            )));
            return Ok(Self::never());
        }
        let translated = translate(source);
        let mut builder = RegexBuilder::new(&translated);
        builder.case_insensitive(insensitive);
        let mut reason = String::new();
        // The compiler of patterns doesn't tell a pattern's size, but stops at a limit: so the size is found by trying.
        for size in SIZES {
            if size > compiler.budget.left() {
                return Err(compiler.budget.exhausted());
            }
            match builder.size_limit(size).build() {
                Ok(regex) => {
                    compiler.budget.take(size);
                    let start = Some(literal_start(source)).filter(|start| !start.is_empty() && !insensitive);
                    return Ok(Self { regex: Some(regex), size, start: start.map(Into::into) });
                }
                Err(error) => reason = error.to_string(),
            }
        }
        compiler.note(Fault::new(format!(
            "expected a small pattern that can be matched in linear time, but found {source:?}, which never matches: {reason}"
        )));
        Ok(Self::never())
    }

    /// For a place where no pattern stands.
    pub(crate) fn never() -> Self {
        Self { regex: None, size: 0, start: None }
    }

    /// Why a pattern never matches.
    #[cfg(feature = "tools")]
    pub(crate) fn check(source: &str, insensitive: bool) -> Option<Fault> {
        let mut compiler = Compiler::default();
        Self::compile(source, insensitive, &mut compiler).err().or_else(|| compiler.faults.pop())
    }

    /// How long a text takes all that a request's patterns may take together, in bytes; `None` for a pattern that never matches.
    #[cfg(feature = "tools")]
    pub(crate) fn longest_text(source: &str) -> Option<usize> {
        let pattern = Self::compile(source, false, &mut Compiler::default()).ok()?;
        pattern.regex.as_ref().map(|_| PatternWork::REQUEST / pattern.size)
    }

    /// Whether the pattern is found anywhere in the text, as far as `work` allows looking.
    pub(crate) fn is_found_in(&self, text: &str, work: Option<&PatternWork>) -> bool {
        let Some(regex) = &self.regex else { return false };
        let may_match = self.start.as_ref().is_none_or(|start| text.starts_with(&**start));
        may_match && allows(work, self.size, text.len()) && regex.is_match(text)
    }
}

/// The plain characters that a text must start with to match; empty where that isn't plain to see.
fn literal_start(source: &str) -> &str {
    let Some(rest) = source.strip_prefix('^').filter(|_| !source.contains('|')) else { return "" };
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/-_:=&,;%~@!".contains(character);
    let end = rest.find(|character| !is_plain(character)).unwrap_or(rest.len());
    let (plain, after) = rest.split_at(end);
    // What may be repeated, or left out, is no part of it.
    if after.starts_with(['?', '*', '+', '{']) { plain.get(..end.saturating_sub(1)).unwrap_or_default() } else { plain }
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
