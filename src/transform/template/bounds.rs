//! What a template may hold at most, counted before it is parsed: the parser, the compiler and the dropping of what they make recurse, and
//! the stack is 1 MB.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

/// Names, signs and values in one `{{ … }}` or `{% … %}`: each may be one level of the syntax tree.
const MAX_IN_TAG: usize = 200;
/// Names, signs and values in all of a template.
const MAX_IN_ALL: usize = 10_000;
/// Brackets within brackets, and blocks within blocks (an `elif` counts as a block within its `if`).
const MAX_NESTED: usize = 24;

/// Whether a template keeps the bounds; else the line, and the bound that it breaks. What can't be read is left to the parser: it reads no
/// further.
pub(super) fn check(source: &str) -> Result<(), (usize, String)> {
    let (mut in_all, mut in_tag, mut brackets) = (0, 0, 0usize);
    // Levels that each open block takes.
    let mut blocks: Vec<usize> = Vec::new();
    let mut is_word = false;
    for token in tokenize(source, false, SyntaxConfig::default()) {
        let Ok((token, span)) = token else { return Ok(()) };
        let fault = |what: &str, most: usize| {
            Err((usize::from(span.start_line), format!("expected at most {most} {what}, but found more")))
        };
        match token {
            Token::TemplateData(_) => continue,
            Token::VariableStart | Token::BlockStart => {
                (in_tag, brackets) = (0, 0);
                is_word = matches!(token, Token::BlockStart);
                continue;
            }
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => brackets += 1,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => brackets = brackets.saturating_sub(1),
            Token::Ident(word) if is_word => match word {
                "if" | "for" => blocks.push(1),
                "elif" => blocks.last_mut().into_iter().for_each(|levels| *levels += 1),
                "endif" | "endfor" => drop(blocks.pop()),
                _ => {}
            },
            _ => {}
        }
        is_word = false;
        in_all += 1;
        in_tag += 1;
        if brackets > MAX_NESTED {
            return fault("brackets within brackets", MAX_NESTED);
        }
        if blocks.iter().sum::<usize>() > MAX_NESTED {
            return fault("`if`, `elif` and `for` within each other", MAX_NESTED);
        }
        if in_tag > MAX_IN_TAG {
            return fault("names, signs and values in one `{{ }}` or `{% %}`", MAX_IN_TAG);
        }
        if in_all > MAX_IN_ALL {
            return fault("names, signs and values in a template", MAX_IN_ALL);
        }
    }
    Ok(())
}
