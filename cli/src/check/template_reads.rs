//! What a template of a page reads, found by its words: names, the steps behind them, and texts that they are compared with.
//!
//! This stands in for the template language's own parser and knows no more than the checker needs.

/// A value that a template reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// `region.slug` as `["region", "slug"]`; what stands in `[…]` and is no text ends it.
    pub path: Vec<String>,
    /// The texts that it is compared with, by `==`, `!=` or `in [ … ]`.
    pub compared: Vec<String>,
}

/// Words of the language, and names that it defines.
const WORDS: [&str; 52] = [
    "if",
    "elif",
    "else",
    "endif",
    "for",
    "endfor",
    "in",
    "and",
    "or",
    "not",
    "is",
    "true",
    "false",
    "none",
    "True",
    "False",
    "None",
    "set",
    "endset",
    "with",
    "endwith",
    "macro",
    "endmacro",
    "call",
    "endcall",
    "filter",
    "endfilter",
    "block",
    "endblock",
    "extends",
    "include",
    "import",
    "from",
    "as",
    "raw",
    "endraw",
    "autoescape",
    "endautoescape",
    "do",
    "recursive",
    "ignore",
    "missing",
    "loop",
    "self",
    "super",
    "caller",
    "range",
    "dict",
    "namespace",
    "debug",
    "break",
    "continue",
];

#[derive(Debug, Clone, PartialEq)]
enum Token<'t> {
    Name(&'t str),
    Text(&'t str),
    Number,
    Sign(&'t str),
}

/// The values that a template reads, those that it defines itself left out.
pub fn reads(source: &str) -> Vec<Read> {
    let pieces: Vec<Vec<Token<'_>>> = code(source).into_iter().map(tokens).collect();
    let own: Vec<&str> = pieces.iter().flat_map(|piece| defined(piece)).collect();
    let mut found = Vec::new();
    for piece in &pieces {
        let mut at = 0;
        while at < piece.len() {
            at = match read(piece, at) {
                Some((read, next)) => {
                    let first = read.path.first().map(String::as_str).unwrap_or_default();
                    if !own.contains(&first) {
                        found.push(read);
                    }
                    next
                }
                None => at + 1,
            };
        }
    }
    found
}

/// The code between `{{` and `}}`, and between `{%` and `%}`.
fn code(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = source;
    let mut raw = false;
    while let Some(open) = rest.find(['{']) {
        let from = rest.get(open..).unwrap_or_default();
        let close = match from.get(..2) {
            Some("{{") => "}}",
            Some("{%") => "%}",
            Some("{#") => "#}",
            _ => {
                rest = from.get(1..).unwrap_or_default();
                continue;
            }
        };
        let inner = from.get(2..).unwrap_or_default();
        let Some(end) = inner.find(close) else { break };
        let text = inner.get(..end).unwrap_or_default();
        match (text.trim_matches(['-', '+', ' ', '\n', '\t']), raw) {
            ("endraw", _) => raw = false,
            ("raw", false) if close == "%}" => raw = true,
            (_, false) if close != "#}" => found.push(text),
            _ => {}
        }
        rest = inner.get(end + 2..).unwrap_or_default();
    }
    found
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => {
                let inner = rest.get(1..).unwrap_or_default();
                let end = inner.find(first).unwrap_or(inner.len());
                found.push(Token::Text(inner.get(..end).unwrap_or_default()));
                (end + 2).min(rest.len())
            }
            first if first.is_ascii_digit() => {
                found.push(Token::Number);
                rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len())
            }
            first if first.is_alphabetic() || first == '_' => {
                let end = rest.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(rest.len());
                found.push(Token::Name(rest.get(..end).unwrap_or_default()));
                end
            }
            first if first.is_whitespace() => first.len_utf8(),
            first => {
                let two = rest.get(..2).filter(|two| matches!(*two, "==" | "!=" | "<=" | ">=" | "//" | "**"));
                let length = two.map_or(first.len_utf8(), str::len);
                found.push(Token::Sign(rest.get(..length).unwrap_or_default()));
                length
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    found
}

/// Names that a piece of code defines: `for x in`, `set x =`, `with x =`, `macro x(y)`.
fn defined<'t>(tokens: &[Token<'t>]) -> Vec<&'t str> {
    let name = |token: &Token<'t>| if let Token::Name(name) = token { Some(*name) } else { None };
    let first = tokens.iter().find_map(name).unwrap_or_default();
    match first {
        "for" => tokens.iter().take_while(|token| **token != Token::Name("in")).filter_map(name).collect(),
        "macro" | "call" => tokens.iter().filter_map(name).collect(),
        "set" | "with" => {
            let before_is = tokens.windows(2).filter(|pair| matches!(pair, [_, Token::Sign("=" | ",")]));
            let mut names: Vec<&str> = before_is.filter_map(|pair| pair.first().and_then(name)).collect();
            // `{% set x %}…{% endset %}`.
            names.extend(tokens.iter().filter_map(name).nth(1).filter(|_| tokens.len() < 4));
            names
        }
        _ => Vec::new(),
    }
}

