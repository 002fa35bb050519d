//! What one request does to its page: every value rendered, every text escaped.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::edit::{Edit, Element};
use super::hydrate::{Handover, Left};
use super::visual::VisualChanges;
use super::{Action, HtmlRules, Operation, Position, Select, Target};
use crate::transform::facts::{Facts, scalar};
use crate::transform::template::Templates;
use crate::transform::{Fault, escape, fault};

/// Members of the list that a `mark` compares with.
const MAX_MARKED: usize = 10_000;

/// What a plan needs beside the facts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Circumstances<'a> {
    /// For `json` operations; without them such an operation does nothing.
    pub decisions: Option<&'a Value>,
    /// The CSP nonce for elements that this service adds, where the caller knows it (see
    /// [`csp_nonce`](crate::transform::headers::csp_nonce)); else it is taken from the page.
    pub nonce: Option<&'a str>,
    /// For `growthbook` operations; without it such an operation does nothing.
    pub handover: Option<Handover<'a>>,
    /// What of visual experiments a stream can't do, by the experiment's key.
    pub left: &'a Left,
}

/// One request's operations, resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct HtmlPlan {
    pub(super) operations: Vec<Planned>,
    pub(super) head_end: Vec<Element>,
    pub(super) nonce: Option<String>,
}

/// What happens to each element that a selector selects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Planned {
    pub(super) select: Select,
    pub(super) once: bool,
    pub(super) edits: Vec<Edit>,
}

impl HtmlRules {
    /// Resolves the operations that apply. One whose values can't be rendered is left out and named.
    pub fn plan(
        &self,
        templates: &Templates,
        facts: &Facts<'_>,
        circumstances: Circumstances<'_>,
        mut applies: impl FnMut(&Operation) -> bool,
        faults: &mut Vec<Fault>,
    ) -> HtmlPlan {
        let mut plan = HtmlPlan {
            nonce: circumstances.nonce.filter(|nonce| is_nonce(nonce)).map(str::to_owned),
            ..HtmlPlan::default()
        };
        for operation in self.operations.iter().filter(|operation| applies(operation)) {
            match resolve(operation, templates, facts, circumstances) {
                Ok(edits) => plan.add(&operation.target, operation.once, edits),
                Err(message) => faults.push(fault(&operation.pointer, message)),
            }
        }
        plan
    }
}

impl HtmlPlan {
    /// Takes the nonce of the answer's own policy (see [`csp_nonce`](crate::transform::headers::csp_nonce)), where there is one.
    pub fn adopt_nonce(&mut self, nonce: Option<&str>) {
        if let Some(nonce) = nonce.filter(|nonce| is_nonce(nonce)) {
            self.nonce = Some(nonce.to_owned());
        }
    }

    /// Adds the changes of a visual experiment's chosen variation.
    pub fn add_visual(&mut self, changes: &VisualChanges) {
        self.head_end.extend(changes.elements().cloned());
        for (select, edit) in changes.edits() {
            self.push(select.clone(), false, vec![edit.clone()]);
        }
    }

    /// Adds `html` at the start of the page's body, once. It is markup: its texts are escaped already.
    pub fn begin_body(&mut self, html: &str) {
        if let Ok(body) = Select::parse("body") {
            self.push(body, true, vec![Edit::Insert(Position::Prepend, Rc::from(html))]);
        }
    }

    /// Whether the page streams through untouched.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.head_end.is_empty()
    }

    /// 128 bits that differ where two plans differ: what an `ETag` must know of them.
    pub fn fingerprint(&self) -> [u8; 16] {
        let mut hasher = ShaHasher(Sha256::new());
        self.hash(&mut hasher);
        let mut short = [0; 16];
        short.iter_mut().zip(hasher.0.finalize()).for_each(|(to, from)| *to = from);
        short
    }

    fn add(&mut self, target: &Target, once: bool, edits: Vec<Edit>) {
        match target {
            Target::Elements(select) => self.push(select.clone(), once, edits),
            Target::HeadEnd => self.head_end.extend(edits.into_iter().filter_map(|edit| match edit {
                Edit::Element(element) => Some(element),
                _ => None,
            })),
        }
    }

    fn push(&mut self, select: Select, once: bool, edits: Vec<Edit>) {
        if edits.is_empty() {
            return;
        }
        match self.operations.last_mut() {
            // One look at an element instead of two.
            Some(last) if last.select == select && last.once == once => last.edits.extend(edits),
            _ => self.operations.push(Planned { select, once, edits }),
        }
    }
}

fn resolve(
    operation: &Operation,
    templates: &Templates,
    facts: &Facts<'_>,
    circumstances: Circumstances<'_>,
) -> Result<Vec<Edit>, String> {
    let mut edits = Vec::with_capacity(operation.actions.len());
    for action in &operation.actions {
        match action {
            Action::Insert(position, template) => {
                let html = templates.render(template, facts)?;
                // Nothing to add is nothing to do; nothing as content still empties.
                if !html.is_empty() || matches!(position, Position::Inner | Position::Replace) {
                    let insert = if template.reads().is_empty() { Edit::Insert } else { Edit::InsertRendered };
                    edits.push(insert(*position, Rc::from(&*html)));
                }
            }
            Action::SetAttribute(name, template) => {
                let text = templates.render(template, facts)?;
                edits.push(Edit::SetAttribute(name.clone(), escape::html(&text).into_owned()));
            }
            Action::RemoveAttribute(name) => edits.push(Edit::RemoveAttribute(name.clone())),
            Action::AddClass(template) => {
                let text = templates.render(template, facts)?;
                let add = if template.reads().is_empty() { Edit::AddClass } else { Edit::AddRenderedClass };
                edits.extend(text.split_ascii_whitespace().map(|class| add(escape::html(class).into_owned())));
            }
            Action::RemoveClass(class) => edits.push(Edit::RemoveClass(escape::html(class).into_owned())),
            Action::Mark { attribute, path, class } => edits.extend(mark(attribute, path, class, facts)?),
            Action::Json { id } => {
                edits.extend(circumstances.decisions.map(|decisions| Edit::Element(Element::json(id, decisions))))
            }
            Action::Hydrate(hydrate) => {
                let features = circumstances.decisions.and_then(|decisions| decisions.get("features"));
                let element = circumstances.handover.and_then(|of| hydrate.element(features, of, circumstances.left));
                edits.extend(element.map(Edit::ElementBefore));
            }
        }
    }
    Ok(edits)
}

fn mark(attribute: &str, path: &str, class: &str, facts: &Facts<'_>) -> Result<Option<Edit>, String> {
    let members = facts.get_all(path);
    if members.len() > MAX_MARKED {
        return Err(format!("expected at most {MAX_MARKED} values in `{path}`, but found {}", members.len()));
    }
    let mut values: Vec<String> = members.into_iter().filter_map(scalar).collect();
    values.sort_unstable();
    values.dedup();
    Ok((!values.is_empty()).then(|| Edit::Mark {
        attribute: attribute.to_owned(),
        values,
        class: escape::html(class).into_owned(),
    }))
}

/// The characters of a `nonce-source` (CSP Level 3, "base64-value"): nothing that could end an attribute.
pub(super) fn is_nonce(nonce: &str) -> bool {
    !nonce.is_empty()
        && nonce.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'='))
}

/// A hasher whose result is not its `finish`: all that is written goes into SHA-256.
struct ShaHasher(Sha256);

impl Hasher for ShaHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
