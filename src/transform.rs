//! What happens to a body on its way to the visitor: HTML rewritten while it streams, JSON edited in place, and the
//! headers that follow from it. Pure: rules and facts go in, bytes come out.

use std::fmt;

pub mod charset;
pub mod escape;
pub mod facts;
//pub mod headers;
pub mod html;
//pub mod json;
pub mod template;

/// A part of a rule that can't be used, and was left out; the rest goes on serving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer (RFC 6901) into the rule that was compiled or applied.
    pub pointer: String,
    /// What was expected, and what was found.
    pub message: String,
}

impl Fault {
    /// A fault at `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.message)
    }
}

/// One reference token of a JSON pointer, escaped (RFC 6901 section 3).
pub(crate) fn pointer_token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
