//! HTML rewritten while it streams: stored operations → compiled rules → one request's plan → bytes.
//!
//! The plan holds every value rendered and escaped, so that nothing is left to fail once the first byte is out.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::Deserialize;

use super::reads::Reads;
use super::template::{Content, Kind, Template, Templates};
use super::when::When;
use super::{Fault, escape, fault, misread, pointer_token};

mod advice;
mod edit;
mod hydrate;
mod plan;
mod rewriter;
mod splice;
mod stored;
mod visual;

pub use hydrate::{Assigned, Handover, Hydrate};
pub use plan::{Circumstances, HtmlPlan};
pub(super) use rewriter::policy_nonce;
pub use rewriter::{Ending, HtmlRewriter, Outcome};
pub use splice::{Pages, Splice, SplicedPage};
pub use stored::{AttributeEdit, ClassEdit, HtmlOperation, JsonScript, Mark};
pub use visual::{DomMutation, VisualChanges, VisualVariation};

/// Operations on one route. Each costs selector work for every tag of every page.
const MAX_OPERATIONS: usize = 64;
/// Characters of a selector.
const MAX_SELECTOR: usize = 1024;

/// A CSS selector that can be decided while a page streams: no look ahead, no siblings after.
#[derive(Clone)]
pub struct Select {
    source: Arc<str>,
    parsed: Arc<lol_html::Selector>,
}

impl Select {
    /// Parses a selector.
    ///
    /// # Errors
    ///
    /// What is wrong with it, or what of it can't be decided in a stream.
    pub fn parse(source: &str) -> Result<Self, String> {
        if source.len() > MAX_SELECTOR {
            return Err(format!(
                "expected a selector of at most {MAX_SELECTOR} characters, but found {}",
                source.len()
            ));
        }
        let parsed = source.parse().map_err(|error| {
            format!("expected a selector that a stream can decide, but found {}", advice::undecidable(source, &error))
        })?;
        Ok(Self { source: source.into(), parsed: Arc::new(parsed) })
    }

    /// The selector as written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    fn parsed(&self) -> &lol_html::Selector {
        &self.parsed
    }
}

impl fmt::Debug for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.source, f)
    }
}

impl PartialEq for Select {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Select {}

impl Hash for Select {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
    }
}

/// Where content goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Position {
    Inner,
    Before,
    After,
    Prepend,
    Append,
    Replace,
}

impl Position {
    /// Whether it is in the element itself.
    pub(crate) fn is_within(self) -> bool {
        matches!(self, Self::Inner | Self::Prepend | Self::Append)
    }
}

/// One compiled operation.
#[derive(Debug, Clone)]
pub struct Operation {
    pointer: String,
    when: Option<When>,
    reads: Reads,
    target: Target,
    once: bool,
    actions: Vec<Action>,
}

impl Operation {
    /// The condition on which it applies.
    pub fn when(&self) -> Option<&When> {
        self.when.as_ref()
    }

    /// What its values are made of, its condition aside.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Where it stands: a JSON pointer into the route.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }
}

#[derive(Debug, Clone)]
enum Target {
    Elements(Select),
    HeadEnd,
}

#[derive(Debug, Clone)]
enum Action {
    Insert(Position, Template),
    SetAttribute(String, Template),
    RemoveAttribute(String),
    AddClass(Template),
    RemoveClass(String),
    Mark { attribute: String, path: String, class: String },
    Json { id: String },
    Hydrate(Hydrate),
}

impl Action {
    fn add_reads(&self, reads: &mut Reads) {
        match self {
            Action::Insert(_, template) | Action::SetAttribute(_, template) | Action::AddClass(template) => {
                reads.extend(template.reads());
            }
            Action::Mark { path, .. } => reads.add_dotted(path),
            Action::Json { .. } => {
                reads.add_dotted("feature");
                reads.add_dotted("experiment");
            }
            Action::Hydrate(hydrate) => {
                match &hydrate.features {
                    Some(features) => features.iter().for_each(|key| reads.add_steps(&["feature", key])),
                    None => reads.add_dotted("feature"),
                }
                reads.add_dotted("experiment");
                hydrate.attributes().for_each(|name| reads.add_steps(&[name]));
            }
            Action::RemoveAttribute(_) | Action::RemoveClass(_) => {}
        }
    }
}

/// A route's `html` list, compiled.
#[derive(Debug, Clone, Default)]
pub struct HtmlRules {
    operations: Vec<Operation>,
}

impl HtmlRules {
    /// Compiles a route's `html` list, which stands at `pointer`. An operation that can't be used is left out and named.
    pub fn compile(
        stored: &[serde_json::Value],
        pointer: &str,
        templates: &mut Templates,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let mut operations = Vec::with_capacity(stored.len());
        for (index, value) in stored.iter().enumerate() {
            let pointer = format!("{pointer}/{index}");
            if index >= MAX_OPERATIONS {
                faults.push(fault(
                    pointer,
                    format!("expected at most {MAX_OPERATIONS} operations, but found {}", stored.len()),
                ));
                break;
            }
            match HtmlOperation::deserialize(value) {
                Ok(stored) => match compile(stored, &pointer, templates) {
                    Ok(operation) => operations.push(operation),
                    Err(fault) => faults.push(fault),
                },
                Err(error) => faults.push(misplaced(value, &pointer, &error)),
            }
        }
        Self { operations }
    }

    /// The operations that can be used, in order.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// What the operations and their conditions read.
    pub fn reads(&self) -> Reads {
        let mut reads = Reads::new();
        for operation in &self.operations {
            reads.extend(&operation.reads);
            operation.when.iter().for_each(|when| reads.extend(when.reads()));
        }
        reads
    }
}

