//! A log line, explained by the rules that decided it and by what it says.

use std::path::Path;

use anyhow::{Context as _, bail};
use edge_personalizer::context::replayed::unmarked;
use edge_personalizer::explain::{Explanation, explain_line};
use edge_personalizer::replay::Pair;
use edge_personalizer::replay::shown_path::{self, ShownPath};
use edge_personalizer::replay::worlds::Choice;
use owo_colors::OwoColorize as _;
use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{Options, text};
use crate::diff::side::{Reader, Side, Which};
use crate::output::{self, Format, Outcome};
use crate::replay::line::{Logged, text as said};
use crate::report::members::Layout;

/// The explanation, with what the line says to it.
#[derive(Serialize)]
struct Traced<'a> {
    #[serde(flatten)]
    explanation: &'a Explanation,
    /// What isn't logged, and was taken so that it agrees with the line.
    assumed: Vec<Assumed>,
    /// Where the rules do something else than the line says.
    differences: Vec<String>,
}

/// What was assumed of an attribute.
#[derive(Serialize, PartialEq)]
struct Assumed {
    attribute: String,
    taken: String,
}

/// Explains a line, given as the file that it is from and its JSON.
pub fn run(options: &Options, folder: Option<&str>, (file, json): (&Path, &str)) -> anyhow::Result<Outcome> {
    let logged = Logged::read(json.as_bytes(), &mut Layout::default()).with_context(|| file.display().to_string())?;
    let side = rules(options, folder, &logged)?;
    side.notes.iter().for_each(|note| output::note(note));
    if let (Which::Folder, Some(revision)) = (&side.which, said(&logged.revision)) {
        output::note(&format!(
            "the line is of revision {revision}, and is held against {}: --on TARGET explains it by its own",
            side.name
        ));
    } else if !logged.is_of(&side.which) {
        let revision = said(&logged.revision).unwrap_or("none");
        output::note(&format!("the line is of revision {revision}, and is held against {}", side.name));
    }
    let at =
        logged.at().with_context(|| format!("time: expected one of RFC 3339, but found '{}'", logged.time.as_str()))?;
    let line = logged.line(at);
    let pair = Pair::new(&side.rules, &side.rules, true);
    let again = match pair.explain(&line) {
        Ok(again) => again,
        Err(why) => bail!("{}: {}", file.display(), why.join("; ")),
    };
    let mut differences = again.differences.clone();
    let fields: Map<String, Value> = serde_json::from_str(json)?;
    // A line that somebody shortened says nothing of what was left out.
    differences.retain(|difference| {
        let what = difference.split(':').next().unwrap_or_default();
        let field = match what {
            "route" | "region" => what,
            "path" => "backend_path",
            _ => "variant",
        };
        fields.contains_key(field)
    });
    if ShownPath::read(line.path).is_cut {
        output::note("path: the line has it redacted or cut, so what follows from the whole path isn't compared");
        differences.retain(|difference| difference.starts_with("region:"));
    }
    if logged.preview {
        output::note("the line is of a signed preview: what it forced isn't logged, and isn't compared");
        differences.clear();
    }
    let explanation = explain_line(&again, line.time.unwrap_or(OffsetDateTime::UNIX_EPOCH));
    let mut assumed: Vec<Assumed> = Vec::new();
    for choice in again.assumed.iter().map(assumption) {
        if !assumed.contains(&choice) {
            assumed.push(choice);
        }
    }
    let differences: Vec<String> = differences.iter().map(|difference| in_words(difference)).collect();
    let outcome = if differences.is_empty() { Outcome::Well } else { Outcome::Faults };
    match options.format {
        Format::Text => anstream::println!("{}", in_words(&rendered(&explanation, &assumed)).trim_end()),
        Format::Json => {
            let traced = Traced { explanation: &explanation, assumed, differences: differences.clone() };
            anstream::println!("{}", in_words(&serde_json::to_string_pretty(&traced)?));
        }
    }
    for difference in &differences {
        output::note(difference);
    }
    Ok(outcome)
}

/// The rules that the line is held against.
pub fn rules(options: &Options, folder: Option<&str>, logged: &Logged<'_>) -> anyhow::Result<Side> {
    let mut sides = Reader::new(options.on.as_ref(), &options.api, &options.payload);
    if let Some(revision) = &options.revision {
        return sides.read(revision).context("--revision");
    }
    if folder.is_some() || options.on.is_none() {
        let folder = folder.unwrap_or("rules");
        // A word alone is a folder here, whatever there is of that name.
        let path = if folder.contains('/') { folder.to_owned() } else { format!("./{folder}") };
        return Ok(Side { name: folder.to_owned(), ..sides.read(&path)? });
    }
    match (said(&logged.revision), said(&logged.role)) {
        (Some(revision), _) => sides.read(revision).context("the line's revision"),
        (None, Some(_)) => sides.read("@bare"),
        (None, None) => bail!("expected a line of a request that rules served, but found one that passed through"),
    }
}

fn rendered(explanation: &Explanation, assumed: &[Assumed]) -> String {
    use std::fmt::Write as _;
    let mut text = text::render(explanation);
    if !assumed.is_empty() {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{}", "Not in the line, and taken so that it agrees with it".bold());
    }
    for Assumed { attribute, taken } in assumed {
        let _ = writeln!(text, "  {attribute:<20} {taken}");
    }
    text
}

/// What stands for what nobody knows, in words.
fn in_words(text: &str) -> String {
    shown_path::in_words(&unmarked(text))
}

fn assumption(choice: &Choice) -> Assumed {
    let Choice { about, question, answer, options } = choice;
    let yes = *answer == 1;
    let taken = match question.as_str() {
        "is there" => if yes { "there is one" } else { "there is none" }.to_owned(),
        "may take part" => if yes { "takes part in experiments" } else { "takes part in no experiment" }.to_owned(),
        "is located" => {
            if yes { "it is known where the visitor is" } else { "nobody knows where the visitor is" }.to_owned()
        }
        "which" => format!("number {} of {options}", answer + 1),
        question if question.starts_with(about.as_str()) => {
            let path = question.split(' ').next().unwrap_or_default();
            format!("the condition on {path} {}", if yes { "holds" } else { "doesn't hold" })
        }
        question if question.starts_with("fills ") => {
            if yes { "there is a value" } else { "there is no value" }.to_owned()
        }
        question if question.starts_with("is among ") => {
            let is = if yes { "is" } else { "isn't" };
            format!("{is} a page of an experiment's")
        }
        question if *options == 2 => format!("{question}: {}", if yes { "yes" } else { "no" }),
        question => format!("{question}: {answer}"),
    };
    Assumed { attribute: about.clone(), taken }
}
