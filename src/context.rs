//! Context: plain facts about the visitor and the request, from the head and the platform. It decides nothing; [`policy`] alone says
//! what may be done with a visitor at all.

pub mod consent;
pub mod device;
pub mod gather;
pub mod identity;
pub mod keys;
pub mod language;
pub mod network;
pub mod person;
pub mod policy;
pub mod preview;
pub mod sticky;
pub mod visitor;

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::{Map, Value as Json};
use time::OffsetDateTime;

use crate::admit::RequestHead;
use crate::condition::{Attributes, Value};
use crate::growthbook::StickyDocument;
use crate::platform::{Device, Geo};
use crate::rules::settings::RegionOverride;
use crate::rules::{Region, RuleSet};
use crate::session::Outcome;
use crate::wire::cookies::Cookies;
use crate::wire::query::pairs as query_pairs;
use device::DeviceFacts;
use network::NetworkFacts;
use person::Person;
use preview::PreviewClaims;

/// Every attribute that conditions can read, by name (design.md section 3.4). Any other name is one that nobody has.
pub const ATTRIBUTES: [&str; 27] = [
    "id",
    "userId",
    "visitorId",
    "loggedIn",
    "country",
    "subdivision",
    "continent",
    "city",
    "region",
    "language",
    "deviceType",
    "browser",
    "os",
    "network",
    "saveData",
    "url",
    "host",
    "path",
    "query",
    "utmSource",
    "utmMedium",
    "utmCampaign",
    "utmTerm",
    "utmContent",
    "segments",
    "session",
    "now",
];

/// Why the visitor is in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RegionReason {
    /// The first region whose condition holds.
    Rule,
    /// None holds, or nothing is known of the address.
    Default,
    /// `X-Geo-Region`, where settings allow it.
    Override,
    /// A signed preview.
    Preview,
}

/// What the platform says of the address and the User-Agent.
#[derive(Debug, Clone, Default)]
pub struct Platformed {
    /// Where the address is.
    pub geo: Option<Geo>,
    /// What the User-Agent is, where somebody asked: the platform may not know it.
    pub device: Option<Option<Device>>,
}

/// Facts, ready for conditions and templates.
#[derive(Debug)]
pub struct Context {
    /// When the request came.
    pub now: OffsetDateTime,
    /// Where the address is.
    pub geo: Option<Geo>,
    /// The region.
    pub region: Region,
    /// And why.
    pub region_reason: RegionReason,
    /// The negotiated language.
    pub language: Option<String>,
    /// The host, without port.
    pub host: String,
    /// The path as the client sent it.
    pub path: String,
    /// The URL as the client sent it.
    pub url: String,
    /// What the visitor's device is; where a route asks.
    pub device: Option<DeviceFacts>,
    /// How good the connection is.
    pub network: NetworkFacts,
    /// Who asks.
    pub person: Person,
    /// What a signed preview forces.
    pub preview: Option<PreviewClaims>,
    /// What the visitor's cookie remembers of arms.
    pub sticky: Vec<StickyDocument>,
    /// The session, and how good it is.
    pub session: Outcome,
    session_json: Option<Json>,
    segments_json: Option<Json>,
    query: Option<String>,
    query_json: OnceCell<Json>,
    user_id: Option<String>,
    visitor_id: Option<String>,
}

impl Context {
    /// The facts of a request about which nothing is asked but where it comes from.
    pub fn from_facts(
        head: &RequestHead,
        rules: &RuleSet,
        now: OffsetDateTime,
        platformed: Platformed,
        preview: Option<PreviewClaims>,
    ) -> Self {
        let language = language::negotiate(&head.headers, &rules.settings.languages).map(str::to_owned);
        let Platformed { geo, device } = platformed;
        let device = device.map(|record| device::detect(&head.headers, record.as_ref()));
        let network = network::detect(&head.headers, geo.as_ref());
        let mut context = Self {
            now,
            geo,
            region: Region::default(),
            region_reason: RegionReason::Default,
            language,
            host: head.host().to_owned(),
            path: head.path.clone(),
            url: head.url(),
            device,
            network,
            person: Person::nobody(),
            preview,
            sticky: rules
                .settings
                .sticky
                .as_ref()
                .map(|sticky| sticky.read(&Cookies::of(&head.headers)))
                .unwrap_or_default(),
            session: Outcome::none(),
            session_json: None,
            segments_json: None,
            query: head.query.clone(),
            query_json: OnceCell::new(),
            user_id: None,
            visitor_id: None,
        };
        (context.region, context.region_reason) = context.resolve_region(head, rules);
        context
    }

