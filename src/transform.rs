//! What happens to a body on its way to the visitor: HTML rewritten while it streams, JSON edited in place, and the
//! headers that follow from it. Pure: rules and facts go in, bytes come out.

pub mod body;
pub mod charset;
pub mod escape;
pub mod facts;
pub mod headers;
pub mod html;
pub mod json;
pub mod media;
pub mod reads;
pub mod template;
pub mod when;

pub use crate::condition::Fault;
pub(crate) use crate::json_place::token as pointer_token;

/// A fault at `pointer`.
pub(crate) fn fault(pointer: impl Into<String>, message: impl Into<String>) -> Fault {
    Fault { pointer: pointer.into(), message: message.into() }
}

/// A stored value that doesn't read as what it should be, in the house's words.
pub(crate) fn misread(error: &serde_json::Error) -> String {
    let message = error.to_string();
    // An untagged value says itself what it expects.
    if message.starts_with("expected ") {
        format!("{message}, but found something else")
    } else {
        crate::json_words::house_wording(error)
    }
}
