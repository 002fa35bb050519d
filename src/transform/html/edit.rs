//! One edit of one element, applied.

use std::rc::Rc;

use lol_html::html_content::{ContentType, Element as Node};
use serde_json::Value;

use super::Position;
use super::rewriter::Progress;
use crate::transform::escape;

/// What happens to an element. All text is escaped for its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Edit {
    Insert(Position, Rc<str>),
    /// Content that the request's own values give.
    InsertRendered(Position, Rc<str>),
    /// Name and value.
    SetAttribute(String, String),
    /// Name and what its value gets at its end.
    AppendAttribute(String, String),
    RemoveAttribute(String),
    AddClass(String),
    /// A class that the request's own values give.
    AddRenderedClass(String),
    RemoveClass(String),
    /// The whole attribute.
    SetClass(String),
    /// A class if the attribute's value is one of these, sorted.
    Mark {
        attribute: String,
        values: Vec<String>,
        class: String,
    },
    /// An element of ours at the end of the content.
    Element(Element),
    /// While a page is recorded: the place of a class that a request's values decide on, where the element has this attribute.
    ClassPlace {
        attribute: Option<String>,
        place: usize,
    },
    /// An element of ours in front.
    ElementBefore(Element),
}

/// An element that this service adds. It gets the page's CSP nonce, which may be known only later.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Element {
    open: String,
    text: String,
    close: &'static str,
}

impl Element {
    pub(super) fn json(id: &str, value: &Value) -> Self {
        Self {
            open: format!("<script type=\"application/json\" id=\"{}\"", escape::html(id)),
            text: escape::json_in_script(&value.to_string()).into_owned(),
            close: "</script>",
        }
    }

    pub(super) fn script(js: &str) -> Self {
        Self { open: "<script".to_owned(), text: escape::script_text(js).into_owned(), close: "</script>" }
    }

    /// A script of pieces that are JSON, or code without `<`, `>` and `&`.
    pub(super) fn data_script(pieces: [&str; 5]) -> Self {
        let text = escape::json_in_script(&pieces.concat()).into_owned();
        Self { open: "<script".to_owned(), text, close: "</script>" }
    }

    pub(super) fn style(css: &str) -> Self {
        Self { open: "<style".to_owned(), text: escape::style_text(css).into_owned(), close: "</style>" }
    }

    /// The same element with other text on both sides of the nonce.
    pub(super) fn with(&self, open: String, text: String) -> Self {
        Self { open, text, close: self.close }
    }

    /// What stands on both sides of the nonce.
    pub(super) fn sides(&self) -> (&str, &str) {
        (&self.open, &self.text)
    }

    pub(super) fn html(&self, nonce: Option<&str>) -> String {
        let nonce = nonce.map(|nonce| format!(" nonce=\"{nonce}\"")).unwrap_or_default();
        format!("{}{nonce}>{}{}", self.open, self.text, self.close)
    }
}

impl Edit {
    /// Applies the edit to an element whose start tag has just come.
    pub(super) fn apply(&self, node: &mut Node<'_, '_>, progress: &Rc<Progress>) {
        if let Some(recorder) = progress.recorder() {
            recorder.looks(node, self);
        }
        match self {
            Edit::Insert(position, html) => insert(node, *position, html, progress),
            // No escaping keeps a value a value there.
            Edit::InsertRendered(position, _) if position.is_within() && is_code(&node.tag_name()) => {}
            Edit::InsertRendered(position, html) => insert(node, *position, html, progress),
            Edit::Element(element) => {
                insert(node, Position::Append, &Rc::from(element.html(progress.nonce().as_deref())), progress)
            }
            Edit::ElementBefore(element) => {
                insert(node, Position::Before, &Rc::from(element.html(progress.nonce().as_deref())), progress)
            }
            Edit::SetAttribute(name, _) if name.eq_ignore_ascii_case("content") && sends_on(node) => {}
            Edit::SetAttribute(name, value) => set(node, name, value),
            Edit::AppendAttribute(name, value) => {
                let value = node.get_attribute(name).unwrap_or_default() + value;
                set(node, name, &value);
            }
            Edit::RemoveAttribute(name) => node.remove_attribute(name),
            Edit::AddClass(class) | Edit::AddRenderedClass(class) => add_class(node, class),
            Edit::RemoveClass(class) => remove_class(node, class),
            Edit::SetClass(classes) => set(node, "class", classes),
            Edit::Mark { attribute, values, class } => {
                let is_listed = |value: &str| values.binary_search_by(|listed| (**listed).cmp(value)).is_ok();
                if node.get_attribute(attribute).is_some_and(|value| is_listed(&escape::unescaped(&value))) {
                    add_class(node, class);
                }
            }
            Edit::ClassPlace { attribute, place } => {
                if let Some(recorder) = progress.recorder() {
                    recorder.class(node, attribute.as_deref(), *place);
                }
            }
        }
    }
}