/// The fault of an operation that can't be read, at the field that can't be.
fn misplaced(value: &serde_json::Value, pointer: &str, error: &serde_json::Error) -> Fault {
    let fields = value.as_object().into_iter().flatten();
    let field = fields.into_iter().find_map(|(name, member)| {
        let alone = serde_json::Value::Object([(name.clone(), member.clone())].into_iter().collect());
        HtmlOperation::deserialize(&alone).err().map(|error| (name, error))
    });
    match field {
        Some((name, error)) => fault(format!("{pointer}/{}", pointer_token(name)), misread(&error)),
        None => fault(pointer, misread(error)),
    }
}

/// Compiles one operation; the whole is left out at its first fault, for half an operation is a broken page.
fn compile(stored: HtmlOperation, pointer: &str, templates: &mut Templates) -> Result<Operation, Fault> {
    let at = |field: &str| format!("{pointer}/{field}");
    let mut actions = Vec::new();

    if let Some(attribute) = &stored.attribute {
        for (name, content) in &attribute.set {
            let place = at(&format!("attribute/set/{}", pointer_token(name)));
            check_name(name).map_err(|message| fault(&place, message))?;
            let kind = Kind::Attribute(name.to_ascii_lowercase());
            let template = templates.compile(content, kind).map_err(|message| fault(&place, message))?;
            actions.push(Action::SetAttribute(name.clone(), template));
        }
        for (index, name) in attribute.remove.iter().enumerate() {
            check_name(name).map_err(|message| fault(at(&format!("attribute/remove/{index}")), message))?;
            actions.push(Action::RemoveAttribute(name.clone()));
        }
    }
    if let Some(class) = stored.class {
        for (index, content) in class.add.iter().enumerate() {
            let template = templates
                .compile(content, Kind::Text)
                .map_err(|message| fault(at(&format!("class/add/{index}")), message))?;
            actions.push(Action::AddClass(template));
        }
        actions.extend(class.remove.into_iter().map(Action::RemoveClass));
    }
    let mut default_select = None;
    if let Some(mark) = stored.mark {
        check_name(&mark.attribute).map_err(|message| fault(at("mark/attribute"), message))?;
        default_select = Some(format!("[{}]", mark.attribute.replace(':', "\\:").replace('.', "\\.")));
        actions.push(Action::Mark { attribute: mark.attribute, path: mark.list, class: mark.class });
    }
    let contents = [
        ("inner", Position::Inner, &stored.inner),
        ("before", Position::Before, &stored.before),
        ("after", Position::After, &stored.after),
        ("prepend", Position::Prepend, &stored.prepend),
        ("append", Position::Append, &stored.append),
        ("replace", Position::Replace, &stored.replace),
    ];
    let mut rendered_within = None;
    for (field, position, content) in contents {
        if let Some(content) = content {
            let template = fragment(content, templates).map_err(|message| fault(at(field), message))?;
            if position.is_within() && !template.reads().is_empty() {
                rendered_within = Some(field);
            }
            actions.push(Action::Insert(position, template));
        }
    }
    let is_json_alone = actions.is_empty() && stored.json.is_some();
    if let Some(json) = stored.json {
        if json.id.is_empty() || json.id.contains(char::is_whitespace) {
            return Err(fault(at("json/id"), format!("expected an id without space, but found `{}`", json.id)));
        }
        actions.push(Action::Json { id: json.id });
    }

    let is_handover = actions.is_empty() && stored.growthbook.is_some();
    actions.extend(stored.growthbook.map(Action::Hydrate));

    if actions.is_empty() {
        let known = "`inner`, `before`, `after`, `prepend`, `append`, `replace`, `attribute`, `class`, `mark`, `json`, `growthbook`";
        return Err(fault(pointer, format!("expected one of {known}, but found none")));
    }
    // In front of all scripts, the bundle's among them; and behind what says the page's nonce.
    let default_select = default_select.or(is_handover.then(|| "script".to_owned()));
    let once = stored.once || is_handover;
    let target = match stored.select.or(default_select) {
        Some(source) => Target::Elements(Select::parse(&source).map_err(|message| fault(at("select"), message))?),
        None if is_json_alone => Target::HeadEnd,
        None => {
            return Err(fault(at("select"), "expected a selector, but found none"));
        }
    };
    if let (Target::Elements(select), Some(field)) = (&target, rendered_within)
        && let Some(name) = code_element(select.as_str())
    {
        let message = format!(
            "expected text that reads no value inside <{name}>: use the `json` operation or a `data-` attribute, but found a value"
        );
        return Err(fault(at(field), message));
    }
    let when = stored.when.as_ref().map(When::compile).transpose();
    let when = when.map_err(|fault| Fault { pointer: format!("{pointer}/when{}", fault.pointer), ..fault })?;
    let mut reads = Reads::new();
    actions.iter().for_each(|action| action.add_reads(&mut reads));
    Ok(Operation { pointer: pointer.to_owned(), when, reads, target, once, actions })
}

fn fragment(content: &Content, templates: &mut Templates) -> Result<Template, String> {
    templates.compile(content, Kind::Html)
}

/// The name of an element whose content is code, where the selector ends with one. What it says in another way is found out on the page.
fn code_element(select: &str) -> Option<&str> {
    let ends = select.split(',').filter_map(|one| one.rsplit([' ', '>']).find(|part| !part.is_empty()));
    let mut names = ends.map(|end| end.split(['.', '#', '[', ':']).next().unwrap_or_default());
    names.find(|name| edit::is_code(name))
}

fn check_name(name: &str) -> Result<(), String> {
    if escape::is_attribute_name(name) {
        Ok(())
    } else {
        Err(format!("expected an attribute's name, but found `{name}`"))
    }
}

#[cfg(test)]
mod tests;
