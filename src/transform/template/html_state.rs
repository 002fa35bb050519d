//! The part of an HTML tokenizer (HTML Living Standard, 13.2.5) that decides how a value must be escaped.

use crate::transform::escape;

/// Elements whose content is not markup, and in which character references mean nothing.
const RAW: [&str; 8] = ["iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "xmp"];
/// Elements whose content is not markup, but in which character references work.
const ESCAPABLE_RAW: [&str; 2] = ["textarea", "title"];

/// Where a template's text has got to.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Html {
    /// Between tags.
    #[default]
    Text,
    /// After `<`, `</` or `<!` and what follows, until it is known what this is.
    Open(String),
    /// In `<!-- … -->`; the text since its start, as far as its end may need it.
    Comment(String),
    /// In `<!…>`, `<?…>` or an end tag: nothing of it counts.
    Bogus,
    /// In a start tag, between attributes, in an attribute's name, or before its value.
    Tag { tag: Tag, attribute: String, expects_value: bool },
    /// In an attribute's value.
    Value { tag: Tag, quote: Quote, value: Value },
    /// In the content of an element that isn't markup; the text since the last `<`.
    Raw { tag: Tag, tail: String },
}

/// A start tag under way.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tag {
    name: String,
    /// For `script`: whether its `type` is a JSON one.
    json: bool,
    /// For `meta`: whether it sends the page on, and whether a value stands in its `content`.
    refresh: bool,
    filled: bool,
}

/// How an attribute's value ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Quote {
    Is(char),
    None,
    /// The template is the value.
    Whole,
}

/// An attribute's value under way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    name: String,
    /// The literal text so far, where it matters (`type`, and a link's scheme).
    literal: String,
    link: Link,
    has_value: bool,
}

/// How far a link's value has got.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Link {
    /// Not a link.
    No,
    /// Nothing has come yet.
    Start,
    /// Literal text that may be a scheme.
    Scheme,
    /// A value stands at the start, or in what could be a scheme.
    Value,
    /// One slash, with which the link begins; whether a value, which may be empty, stands in front, and whether one followed.
    Slash { after_value: bool, has_value: bool },
    /// Behind `https:` or `//`: the host is still to come.
    Authority { has_host: bool },
    /// Past scheme and host, before `?` and `#`.
    Path,
    /// After `?` or `#`.
    Query,
    /// The template itself wrote a scheme that runs code, or hid one behind a character reference.
    Code,
}

impl Value {
    fn new(name: String) -> Self {
        let link = if escape::is_url_attribute(&name) { Link::Start } else { Link::No };
        Self { name, literal: String::new(), link, has_value: false }
    }

    fn text(&mut self, c: char) -> Result<(), String> {
        let is_told_by_text = matches!(self.name.as_str(), "type" | "http-equiv" | "content" | "style");
        if is_told_by_text || matches!(self.link, Link::Start | Link::Scheme) {
            self.literal.push(c);
        }
        if c.is_whitespace() || c.is_control() {
            // Browsers leave it out of a link; in a list of links it is what stands between two.
            if self.link != Link::No && matches!(self.name.as_str(), "srcset" | "ping" | "archive") {
                self.link = Link::Start;
                self.literal.clear();
            }
            return Ok(());
        }
        let slash = matches!(c, '/' | '\\');
        self.link = match self.link {
            Link::No | Link::Query | Link::Code => self.link,
            Link::Start | Link::Scheme | Link::Value | Link::Slash { .. } if c == '&' => Link::Code,
            _ if matches!(c, '?' | '#') => Link::Query,
            Link::Start if c == ',' && self.name == "srcset" => Link::Start,
            Link::Start if slash => Link::Slash { after_value: false, has_value: false },
            Link::Start | Link::Scheme if c == ':' => self.scheme(),
            Link::Start => Link::Scheme,
            Link::Scheme if slash => Link::Path,
            Link::Value if c == ':' => {
                return Err("expected a scheme of literal text, but found a `:` after a value".to_owned());
            }
            Link::Value if slash => Link::Slash { after_value: true, has_value: false },
            Link::Slash { after_value: true, has_value: false } if slash => {
                return Err("expected one slash after the value that a link begins with, but found two".to_owned());
            }
            Link::Slash { has_value: false, .. } if slash => Link::Authority { has_host: false },
            Link::Slash { .. } => Link::Path,
            Link::Authority { has_host: true } if slash => Link::Path,
            Link::Authority { .. } if !slash => Link::Authority { has_host: true },
            other => other,
        };
        Ok(())
    }

