//! What of a plan is the rules', and what one request's values: a plan whose values are blanks, and the values by their places.

use std::rc::Rc;

use crate::transform::html::edit::{Edit, Element};
use crate::transform::html::plan::{HtmlPlan, Planned};

/// Letters and digits that stand in every blank of a recording: random, so that no page has them.
const CORE: usize = 16;
/// Digits of a blank's number.
const DIGITS: usize = 6;
/// Around a blank: a letter that every other encoding writes with other bytes.
const EDGE: &str = "\u{e9}";
/// Bytes of a blank.
pub(super) const BLANK: usize = 2 * EDGE.len() + CORE + 1 + DIGITS;

/// What a blank stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A value of the plan, by its place.
    Value,
    /// A class of an element, by its number in the page.
    Class,
    /// The place in front of an element whose classes depend on values.
    Front,
    /// The place behind such an element's start tag.
    Back,
}

impl Kind {
    const ALL: [(Self, u8); 4] = [(Self::Value, b'v'), (Self::Class, b'c'), (Self::Front, b'f'), (Self::Back, b'b')];

    fn letter(self) -> char {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or('v', |(_, letter)| char::from(*letter))
    }
}

/// A plan whose values are blanks.
#[derive(Debug)]
pub struct Blanks {
    /// Its operations are those of the request's plan; its values aren't.
    pub(super) plan: HtmlPlan,
    /// What all its blanks have in them.
    pub(super) core: Core,
}

/// What all blanks of a recording have in them.
#[derive(Debug, Clone)]
pub(super) struct Core(Rc<str>);

impl Core {
    fn new(random: u128) -> Self {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let letter = |place: usize| {
            let bits = usize::try_from((random >> (5 * place)) & 31).unwrap_or(0);
            char::from(LETTERS.get(bits).copied().unwrap_or(b'x'))
        };
        Self((0..CORE).map(letter).collect::<String>().into())
    }

    /// A blank.
    pub(super) fn blank(&self, kind: Kind, number: usize) -> String {
        format!("{EDGE}{}{}{:0DIGITS$x}{EDGE}", self.0, kind.letter(), number & 0xff_ffff)
    }

    /// Whether a text has a blank in it.
    pub(super) fn is_in(&self, text: &str) -> bool {
        text.contains(&*self.0)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The blank around the core that starts at byte `at`: where it begins, what it is, and its number. `None` where it isn't one of ours,
    /// as it is in a page of another encoding.
    pub(super) fn read(output: &[u8], at: usize) -> Option<(usize, Kind, usize)> {
        let start = at.checked_sub(EDGE.len())?;
        let blank = output.get(start..start + BLANK)?;
        let (edge, rest) = blank.split_at(EDGE.len());
        let (inner, end) = rest.split_at(rest.len() - EDGE.len());
        let (letter, digits) = inner.get(CORE..)?.split_first()?;
        let (kind, _) = Kind::ALL.into_iter().find(|(_, known)| known == letter)?;
        let number = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        (edge == EDGE.as_bytes() && end == EDGE.as_bytes()).then_some((start, kind, number))
    }
}

impl Blanks {
    /// The plan with blanks for its values.
    pub(super) fn of(plan: &HtmlPlan, random: u128) -> Self {
        let core = Core::new(random);
        Self { plan: blanked(plan, |number| core.blank(Kind::Value, number)), core }
    }

    /// The plan without its values: what two requests must have in common for a page to be spliced. Where a value counts for what is done
    /// with others, it is in it: how many classes there are, whether there is a nonce.
    pub(super) fn shape(plan: &HtmlPlan) -> HtmlPlan {
        blanked(plan, |_| String::new())
    }
}

/// The plan with `blank` for each value, by its place. [`Values::of`] walks in the same order.
fn blanked(plan: &HtmlPlan, mut blank: impl FnMut(usize) -> String) -> HtmlPlan {
    let (mut places, mut classes) = (0.., 0..);
    let mut next = || blank(places.next().unwrap_or_default());
    let mut next_class = || classes.next().unwrap_or_default();
    let edit = |edit: &Edit, next: &mut dyn FnMut() -> String, next_class: &mut dyn FnMut() -> usize| match edit {
        Edit::Insert(position, _) => Edit::Insert(*position, Rc::from(next())),
        Edit::InsertRendered(position, _) => Edit::InsertRendered(*position, Rc::from(next())),
        Edit::SetAttribute(name, _) => Edit::SetAttribute(name.clone(), next()),
        Edit::Element(element) => Edit::Element(blank_element(element, next)),
        Edit::ElementBefore(element) => Edit::ElementBefore(blank_element(element, next)),
        Edit::AddRenderedClass(_) => Edit::ClassPlace { attribute: None, place: next_class() },
        Edit::Mark { attribute, .. } => Edit::ClassPlace { attribute: Some(attribute.clone()), place: next_class() },
        // The rules' own, whoever asks.
        Edit::AppendAttribute(..)
        | Edit::RemoveAttribute(_)
        | Edit::AddClass(_)
        | Edit::RemoveClass(_)
        | Edit::SetClass(_)
        | Edit::ClassPlace { .. } => edit.clone(),
    };
    let operations = plan.operations.iter().map(|planned| Planned {
        select: planned.select.clone(),
        once: planned.once,
        edits: planned.edits.iter().map(|one| edit(one, &mut next, &mut next_class)).collect(),
    });
    let operations = operations.collect();
    let head_end = plan.head_end.iter().map(|element| blank_element(element, &mut next)).collect();
    let nonce = plan.nonce.as_ref().map(|_| next());
    HtmlPlan { operations, head_end, nonce }
}

fn blank_element(element: &Element, next: &mut dyn FnMut() -> String) -> Element {
    let open = next();
    element.with(open, next())
}

/// The values of one request's plan, by their places.
#[derive(Debug, Default)]
pub(super) struct Values<'p> {
    pub(super) values: Vec<Value<'p>>,
    pub(super) classes: Vec<Class<'p>>,
}

/// A value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'p> {
    pub(super) text: &'p str,
    /// Whether it counts as added to the page (an attribute's value doesn't).
    pub(super) is_added: bool,
}

/// A class that an element gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class<'p> {
    pub(super) class: &'p str,
    /// The values of the element's attribute with which it does, sorted; `None`: with any.
    pub(super) of: Option<&'p [String]>,
}

impl<'p> Values<'p> {
    /// The values of a plan.
    pub(super) fn of(plan: &'p HtmlPlan) -> Self {
        let mut found = Self::default();
        let mut add = |text, is_added| found.values.push(Value { text, is_added });
        for edit in plan.operations.iter().flat_map(|planned| &planned.edits) {
            match edit {
                Edit::Insert(_, html) | Edit::InsertRendered(_, html) => add(html, true),
                Edit::SetAttribute(_, value) => add(value, false),
                Edit::Element(element) | Edit::ElementBefore(element) => {
                    let (open, text) = element.sides();
                    add(open, true);
                    add(text, true);
                }
                Edit::AddRenderedClass(class) => found.classes.push(Class { class, of: None }),
                Edit::Mark { values, class, .. } => found.classes.push(Class { class, of: Some(values) }),
                Edit::AppendAttribute(..)
                | Edit::RemoveAttribute(_)
                | Edit::AddClass(_)
                | Edit::RemoveClass(_)
                | Edit::SetClass(_)
                | Edit::ClassPlace { .. } => {}
            }
        }
        for element in &plan.head_end {
            let (open, text) = element.sides();
            add(open, true);
            add(text, true);
        }
        plan.nonce.iter().for_each(|nonce| add(nonce, true));
        found
    }
}
