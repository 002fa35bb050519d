//! What of a selector a stream can't decide, and what to write instead: for people who know CSS from pages that stand still.

use lol_html::errors::SelectorError;

/// What to do without a part of a selector.
const INSTEAD: [(&[&str], &str); 6] = [
    (&[":has("], "what is inside comes later: select the element by a class or an attribute of its own"),
    (
        &[
            ":nth-last-child",
            ":nth-last-of-type",
            ":last-child",
            ":last-of-type",
            ":only-child",
            ":only-of-type",
            ":empty",
        ],
        "what follows comes later: count from the start with `:nth-child()`, or select by a class",
    ),
    (&[":contains(", ":text("], "text comes later: select by a class or an attribute"),
    (
        &[
            ":hover",
            ":focus",
            ":active",
            ":visited",
            ":link",
            ":target",
            ":checked",
            ":disabled",
            ":enabled",
            ":valid",
            ":invalid",
        ],
        "only a browser knows it: select the element, and leave the state to the page's style sheet",
    ),
    (&[":is(", ":where(", ":matches("], "write each selector out, parted by commas"),
    (&["::"], "it is no element of the page: select the element, and use `prepend` or `append`"),
];

/// The selector's part at fault, with what to use instead where there is such a thing.
pub(super) fn undecidable(source: &str, error: &SelectorError) -> String {
    let lower = source.to_ascii_lowercase();
    let known = INSTEAD.iter().find_map(|(parts, instead)| {
        let part = parts.iter().find(|part| lower.contains(**part))?;
        Some(format!("`{}` in `{source}`: {instead}", part.trim_end_matches('(')))
    });
    known
        .or_else(|| {
            let sibling = sibling(source)?;
            Some(format!(
                "`{sibling}` in `{source}`: siblings can't be told apart there; select by the parent (`ul > li`), a class or `:nth-child()`"
            ))
        })
        .unwrap_or_else(|| format!("`{source}`: {error}"))
}

/// `+` or `~` between two elements, not in brackets.
fn sibling(source: &str) -> Option<char> {
    let mut depth = 0usize;
    source.chars().find(|c| {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && matches!(c, '+' | '~')
    })
}