    /// What follows a `:` after literal text.
    fn scheme(&self) -> Link {
        let scheme: String = self.literal.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
        let scheme = scheme.trim_end_matches(':').to_ascii_lowercase();
        match scheme.as_str() {
            "http" | "https" => Link::Authority { has_host: false },
            // Judged by the same rule as a value's scheme, so that there is one.
            _ if escape::url(&format!("{scheme}:")) == escape::NO_URL => Link::Code,
            _ => Link::Path,
        }
    }

    fn filter(&mut self) -> Result<Option<&'static str>, String> {
        self.has_value = true;
        let literal = self.literal.to_ascii_lowercase();
        if escape::is_code_attribute(&self.name) {
            return Err(format!(
                "expected no value in `{}`, which runs as code: use a `data-` attribute, but found one",
                self.name
            ));
        }
        if self.name == "content" && literal.replace(' ', "").contains("url=") {
            return Err("expected no value in the link of a refresh, but found one".to_owned());
        }
        if self.name == "style" && literal.rfind("url(") > literal.rfind(')') {
            return Err("expected no value in the `url()` of a style, but found one".to_owned());
        }
        match self.link {
            Link::No if self.name == "style" => Ok(Some("_css")),
            Link::No => Ok(None),
            Link::Start => {
                self.link = Link::Value;
                Ok(Some("_url"))
            }
            Link::Scheme | Link::Value => {
                self.link = Link::Value;
                Ok(Some("_url_more"))
            }
            Link::Slash { after_value, .. } => {
                self.link = Link::Slash { after_value, has_value: true };
                Ok(Some("_url_first"))
            }
            Link::Authority { .. } => Err(format!(
                "expected the whole host and a `/` before the first value in `{}`, but found a value in the host",
                self.name
            )),
            Link::Path => Ok(Some("_url_path")),
            Link::Query => Ok(Some("_url_component")),
            Link::Code => Err(format!(
                "expected a plain link before the value in `{}`, but found code or a character reference",
                self.name
            )),
        }
    }
}

impl Html {
    /// The whole template is the value of this attribute.
    pub(super) fn attribute(name: &str) -> Self {
        Html::Value { tag: Tag::default(), quote: Quote::Whole, value: Value::new(name.to_ascii_lowercase()) }
    }

    /// Reads literal text.
    pub(super) fn text(&mut self, text: &str) -> Result<(), String> {
        text.chars().try_for_each(|c| {
            *self = std::mem::take(self).next(c)?;
            Ok(())
        })
    }