/// Whether the content of an element of this name is code.
pub(super) fn is_code(name: &str) -> bool {
    ["script", "style"].iter().any(|code| name.eq_ignore_ascii_case(code))
}

/// Whether the element is a `meta` that sends the page on, by its `content`.
fn sends_on(node: &Node<'_, '_>) -> bool {
    let is_refresh = |value: String| value.trim().eq_ignore_ascii_case("refresh");
    node.tag_name().eq_ignore_ascii_case("meta") && node.get_attribute("http-equiv").is_some_and(is_refresh)
}

fn set(node: &mut Node<'_, '_>, name: &str, value: &str) {
    // The name was checked when the rule was compiled; only a page in a legacy encoding can still refuse it.
    let _ = node.set_attribute(name, value);
}

pub(super) fn add_class(node: &mut Node<'_, '_>, class: &str) {
    match node.get_attribute("class") {
        Some(classes) if classes.split_ascii_whitespace().any(|known| known == class) => {}
        Some(classes) if !classes.trim_ascii().is_empty() => {
            set(node, "class", &[classes.trim_ascii_end(), " ", class].concat());
        }
        _ => set(node, "class", class),
    }
}

fn remove_class(node: &mut Node<'_, '_>, class: &str) {
    if let Some(classes) = node.get_attribute("class")
        && classes.split_ascii_whitespace().any(|known| known == class)
    {
        let kept: Vec<&str> = classes.split_ascii_whitespace().filter(|known| *known != class).collect();
        set(node, "class", &kept.join(" "));
    }
}

fn insert(node: &mut Node<'_, '_>, position: Position, html: &Rc<str>, progress: &Rc<Progress>) {
    if !progress.may_insert(html.len()) {
        return;
    }
    match position {
        Position::Before => node.before(html, ContentType::Html),
        Position::Prepend => node.prepend(html, ContentType::Html),
        Position::Inner => {
            node.set_inner_content(html, ContentType::Html);
            progress.removal_starts(node, None);
        }
        Position::Replace => {
            node.replace(html, ContentType::Html);
            let name = node.tag_name();
            progress.removal_starts(node, Some(name));
        }
        Position::Append | Position::After => at_end(node, position, html, progress),
    }
}

/// At an end tag, each handler adds to what the others added, also where one end tag ends several elements.
fn at_end(node: &mut Node<'_, '_>, position: Position, html: &Rc<str>, progress: &Rc<Progress>) {
    let is_after = position == Position::After;
    match node.end_tag_handlers() {
        Some(handlers) => {
            let html = Rc::clone(html);
            let progress = Rc::clone(progress);
            progress.end_is_awaited();
            handlers.push(Box::new(move |end| {
                progress.end_has_come();
                if !progress.is_stopped() {
                    if is_after {
                        end.after(&html, ContentType::Html);
                    } else {
                        end.before(&html, ContentType::Html);
                    }
                }
                Ok(())
            }));
        }
        // A void element has no content and no end: behind it is behind its tag.
        None if is_after => node.after(html, ContentType::Html),
        None => {}
    }
}
