//! A regular expression of `isbot` (JavaScript, case-insensitive) as steps of the service's matcher, spelled in Rust.

use std::fmt::{self, Display};
use std::iter::Peekable;
use std::str::Chars;

use anyhow::{Context, bail, ensure};

/// A pattern: zero-width steps, a plain text, and what follows.
pub struct Pattern {
    /// Whether it holds at the beginning alone.
    pub at_start: bool,
    before: Vec<Step>,
    /// The text, in lower case.
    pub text: String,
    after: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Text(String),
    Run(Set, usize, usize),
    Group(Vec<Vec<Step>>, usize, usize),
    Edge,
    Start,
    End,
    NotAhead(Vec<Vec<Step>>),
    NotBehind(Vec<String>),
    Behind(Set),
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Set {
    ascii: u128,
    others: bool,
}

impl Set {
    fn of(holds: impl Fn(u8) -> bool) -> Self {
        let bits = (0..128u8).filter(|byte| holds(*byte)).map(|byte| 1 << byte);
        Self { ascii: bits.fold(0, |set, bit: u128| set | bit), others: false }
    }

    fn and(self, other: Self) -> Self {
        Self { ascii: self.ascii | other.ascii, others: self.others || other.others }
    }

    fn except(self) -> Self {
        Self { ascii: !self.ascii, others: !self.others }
    }

