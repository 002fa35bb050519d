//! Context: plain facts about the visitor and the request, from the head and from a [`FactSource`], as far as the rules read them. It
//! decides nothing; [`policy`] alone says what may be done with a visitor at all.

pub mod assumed;
pub mod consent;
pub mod device;
pub mod front;
pub mod identity;
pub mod inspect;
pub mod keys;
pub mod language;
pub mod network;
pub mod own;
pub mod person;
pub mod policy;
pub mod preview;
#[cfg(feature = "tools")]
pub mod replayed;
pub mod signed;
pub mod source;
pub mod sticky;
pub mod visitor;

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::{Map, Value as Json};
use time::OffsetDateTime;

use crate::admit::RequestHead;
use crate::attributes::FactSet;
use crate::code::Code;
use crate::condition::{Attributes, PatternWork, Value};
use crate::growthbook::StickyDocument;
use crate::platform::Geo;
use crate::rules::settings::RegionOverride;
use crate::rules::stored::OnMiss;
use crate::rules::{Region, Route, RuleSet};
use crate::session::{self, Outcome};
use crate::wire::cookies::Cookies;
use crate::wire::query::pairs as query_pairs;
use assumed::Assumed;
use device::DeviceFacts;
use identity::{Identity, Proof};
use network::NetworkFacts;
use own::OwnValues;
use person::{Evidence, Person};
use preview::PreviewClaims;
pub use source::{FactSource, Kept, Live};

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

/// What has to be known of a visitor before a request can be decided and planned: derived from what its rules read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// What device it is, and whether it is a bot.
    pub device: bool,
    /// Who asks.
    pub person: bool,
    /// The same the next time: a new visitor gets an id.
    pub keeps: bool,
    /// The session.
    pub session: bool,
    /// What is done where the session isn't fresh.
    pub on_miss: OnMiss,
}

/// Facts, ready for conditions and templates.
#[derive(Debug)]
pub struct Context {
    /// What was gathered.
    pub needs: Needs,
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
    /// What the visitor's cookie remembers of variations.
    pub sticky: Vec<StickyDocument>,
    /// The session, and how good it is.
    pub session: Outcome,
    session_json: Option<Json>,
    segments_json: Option<Json>,
    query: Option<String>,
    query_json: OnceCell<Json>,
    user_id: Option<String>,
    visitor_id: Option<String>,
    own: OwnValues,
    /// What the patterns of all that reads these facts may still take.
    pub pattern_work: PatternWork,
    /// Codes of what went wrong while the facts were gathered.
    pub codes: Vec<Code>,
    /// What is known, and who answers for the rest, where the facts come from a log line.
    #[cfg(feature = "tools")]
    replayed: Option<replayed::Replayed>,
}

impl Context {
    /// Gathers from `source` what `needs` names. `preview` is what a signed preview forces, `now` when the request came.
    pub fn gather(
        source: &mut dyn FactSource,
        head: &RequestHead,
        rules: &RuleSet,
        needs: Needs,
        preview: Option<PreviewClaims>,
        now: OffsetDateTime,
    ) -> Self {
        Self::gather_within(source, head, rules, needs, preview, now, PatternWork::default())
    }

