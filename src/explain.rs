//! Why a visitor gets what they get: the edge's own steps, run for a visitor who is described, with the reason of each.
//!
//! The command line and `/.edge/explain` both call [`explain`]. Nothing here decides: every step is the one that serves
//! requests, so an explanation can't say anything else than what would happen.

mod planned;
pub mod say;

use std::net::IpAddr;
use std::rc::Rc;

use http::HeaderMap;
use serde::Serialize;
use time::OffsetDateTime;

use crate::admit::{self, RequestHead};
use crate::code::Code;
#[cfg(feature = "tools")]
use crate::condition::Attributes as _;
use crate::context::assumed::Assumed;
use crate::context::identity::{IdentityKeys, UserId};
use crate::context::preview::{self, Preview};
use crate::context::{Context, FactSource, Needs, RegionReason};
use crate::decide::variations::{Shown, ShownSource};
use crate::decide::{self, Considered, Decision, NotMatched, Trace};
use crate::mac::MacKey;
use crate::plan;
use crate::platform::{ClientRequest, Device, Geo};
use crate::record;
use crate::rules::routes::Candidate;
use crate::rules::stored::OnMiss;
use crate::rules::{Role, RuleSet};
use crate::session::{Outcome, SessionSettings, Subject};
pub use planned::{Answered, Asked, Planned, Sent};

/// A visitor and a request, as somebody describes them.
pub struct Described<'a> {
    /// The request; its address is for the origin alone, [`geo`](Self::geo) says where it is.
    pub request: ClientRequest<()>,
    /// Where the address is.
    pub geo: Option<Geo>,
    /// What the platform says of the User-Agent.
    pub device: Option<Device>,
    /// A user who is logged in: the proof is taken for granted.
    pub user: Option<UserId>,
    /// What else is said of the visitor, in place of what the request says.
    pub assumed: Assumed,
    /// The keys that proofs in the request are checked with.
    pub identity_keys: Rc<IdentityKeys>,
    /// Gives the session of these users and visitors.
    pub session: SessionLookup<'a>,
    /// The keys that sign previews; without one, a preview is named and shows nothing.
    pub preview_keys: Rc<Vec<MacKey>>,
    /// When.
    pub now: OffsetDateTime,
    /// The bits of a new visitor's id, and of the request's.
    pub random: [u128; 2],
}

/// Looks a session up, as the service would.
pub type SessionLookup<'a> = Box<dyn FnMut(Vec<Subject>, &SessionSettings, OnMiss) -> Outcome + 'a>;

/// Nobody has a session.
#[must_use]
pub fn no_session<'a>() -> SessionLookup<'a> {
    Box::new(|_, _, _| Outcome::none())
}

/// A described visitor gives the facts that the platform would.
struct DescribedFacts<'a> {
    geo: Option<Geo>,
    device: Option<Device>,
    user: Option<UserId>,
    keys: Rc<IdentityKeys>,
    assumed: Assumed,
    bits: u128,
    session: SessionLookup<'a>,
}

impl FactSource for DescribedFacts<'_> {
    fn geo(&mut self, _: Option<IpAddr>) -> Option<Geo> {
        self.geo.clone()
    }

    fn device(&mut self, _: &str) -> Option<Device> {
        self.device.clone()
    }

    fn identity_keys(&mut self) -> Rc<IdentityKeys> {
        Rc::clone(&self.keys)
    }

    fn proven(&self) -> Option<UserId> {
        self.user.clone()
    }

    fn assumed(&self) -> Option<&Assumed> {
        Some(&self.assumed)
    }

    fn visitor_bits(&mut self) -> u128 {
        self.bits
    }

    fn session(&mut self, subjects: Vec<Subject>, settings: &SessionSettings, on_miss: OnMiss) -> Outcome {
        (self.session)(subjects, settings, on_miss)
    }
}