    /// The same facts, with who asks.
    #[must_use]
    pub fn with_person(mut self, person: Person) -> Self {
        self.user_id = person.user().map(|user| user.as_str().to_owned());
        self.visitor_id = person.visitor.map(|visitor| visitor.to_string());
        self.person = person;
        self
    }

    /// The same facts, with the session.
    #[must_use]
    pub fn with_session(mut self, session: Outcome) -> Self {
        self.session_json = session.record.as_ref().map(crate::session::Record::to_attribute);
        self.segments_json = session.record.as_ref().map(|record| Json::from(record.segments.clone()));
        self.session = session;
        self
    }

    fn resolve_region(&self, head: &RequestHead, rules: &RuleSet) -> (Region, RegionReason) {
        let regions = &rules.regions;
        let previewed = self.preview.as_ref().and_then(|preview| preview.region.as_deref());
        if let Some(region) = previewed.and_then(|id| regions.by_id(id)) {
            return (region.clone(), RegionReason::Preview);
        }
        if rules.settings.region_override == RegionOverride::Any
            && let Some(region) = head.claims.region.as_deref().and_then(|id| regions.by_id(id))
        {
            return (region.clone(), RegionReason::Override);
        }
        // An unlocated visitor matches no region, not even by a negation.
        if self.geo.as_ref().is_none_or(|geo| geo.country.is_none() && geo.continent.is_none()) {
            return (regions.default.clone(), RegionReason::Default);
        }
        match regions.resolve(self, rules.groups()) {
            Some(region) => (region.clone(), RegionReason::Rule),
            None => (regions.default.clone(), RegionReason::Default),
        }
    }

    /// The visitor's country, ISO 3166-1 alpha-2.
    pub fn country(&self) -> Option<&str> {
        self.geo.as_ref()?.country.as_deref()
    }

    /// The session as conditions and templates see it.
    pub fn session_json(&self) -> Option<&Json> {
        self.session_json.as_ref()
    }

    /// The unit that experiments and the canary hash: the user where proven, else the visitor; nothing where nobody may be bucketed.
    pub fn unit(&self) -> Option<&str> {
        let unit = self.user_id.as_deref().or(self.visitor_id.as_deref());
        unit.filter(|_| self.person.permissions.bucket)
    }

    fn query(&self) -> &Json {
        self.query_json.get_or_init(|| {
            let mut parameters = Map::new();
            for (name, value) in query_pairs(self.query.as_deref().unwrap_or_default()) {
                // The first of a name counts, as `URLSearchParams.get` has it.
                parameters.entry(name).or_insert(Json::String(value));
            }
            Json::Object(parameters)
        })
    }

    fn parameter(&self, name: &str) -> Option<Value<'_>> {
        text(self.query().get(name).and_then(Json::as_str))
    }
}

/// A text attribute, borrowed.
fn text(value: Option<&str>) -> Option<Value<'_>> {
    value.map(|value| Value::String(Cow::Borrowed(value)))
}

impl Attributes for Context {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        let geo = self.geo.as_ref();
        match name {
            "id" => text(self.unit()),
            "userId" => text(self.user_id.as_deref().filter(|_| self.person.permissions.bucket)),
            "visitorId" => text(self.visitor_id.as_deref().filter(|_| self.person.permissions.bucket)),
            "loggedIn" => Some(Value::Bool(self.user_id.is_some())),
            "country" => text(self.country()),
            "subdivision" => text(geo?.subdivision.as_deref()),
            "continent" => text(geo?.continent),
            "city" => text(geo?.city.as_deref()),
            "region" => text(Some(&self.region.id)),
            "language" => text(self.language.as_deref()),
            "deviceType" => text(self.device.as_ref().map(|device| device.class.as_str())),
            "browser" => text(self.device.as_ref().map(|device| device.browser)),
            "os" => text(self.device.as_ref().map(|device| device.os)),
            "network" => text(Some(self.network.class.as_str())),
            "saveData" => Some(Value::Bool(self.network.save_data)),
            "url" => text(Some(&self.url)),
            "host" => text(Some(&self.host)),
            "path" => text(Some(&self.path)),
            "query" => Some(Value::Json(self.query())),
            "utmSource" => self.parameter("utm_source"),
            "utmMedium" => self.parameter("utm_medium"),
            "utmCampaign" => self.parameter("utm_campaign"),
            "utmTerm" => self.parameter("utm_term"),
            "utmContent" => self.parameter("utm_content"),
            "segments" => self.segments_json.as_ref().map(Value::Json),
            "session" => self.session_json.as_ref().map(Value::Json),
            // Seconds since 1970 stay exact in a double for some hundred million years.
            #[allow(clippy::cast_precision_loss)]
            "now" => Some(Value::Number(self.now.unix_timestamp() as f64)),
            _ => None,
        }
    }
}
