//! Regular expressions as the specification has them: JavaScript's syntax, the visitor's input.
//!
//! `regex-lite` matches in time linear in the input, whatever the pattern, so that no visitor can stall the edge. What needs
//! backtracking (look-around, back-references) isn't there: such a pattern never matches, and is named. So is one that is too large:
//! time is also linear in a pattern's size, and `(.{0,90}){0,90}z` would take 50 ms for a text of 150 bytes.

use regex_lite::{Regex, RegexBuilder};

use super::compile::Compiler;
use super::fault::Fault;

/// Bytes of the longest pattern, as written.
const LONGEST: usize = 1024;
/// Sizes that a compiled pattern is measured in, in bytes; the last is the largest that is allowed. `^/shop/(men|women)/[a-z0-9-]+$` takes the
/// second, an e-mail address with bounds on its parts the last.
const SIZES: [usize; 7] = [1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];

/// A pattern, compiled once.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    regex: Option<Regex>,
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
            return Ok(Self { regex: None });
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
                    return Ok(Self { regex: Some(regex) });
                }
                Err(error) => reason = error.to_string(),
            }
        }
        compiler.note(Fault::new(format!(
            "expected a small pattern that can be matched in linear time, but found {source:?}, which never matches: {reason}"
        )));
        Ok(Self { regex: None })
    }

    /// For a place where no pattern stands.
    pub(crate) fn never() -> Self {
        Self { regex: None }
    }

    /// Why a pattern never matches.
    #[cfg(feature = "tools")]
    pub(crate) fn check(source: &str, insensitive: bool) -> Option<Fault> {
        let mut compiler = Compiler::default();
        Self::compile(source, insensitive, &mut compiler).err().or_else(|| compiler.faults.pop())
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