/// All steps of one request.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The revision of the rules; `null` at bare names.
    pub revision: Option<String>,
    /// Which of the pointer's revisions that is: `active`, `canary`, `previous`, `last`; `null` for rules that come from a folder.
    pub role: Option<Role>,
    /// When (RFC 3339).
    pub time: String,
    /// Status and code, where the request is not admitted; nothing follows then.
    pub refused: Option<(u16, Code)>,
    /// Whether it is for the edge itself; nothing follows then.
    pub reserved: bool,
    /// What is known of the visitor.
    pub visitor: Option<Visitor>,
    /// The region, and why.
    pub region: Option<RegionStep>,
    /// Routes whose path matches, in the order in which they are tried.
    pub routes: Vec<RouteStep>,
    /// What the visitor gets of features and experiments.
    pub shown: Vec<ShownStep>,
    /// How features and experiments were evaluated, in words.
    pub steps: Vec<String>,
    /// What is done.
    pub plan: Option<Planned>,
    /// Faults of the rules that were met.
    pub faults: Vec<String>,
}

/// What is known of the visitor, and what may be done with it.
#[derive(Debug, Serialize)]
pub struct Visitor {
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// ISO 3166-2 without the country.
    pub subdivision: Option<String>,
    /// Two letters.
    pub continent: Option<&'static str>,
    /// The language that was negotiated.
    pub language: Option<String>,
    /// `mobile`, `tablet`, `desktop`, `tv`, `bot`; `null` where no route asks.
    pub device: Option<&'static str>,
    /// Whether the visitor may be told from others: by consent, law, `Sec-GPC`, and not being a bot.
    pub may_be_identified: bool,
    /// Whether the visitor takes part in experiments.
    pub may_be_bucketed: bool,
    /// `user`, `visitor`, or `null`: what experiments hash.
    pub unit: Option<&'static str>,
    /// How good the session is: `fresh`, `refreshed`, `stale`, `miss`, `error`; `none` where no route asks.
    pub session: &'static str,
    /// How long the KV store was waited for, in milliseconds.
    pub session_kv_ms: u64,
    /// The same of the central session API; `null` where it wasn't asked.
    pub session_api_ms: Option<u64>,
}

/// The region, and why.
#[derive(Debug, Serialize)]
pub struct RegionStep {
    /// Its id.
    pub id: String,
    /// Its slug.
    pub slug: String,
    /// Why this one.
    pub reason: RegionReason,
    /// Every region in the order in which it is tried, up to the first that holds.
    pub considered: Vec<RegionTried>,
}

/// One region, tried.
#[derive(Debug, Serialize)]
pub struct RegionTried {
    /// Its id.
    pub id: String,
    /// Whether its condition holds.
    pub holds: bool,
    /// The key of the condition that keeps it from holding.
    pub blocked_by: Option<String>,
}

/// One route, tried.
#[derive(Debug, Serialize)]
pub struct RouteStep {
    /// Its id.
    pub id: String,
    /// Whether it is the match.
    pub matched: bool,
    /// Why it isn't; `null` for the match, and for routes that were not reached.
    pub why_not: Option<NotMatched>,
    /// The key of its condition that doesn't hold.
    pub blocked_by: Option<String>,
}

/// What the visitor gets of a feature or an experiment.
#[derive(Debug, Serialize)]
pub struct ShownStep {
    /// The feature's or the experiment's key.
    pub key: String,
    /// The value.
    pub value: serde_json::Value,
    /// Where it comes from.
    pub source: String,
    /// The experiment whose variation it is.
    pub experiment: Option<String>,
    /// The variation's index.
    pub variation: Option<usize>,
}

/// Walks the steps. `random` is used once each, so that the same description gives the same explanation. `role` says which of the
/// pointer's revisions `rules` are.
pub fn explain(rules: &RuleSet, role: Option<Role>, described: Described<'_>) -> Explanation {
    let Described { mut request, geo, device, user, assumed, identity_keys, session, preview_keys, now, random } =
        described;
    let [for_visitor, for_id] = random;
    let mut explanation = Explanation::new(rules, role, assumed.moment().unwrap_or(now));
    let mut head = match admit::admit(&mut request, for_id) {
        Ok(head) => head,
        Err(refusal) => {
            explanation.refused = Some((refusal.status.as_u16(), refusal.code));
            return explanation;
        }
    };
    if head.reserved.is_some() {
        explanation.reserved = true;
        return explanation;
    }
    let rules = rules.on_host(head.host());
    let rules = &*rules;
    let mut preview = Preview::take(&mut head, &rules.settings, now, || Rc::clone(&preview_keys));
    preview.fit(rules);
    explanation.steps.extend(previewed(&preview, preview_keys.is_empty(), rules.revision.as_deref()));
    if let Some(moment) = preview.claims.as_ref().and_then(|claims| claims.visitor.moment()) {
        explanation.time = record::timestamp(moment);
    }
    let mut facts = DescribedFacts { geo, device, user, assumed, keys: identity_keys, bits: for_visitor, session };
    let mut trace = Trace::default();
    let considered = decide::consider(&mut facts, rules, &head, preview.claims.clone(), now, Some(&mut trace));
    // Where no route can match, the service asks for nothing; whoever wants an explanation wants to know where the visitor is.
    let unasked = || Context::gather(&mut facts, &head, rules, Needs::default(), preview.claims.clone(), now);
    let shown_context = considered.context.is_none().then(unasked);
    let context = considered.context.as_ref().or(shown_context.as_ref());
    explanation.walk((&head, rules), context, &considered, &preview, trace);
    explanation
}

