//! Why a visitor gets what they get: the edge's own steps, run for a visitor who is described, with the reason of each.
//!
//! The command line and `/.edge/explain` both call [`explain`]. Nothing here decides: every step is the one that serves
//! requests, so an explanation can't say anything else than what would happen.

mod planned;

use std::rc::Rc;

use http::HeaderMap;
use serde::Serialize;
use time::OffsetDateTime;

use crate::admit::{self, RequestHead};
use crate::context::identity::{Identity, Proof, UserId};
use crate::context::person::{Evidence, Person};
use crate::context::preview::{Preview, PreviewClaims};
use crate::context::{Context, Platformed, RegionReason};
use crate::decide::{self, Decision, NotMatched, Trace};
use crate::mac::MacKey;
use crate::plan;
use crate::platform::{ClientRequest, Device, Geo};
use crate::record;
use crate::rules::RuleSet;
pub use planned::{Answered, Asked, Planned, Sent};

/// A visitor and a request, as somebody describes them.
#[derive(Debug)]
pub struct Described {
    /// The request; its address is for the origin alone, [`geo`](Self::geo) says where it is.
    pub request: ClientRequest<()>,
    /// Where the address is.
    pub geo: Option<Geo>,
    /// What the platform says of the User-Agent.
    pub device: Option<Device>,
    /// A user who is logged in: the proof is taken for granted.
    pub user: Option<UserId>,
    /// The keys that sign previews; without one, a preview is named and shows nothing.
    pub preview_keys: Rc<Vec<MacKey>>,
    /// When.
    pub now: OffsetDateTime,
    /// The bits of a new visitor's id, and of the request's.
    pub random: [u128; 2],
}

/// All steps of one request.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The revision of the rules; `null` at bare names.
    pub revision: Option<String>,
    /// When (RFC 3339).
    pub time: String,
    /// Status and code, where the request is not admitted; nothing follows then.
    pub refused: Option<(u16, &'static str)>,
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
    /// The experiment whose arm it is.
    pub experiment: Option<String>,
    /// The arm's index.
    pub variation: Option<usize>,
}

/// Walks the steps. `random` is used once each, so that the same description gives the same explanation.
pub fn explain(rules: &RuleSet, described: Described) -> Explanation {
    let Described { mut request, geo, device, user, preview_keys, now, random: [for_visitor, for_id] } = described;
    let mut explanation = Explanation {
        revision: rules.revision.clone(),
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
    };
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
    let preview = Preview::take(&mut head, &rules.settings, now, || Rc::clone(&preview_keys));
    explanation.steps.extend(previewed(&preview, preview_keys.is_empty()));
    let cookie = preview.cookie();
    let candidates = rules.routes.candidates(&head.normal_path);
    let tried: Vec<_> = candidates.iter().map(|candidate| Rc::clone(&candidate.route)).collect();
    let context = context(rules, &head, now, geo, device, user, preview.claims, for_visitor, &candidates);
    explanation.visitor = Some(visitor(&context));
    explanation.region = Some(region(rules, &context));
    let mut trace = Trace::default();
    let decision = decide::decide(rules, candidates, &head, &context, Some(&mut trace));
    explanation.routes = tried
        .iter()
        .map(|route| {
            let step = trace.routes.iter().find(|(id, _)| *id == route.id);
            let why_not = step.and_then(|(_, why_not)| *why_not);
            let blocked = route.when.as_ref().filter(|_| why_not == Some(NotMatched::When));
            RouteStep {
                id: route.id.clone(),
                matched: step.is_some() && why_not.is_none(),
                why_not,
                blocked_by: blocked.and_then(|when| when.blocked_by(&context, rules.groups())).map(str::to_owned),
            }
        })
        .collect();
    explanation.shown = shown(&decision);
    explanation.steps.append(&mut trace.steps);
    let plan = plan::plan(&head, rules, &context, &decision);
    explanation.plan = Some(planned::describe(&head, rules, &context, &decision, plan, cookie));
    explanation.faults = rules.routes.take_faults().iter().map(ToString::to_string).collect();
    explanation
}

/// The facts, as far as the routes that may match ask for them (what [`crate::context::gather`] asks the platform for).
#[allow(clippy::too_many_arguments)]
fn context(
    rules: &RuleSet,
    head: &RequestHead,
    now: OffsetDateTime,
    geo: Option<Geo>,
    device: Option<Device>,
    user: Option<UserId>,
    preview: Option<PreviewClaims>,
    random: u128,
    candidates: &[crate::rules::routes::Candidate],
) -> Context {
    let needs = decide::needs(rules, candidates, head, now).unwrap_or_default();
    let platformed = Platformed { geo, device: needs.device.then_some(device) };
    let context = Context::from_facts(head, rules, now, platformed, preview);
    if !needs.person {
        return context;
    }
    let evidence = Evidence::of(head, &context, if needs.keeps { random } else { 0 });
    let mut person = Person::of(&evidence, &rules.settings, &rules.consent, &mut Rc::default);
    if let Some(user) = user.filter(|_| person.permissions.identify) {
        person.identity = Identity::Proven(Proof::of(user));
    }
    context.with_person(person)
}

/// What a preview shows, or why it shows nothing.
fn previewed(preview: &Preview, without_key: bool) -> Option<String> {
    if preview.ends {
        return Some("preview: ended by the query".to_owned());
    }
    if let Some(error) = preview.error {
        let why = if without_key { ": there is no key to check it with" } else { "" };
        return Some(format!("preview: ignored ({}{why})", error.code()));
    }
    let claims = preview.claims.as_ref()?;
    let features = claims.features.iter().map(|(key, value)| format!("feature {key} = {value}"));
    let experiments = claims.experiments.iter().map(|(key, arm)| format!("experiment {key} = arm {arm}"));
    let region = claims.region.iter().map(|id| format!("region {id}"));
    let forced: Vec<_> = features.chain(experiments).chain(region).collect();
    Some(format!("preview: {}; it counts in no experiment", forced.join(", ")))
}

fn visitor(context: &Context) -> Visitor {
    let geo = context.geo.as_ref();
    let permissions = context.person.permissions;
    let unit = context.unit().map(|_| if context.person.user().is_some() { "user" } else { "visitor" });
    Visitor {
        country: context.country().map(str::to_owned),
        subdivision: geo.and_then(|geo| geo.subdivision.clone()),
        continent: geo.and_then(|geo| geo.continent),
        language: context.language.clone(),
        device: context.device.as_ref().map(|device| device.class.as_str()),
        may_be_identified: permissions.identify,
        may_be_bucketed: permissions.bucket,
        unit,
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
    use decide::arms::ShownSource;
    let step = |shown: &decide::arms::Shown| ShownStep {
        key: shown.key.clone(),
        value: shown.value.clone(),
        source: match shown.source {
            ShownSource::Feature(source) => source.as_str().to_owned(),
            ShownSource::Experiment => "experiment".to_owned(),
        },
        experiment: shown.arm.as_ref().filter(|arm| arm.in_experiment).map(|arm| arm.experiment.clone()),
        variation: shown.arm.as_ref().filter(|arm| arm.in_experiment).map(|arm| arm.variation),
    };
    decision.shown.iter().map(step).collect()
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
