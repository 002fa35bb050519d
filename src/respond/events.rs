//! What an answer says of conversions: the origin's header `Edge-Event`, and the route's own event. The client sees neither.
//!
//! ```text
//! Edge-Event: order;id="o1";value=59.90;currency="EUR", newsletter
//! ```

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sfv::{BareItem, Item, List, ListEntry, Parser};

use super::storing::{Storing, is_private, storing};
use crate::code::Code;
use crate::platform::Caching;
use crate::rules::events::is_name;

/// The header: a list of Structured Fields (RFC 9651), one item an event.
pub const EDGE_EVENT: HeaderName = HeaderName::from_static("edge-event");
/// Most events of one answer.
pub const MOST: usize = 16;
/// Bytes of the longest header that is read.
const LONGEST: usize = 4_096;
/// Bytes of the longest id.
pub const LONGEST_ID: usize = 128;

/// Who says that something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The origin, by `Edge-Event`.
    Origin,
    /// The route, by its `event`.
    Route,
    /// A script in the browser: anybody can send it.
    Browser,
}

impl Source {
    /// The word in log lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Route => "route",
            Self::Browser => "browser",
        }
    }
}

/// Something happened that a site counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What: `order`.
    pub name: String,
    /// Which one: an event with an id counts once.
    pub id: Option<String>,
    /// How much.
    pub value: Option<f64>,
    /// Of what, ISO 4217.
    pub currency: Option<String>,
    /// Who says so.
    pub source: Source,
}

impl Event {
    /// An event that has nothing but its name.
    #[must_use]
    pub fn named(name: &str, source: Source) -> Self {
        Self { name: name.to_owned(), id: None, value: None, currency: None, source }
    }
}

/// Whether a text can be an event's id: visible ASCII and spaces.
#[must_use]
pub fn is_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Takes `Edge-Event` out of an answer's head, and gives what it says. A header that can't be read is dropped whole, with a code; so is one
/// that a cache may keep, for each visitor who gets the kept answer would have done it again.
pub fn take(status: StatusCode, headers: &mut HeaderMap, caching: &Caching) -> (Vec<Event>, Option<Code>) {
    let lines: Vec<HeaderValue> = headers.get_all(EDGE_EVENT).iter().cloned().collect();
    if lines.is_empty() {
        return (Vec::new(), None);
    }
    headers.remove(EDGE_EVENT);
    let came_for_this_request = match caching {
        Caching::Pass => true,
        Caching::Origin { .. } => is_private(headers),
        Caching::Keyed { .. } => storing(status, headers, false) == Storing::Skip,
    };
    if !came_for_this_request {
        return (Vec::new(), Some(Code::EventShared));
    }
    match read(&lines) {
        None => (Vec::new(), Some(Code::EventMalformed)),
        Some(events) if events.len() > MOST => (events.into_iter().take(MOST).collect(), Some(Code::EventTooMany)),
        Some(events) => (events, None),
    }
}

/// The events of a header. Several lines are one list (RFC 9651 section 4.2).
fn read(lines: &[HeaderValue]) -> Option<Vec<Event>> {
    let lines: Option<Vec<&str>> = lines.iter().map(|line| line.to_str().ok()).collect();
    let field = lines?.join(", ");
    if field.len() > LONGEST {
        return None;
    }
    let list: List = Parser::new(&field).parse().ok()?;
    list.iter()
        .map(|entry| match entry {
            ListEntry::Item(item) => event(item),
            ListEntry::InnerList(_) => None,
        })
        .collect()
}

fn event(item: &Item) -> Option<Event> {
    let name = text(&item.bare_item).filter(|name| is_name(name))?;
    let mut event = Event::named(name, Source::Origin);
    for (parameter, value) in &item.params {
        match parameter.as_str() {
            "id" => {
                let id = match value {
                    BareItem::Integer(number) => number.to_string(),
                    other => text(other)?.to_owned(),
                };
                event.id = Some(Some(id).filter(|id| is_id(id))?);
            }
            "value" => match value {
                BareItem::Decimal(number) => event.value = Some((*number).into()),
                BareItem::Integer(number) => event.value = Some(number.to_string().parse().ok()?),
                _ => return None,
            },
            "currency" => {
                let is_code = |code: &&str| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
                event.currency = Some(text(value).filter(is_code)?.to_owned());
            }
            // What a later version may say.
            _ => {}
        }
    }
    Some(event)
}

fn text(value: &BareItem) -> Option<&str> {
    match value {
        BareItem::String(text) => Some(text.as_str()),
        BareItem::Token(token) => Some(token.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lines: &[&str]) -> (Vec<Event>, Option<Code>) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(EDGE_EVENT, HeaderValue::from_str(line).unwrap());
        }
        let taken = take(StatusCode::OK, &mut headers, &Caching::Pass);
        assert!(headers.is_empty(), "the client never sees it");
        taken
    }

    #[test]
    fn an_order_is_read_with_its_money() {
        let (events, code) =
            taken(&[r#"order;id="o1";value=59.90;currency="EUR";later=?1"#, "newsletter, page:view;id=7"]);
        assert_eq!((events.len(), code), (3, None));
        let order = Event {
            name: "order".to_owned(),
            id: Some("o1".to_owned()),
            value: Some(59.9),
            currency: Some("EUR".to_owned()),
            source: Source::Origin,
        };
        assert_eq!(events[0], order);
        assert_eq!(events[1], Event::named("newsletter", Source::Origin));
        assert_eq!(events[2].id.as_deref(), Some("7"));
        assert_eq!(taken(&[]), (Vec::new(), None));
    }

    #[test]
    fn what_is_not_as_agreed_is_dropped_whole_and_named() {
        let long = format!("order;id=\"{}\"", "x".repeat(129));
        let name = "n".repeat(65);
        let huge = format!("order;later=\"{}\"", "x".repeat(4_100));
        for line in [
            "order;",
            "order;id",
            "order;value=\"59.90\"",
            "order;value=59,90",
            "order;currency=euro",
            "order;currency=1",
            "(order)",
            "\"an order\"",
            "?1",
            "7",
            "order;id=\"\"",
            "first, order;value=?1",
            long.as_str(),
            name.as_str(),
            huge.as_str(),
        ] {
            assert_eq!(taken(&[line]), (Vec::new(), Some(Code::EventMalformed)), "{line}");
        }
    }

    #[test]
    fn the_first_sixteen_count() {
        let line = vec!["view"; 17].join(", ");
        let (events, code) = taken(&[&line]);
        assert_eq!((events.len(), code), (16, Some(Code::EventTooMany)));
    }
}
