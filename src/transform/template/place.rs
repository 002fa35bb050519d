//! Where each value of a template lands: HTML text, an attribute, a link, a JSON script, a JSON document.
//!
//! A template's own text is trusted, its values are not. The text is walked like a browser would read it, and each
//! `{{ … }}` is given the filter of its place. Branches must end in the place where they began, so that the answer
//! doesn't depend on which one runs; places where no escaping is safe (a tag's name, an event handler, a script that
//! isn't JSON) take no value at all.

use std::fmt::Write as _;

use super::Kind;
use super::html_state::Html;
use super::json_state::Json;

/// A template's source with each value sent through the filter of its place, or the byte offset and the reason why it
/// can't be used.
pub(super) fn annotate(source: &str, kind: &Kind) -> Result<String, (usize, String)> {
    let mut walk =
        Walk { out: String::with_capacity(source.len() + 64), state: State::start(kind), blocks: Vec::new() };
    let mut rest = source;
    // Whether the tag before takes the space behind it away.
    let mut trims = false;
    while !rest.is_empty() {
        let offset = source.len() - rest.len();
        let (literal, tag) = rest.split_at(next_tag(rest));
        let seen = if trims { literal.trim_start() } else { literal };
        let seen = if tag.get(2..).is_some_and(|inner| inner.starts_with('-')) { seen.trim_end() } else { seen };
        walk.text(literal, seen).map_err(|message| (offset, message))?;
        if tag.is_empty() {
            break;
        }
        let offset = offset + literal.len();
        let end = tag_end(tag)
            .ok_or_else(|| (offset, "expected the end of a tag, but found the end of the template".to_owned()))?;
        let (tag, after) = tag.split_at(end);
        trims = tag.len() > 4 && tag.get(..tag.len() - 2).is_some_and(|inner| inner.ends_with('-'));
        walk.tag(tag).map_err(|message| (offset, message))?;
        rest = after;
    }
    walk.finish().map_err(|message| (source.len(), message))
}

/// Where the next `{{`, `{%` or `{#` starts; the end where there is none.
fn next_tag(text: &str) -> usize {
    let starts = |at: &usize| matches!(text.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#'));
    text.match_indices('{').map(|(at, _)| at).find(starts).unwrap_or(text.len())
}

/// Where the tag that `text` starts with ends. Ends inside string literals don't count.
fn tag_end(text: &str) -> Option<usize> {
    let close = match text.get(..2)? {
        "{{" => "}}",
        "{%" => "%}",
        _ => return text.find("#}").map(|at| at + 2),
    };
    let mut quote = None;
    let mut escaped = false;
    // Brackets count because `}}` may close a map literal: `{{ {"a": {}} }}`.
    let mut depth = 0usize;
    for (at, c) in text.char_indices().skip(2) {
        match quote {
            Some(open) => {
                if !escaped && c == open {
                    quote = None;
                }
                escaped = c == '\\' && !escaped;
            }
            None if depth == 0 && text.get(at..).is_some_and(|tail| tail.starts_with(close)) => {
                return Some(at + 2);
            }
            None => match c {
                '"' | '\'' => quote = Some(c),
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            },
        }
    }
    None
}

/// A place, as far as escaping is concerned.
#[derive(Debug, Clone, PartialEq)]
enum State {
    /// Plain text: the caller escapes the whole.
    Plain,
    /// Somewhere in HTML.
    Html(Html),
    /// Somewhere in a JSON document.
    Json(Json),
}

impl State {
    fn start(kind: &Kind) -> Self {
        match kind {
            Kind::Html => State::Html(Html::default()),
            Kind::Attribute(name) => State::Html(Html::attribute(name)),
            Kind::Text => State::Plain,
            Kind::Json => State::Json(Json::default()),
        }
    }

    /// What the text is, for messages.
    fn name(&self) -> &'static str {
        match self {
            State::Plain => "text",
            State::Html(_) => "HTML",
            State::Json(_) => "JSON",
        }
    }
}