    /// The same where patterns have taken some of their work already: `pattern_work` is what is left.
    pub fn gather_within(
        source: &mut dyn FactSource,
        head: &RequestHead,
        rules: &RuleSet,
        needs: Needs,
        preview: Option<PreviewClaims>,
        now: OffsetDateTime,
        pattern_work: PatternWork,
    ) -> Self {
        let settings = &rules.settings;
        let mut assumed = Assumed::of(preview.as_ref().map(|preview| &preview.visitor), source.assumed());
        // Nobody acts in a test user's name.
        assumed.user.take_if(|_| !head.is_safe());
        let (proven_at, now) = (now, assumed.moment().unwrap_or(now));
        let geo = assumed.geo().or_else(|| source.geo(head.address));
        let device = needs.device.then(|| {
            let agent = head.headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok());
            let record = agent.and_then(|agent| source.device(agent));
            assumed.over(device::detect(&head.headers, record.as_ref(), &settings.bots))
        });
        let mut context = Self {
            needs,
            now,
            region: Region::default(),
            region_reason: RegionReason::Default,
            language: language::negotiate(&head.headers, &settings.languages).map(str::to_owned),
            host: head.host().to_owned(),
            path: head.path.clone(),
            url: head.url(),
            device,
            network: network::detect(&head.headers, geo.as_ref()),
            geo,
            person: Person::nobody(),
            preview,
            sticky: Vec::new(),
            session: Outcome::none(),
            session_json: None,
            segments_json: None,
            query: head.query.clone(),
            query_json: OnceCell::new(),
            user_id: None,
            visitor_id: None,
            own: OwnValues::default(),
            pattern_work,
            codes: Vec::new(),
            #[cfg(feature = "tools")]
            replayed: None,
        };
        if needs.person {
            context.identify(source, head, rules, needs, (&assumed, proven_at));
        }
        context.own = OwnValues::read(&rules.own, head, &context.person);
        (context.region, context.region_reason) = context.resolve_region(head, rules);
        context
    }

    /// Finds out who asks, as far as it may be known, and reads the session where it is needed.
    /// Proofs are checked as of `proven_at`, whatever date a preview shows: an expired one stays one.
    fn identify(
        &mut self,
        source: &mut dyn FactSource,
        head: &RequestHead,
        rules: &RuleSet,
        needs: Needs,
        (assumed, proven_at): (&Assumed, OffsetDateTime),
    ) {
        let random = if needs.keeps { source.visitor_bits() } else { 0 };
        let proven = source.proven();
        let mut keys = || source.identity_keys();
        let wanted = rules.own.claims();
        let evidence =
            Evidence { now: proven_at, consent: assumed.consent, ..Evidence::of(head, self, random, &wanted) };
        let mut person = Person::of(&evidence, &rules.settings, &rules.consent, &mut keys);
        let test_user = assumed.test_user();
        if test_user.is_some() {
            person.show_another();
        }
        if let Some(user) = proven.filter(|_| person.permissions.identify) {
            person.identity = Identity::Proven(Proof::of(user));
        }
        let sticky = rules.settings.sticky.as_ref();
        self.sticky = sticky.map(|sticky| sticky.read(&Cookies::of(&head.headers))).unwrap_or_default();
        let user = test_user.as_ref().or(person.user());
        self.user_id = user.map(|user| user.as_str().to_owned());
        self.visitor_id = person.visitor.map(|visitor| visitor.to_string());
        if needs.session {
            let settings = &rules.settings.session;
            // A new visitor has no session yet: nobody is asked for it.
            let visitor = person.visitor.filter(|_| !person.visitor_is_new);
            let subjects = session::subjects(person.permissions.identify, settings.which, user, visitor);
            self.session = source.session(subjects, settings, needs.on_miss);
            if test_user.is_some() {
                // A look at it leaves no trace in it.
                self.session.write_back.clear();
            }
            let record = self.session.record.as_ref();
            self.session_json = record.map(session::Record::to_attribute);
            self.segments_json = record.map(|record| Json::from(record.segments.clone()));
        }
        self.person = person;
    }

    /// The facts as one route may read them.
    pub fn on<'c>(&'c self, route: &'c Route) -> RouteFacts<'c> {
        RouteFacts { context: self, route }
    }

    /// The values of the attributes that the site declares, by name.
    pub fn own_values(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.own.iter()
    }

    /// Which of the attributes that tell one visitor from the others this visitor has.
    pub fn identified_by(&self, rules: &RuleSet) -> FactSet {
        // Who isn't logged in is known by nothing.
        let has = |name: &str| self.attribute(name).is_some_and(|value| value != Value::Bool(false));
        let known = FactSet::IDENTIFYING.names().filter(|name| has(name));
        let own = rules.own.facts_where(|own| own.identifies && self.attribute(&own.name).is_some());
        known.map(FactSet::of).collect::<FactSet>().and(own)
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
        if !self.is_located() {
            return (rules.default_region().clone(), RegionReason::Default);
        }
        match regions.resolve(self, rules.groups()) {
            Some(region) => (region.clone(), RegionReason::Rule),
            None => (rules.default_region().clone(), RegionReason::Default),
        }
    }

    /// Whether it is known where the visitor is.
    fn is_located(&self) -> bool {
        let located = self.geo.as_ref().is_some_and(|geo| geo.country.is_some() || geo.continent.is_some());
        #[cfg(feature = "tools")]
        if let Some(oracle) = self.unknown("country").filter(|_| !located) {
            return oracle.says("country", "is located");
        }
        located
    }

    /// The visitor's country, ISO 3166-1 alpha-2.
    pub fn country(&self) -> Option<&str> {
        self.geo.as_ref()?.country.as_deref()
    }

    /// The session as conditions and templates see it.
    pub fn session_json(&self) -> Option<&Json> {
        self.session_json.as_ref()
    }

    /// Whether a user is known: proven, or a test user of a preview.
    pub fn is_logged_in(&self) -> bool {
        self.user_id.is_some()
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
            _ => self.own.get(name),
        }
    }

    fn pattern_work(&self) -> Option<&PatternWork> {
        Some(&self.pattern_work)
    }

    #[cfg(feature = "tools")]
    fn unknown(&self, name: &str) -> Option<&dyn crate::condition::Oracle> {
        self.oracle_of(name)
    }
}

/// The facts as one route may read them: a header that any client may send counts on a shared route only where it is in the key.
#[derive(Debug, Clone, Copy)]
pub struct RouteFacts<'c> {
    context: &'c Context,
    route: &'c Route,
}

impl RouteFacts<'_> {
    fn may_read(&self, name: &str) -> bool {
        match (self.context.own.unproven_header(name), self.route.cache()) {
            (Some(header), Some(cache)) => cache.key_headers.contains(header),
            _ => true,
        }
    }
}

impl Attributes for RouteFacts<'_> {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        if self.may_read(name) { self.context.attribute(name) } else { None }
    }

    fn pattern_work(&self) -> Option<&PatternWork> {
        Some(&self.context.pattern_work)
    }

    #[cfg(feature = "tools")]
    fn unknown(&self, name: &str) -> Option<&dyn crate::condition::Oracle> {
        if !self.may_read(name) { None } else { self.context.unknown(name) }
    }
}
