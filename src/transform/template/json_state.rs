//! The part of a JSON reader (RFC 8259) that decides how a value must be written: within a text's quotes, or outside of them.

/// Where a template's text has got to.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Json {
    /// Outside of texts: a value is a whole JSON value.
    #[default]
    Outside,
    /// Within a text's quotes; whether a backslash stood last.
    Text { is_escaped: bool },
}

impl Json {
    /// Goes on over the template's own text.
    pub(super) fn text(&mut self, text: &str) {
        for character in text.chars() {
            *self = match (&self, character) {
                (Self::Outside, '"') => Self::Text { is_escaped: false },
                (Self::Outside, _) => Self::Outside,
                (Self::Text { is_escaped: false }, '"') => Self::Outside,
                (Self::Text { is_escaped }, character) => Self::Text { is_escaped: !is_escaped && character == '\\' },
            };
        }
    }

    /// The filter of a value that stands here.
    pub(super) fn value(&self) -> Result<&'static str, String> {
        match self {
            Self::Outside => Ok("_json"),
            Self::Text { is_escaped: false } => Ok("_json_text"),
            Self::Text { is_escaped: true } => {
                Err("expected a value in a place where it can be made safe, but found one behind a backslash"
                    .to_owned())
            }
        }
    }

    /// Whether the template may end here.
    pub(super) fn finish(&self) -> Result<(), String> {
        match self {
            Self::Outside => Ok(()),
            Self::Text { .. } => Err("expected the end of a JSON text, but found the end of the template".to_owned()),
        }
    }
}
