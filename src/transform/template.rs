//! Templates: the `templates` dictionary and inline strings, in the Jinja language.
//!
//! `minijinja`, because growth teams know the language, because its fuel bounds both steps and output, and because it
//! reads a compiled template in microseconds; without its default features it is a small part of the wasm. What it
//! doesn't have, escaping by place, `place` adds when a template is compiled.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior};
use serde::{Deserialize, Serialize};

use super::escape;
use super::facts::Facts;
use super::reads::Reads;

mod bounds;
mod html_state;
mod json_state;
mod place;
mod reads;

pub use reads::{Variable, Word};

/// Steps and output of one rendering, in minijinja's units (an instruction, or some 64 bytes). A page's slots need
/// hundreds; a tenth of a millisecond of CPU is what this allows.
const FUEL: u64 = 20_000;
/// Bytes that one rendering may give. More than a slot of a page needs, less than a heap notices.
pub const MAX_OUTPUT: usize = 256 * 1024;
/// Bytes of one template's source: a whole config-store dictionary may hold it, with its parts.
const MAX_SOURCE: usize = 64 * 1024;
/// Templates nest blocks and calls no deeper: the stack is 1 MB.
const MAX_DEPTH: usize = 32;

/// Content as stored: `"text with {{ values }}"`, or `{"template": "name"}` from the `templates` dictionary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a string or {\"template\": \"<name>\"}")]
pub enum Content {
    /// The template itself.
    Inline(String),
    /// A template by name.
    Named {
        /// Its name in the `templates` dictionary.
        template: String,
    },
}

/// What a template's output is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A piece of HTML: values are escaped for the place that they land in.
    Html,
    /// The value of the attribute of this name, unescaped: the rewriter escapes it whole. Links are made safe.
    Attribute(String),
    /// Plain text, unescaped: the caller encodes it whole.
    Text,
    /// A JSON document: a value outside quotes is written as JSON, one within quotes as a part of that text.
    Json,
}

/// A template ready to render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    name: String,
    /// The output of a template without values: nothing is left to do.
    fixed: Option<String>,
    kind: Kind,
    reads: Rc<Reads>,
}

/// All templates of a rule set, compiled once.
#[derive(Debug)]
pub struct Templates {
    /// Made for the first template that needs one: most requests meet none, and its built-in functions take a while to list.
    environment: OnceCell<Environment<'static>>,
    sources: HashMap<String, String>,
    compiled: HashMap<(Kind, String), Template>,
    /// Set where a value that has none is written. Shared with the engine's functions, which ask for what threads could share.
    absent: Arc<AtomicBool>,
}

impl Default for Templates {
    fn default() -> Self {
        Self::new([])
    }
}

