//! `{…}` templates of rules: values from the context, encoded for the place they land in (design.md section 3.3).

use std::borrow::Cow;
use std::fmt::Write as _;

use super::settings::attributes::OwnAttributes;
use crate::attributes::FactSet;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::wire::path::has_dot_segment;
use crate::wire::query::RESERVED;

/// What could end a header line, or add a member to a list or a parameter to a member (RFC 9110 section 5.6).
const HEADER_UNSAFE: &AsciiSet = &CONTROLS.add(b',').add(b';').add(b'"').add(b'\\').add(b'%');

/// A reference to the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placeholder {
    /// `region.id`
    RegionId,
    /// `region.slug`
    RegionSlug,
    /// `country`
    Country,
    /// `language`
    Language,
    /// `deviceType`
    DeviceType,
    /// `network`
    Network,
    /// `path.<name>`: one segment, decoded.
    PathParameter(String),
    /// `path.rest`: what a trailing `*` matched, still encoded.
    PathRest,
    /// `feature.<key>`: the feature's value.
    Feature(String),
    /// `experiment.<key>`: the variation's key.
    Experiment(String),
    /// `user.id`: only where proven.
    UserId,
    /// `session.<path>`
    Session(String),
    /// An attribute that the site declares (`settings.attributes`), by its name.
    Own(String),
}

impl Placeholder {
    /// What stands for a value that a template of a page reads at this path, as far as it may be a dimension: the part before the first dot
    /// says.
    #[must_use]
    pub fn of_read(path: &str) -> Self {
        match path.split('.').next().unwrap_or_default() {
            "region" => Self::RegionId,
            "country" => Self::Country,
            "language" => Self::Language,
            "deviceType" => Self::DeviceType,
            "network" => Self::Network,
            name => Self::Own(name.to_owned()),
        }
    }

    fn parse(name: &str, own: &OwnAttributes) -> Option<Self> {
        Some(match name {
            "region.id" => Self::RegionId,
            "region.slug" => Self::RegionSlug,
            "country" => Self::Country,
            "language" => Self::Language,
            "deviceType" => Self::DeviceType,
            "network" => Self::Network,
            "path.rest" => Self::PathRest,
            "user.id" => Self::UserId,
            _ if own.find(name).is_some() => Self::Own(name.to_owned()),
            _ => {
                let (kind, rest) = name.split_once('.').filter(|(_, rest)| !rest.is_empty())?;
                match kind {
                    "path" => Self::PathParameter(rest.to_owned()),
                    "feature" => Self::Feature(rest.to_owned()),
                    "experiment" => Self::Experiment(rest.to_owned()),
                    "session" => Self::Session(rest.to_owned()),
                    _ => return None,
                }
            }
        })
    }
}

/// Where a template's text lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Within a path.
    Path,
    /// A query parameter's value.
    Query,
    /// A header's value.
    Header,
    /// A body of plain text, as it is.
    Text,
    /// A body of HTML: in its text, or within a quoted attribute.
    Html,
    /// A body of JSON: within a string.
    Json,
}

/// Gives the value of a reference; `None` where it is absent.
pub trait Values {
    /// The value of `placeholder`.
    fn value(&self, placeholder: &Placeholder) -> Option<Cow<'_, str>>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Reference { placeholder: Placeholder, default: Option<String> },
}