    /// The same where case doesn't count: what is matched is in lower case.
    fn lower(self) -> Self {
        let has = |byte: u8| self.ascii >> byte & 1 == 1;
        Self { others: self.others, ..Self::of(|byte| has(byte) || has(byte.to_ascii_uppercase())) }
    }
}

/// Reads a pattern.
pub fn parse(text: &str) -> anyhow::Result<Pattern> {
    let mut rest = text.chars().peekable();
    let mut alternatives = alternatives(&mut rest)?;
    ensure!(rest.next().is_none(), "expected the end, but found `)`");
    ensure!(alternatives.len() == 1, "expected no `|` outside a group");
    let mut all: Vec<_> = alternatives.pop().unwrap_or_default().into_iter().map(normal).collect();
    let at_start = all.first() == Some(&Step::Start);
    if at_start {
        all.remove(0);
    }
    let mut before = Vec::new();
    // A whole word in front of a text is there where its last letter is.
    let whole_word = [Step::Edge, Step::Run(word(), 1, usize::MAX)];
    if !at_start && all.starts_with(&whole_word) && matches!(all.get(2), Some(Step::Text(_))) {
        all.splice(..2, [Step::Behind(word())]);
    }
    let mut steps = all.into_iter().peekable();
    while let Some(step) = steps.next_if(|step| matches!(step, Step::Edge | Step::NotBehind(_) | Step::Behind(_))) {
        before.push(step);
    }
    let text = match steps.next_if(|step| matches!(step, Step::Text(_))) {
        Some(Step::Text(text)) => text,
        _ => String::new(),
    };
    let mut after: Vec<_> = steps.collect();
    if text.is_empty() {
        before.append(&mut after);
        std::mem::swap(&mut before, &mut after);
    }
    Ok(Pattern { at_start, before, text, after })
}

/// `(?:^|[^x])` is a look behind that a matcher needn't step back for.
fn normal(step: Step) -> Step {
    if let Step::Group(alternatives, 1, 1) = &step
        && let [start, other] = alternatives.as_slice()
        && let ([Step::Start], [Step::Run(set, 1, 1)]) = (start.as_slice(), other.as_slice())
        && set.others
        && let bits = set.except().ascii
        && bits.count_ones() == 1
        && let Ok(byte) = u8::try_from(bits.trailing_zeros())
    {
        return Step::NotBehind(vec![char::from(byte).to_string()]);
    }
    step
}

type Rest<'t> = Peekable<Chars<'t>>;

fn alternatives(rest: &mut Rest<'_>) -> anyhow::Result<Vec<Vec<Step>>> {
    let mut all = vec![Vec::new()];
    while let Some(next) = rest.peek().copied() {
        match next {
            ')' => break,
            '|' => {
                rest.next();
                all.push(Vec::new());
            }
            _ => {
                let step = repeated(one(rest)?, rest)?;
                if let Some(steps) = all.last_mut() {
                    push(steps, step);
                }
            }
        }
    }
    Ok(all)
}

/// Adds a step; texts beside each other become one.
fn push(steps: &mut Vec<Step>, step: Step) {
    match (steps.last_mut(), step) {
        (Some(Step::Text(text)), Step::Text(more)) => text.push_str(&more),
        (_, step) => steps.push(step),
    }
}

/// One step without its quantifier.
fn one(rest: &mut Rest<'_>) -> anyhow::Result<Step> {
    let next = rest.next().context("expected more")?;
    Ok(match next {
        '^' => Step::Start,
        '$' => Step::End,
        '(' => group(rest)?,
        '[' => class(rest)?,
        '.' => Step::Run(Set::of(|_| false).except(), 1, 1),
        '\\' => match rest.next().context("expected more after `\\`")? {
            'b' => Step::Edge,
            letter => match escaped_class(letter) {
                Some(set) => Step::Run(set, 1, 1),
                None => text(letter)?,
            },
        },
        '*' | '+' | '?' | '{' => bail!("expected something to repeat"),
        letter => text(letter)?,
    })
}

fn text(letter: char) -> anyhow::Result<Step> {
    ensure!(letter.is_ascii(), "expected ASCII, but found `{letter}`");
    Ok(Step::Text(letter.to_ascii_lowercase().to_string()))
}

fn word() -> Set {
    Set::of(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn escaped_class(letter: char) -> Option<Set> {
    Some(match letter {
        'w' => word(),
        'd' => Set::of(|byte| byte.is_ascii_digit()),
        's' => Set::of(|byte| matches!(byte, b'\t'..=b'\r' | b' ')),
        _ => return None,
    })
}

fn group(rest: &mut Rest<'_>) -> anyhow::Result<Step> {
    ensure!(rest.next_if_eq(&'?').is_some(), "expected `(?`: groups that capture are of no use");
    let step = match (rest.next(), rest.peek().copied()) {
        (Some(':'), _) => Step::Group(alternatives(rest)?, 1, 1),
        (Some('!'), _) => Step::NotAhead(alternatives(rest)?),
        (Some('<'), Some('!')) => {
            rest.next();
            let texts = alternatives(rest)?.into_iter().map(|mut steps| match (steps.pop(), steps.is_empty()) {
                (Some(Step::Text(text)), true) => Ok(text),
                _ => bail!("expected plain texts in `(?<!…)`"),
            });
            Step::NotBehind(texts.collect::<anyhow::Result<_>>()?)
        }
        _ => bail!("expected `(?:`, `(?!` or `(?<!`"),
    };
    ensure!(rest.next() == Some(')'), "expected `)`");
    Ok(step)
}

fn class(rest: &mut Rest<'_>) -> anyhow::Result<Step> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut set = Set::of(|_| false);
    // The character that a range may begin with.
    let mut from: Option<u8> = None;
    loop {
        let next = rest.next().context("expected `]`")?;
        let single = match next {
            ']' => break,
            '-' if from.is_some() && rest.peek().is_some_and(|next| *next != ']') => {
                let (first, last) = (from.take().unwrap_or_default(), rest.next().unwrap_or_default());
                ensure!(last.is_ascii_alphanumeric(), "expected a letter or a digit at the end of a range");
                set = set.and(Set::of(|byte| (first..=last as u8).contains(&byte)));
                continue;
            }
            '\\' => {
                let letter = rest.next().context("expected more after `\\`")?;
                if let Some(class) = escaped_class(letter) {
                    set = set.and(class);
                    from = None;
                    continue;
                }
                letter
            }
            letter => letter,
        };
        let byte = u8::try_from(single).ok().filter(u8::is_ascii).context("expected ASCII")?;
        set = set.and(Set::of(|other| other == byte));
        from = Some(byte);
    }
    let set = set.lower();
    Ok(Step::Run(if negated { set.except() } else { set }, 1, 1))
}

/// The step with the quantifier that follows it. Whether that is lazy makes no difference to whether it matches.
fn repeated(step: Step, rest: &mut Rest<'_>) -> anyhow::Result<Step> {
    let (least, most) = match rest.peek() {
        Some('?') => (0, 1),
        Some('*') => (0, usize::MAX),
        Some('+') => (1, usize::MAX),
        Some('{') => {
            rest.next();
            let inside: String = std::iter::from_fn(|| rest.next_if(|next| *next != '}')).collect();
            let (least, most) = inside.split_once(',').unwrap_or((&inside, &inside));
            (least.parse()?, if most.is_empty() { usize::MAX } else { most.parse()? })
        }
        _ => return Ok(step),
    };
    rest.next();
    rest.next_if_eq(&'?');
    Ok(match step {
        Step::Run(set, 1, 1) => Step::Run(set, least, most),
        Step::Group(alternatives, 1, 1) => Step::Group(alternatives, least, most),
        Step::Text(text) => Step::Group(vec![vec![Step::Text(text)]], least, most),
        step => bail!("expected something to repeat, but found {step:?}"),
    })
}

impl Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern {{ before: {}, text: {:?}, after: {} }}", List(&self.before), self.text, List(&self.after))
    }
}

/// A list of steps as Rust.
struct List<'a, T>(&'a [T]);