impl Templates {
    /// Templates by name: the `templates` dictionary. They are compiled when a rule first uses them, for its place.
    pub fn new(sources: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            environment: OnceCell::new(),
            sources: sources.into_iter().collect(),
            compiled: HashMap::new(),
            absent: Arc::default(),
        }
    }

    /// minijinja as templates have it here. `absent` is set where a value that has none is written.
    fn environment(absent: &Arc<AtomicBool>) -> Environment<'static> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(MAX_DEPTH);
        environment.set_auto_escape_callback(
            |name| {
                if name.starts_with('h') { AutoEscape::Html } else { AutoEscape::None }
            },
        );
        let noted = Arc::clone(absent);
        environment.set_formatter(move |out, state, value| write_value(out, state, value, &noted));
        // A value can't vouch for itself.
        environment.remove_filter("safe");
        // Nor is a page the place to look into the engine, to build values without end, or to reach what isn't named.
        for name in ["pprint", "attr", "format", "groupby", "chain", "zip"] {
            environment.remove_filter(name);
        }
        for name in ["debug", "namespace", "dict", "lipsum", "cycler", "joiner"] {
            environment.remove_global(name);
        }
        let mut add = |name: &'static str, encode: fn(&Value) -> Value| {
            let noted = Arc::clone(absent);
            environment.add_filter(name, move |value: &Value| {
                note_absent(&noted, value);
                encode(value)
            });
        };
        add("_url", |value| escape::url_on_host(&text(value)).into());
        add("_url_first", |value| escape::url_first(&text(value)).into());
        add("_url_more", |value| escape::url_more(&text(value)).into());
        add("_url_path", |value| escape::url_path(&text(value)).into());
        add("_url_component", |value| escape::url_component(&text(value)).into());
        add("_css", |value| escape::css(&text(value)).into());
        add("_json", json);
        add("_json_text", json_text);
        environment
    }

    /// Compiles content for its place.
    ///
    /// # Errors
    ///
    /// What was expected and what was found: an unknown name, a mistake in the language, a value where none is safe.
    pub fn compile(&mut self, content: &Content, kind: Kind) -> Result<Template, String> {
        let source = match content {
            Content::Inline(source) => source,
            Content::Named { template } => self
                .sources
                .get(template)
                .ok_or_else(|| format!("expected a template of the dictionary, but found `{template}`"))?,
        };
        if source.len() > MAX_SOURCE {
            return Err(format!("expected a template of at most {MAX_SOURCE} bytes, but found {}", source.len()));
        }
        let key = (kind, source.clone());
        if let Some(template) = self.compiled.get(&key) {
            return Ok(template.clone());
        }
        let (kind, source) = key;
        let template = self.add(&kind, &source).map_err(|message| match content {
            Content::Named { template } => format!("{message}, in the template `{template}`"),
            Content::Inline(_) => message,
        })?;
        self.compiled.insert((kind, source), template.clone());
        Ok(template)
    }

    fn add(&mut self, kind: &Kind, source: &str) -> Result<Template, String> {
        bounds::check(source).map_err(|(line, message)| format!("{message} (line {line})"))?;
        let annotated = place::annotate(source, kind)
            .map_err(|(offset, message)| format!("{message} (line {})", line(source, offset)))?;
        let prefix = if *kind == Kind::Html { 'h' } else { 't' };
        let name = format!("{prefix}{}", self.compiled.len());
        let fixed = !["{{", "{%", "{#"].iter().any(|open| source.contains(open));
        if fixed {
            return Ok(Template { name, fixed: Some(source.to_owned()), kind: kind.clone(), reads: Rc::default() });
        }
        let reads = reads::of(source).map_err(|error| describe(&error))?.reads;
        self.environment.get_or_init(|| Self::environment(&self.absent));
        if let Some(environment) = self.environment.get_mut() {
            environment.add_template_owned(name.clone(), annotated).map_err(|error| describe(&error))?;
        }
        Ok(Template { name, fixed: None, kind: kind.clone(), reads: Rc::new(reads) })
    }

    /// Each mention of a fact in content, in order: for the checker. Nothing where the content can't be used.
    pub fn variables(&self, content: &Content) -> Vec<Variable> {
        self.found(content).variables
    }

    /// The filters, tests and functions that content names and that don't exist here, with their lines, and all of that kind: for the checker.
    /// The engine looks for them when it comes to them, which may be seldom.
    pub fn unknown_words(&self, content: &Content) -> Vec<(Word, usize)> {
        let environment = Self::environment(&self.absent);
        let mut state = environment.empty_state();
        let mut is_unknown = |word: &Word| match word {
            Word::Filter(name) => {
                state.apply_filter(name, &[]).is_err_and(|error| error.kind() == ErrorKind::UnknownFilter)
            }
            Word::Test(name) => {
                state.perform_test(name, &[]).is_err_and(|error| error.kind() == ErrorKind::UnknownTest)
            }
            Word::Function(name) => !environment.globals().any(|(known, _)| known == name),
        };
        self.found(content).words.into_iter().filter(|(word, _)| is_unknown(word)).collect()
    }

    fn found(&self, content: &Content) -> reads::Found {
        let source = match content {
            Content::Inline(source) => Some(source),
            Content::Named { template } => self.sources.get(template),
        };
        source.and_then(|source| reads::of(source).ok()).unwrap_or_default()
    }

    /// Renders a template. Absent values are empty.
    ///
    /// # Errors
    ///
    /// Why there is no output: a filter that doesn't exist, a sum of words, too many steps, too large a result.
    pub fn render<'t>(&self, template: &'t Template, facts: &Facts<'_>) -> Result<Cow<'t, str>, String> {
        let output = match &template.fixed {
            Some(fixed) => Cow::Borrowed(fixed.as_str()),
            None => {
                let environment = self.environment.get_or_init(|| Self::environment(&self.absent));
                let compiled = environment.get_template(&template.name).map_err(|error| describe(&error))?;
                Cow::Owned(compiled.render(facts.template()).map_err(|error| describe(&error))?)
            }
        };
        if output.len() > MAX_OUTPUT {
            return Err(format!("expected at most {MAX_OUTPUT} bytes, but found {}", output.len()));
        }
        match &template.kind {
            // Values are safe already; this also holds the template's own text to the rule.
            Kind::Attribute(name) if escape::is_url_attribute(name) => Ok(Cow::Owned(escape::url(&output))),
            _ => Ok(output),
        }
    }

    /// Renders a template, and says whether it wrote a value that is absent.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render).
    pub fn render_noting_absent<'t>(
        &self,
        template: &'t Template,
        facts: &Facts<'_>,
    ) -> Result<(Cow<'t, str>, bool), String> {
        self.absent.store(false, Ordering::Relaxed);
        let output = self.render(template, facts)?;
        Ok((output, self.absent.load(Ordering::Relaxed)))
    }
}

