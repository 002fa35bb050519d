//! Facts from a log line, in place of a visitor: what the line says is known, the rest is an oracle's to answer.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use serde_json::Value as Json;
use time::OffsetDateTime;

use super::device::{DeviceClass, DeviceFacts};
use super::network::{NetworkClass, NetworkFacts};
use super::own::OwnValues;
use super::person::Person;
use super::policy::Permissions;
use super::{Context, Needs, RegionReason};
use crate::admit::RequestHead;
use crate::attributes;
use crate::condition::{Oracle, PatternWork};
use crate::platform::Geo;
use crate::platform::geo::CONTINENTS;
use crate::rules::{Region, RuleSet};
use crate::session::Outcome;

/// What a line says, by attribute; `null` where it says that there is none. What isn't here isn't known.
pub type Known = BTreeMap<String, Json>;

/// What is known, and who answers for the rest.
pub struct Replayed {
    known: Rc<Known>,
    oracle: Rc<dyn Oracle>,
}

impl fmt::Debug for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replayed").field("known", &self.known).finish_non_exhaustive()
    }
}

/// Around the name of an attribute where its value isn't known: nothing that a path's encoding touches.
const MARK: [&str; 2] = ["zz-unknown-", "-zz"];

/// What stands for the unknown value of an attribute in a filled template.
#[must_use]
pub fn mark(name: &str) -> String {
    let [before, after] = MARK;
    format!("{before}{name}{after}")
}

/// The attribute whose mark is in a text.
#[must_use]
pub fn marked(text: &str) -> Option<&str> {
    let [before, after] = MARK;
    text.split_once(before)?.1.split_once(after).map(|(name, _)| name)
}

/// A text with words in place of marks, for people.
#[must_use]
pub fn unmarked(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(name) = marked(&text).map(str::to_owned) {
        text = text.replace(&mark(&name), &format!("({name} isn't logged)"));
    }
    text
}

impl Context {
    /// The facts of a request that a log line tells of. Everything that isn't in `known` is `oracle`'s to answer, but for the region, which
    /// follows from the rest, and the time.
    pub fn replayed(
        head: &RequestHead,
        rules: &RuleSet,
        (needs, pattern_work): (Needs, PatternWork),
        now: OffsetDateTime,
        known: Rc<Known>,
        oracle: Rc<dyn Oracle>,
    ) -> Self {
        let text = |name: &str| known.get(name).and_then(Json::as_str).map(str::to_owned);
        let is_bot = known.get("deviceType").is_some_and(|class| class == DeviceClass::Bot.as_str());
        let mut person = Person::nobody();
        // Whether this visitor may be told from others is a part of whether there is an `id`.
        person.permissions = if is_bot { Permissions::NONE } else { Permissions::ALL };
        let mut own = OwnValues::read(&rules.own, head, &person);
        for (name, value) in known.iter() {
            own.set(name, Some(value.clone()).filter(|value| !value.is_null()));
        }
        let segments = known.get("segments").filter(|segments| segments.is_array());
        let mut context = Self {
            needs,
            now,
            region: Region::default(),
            region_reason: RegionReason::Default,
            language: text("language"),
            host: head.host().to_owned(),
            path: head.path.clone(),
            url: head.url(),
            device: device(&known),
            network: network(&known),
            geo: geo(&known),
            person,
            preview: None,
            sticky: Vec::new(),
            session: Outcome::none(),
            session_json: None,
            segments_json: segments.cloned(),
            query: None,
            query_json: OnceCell::new(),
            // Who it is nobody says: that somebody is logged in is all that is read of it.
            user_id: known.get("loggedIn").filter(|is| **is == Json::Bool(true)).map(|_| "redacted".to_owned()),
            visitor_id: None,
            own,
            pattern_work,
            codes: Vec::new(),
            replayed: Some(Replayed { known, oracle }),
        };
        (context.region, context.region_reason) = context.resolve_region(head, rules);
        context
    }

    /// Who answers for an attribute that a log line says nothing of.
    pub(super) fn oracle_of(&self, name: &str) -> Option<&dyn Oracle> {
        let replayed = self.replayed.as_ref()?;
        let follows = matches!(name, "region" | "now");
        let exists = attributes::find(name).is_some() || self.own.declares(name);
        (exists && !follows && !replayed.known.contains_key(name)).then_some(&*replayed.oracle)
    }
}

fn geo(known: &Known) -> Option<Geo> {
    let text = |name: &str| known.get(name).and_then(Json::as_str).map(str::to_owned);
    let continent = text("continent").and_then(|code| CONTINENTS.into_iter().find(|known| *known == code));
    let geo = Geo {
        country: text("country"),
        subdivision: text("subdivision"),
        continent,
        city: text("city"),
        ..Geo::default()
    };
    (geo != Geo::default()).then_some(geo)
}

/// What stands for a class or a name that isn't known is never read: its oracle is asked.
fn device(known: &Known) -> Option<DeviceFacts> {
    let named = |name: &str| {
        let values = attributes::find(name).map(|attribute| attribute.values).unwrap_or_default();
        let said = known.get(name).and_then(Json::as_str)?;
        values.iter().find(|value| **value == said).copied()
    };
    let class = [DeviceClass::Mobile, DeviceClass::Tablet, DeviceClass::Desktop, DeviceClass::Tv, DeviceClass::Bot];
    let said = known.get("deviceType").and_then(Json::as_str);
    let class = class.into_iter().find(|class| Some(class.as_str()) == said);
    let (browser, os) = (named("browser"), named("os"));
    let any = class.is_some() || browser.is_some() || os.is_some();
    any.then(|| DeviceFacts {
        class: class.unwrap_or(DeviceClass::Desktop),
        browser: browser.unwrap_or("other"),
        os: os.unwrap_or("other"),
    })
}

fn network(known: &Known) -> NetworkFacts {
    let classes = [NetworkClass::Slow, NetworkClass::Medium, NetworkClass::Fast];
    let said = known.get("network").and_then(Json::as_str);
    let class = classes.into_iter().find(|class| Some(class.as_str()) == said).unwrap_or(NetworkClass::Fast);
    NetworkFacts { class, save_data: known.get("saveData").is_some_and(|said| *said == Json::Bool(true)) }
}
