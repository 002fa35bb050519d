//! HTML operations as stored on a route.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Hydrate;
use crate::transform::template::Content;

/// One operation of a route's `html` list: a selector and what happens to each element that it selects. Several actions
/// may stand together; they are applied in the order of these fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct HtmlOperation {
    /// A CSS selector. `json` without one goes to the end of the head, `mark` without one looks at every element with its attribute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
    /// A condition, as it stands: whoever plans a request decides whether the operation applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<serde_json::Value>,
    /// Only the first element selected. A page whose operations are all done streams through untouched from there.
    pub once: bool,
    /// Attributes set and removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<AttributeEdit>,
    /// Classes added and removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<ClassEdit>,
    /// A class for elements whose attribute is in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// Replaces the element's content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner: Option<Content>,
    /// Goes in front of the element.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Content>,
    /// Goes behind the element.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Content>,
    /// Goes in front of the element's content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prepend: Option<Content>,
    /// Goes behind the element's content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append: Option<Content>,
    /// Replaces the element.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace: Option<Content>,
    /// A script element with the request's decisions, for the page's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonScript>,
    /// A script in front of the page's first one, or of the element selected: what GrowthBook's own bundle starts with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growthbook: Option<Hydrate>,
}

/// Attributes set and removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct AttributeEdit {
    /// Values by name: plain text once rendered, not HTML. A link with an unsafe scheme becomes `#`.
    pub set: BTreeMap<String, Content>,
    /// Names.
    pub remove: Vec<String>,
}

/// Classes added and removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ClassEdit {
    /// Templates, each giving one or more classes separated by space.
    pub add: Vec<Content>,
    /// Names.
    pub remove: Vec<String>,
}

/// A class for every element whose attribute's value is in a list of the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mark {
    /// The attribute compared: `data-sku`.
    pub attribute: String,
    /// A dotted path to the list: `session.cart_skus`, `session.recent_views`.
    #[serde(rename = "in")]
    pub list: String,
    /// The class added.
    pub class: String,
}

/// One `<script type="application/json">`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JsonScript {
    /// The element's `id`.
    pub id: String,
}