/// Explains a line of `decisions` that was decided again, in the way that it was taken to have been.
#[cfg(feature = "tools")]
#[must_use]
pub fn explain_line(again: &crate::replay::Again, now: OffsetDateTime) -> Explanation {
    let crate::replay::Again { head, rules, considered, trace, .. } = again;
    let mut explanation = Explanation::new(rules, None, now);
    let context = considered.context.as_ref();
    explanation.walk((head, rules), context, considered, &Preview::default(), trace.clone());
    let isnt_logged = |name: &str| context.is_some_and(|context| context.unknown(name).is_some());
    if let Some(visitor) = explanation.visitor.as_mut() {
        let unless_known = |name: &str, value: &mut Option<String>| {
            if isnt_logged(name) {
                *value = Some(NOT_LOGGED.to_owned());
            }
        };
        unless_known("country", &mut visitor.country);
        unless_known("subdivision", &mut visitor.subdivision);
        unless_known("language", &mut visitor.language);
        if isnt_logged("id") {
            visitor.unit = Some(NOT_LOGGED);
        }
        if isnt_logged("session") {
            visitor.session = NOT_LOGGED;
        }
    }
    if isnt_logged("id") {
        // The bucket is that of nobody.
        for step in &mut explanation.steps {
            let end = step.find(", bucket ").unwrap_or(step.len());
            step.truncate(end);
        }
    }
    explanation
}

/// What stands for what a line doesn't say.
#[cfg(feature = "tools")]
const NOT_LOGGED: &str = "not logged";

impl Explanation {
    fn new(rules: &RuleSet, role: Option<Role>, now: OffsetDateTime) -> Self {
        Self {
            revision: rules.revision.clone(),
            role,
            time: record::timestamp(now),
            refused: None,
            reserved: false,
            visitor: None,
            region: None,
            routes: Vec::new(),
            shown: Vec::new(),
            steps: Vec::new(),
            plan: None,
            faults: Vec::new(),
        }
    }

    /// Adds the steps of a request as it was considered. `context`: what is known of the visitor, where no rule asked, too.
    fn walk(
        &mut self,
        (head, rules): (&RequestHead, &RuleSet),
        context: Option<&Context>,
        considered: &Considered,
        preview: &Preview,
        mut trace: Trace,
    ) {
        if let Some(context) = context {
            self.visitor = Some(visitor(context));
            self.region = Some(region(rules, context));
            self.routes = routes(rules, head, context, &trace);
        }
        self.shown = shown(&considered.decision);
        self.steps.append(&mut trace.steps);
        let plan = plan::plan(head, rules, considered, preview);
        self.plan = Some(planned::describe(head, rules, considered.context.as_ref(), plan));
        self.faults = rules.take_faults().iter().map(ToString::to_string).collect();
    }
}

/// Every route whose path matches, and why it is not the match.
fn routes(rules: &RuleSet, head: &RequestHead, context: &Context, trace: &Trace) -> Vec<RouteStep> {
    let step = |candidate: Candidate| {
        let route = &candidate.route;
        let tried = trace.routes.iter().find(|(id, _)| *id == route.id);
        let why_not = tried.and_then(|(_, why_not)| *why_not);
        let blocked = route.when.as_ref().filter(|_| why_not == Some(NotMatched::When));
        let blocked_by =
            blocked.and_then(|when| when.blocked_by(&context.on(route), rules.groups()).map(str::to_owned));
        RouteStep { id: route.id.clone(), matched: tried.is_some() && why_not.is_none(), why_not, blocked_by }
    };
    rules.routes.candidates(&head.normal_path).into_iter().map(step).collect()
}

