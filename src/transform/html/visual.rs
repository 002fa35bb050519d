//! GrowthBook's visual experiments, as its SDK and its DOM mutator apply them in a browser: `css` and `js` go into
//! the head, each mutation changes every element that its selector finds.
//!
//! Unlike in a browser there is no flicker, and no second look: an element that a script makes later is left to the page's own SDK,
//! like everything named by [`VisualChanges::compile`].

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::edit::{Edit, Element};
use super::{Position, Select};
use crate::transform::{Fault, escape, fault, misread};

/// Mutations of one variation.
const MAX_MUTATIONS: usize = 200;

/// The value of a visual experiment's variation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct VisualVariation {
    /// Changes of elements, in order.
    pub dom_mutations: Vec<DomMutation>,
    /// A style sheet.
    pub css: Option<String>,
    /// A script.
    pub js: Option<String>,
}

/// One change of every element that a selector finds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct DomMutation {
    /// A CSS selector.
    pub selector: String,
    /// `append`, `set` or `remove`.
    pub action: String,
    /// `html`, `class`, `position` or an attribute's name.
    pub attribute: String,
    /// HTML for `html`, else text.
    pub value: Option<String>,
    /// For `position`: the new parent.
    pub parent_selector: Option<String>,
    /// For `position`: the sibling to stand in front of.
    pub insert_before_selector: Option<String>,
}

/// The changes of one variation that can be made in a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VisualChanges {
    elements: Vec<Element>,
    edits: Vec<(Select, Edit)>,
    left: Vec<serde_json::Value>,
}

impl VisualChanges {
    /// Compiles a variation's value, which stands at `pointer`. What can't be done in a stream is left out and named: the checker lists it,
    /// and the page's own SDK does it.
    pub fn compile(variation: &serde_json::Value, pointer: &str, faults: &mut Vec<Fault>) -> Self {
        let mut changes = Self::default();
        let Some(members) = variation.as_object() else {
            faults.push(fault(
                pointer,
                "expected an object with `domMutations`, `css` or `js`, but found something else",
            ));
            return changes;
        };
        let mut text = |name: &str| match members.get(name) {
            None | Some(serde_json::Value::Null) => None,
            Some(serde_json::Value::String(text)) => Some(text.as_str()).filter(|text| !text.is_empty()),
            Some(other) => {
                faults.push(fault(format!("{pointer}/{name}"), format!("expected a string, but found {other}")));
                None
            }
        };
        changes.elements.extend(text("css").map(Element::style));
        changes.elements.extend(text("js").map(Element::script));
        let mutations = match members.get("domMutations") {
            None | Some(serde_json::Value::Null) => &[],
            Some(serde_json::Value::Array(mutations)) => mutations.as_slice(),
            Some(_) => {
                faults.push(fault(format!("{pointer}/domMutations"), "expected a list, but found something else"));
                &[]
            }
        };
        for (index, mutation) in mutations.iter().enumerate() {
            let pointer = format!("{pointer}/domMutations/{index}");
            if index >= MAX_MUTATIONS {
                faults.push(fault(
                    pointer,
                    format!("expected at most {MAX_MUTATIONS} mutations, but found {}", mutations.len()),
                ));
                break;
            }
            let compiled = DomMutation::deserialize(mutation)
                .map_err(|error| ("", misread(&error)))
                .and_then(|mutation| compile(&mutation));
            match compiled {
                Ok(edit) => changes.add(edit),
                Err((field, message)) => {
                    changes.left.push(mutation.clone());
                    faults.push(fault(format!("{pointer}{field}"), message));
                }
            }
        }
        changes
    }

    /// The mutations that are left to the page's own SDK, as they are defined.
    pub fn left(&self) -> &[serde_json::Value] {
        &self.left
    }

    pub(super) fn elements(&self) -> impl Iterator<Item = &Element> {
        self.elements.iter()
    }

    pub(super) fn edits(&self) -> impl Iterator<Item = &(Select, Edit)> {
        self.edits.iter()
    }

    fn add(&mut self, (select, edit): (Select, Edit)) {
        if let Edit::Insert(Position::Inner, _) = edit {
            // Content set anew takes what was added to the old with it.
            self.edits.retain(|(other, edit)| {
                *other != select || !matches!(edit, Edit::Insert(Position::Inner | Position::Append, _))
            });
        }
        self.edits.push((select, edit));
    }
}

/// Gives the field at fault and the message.
fn compile(mutation: &DomMutation) -> Result<(Select, Edit), (&'static str, String)> {
    let select = Select::parse(&mutation.selector).map_err(|message| ("/selector", message))?;
    let value = mutation.value.as_deref().unwrap_or_default();
    let name = mutation.attribute.as_str();
    let attribute = || name.to_ascii_lowercase();
    let text = || escape::html(value).into_owned();
    let edit = match (name, mutation.action.as_str()) {
        ("html", "append") => Edit::Insert(Position::Append, Rc::from(value)),
        ("html", "set") => Edit::Insert(Position::Inner, Rc::from(value)),
        ("class" | "className", "append") => Edit::AddClass(text()),
        ("class" | "className", "set") => Edit::SetClass(text()),
        ("class" | "className", "remove") => Edit::RemoveClass(text()),
        ("position", _) => {
            return Err((
                "/attribute",
                "expected a change of an element in its place, but found a move, which a stream can't make".to_owned(),
            ));
        }
        ("html", action) => {
            return Err(("/action", format!("expected `append` or `set` for `html`, but found `{action}`")));
        }
        (name, _) if !escape::is_attribute_name(name) => {
            return Err(("/attribute", format!("expected `html`, `class` or an attribute's name, but found `{name}`")));
        }
        (_, "append") => Edit::AppendAttribute(attribute(), text()),
        (_, "set") => Edit::SetAttribute(attribute(), text()),
        (_, "remove") => Edit::RemoveAttribute(attribute()),
        (_, action) => return Err(("/action", format!("expected `append`, `set` or `remove`, but found `{action}`"))),
    };
    Ok((select, edit))
}