impl Template {
    /// Whether the output depends on the request.
    pub fn is_fixed(&self) -> bool {
        self.fixed.is_some()
    }

    /// What it reads, whichever way its branches go.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }
}

fn write_value(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
    absent: &AtomicBool,
) -> Result<(), minijinja::Error> {
    if is_absent(value) {
        absent.store(true, Ordering::Relaxed);
        return Ok(());
    }
    let text = text(value);
    match state.auto_escape() {
        AutoEscape::Html if !value.is_safe() => out.write_str(&escape::html(&text))?,
        _ => out.write_str(&text)?,
    }
    Ok(())
}

fn is_absent(value: &Value) -> bool {
    value.is_undefined() || value.is_none()
}

fn note_absent(absent: &AtomicBool, value: &Value) {
    if is_absent(value) {
        absent.store(true, Ordering::Relaxed);
    }
}

fn text(value: &Value) -> String {
    if is_absent(value) { String::new() } else { value.to_string() }
}

/// JSON for a script: `null` where the value is absent, or has no JSON form.
fn json(value: &Value) -> Value {
    let json = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    Value::from_safe_string(escape::json_in_script(&json).into_owned())
}

/// A value within a JSON text: its characters, without quotes of their own.
fn json_text(value: &Value) -> Value {
    let quoted = serde_json::Value::from(text(value)).to_string();
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    Value::from_safe_string(escape::json_in_script(inner).into_owned())
}

fn line(source: &str, offset: usize) -> usize {
    source.get(..offset).unwrap_or(source).matches('\n').count() + 1
}

/// minijinja's error with the source below it printed once.
fn describe(error: &minijinja::Error) -> String {
    let what = match error.kind() {
        ErrorKind::OutOfFuel => {
            "expected a template that ends sooner, but found too many steps or too large a result".to_owned()
        }
        kind => error.detail().map_or_else(|| kind.to_string(), |detail| format!("{kind}: {detail}")),
    };
    match error.line() {
        Some(line) => format!("{what} (line {line})"),
        None => what,
    }
}

#[cfg(test)]
mod tests;