/// The value that is read at `at`, and where the tokens go on behind it.
fn read(tokens: &[Token<'_>], at: usize) -> Option<(Read, usize)> {
    let Some(Token::Name(name)) = tokens.get(at) else { return None };
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    let is_filter_or_test = matches!(before, Some(Token::Sign("." | "|") | Token::Name("is")))
        || (before == Some(&Token::Name("not")) && at >= 2 && tokens.get(at - 2) == Some(&Token::Name("is")));
    let is_argument = tokens.get(at + 1) == Some(&Token::Sign("="));
    // `{% filter upper %}` and `{% block name %}` name something else.
    let names_another = matches!(before, Some(Token::Name("filter" | "block" | "macro" | "set")));
    if WORDS.contains(name) || is_filter_or_test || is_argument || names_another {
        return None;
    }
    let mut path = vec![(*name).to_owned()];
    let mut next = at + 1;
    loop {
        match (tokens.get(next), tokens.get(next + 1), tokens.get(next + 2)) {
            (Some(Token::Sign(".")), Some(Token::Name(step)), _) => {
                path.push((*step).to_owned());
                next += 2;
            }
            (Some(Token::Sign("[")), Some(Token::Text(step)), Some(Token::Sign("]"))) => {
                path.push((*step).to_owned());
                next += 3;
            }
            _ => break,
        }
    }
    let mut compared = Vec::new();
    match (tokens.get(next), tokens.get(next + 1)) {
        (Some(Token::Sign("==" | "!=")), Some(Token::Text(text))) => compared.push((*text).to_owned()),
        (Some(Token::Name("in")), Some(Token::Sign("[" | "("))) => compared = texts(tokens, next + 2),
        (Some(Token::Name("not")), Some(Token::Name("in"))) => compared = texts(tokens, next + 3),
        _ => {}
    }
    if let (Some(Token::Sign("==" | "!=")), Some(Token::Text(text))) =
        (before, at.checked_sub(2).and_then(|at| tokens.get(at)))
    {
        compared.push((*text).to_owned());
    }
    Some((Read { path, compared }, next))
}

/// The texts of a list, up to its end.
fn texts(tokens: &[Token<'_>], from: usize) -> Vec<String> {
    let rest = tokens.get(from..).unwrap_or_default();
    let inner = rest.iter().take_while(|token| !matches!(token, Token::Sign("]" | ")")));
    inner.filter_map(|token| if let Token::Text(text) = token { Some((*text).to_owned()) } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(source: &str) -> Vec<String> {
        reads(source).into_iter().map(|read| read.path.join(".")).collect()
    }

    #[test]
    fn names_and_the_steps_behind_them_are_read() {
        for (source, expected) in [
            ("a {{ region.slug }} b {{feature['de-baner']|upper}}", vec!["region.slug", "feature.de-baner"]),
            ("{% if session.cart[0].sku is defined and not loggedIn %}x{% endif %}", vec!["session.cart", "loggedIn"]),
            (
                "{% for sku in session.recent_views %}{{ sku }}{{ loop.index }}{% endfor %}",
                vec!["session.recent_views"],
            ),
            ("{% set line = country ~ '{{ no }}' %}{{ line|default(value='x') }}", vec!["country"]),
            ("{# {{ comment }} #}{% raw %}{{ raw }}{% endraw %}{{ host }} { {{ path }}", vec!["host", "path"]),
            (
                "{{ items|join(', ') }}{% for key, value in session.affinity|items %}{{ value }}{% endfor %}",
                vec!["items", "session.affinity"],
            ),
            ("no value at all } {", vec![]),
        ] {
            assert_eq!(paths(source), expected, "{source}");
        }
    }

    #[test]
    fn texts_that_a_value_is_compared_with_are_read() {
        for (source, expected) in [
            ("{% if region.id == 'NORDIC' %}", vec!["NORDIC"]),
            ("{% if \"A\" != region.id %}", vec!["A"]),
            ("{% if region.id in ['A', 'B'] %}", vec!["A", "B"]),
            ("{% if region.id not in ('A',) %}", vec!["A"]),
            ("{{ region.id }}", vec![]),
        ] {
            assert_eq!(reads(source)[0].compared, expected, "{source}");
        }
    }
}