    /// The filter that a value needs here (`None`: HTML escaping alone).
    pub(super) fn value(&mut self) -> Result<Option<&'static str>, String> {
        match self {
            Html::Text => Ok(None),
            Html::Comment(tail) => {
                // What a value ends with doesn't matter: its `>` is escaped.
                tail.clear();
                Ok(None)
            }
            Html::Value { quote: Quote::None, .. } | Html::Tag { expects_value: true, .. } => {
                Err("expected quotes around the value of an attribute, but found none".to_owned())
            }
            Html::Value { value, .. } => value.filter(),
            Html::Raw { tag, .. } if ESCAPABLE_RAW.contains(&tag.name.as_str()) => Ok(None),
            Html::Raw { tag, .. } if tag.json => Ok(Some("_json")),
            Html::Raw { tag, .. } => Err(format!(
                "expected no value inside <{}>: use the `json` operation or a `data-` attribute, but found one",
                tag.name
            )),
            Html::Open(_) | Html::Bogus | Html::Tag { .. } => {
                Err("expected a value in text or in a quoted attribute, but found one inside a tag".to_owned())
            }
        }
    }

    /// The template is over.
    pub(super) fn finish(&self) -> Result<(), String> {
        match self {
            Html::Text | Html::Value { quote: Quote::Whole, .. } => Ok(()),
            Html::Raw { tag, .. } => Err(format!("expected </{}>, but found the end of the template", tag.name)),
            _ => Err("expected the end of a tag or comment, but found the end of the template".to_owned()),
        }
    }

    fn next(self, c: char) -> Result<Self, String> {
        Ok(match self {
            Html::Text if c == '<' => Html::Open(String::new()),
            Html::Text => Html::Text,
            Html::Open(so_far) => Self::opened(so_far, c),
            Html::Comment(tail) => Self::commented(tail, c),
            Html::Bogus => {
                if c == '>' {
                    Html::Text
                } else {
                    Html::Bogus
                }
            }
            Html::Tag { tag, attribute, expects_value } => Self::in_tag(tag, attribute, expects_value, c),
            Html::Value { tag, quote, mut value } => {
                let ends = match quote {
                    Quote::Is(quote) => c == quote,
                    Quote::None => c == '>' || c.is_ascii_whitespace(),
                    Quote::Whole => false,
                };
                if !ends {
                    value.text(c)?;
                    return Ok(Html::Value { tag, quote, value });
                }
                let tag = tag.with(&value)?;
                if c == '>' { tag.content() } else { Html::Tag { tag, attribute: String::new(), expects_value: false } }
            }
            Html::Raw { tag, tail } => Self::in_raw(tag, tail, c),
        })
    }

    fn opened(mut so_far: String, c: char) -> Self {
        let is_end = so_far.starts_with('/');
        match c {
            '>' | '/' | ' ' | '\t' | '\n' | '\r' | '\u{c}' if !so_far.is_empty() && !is_end => {
                let tag = Tag { name: so_far, ..Tag::default() };
                if c == '>' { tag.content() } else { Html::Tag { tag, attribute: String::new(), expects_value: false } }
            }
            '>' => Html::Text,
            '-' if so_far == "!-" => Html::Comment(String::new()),
            '!' | '-' | '/' if so_far.is_empty() || so_far == "!" => {
                so_far.push(c);
                Html::Open(so_far)
            }
            _ if so_far.starts_with('!') || is_end => Html::Bogus,
            '?' if so_far.is_empty() => Html::Bogus,
            _ if so_far.is_empty() && !c.is_ascii_alphabetic() => {
                if c == '<' {
                    Html::Open(so_far)
                } else {
                    Html::Text
                }
            }
            c => {
                so_far.push(c.to_ascii_lowercase());
                Html::Open(so_far)
            }
        }
    }

    fn commented(mut tail: String, c: char) -> Self {
        // `<!-->` and `<!--->` end at once; later `-->` and `--!>` do.
        tail.push(c);
        let ended = matches!(tail.as_str(), ">" | "->") || tail.ends_with("-->") || tail.ends_with("--!>");
        if ended { Html::Text } else { Html::Comment(tail) }
    }

    fn in_tag(tag: Tag, mut attribute: String, expects_value: bool, c: char) -> Self {
        if expects_value {
            let value = |quote| Html::Value { tag: tag.clone(), quote, value: Value::new(attribute.clone()) };
            return match c {
                '"' | '\'' => value(Quote::Is(c)),
                '>' => tag.content(),
                c if c.is_ascii_whitespace() => Html::Tag { tag, attribute, expects_value },
                c => {
                    let mut value = Value::new(attribute);
                    // An unquoted value takes no `{{ }}`: what its text says of a link doesn't matter.
                    let _ = value.text(c);
                    Html::Value { tag, quote: Quote::None, value }
                }
            };
        }
        match c {
            '>' => tag.content(),
            '=' if !attribute.trim_end().is_empty() => {
                Html::Tag { tag, attribute: attribute.trim_end().to_owned(), expects_value: true }
            }
            '/' => Html::Tag { tag, attribute: String::new(), expects_value },
            c if c.is_ascii_whitespace() => {
                // Space may stand between a name and its `=`.
                if !attribute.is_empty() {
                    attribute.push(' ');
                }
                Html::Tag { tag, attribute, expects_value }
            }
            c => {
                if attribute.ends_with(' ') {
                    attribute.clear();
                }
                attribute.push(c.to_ascii_lowercase());
                Html::Tag { tag, attribute, expects_value }
            }
        }
    }

    fn in_raw(tag: Tag, mut tail: String, c: char) -> Self {
        if c == '<' {
            return Html::Raw { tag, tail: "<".to_owned() };
        }
        if tail.is_empty() {
            return Html::Raw { tag, tail };
        }
        let end = format!("</{}", tag.name);
        if tail == end && matches!(c, '>' | '/' | ' ' | '\t' | '\n' | '\r' | '\u{c}') {
            return if c == '>' { Html::Text } else { Html::Bogus };
        }
        tail.push(c.to_ascii_lowercase());
        if !end.starts_with(&tail) {
            tail.clear();
        }
        Html::Raw { tag, tail }
    }
}

impl Tag {
    fn with(mut self, value: &Value) -> Result<Self, String> {
        if self.name == "script" && value.name == "type" {
            let essence = value.literal.split(';').next().unwrap_or_default().trim();
            self.json =
                essence.eq_ignore_ascii_case("application/json") || essence.to_ascii_lowercase().ends_with("+json");
        }
        if self.name == "meta" {
            let equivalent = value.name == "http-equiv";
            self.refresh |= equivalent && (value.has_value || value.literal.trim().eq_ignore_ascii_case("refresh"));
            self.filled |= value.name == "content" && value.has_value;
            if self.refresh && self.filled {
                return Err("expected no value in a `meta` that sends the page on, but found one".to_owned());
            }
        }
        Ok(self)
    }

    fn content(self) -> Html {
        if RAW.contains(&self.name.as_str()) || ESCAPABLE_RAW.contains(&self.name.as_str()) {
            Html::Raw { tag: self, tail: String::new() }
        } else {
            Html::Text
        }
    }
}