/// A compiled template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// Compiles `text`. `{{` and `}}` stand for the braces themselves; `own` are the attributes that the site declares.
    ///
    /// # Errors
    ///
    /// "expected …, but found …": an unknown name, or a brace without its pair.
    pub fn compile(text: &str, own: &OwnAttributes) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = brace.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = brace.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some(open) = brace.strip_prefix('{') {
                let Some((inner, after)) = open.split_once('}') else {
                    return Err(format!("expected '}}' after '{{', but found the end of '{text}'"));
                };
                let (name, default) = match inner.split_once('|') {
                    Some((name, default)) => (name, Some(default.to_owned())),
                    None => (inner, None),
                };
                let Some(placeholder) = Placeholder::parse(name.trim(), own) else {
                    return Err(format!(
                        "expected region.id, region.slug, country, language, deviceType, network, path.…, feature.…, \
                         experiment.…, user.id, session.… or an attribute of settings.attributes, but found '{name}'"
                    ));
                };
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Reference { placeholder, default });
                rest = after;
            } else {
                return Err(format!("expected '}}}}' for a brace of its own, but found '}}' in '{text}'"));
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// What the template refers to.
    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Reference { placeholder, .. } => Some(placeholder),
        })
    }

    /// The attributes that filling the template reads. Features and experiments are read by their own keys.
    pub fn facts(&self, own: &OwnAttributes) -> FactSet {
        let of = |placeholder: &Placeholder| match placeholder {
            Placeholder::RegionId | Placeholder::RegionSlug => FactSet::REGION,
            Placeholder::Country => FactSet::of("country"),
            Placeholder::Language => FactSet::of("language"),
            Placeholder::DeviceType => FactSet::of("deviceType"),
            Placeholder::Network => FactSet::of("network"),
            Placeholder::UserId => FactSet::of("userId"),
            Placeholder::Session(_) => FactSet::of("session"),
            Placeholder::Own(name) => own.facts(name),
            Placeholder::PathParameter(_) | Placeholder::PathRest => FactSet::of("path"),
            Placeholder::Feature(_) | Placeholder::Experiment(_) => FactSet::NONE,
        };
        self.placeholders().map(of).collect()
    }

    /// The text that the template begins with, before its first reference; the whole where there is none.
    pub fn prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(text)) => text,
            _ => "",
        }
    }

    /// Whether the template has no reference.
    pub fn is_fixed(&self) -> bool {
        self.placeholders().next().is_none()
    }

    /// The template's own text, references left out.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            Part::Reference { .. } => None,
        })
    }

    /// Fills the template, each value encoded for `place`. `None` where a value is absent and has no default, or where it
    /// would be a dot segment of a path.
    pub fn fill(&self, values: &dyn Values, place: Place) -> Option<String> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => filled.push_str(text),
                Part::Reference { placeholder, default } => {
                    // Behind a `?` or a `#` a location is no path any more.
                    let place = if place == Place::Path && filled.contains(['?', '#']) { Place::Query } else { place };
                    let value = value(values, placeholder, default.as_deref(), place)?;
                    encode(&mut filled, &value, place, placeholder);
                }
            }
        }
        // A value can't walk up the tree: `..` is a segment that URL parsers collapse, however it is written.
        (place != Place::Path || !has_dot_segment(&filled)).then_some(filled)
    }
}

impl Template {
    /// Fills the template with what is there, for an answer that needs a body in any case. Says whether a value without a default was
    /// absent.
    pub fn fill_what_is_there(&self, values: &dyn Values, place: Place) -> (String, bool) {
        let (mut filled, mut absent) = (String::new(), false);
        for part in &self.parts {
            match part {
                Part::Literal(text) => filled.push_str(text),
                Part::Reference { placeholder, default } => {
                    match value(values, placeholder, default.as_deref(), place) {
                        Some(value) => encode(&mut filled, &value, place, placeholder),
                        None => absent = true,
                    }
                }
            }
        }
        (filled, absent)
    }
}

/// The text of a placeholder, not yet encoded for `place`. The rest of a path comes encoded, which is right in a path, and in the name of a
/// stored value; elsewhere it would be encoded twice.
fn value<'v>(
    values: &'v dyn Values,
    placeholder: &Placeholder,
    default: Option<&'v str>,
    place: Place,
) -> Option<Cow<'v, str>> {
    let found = values.value(placeholder);
    let is_encoded = *placeholder == Placeholder::PathRest && !matches!(place, Place::Path | Place::Text);
    let decoded = found
        .as_deref()
        .filter(|_| is_encoded)
        .and_then(|rest| percent_decode_str(rest).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned())));
    decoded.or(found).or(default.map(Cow::Borrowed))
}