/// What a preview shows, or why it shows nothing. `revision` is that of the rules that explain.
fn previewed(preview: &Preview, without_key: bool, revision: Option<&str>) -> Option<String> {
    if preview.ends {
        return Some("preview: ended by the query".to_owned());
    }
    if let Some(error) = preview.error {
        let why = if without_key { ": there is no key to check it with" } else { "" };
        return Some(format!("preview: ignored ({}{why})", preview::code_of(error)));
    }
    let claims = preview.claims.as_ref()?;
    let mut text = format!("preview: {}; it counts in no experiment", claims.words().join(", "));
    if !preview.unknown.is_empty() {
        text.push_str(&format!("; the rules don't have, and it leaves out: {}", preview.unknown.join(", ")));
    }
    if let Some(named) = claims.revision.as_deref().filter(|named| revision != Some(named)) {
        text.push_str(&format!("; explained by other rules than those of {named}"));
    }
    Some(text)
}

fn visitor(context: &Context) -> Visitor {
    let geo = context.geo.as_ref();
    let permissions = context.person.permissions;
    let unit = context.unit().map(|_| if context.is_logged_in() { "user" } else { "visitor" });
    Visitor {
        country: context.country().map(str::to_owned),
        subdivision: geo.and_then(|geo| geo.subdivision.clone()),
        continent: geo.and_then(|geo| geo.continent),
        language: context.language.clone(),
        device: context.device.as_ref().map(|device| device.class.as_str()),
        may_be_identified: permissions.identify,
        may_be_bucketed: permissions.bucket,
        unit,
        session: context.session.state.as_str(),
        session_kv_ms: context.session.timing.kv_ms,
        session_api_ms: context.session.timing.api_ms,
    }
}

fn region(rules: &RuleSet, context: &Context) -> RegionStep {
    let mut considered = Vec::new();
    let located = context.geo.as_ref().is_some_and(|geo| geo.country.is_some() || geo.continent.is_some());
    if located && matches!(context.region_reason, RegionReason::Rule | RegionReason::Default) {
        for (region, when) in rules.regions.entries() {
            let blocked_by = when.and_then(|when| when.blocked_by(context, rules.groups()));
            considered.push(RegionTried {
                id: region.id.clone(),
                holds: blocked_by.is_none(),
                blocked_by: blocked_by.map(str::to_owned),
            });
            if blocked_by.is_none() {
                break;
            }
        }
    }
    RegionStep {
        id: context.region.id.clone(),
        slug: context.region.slug.clone(),
        reason: context.region_reason,
        considered,
    }
}

fn shown(decision: &Decision) -> Vec<ShownStep> {
    let in_experiment = |shown: &Shown| shown.variation.clone().filter(|variation| variation.in_experiment);
    let step = |shown: &Shown| ShownStep {
        key: shown.key.clone(),
        value: shown.value.clone(),
        source: match shown.source {
            ShownSource::Feature(source) => source.as_str().to_owned(),
            ShownSource::Experiment => "experiment".to_owned(),
        },
        experiment: in_experiment(shown).map(|variation| variation.experiment),
        variation: in_experiment(shown).map(|variation| variation.index),
    };
    decision.shown.iter().map(step).collect()
}

impl Explanation {
    /// Hides what of the requests to backends lets somebody in: it is for who may look, and not for who may do.
    pub fn hide_credentials(&mut self) {
        let plan = self.plan.as_mut();
        for asked in plan.into_iter().flat_map(|plan| plan.asks.iter_mut().chain(&mut plan.falls_back_to)) {
            for (name, value) in &mut asked.headers {
                if lets_in(name) {
                    *value = format!("hidden, {} bytes", value.len());
                }
            }
        }
    }
}

/// Whether a header's name says that its value is a credential.
fn lets_in(name: &str) -> bool {
    const WORDS: [&str; 9] =
        ["authorization", "cookie", "secret", "token", "password", "signature", "api-key", "apikey", "-auth"];
    WORDS.iter().any(|word| name.contains(word))
}

/// Header lines as text, sorted by name; the lines of one name stay in their order.
fn lines(headers: &HeaderMap) -> Vec<(String, String)> {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let mut lines: Vec<_> = headers.iter().map(line).collect();
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    lines
}
