//! Which User-Agents are a crawler's, a link preview's, a monitor's or a program's: by patterns that others keep up to date.
//!
//! `cargo xtask bots` writes the patterns as data ([`data`]). They are a few hundred texts, most of them plain: each is looked for where
//! its first byte stands, and only what surrounds it is matched step by step.

use std::cell::Cell;

#[rustfmt::skip]
mod data;

/// Bytes of a User-Agent that are looked at. The longest of 2,118 real crawlers' has some 400.
const LONGEST: usize = 1024;
/// Steps that matching one User-Agent may take: real ones take some dozens, and who makes one up to cost more is no bot of note.
const MOST_STEPS: u32 = 20_000;

/// A pattern: zero-width steps before a plain text, the text, and what follows it.
struct Pattern {
    before: &'static [Step],
    text: &'static str,
    after: &'static [Step],
}

/// One step of a pattern.
#[allow(dead_code, reason = "not every list needs every step")]
enum Step {
    /// This text, in lower case.
    Text(&'static str),
    /// Bytes of a set: at least so many, at most so many.
    Run(Set, usize, usize),
    /// One of these alternatives, at least so often, at most so often.
    Group(&'static [&'static [Step]], usize, usize),
    /// A border of a word.
    Edge,
    /// The beginning of the text.
    Start,
    /// Its end.
    End,
    /// None of these follows.
    NotAhead(&'static [&'static [Step]]),
    /// None of these texts is in front.
    NotBehind(&'static [&'static str]),
    /// A byte of the set is in front.
    Behind(Set),
}

/// Patterns whose texts begin with one byte.
struct Bucket {
    /// The bytes that follow it in them; all, where a text has no second one.
    seconds: u128,
    patterns: &'static [Pattern],
}

/// A set of bytes.
struct Set {
    /// A bit for each byte of ASCII.
    ascii: u128,
    /// Whether the others are in it.
    others: bool,
}

impl Set {
    fn has(&self, byte: u8) -> bool {
        if byte.is_ascii() { self.ascii >> byte & 1 == 1 } else { self.others }
    }
}

/// What follows a step, given where it ended.
type Then<'a> = &'a dyn Fn(usize) -> bool;

/// A User-Agent that is being looked at.
struct Matcher<'t> {
    text: &'t [u8],
    steps_left: Cell<u32>,
}

/// Whether a User-Agent, in lower case, is a bot's.
pub(super) fn is_bot(agent: &str) -> bool {
    let text = agent.as_bytes();
    let matcher = Matcher { text: text.get(..LONGEST).unwrap_or(text), steps_left: Cell::new(MOST_STEPS) };
    data::AT_START.iter().any(|pattern| matcher.finds(pattern, 0))
        || (0..=matcher.text.len()).any(|at| {
            let bucket = matcher.text.get(at).and_then(|byte| data::BY_FIRST.get(usize::from(*byte)));
            let second = matcher.text.get(at + 1).filter(|byte| byte.is_ascii());
            // Two bytes say no to nearly every place.
            bucket.is_some_and(|bucket| {
                second.is_none_or(|byte| bucket.seconds >> byte & 1 == 1)
                    && bucket.patterns.iter().any(|pattern| matcher.finds(pattern, at))
            }) || data::ANYWHERE.iter().any(|pattern| matcher.finds(pattern, at))
        })
}

impl Matcher<'_> {
    fn finds(&self, pattern: &Pattern, at: usize) -> bool {
        self.stands(pattern.text, at)
            && self.run(pattern.before, at, &|_| true)
            && self.run(pattern.after, at + pattern.text.len(), &|_| true)
    }

    fn stands(&self, text: &str, at: usize) -> bool {
        self.text.get(at..).is_some_and(|rest| rest.starts_with(text.as_bytes()))
    }

    /// Whether `steps` match at `at`, and `then` what follows.
    fn run(&self, steps: &'static [Step], at: usize, then: Then<'_>) -> bool {
        let Some((step, more)) = steps.split_first() else {
            return then(at);
        };
        let Some(left) = self.steps_left.get().checked_sub(1) else {
            return false;
        };
        self.steps_left.set(left);
        let goes_on = match step {
            Step::Text(text) => return self.stands(text, at) && self.run(more, at + text.len(), then),
            Step::Run(set, least, most) => {
                let rest = self.text.get(at..).unwrap_or_default();
                let longest = rest.iter().take(*most).take_while(|byte| set.has(**byte)).count();
                return (*least..=longest).rev().any(|length| self.run(more, at + length, then));
            }
            Step::Group(alternatives, least, most) => {
                return self.repeat(alternatives, *least, *most, at, &|end| self.run(more, end, then));
            }
            Step::Edge => self.is_word(at) != at.checked_sub(1).is_some_and(|before| self.is_word(before)),
            Step::Start => at == 0,
            Step::End => at == self.text.len(),
            Step::NotAhead(alternatives) => !alternatives.iter().any(|steps| self.run(steps, at, &|_| true)),
            Step::NotBehind(texts) => {
                let before = self.text.get(..at).unwrap_or_default();
                !texts.iter().any(|text| before.ends_with(text.as_bytes()))
            }
            Step::Behind(set) => {
                at.checked_sub(1).and_then(|before| self.text.get(before)).is_some_and(|byte| set.has(*byte))
            }
        };
        goes_on && self.run(more, at, then)
    }

    /// A group as often as it may stand, then what follows. A round that takes nothing could be repeated without end: it is the last.
    fn repeat(
        &self,
        alternatives: &'static [&'static [Step]],
        least: usize,
        most: usize,
        at: usize,
        then: Then<'_>,
    ) -> bool {
        let again = |end: usize| {
            if end == at {
                return then(end);
            }
            self.repeat(alternatives, least.saturating_sub(1), most.saturating_sub(1), end, then)
        };
        (most > 0 && alternatives.iter().any(|steps| self.run(steps, at, &again))) || (least == 0 && then(at))
    }

    /// Whether a letter, a digit or `_` stands there.
    fn is_word(&self, at: usize) -> bool {
        self.text.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    }
}