/// An open `if` or `for`.
struct Block {
    word: String,
    start: State,
    /// Where the branches before the current one ended.
    ends: Vec<State>,
    has_else: bool,
}

struct Walk {
    out: String,
    state: State,
    blocks: Vec<Block>,
}

impl Walk {
    /// Literal text, and what of it is left where tags take space away.
    fn text(&mut self, text: &str, seen: &str) -> Result<(), String> {
        self.out.push_str(text);
        match &mut self.state {
            State::Plain => Ok(()),
            State::Html(html) => html.text(seen),
            State::Json(json) => {
                json.text(text);
                Ok(())
            }
        }
    }

    fn tag(&mut self, tag: &str) -> Result<(), String> {
        let inner = tag.get(2..tag.len().saturating_sub(2)).unwrap_or_default();
        if tag.starts_with("{{") {
            self.value(inner)
        } else {
            if tag.starts_with("{%") {
                self.statement(inner.trim_matches(['-', '+']).trim())?;
            }
            self.out.push_str(tag);
            Ok(())
        }
    }

    fn value(&mut self, inner: &str) -> Result<(), String> {
        let filter = match &mut self.state {
            State::Plain => None,
            State::Html(html) => html.value()?,
            State::Json(json) => Some(json.value()?),
        };
        let (open, inner) = match inner.strip_prefix(['-', '+']) {
            Some(stripped) => (inner.get(..1).unwrap_or_default(), stripped),
            None => ("", inner),
        };
        let (close, inner) = match inner.strip_suffix(['-', '+']) {
            Some(stripped) => (inner.get(inner.len() - 1..).unwrap_or_default(), stripped),
            None => ("", inner),
        };
        // Writing to a String can't fail.
        let _ = match filter {
            Some(filter) => write!(self.out, "{{{{{open} ({inner})|{filter} {close}}}}}"),
            None => write!(self.out, "{{{{{open} {inner} {close}}}}}"),
        };
        Ok(())
    }

    fn statement(&mut self, statement: &str) -> Result<(), String> {
        let word = statement.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
        match word {
            "if" | "for" => self.blocks.push(Block {
                word: word.to_owned(),
                start: self.state.clone(),
                ends: Vec::new(),
                has_else: false,
            }),
            "elif" | "else" => {
                let block = self
                    .blocks
                    .last_mut()
                    .ok_or_else(|| format!("expected an open `if` or `for`, but found `{word}`"))?;
                block.has_else |= word == "else";
                block.ends.push(std::mem::replace(&mut self.state, block.start.clone()));
            }
            "endif" | "endfor" => {
                let block = self
                    .blocks
                    .pop()
                    .filter(|block| word == format!("end{}", block.word))
                    .ok_or_else(|| format!("expected the end of the open block, but found `{word}`"))?;
                // A loop may run twice or never, an `if` without `else` may skip: then the end must be the start.
                let same_as_start = block.word == "for" || !block.has_else;
                let differs =
                    block.ends.iter().any(|end| *end != self.state) || (same_as_start && block.start != self.state);
                if differs {
                    return Err(format!(
                        "expected every branch of `{}` to end in the same place of the {}, but found different ones",
                        block.word,
                        self.state.name()
                    ));
                }
            }
            "set" if statement.contains('=') => {}
            "set" => return Err("expected `set` with `=`, but found a `set` block".to_owned()),
            _ => {
                return Err(format!(
                    "expected one of `if`, `elif`, `else`, `endif`, `for`, `endfor`, `set`, but found `{word}`"
                ));
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<String, String> {
        if let Some(block) = self.blocks.last() {
            return Err(format!("expected `end{}`, but found the end of the template", block.word));
        }
        match &self.state {
            State::Plain => Ok(self.out),
            State::Html(html) => html.finish().map(|()| self.out),
            State::Json(json) => json.finish().map(|()| self.out),
        }
    }
}