fn encode(out: &mut String, value: &str, place: Place, placeholder: &Placeholder) {
    // Writing to a String can't fail.
    let _ = match place {
        // The rest of a path is encoded already, as the visitor's own path was.
        Place::Path if *placeholder == Placeholder::PathRest => out.write_str(value),
        Place::Path | Place::Query => write!(out, "{}", utf8_percent_encode(value, RESERVED)),
        Place::Header => write!(out, "{}", utf8_percent_encode(value, HEADER_UNSAFE)),
        Place::Text => out.write_str(value),
        Place::Html => out.write_str(&crate::transform::escape::html(value)),
        Place::Json => {
            let quoted = serde_json::Value::from(value).to_string();
            out.write_str(quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default())
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(&'static str);
    impl Values for Fixed {
        fn value(&self, placeholder: &Placeholder) -> Option<Cow<'_, str>> {
            (*placeholder != Placeholder::Country).then_some(Cow::Borrowed(self.0))
        }
    }

    fn fill(template: &str, value: &'static str, place: Place) -> Option<String> {
        Template::compile(template, &OwnAttributes::default()).unwrap().fill(&Fixed(value), place)
    }

    #[test]
    fn a_value_cannot_add_a_segment_a_parameter_or_a_line() {
        assert_eq!(fill("/a/{path.x}", "b/c?d#e", Place::Path).as_deref(), Some("/a/b%2Fc%3Fd%23e"));
        assert_eq!(fill("{path.x}", "a&b=c+d e", Place::Query).as_deref(), Some("a%26b%3Dc%2Bd%20e"));
        assert_eq!(
            fill("{path.x}", "a\r\nSet-Cookie: b, c\0ü", Place::Header).as_deref(),
            Some("a%0D%0ASet-Cookie: b%2C c%00%C3%BC")
        );
    }

    #[test]
    fn the_rest_of_a_path_is_encoded_once_wherever_it_goes() {
        for (template, rest, place, expected) in [
            ("/s/{path.rest}", "red%20shoes/a", Place::Path, "/s/red%20shoes/a"),
            ("{path.rest}", "red%20shoes", Place::Query, "red%20shoes"),
            ("{path.rest}", "a%22b", Place::Json, "a\\\"b"),
            ("{path.rest}", "%E9", Place::Query, "%25E9"),
            ("/find?q={path.rest}&x=1", "a&admin=1", Place::Path, "/find?q=a%26admin%3D1&x=1"),
            ("{path.rest}", "a%20b", Place::Text, "a%20b"),
        ] {
            assert_eq!(fill(template, rest, place).as_deref(), Some(expected), "{template} {rest}");
        }
    }

    #[test]
    fn a_value_stays_text_in_a_body() {
        assert_eq!(
            fill("<p>{path.x}</p>", "<script>\"'&", Place::Html).as_deref(),
            Some("<p>&lt;script&gt;&#34;&#39;&amp;</p>")
        );
        assert_eq!(fill("{{\"a\":\"{path.x}\"}}", "\"}\n\\", Place::Json).as_deref(), Some(r#"{"a":"\"}\n\\"}"#));
    }

    #[test]
    fn a_value_cannot_be_a_dot_segment() {
        assert_eq!(fill("/a/{path.x}/b", "..", Place::Path), None);
        assert_eq!(fill("/a/.{path.x}/b", ".", Place::Path), None);
        for rest in ["x/%2E%2e/y", "..;/admin", "..%2fadmin", "..%5cadmin", "%2e%2e;x/admin", ".;/admin"] {
            assert_eq!(fill("/v1/public/{path.rest}", rest, Place::Path), None, "{rest}");
        }
        for value in ["b/../c", "..;x", "..\\b"] {
            assert_eq!(fill("/a/{path.x}", value, Place::Path), None, "{value}");
        }
    }

    #[test]
    fn an_absent_value_takes_the_default_or_leaves_the_template_unfilled() {
        assert_eq!(fill("x-{country|none}", "", Place::Query).as_deref(), Some("x-none"));
        assert_eq!(fill("x-{country}", "", Place::Query), None);
    }

    #[test]
    fn braces_stand_for_themselves_when_doubled() {
        assert_eq!(fill("{{{language}}}", "en", Place::Text).as_deref(), Some("{en}"));
    }

    #[test]
    fn an_unknown_name_is_a_fault() {
        assert!(
            Template::compile("/{regoin.slug}", &OwnAttributes::default())
                .unwrap_err()
                .ends_with("but found 'regoin.slug'")
        );
        assert!(Template::compile("/{language", &OwnAttributes::default()).is_err());
        assert!(Template::compile("/language}", &OwnAttributes::default()).is_err());
    }
}
