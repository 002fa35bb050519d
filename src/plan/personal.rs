//! What a request says of one visitor, and what the answer has the visitor keep.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::utf8_percent_encode;
use serde_json::{Map, Value as Json};

use crate::admit::X_USER_ID;
use crate::context::Context;
use crate::context::person::OwnCookie;
use crate::context::sticky;
use crate::decide::Decision;
use crate::growthbook::StickyBuckets;
use crate::rules::settings::Settings;
use crate::rules::stored::SessionPart;
use crate::session::State;
use crate::wire::query::RESERVED;

/// Most members of a list that are sent: "recently viewed" shows fewer.
const MAX_SENT: usize = 20;
/// Most bytes of `Edge-Session-Data`: half of what a header may have.
const MAX_DATA: usize = 4_096;
/// The header with lists of the session.
pub const SESSION_DATA: HeaderName = HeaderName::from_static("edge-session-data");

/// `X-User-ID` where proven, `Edge-Visitor-ID` where permitted, `Edge-Session` where somebody looked.
pub(super) fn add_headers(context: &Context, headers: &mut HeaderMap) {
    let person = &context.person;
    if let Some(user) = person.user().and_then(|user| HeaderValue::from_str(user.as_str()).ok()) {
        headers.insert(X_USER_ID, user);
    }
    let visitor = person.visitor.filter(|_| person.permissions.identify);
    if let Some(visitor) = visitor.and_then(|visitor| HeaderValue::from_str(&visitor.to_string()).ok()) {
        headers.insert(const { HeaderName::from_static("edge-visitor-id") }, visitor);
    }
    if context.session.state != State::None
        && let Ok(value) = HeaderValue::from_str(&context.session.to_string())
    {
        headers.insert(const { HeaderName::from_static("edge-session") }, value);
    }
}

/// A list of the session.
fn list(context: &Context, part: SessionPart) -> Vec<String> {
    let Some(record) = &context.session.record else { return Vec::new() };
    let names: Vec<String> = match part {
        SessionPart::RecentViews => record.recent_views.iter().map(|view| view.sku.clone()).collect(),
        SessionPart::Cart => record.cart.iter().map(|item| item.sku.clone()).collect(),
        SessionPart::Affinity => record.top_affinities().into_iter().map(|(name, _)| name.to_owned()).collect(),
    };
    names.into_iter().take(MAX_SENT).collect()
}

/// A list of the session as a query parameter's value: members encoded, commas between them. `None` for an empty one.
pub(super) fn query_value(context: &Context, part: SessionPart) -> Option<String> {
    let members: Vec<String> =
        list(context, part).iter().map(|name| utf8_percent_encode(name, RESERVED).to_string()).collect();
    (!members.is_empty()).then(|| members.join(","))
}

/// Lists of the session as a header's value: JSON in ASCII. Where it grows too long, lists are left out from the last.
pub(super) fn header_value(context: &Context, parts: &[SessionPart]) -> Option<HeaderValue> {
    // Empty lists would say that the cart is empty where nobody knows.
    context.session.record.as_ref()?;
    for count in (1..=parts.len()).rev() {
        let mut json = Map::new();
        for part in parts.iter().take(count) {
            let name = match part {
                SessionPart::RecentViews => "recent_views",
                SessionPart::Cart => "cart",
                SessionPart::Affinity => "affinity",
            };
            json.insert(name.to_owned(), list(context, *part).into());
        }
        let text = ascii(&Json::Object(json).to_string());
        if text.len() <= MAX_DATA {
            return HeaderValue::from_str(&text).ok();
        }
    }
    None
}

/// JSON with everything beyond ASCII as `\uXXXX`.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && character != '\x7f' {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String can't fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// The `Set-Cookie` lines about the visitor's id, on this host: it is new, or the visitor wants none.
pub fn visitor_cookies(settings: &Settings, context: &Context, host: &str) -> Vec<HeaderValue> {
    let person = &context.person;
    let mut cookies = Vec::new();
    if person.visitor_is_new && person.permissions.store {
        cookies.extend(person.visitor.and_then(|visitor| settings.visitor.set_cookie(visitor, host)));
    }
    cookies.extend(removed_cookies(settings, context, host));
    cookies
}

/// The `Set-Cookie` lines that remove the edge's own cookies on this host, where the visitor wants none.
pub fn removed_cookies(settings: &Settings, context: &Context, host: &str) -> impl Iterator<Item = HeaderValue> {
    context.person.forget.iter().filter_map(move |cookie| match cookie {
        OwnCookie::Visitor => settings.visitor.remove_cookie(host),
        OwnCookie::Adopted => settings.visitor.remove_adopted(host),
        OwnCookie::Sticky => settings.sticky.clone().unwrap_or_default().remove_cookie(host),
    })
}

/// The `Set-Cookie` line of remembered variations, where there is a new one. What the cookie remembers of somebody else who used this
/// browser goes with it.
pub fn sticky_cookie(settings: &Settings, context: &Context, decision: &Decision, host: &str) -> Option<HeaderValue> {
    let settings = settings.sticky.as_ref().filter(|_| !decision.sticky.is_empty())?;
    let mut remembered = StickyBuckets::belonging_to(context, context.sticky.iter().cloned());
    sticky::remember(&mut remembered, &decision.sticky).then(|| settings.set_cookie(&remembered, host)).flatten()
}