impl<T: Display> Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("&[")?;
        for (index, item) in self.0.iter().enumerate() {
            write!(f, "{}{item}", if index > 0 { ", " } else { "" })?;
        }
        f.write_str("]")
    }
}

impl Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Set {{ ascii: {:#x}, others: {} }}", self.ascii, self.others)
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nested = |alternatives: &[Vec<Self>]| {
            let lists: Vec<_> = alternatives.iter().map(|steps| List(steps).to_string()).collect();
            List(&lists).to_string()
        };
        let most = |most: &usize| if *most == usize::MAX { "usize::MAX".to_owned() } else { most.to_string() };
        match self {
            Self::Text(text) => write!(f, "Text({text:?})"),
            Self::Run(set, least, up_to) => write!(f, "Run({set}, {least}, {})", most(up_to)),
            Self::Behind(set) => write!(f, "Behind({set})"),
            Self::Group(alternatives, least, up_to) => {
                write!(f, "Group({}, {least}, {})", nested(alternatives), most(up_to))
            }
            Self::Edge => f.write_str("Edge"),
            Self::Start => f.write_str("Start"),
            Self::End => f.write_str("End"),
            Self::NotAhead(alternatives) => write!(f, "NotAhead({})", nested(alternatives)),
            Self::NotBehind(texts) => {
                let texts: Vec<_> = texts.iter().map(|text| format!("{text:?}")).collect();
                write!(f, "NotBehind({})", List(&texts))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_steps() {
        for (text, expected) in [
            (
                r"\b\w+/x",
                r#"Pattern { before: &[Behind(Set { ascii: 0x7fffffe87fffffe03ff000000000000, others: false })], text: "/x", after: &[] }"#,
            ),
            ("crawl", r#"Pattern { before: &[], text: "crawl", after: &[] }"#),
            ("Node\\b", r#"Pattern { before: &[], text: "node", after: &[Edge] }"#),
            ("(?<!cam)scan", r#"Pattern { before: &[NotBehind(&["cam"])], text: "scan", after: &[] }"#),
            (
                "(?:^|[^g])news(?!sapphire)",
                r#"Pattern { before: &[NotBehind(&["g"])], text: "news", after: &[NotAhead(&[&[Text("sapphire")]])] }"#,
            ),
            ("bots?", r#"Pattern { before: &[], text: "bot", after: &[Group(&[&[Text("s")]], 0, 1)] }"#),
            (
                "\\d+$",
                "Pattern { before: &[], text: \"\", after: &[Run(Set { ascii: 0x3ff000000000000, others: false }, 1, usize::MAX), End] }",
            ),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), expected, "{text}");
        }
        assert!(parse("^bot").unwrap().at_start);
        for bad in ["(a)", "(?=a)", "a|b", "(?:a", "*", "(?<!a+)b", "é"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
