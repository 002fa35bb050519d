//! Decide: rules and facts in, a decision with its reasons out. No clock, no header, no store is read here.
//!
//! [`consider`] is the one way to a decision: what the rules read is derived, the facts are gathered from a source, and one route with
//! its features and variations is chosen. The service, its shadow, `/.edge/explain` and `personalizer explain` differ in the
//! source alone.

pub mod flags;
pub mod variations;

use time::OffsetDateTime;

use crate::admit::RequestHead;
use crate::attributes::FactSet;
use crate::condition::PatternWork;
use crate::context::assumed::Assumed;
use crate::context::preview::PreviewClaims;
use crate::context::{Context, FactSource, Needs};
use crate::growthbook::{Experiment, StickyDocument};
use crate::rules::RuleSet;
use crate::rules::route::CompiledAction;
use crate::rules::routes::Candidate;
use crate::rules::stored::OnMiss;
use variations::{Exposed, Shown};

/// Why a route is not the match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotMatched {
    /// It is for another host.
    Host,
    /// It is for other methods.
    Method,
    /// It is before `from` or after `until`.
    Schedule,
    /// Its condition doesn't hold.
    When,
}

/// What was decided.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    /// The first route of which everything holds; `None`: the request passes through.
    pub route: Option<Candidate>,
    /// What the choice of the route looked at: of routes that were tried in vain, too.
    pub chosen_by: FactSet,
    /// What the conditions of features and experiments looked at.
    pub evaluated_by: FactSet,
    /// The features and experiments that the route asks for, as the visitor gets them.
    pub shown: Vec<Shown>,
    /// Where a URL experiment sends the visitor, and by which of them.
    pub redirect: Option<(String, String)>,
    /// The variations that the visitor was assigned: to be logged.
    pub exposures: Vec<Exposed>,
    /// What is to be remembered of the visitor.
    pub sticky: Vec<StickyDocument>,
}

impl Decision {
    /// Whether another visitor may get another route, or none, at the same URL.
    pub fn is_by_visitor(&self) -> bool {
        !self.chosen_by.is_within(FactSet::OF_THE_URL)
    }

    /// Whether the answer may be the visitor's own: a route matched, is on, and doesn't pass the request through.
    pub fn is_personal(&self) -> bool {
        let route = self.route.as_ref().map(|candidate| &candidate.route);
        route.is_some_and(|route| route.enabled && !matches!(route.action, CompiledAction::Passthrough))
    }

    /// What the visitor gets of a feature.
    pub fn feature(&self, key: &str) -> Option<&Shown> {
        self.shown.iter().find(|shown| shown.is_feature() && shown.key == key)
    }

    /// What the visitor gets of an experiment.
    pub fn experiment(&self, key: &str) -> Option<&Shown> {
        self.shown.iter().find(|shown| !shown.is_feature() && shown.key == key)
    }
}

/// What a decision looked at, for those who ask.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Trace {
    /// Routes in the order in which they were tried; the last is the match, if there is one.
    pub routes: Vec<(String, Option<NotMatched>)>,
    /// The steps of evaluating features and experiments, in words.
    pub steps: Vec<String>,
}

/// A request as it was considered: the facts, and what was decided by them.
#[derive(Debug)]
pub struct Considered {
    /// The facts; `None` where no route can match, whoever asks.
    pub context: Option<Context>,
    /// The decision.
    pub decision: Decision,
}

/// Gathers what the rules read from `source`, and decides. `preview` is what a signed preview forces; `now` is when the request came.
pub fn consider(
    source: &mut dyn FactSource,
    rules: &RuleSet,
    head: &RequestHead,
    preview: Option<PreviewClaims>,
    now: OffsetDateTime,
    trace: Option<&mut Trace>,
) -> Considered {
    let assumed = Assumed::of(preview.as_ref().map(|preview| &preview.visitor), source.assumed());
    let gather = |needs, work| Context::gather_within(source, head, rules, needs, preview, now, work);
    consider_gathered(rules, head, assumed.moment().unwrap_or(now), trace, gather)
}

/// The same where somebody else gathers the facts, as far as they are needed, with what patterns may still take.
pub fn consider_gathered(
    rules: &RuleSet,
    head: &RequestHead,
    now: OffsetDateTime,
    trace: Option<&mut Trace>,
    gather: impl FnOnce(Needs, PatternWork) -> Context,
) -> Considered {
    let candidates = rules.routes.candidates(&head.normal_path);
    let work = PatternWork::default();
    let Some(needs) = needs(rules, &candidates, head, now, &work) else {
        if let Some(trace) = trace {
            let refused = |candidate: &Candidate| (candidate.route.id.clone(), excluded(candidate, head, now));
            trace.routes = candidates.iter().map(refused).collect();
        }
        return Considered { context: None, decision: Decision::default() };
    };
    let context = gather(needs, work);
    let decision = decide(rules, candidates, head, &context, trace);
    Considered { context: Some(context), decision }
}

/// Why a route can't be the match whoever asks: host, method and schedule need no facts about the visitor.
pub fn excluded(candidate: &Candidate, head: &RequestHead, now: OffsetDateTime) -> Option<NotMatched> {
    let route = &candidate.route;
    if !route.is_for_host(head.host()) {
        return Some(NotMatched::Host);
    }
    if !route.methods.contains(&head.method) {
        return Some(NotMatched::Method);
    }
    (!route.schedule.holds(now)).then_some(NotMatched::Schedule)
}

/// What has to be known of the visitor before one of `candidates` can be chosen and planned: the union of what they read. `None`
/// where none can be chosen, whoever asks.
fn needs(
    rules: &RuleSet,
    candidates: &[Candidate],
    head: &RequestHead,
    now: OffsetDateTime,
    work: &PatternWork,
) -> Option<Needs> {
    let mut possible = candidates.iter().filter(|candidate| excluded(candidate, head, now).is_none()).peekable();
    possible.peek()?;
    let mut facts = rules.facts_of_regions().and(rules.facts_to_log());
    let url = head.url();
    let (mut told, mut sessions, mut origin_on_miss) = (false, false, true);
    for candidate in possible {
        let route = &candidate.route;
        facts = facts.and(route.reads.choice);
        if !route.enabled || matches!(route.action, CompiledAction::Passthrough) {
            continue;
        }
        let mut own = route.reads.request.and(route.reads.body);
        for key in &route.feature_keys {
            own = own.and(rules.facts_of_feature(key).all());
        }
        let is_for_page = |experiment: &Experiment| experiment.includes_url(&url, Some(work));
        for experiment in variations::experiments_on(rules, route, &is_for_page) {
            own = own.and(rules.facts_of_experiment(experiment.key()).all());
        }
        // An origin that is asked for one visitor is told who it is, where that is proven.
        told |= route.is_personalized() && route.cache().is_none();
        let uses_session = route.session.is_some() || own.and(route.reads.choice).meets(FactSet::OF_THE_SESSION);
        if uses_session {
            sessions = true;
            // Asking is the safer of the two: whoever gets the route has what it needs.
            origin_on_miss &= route.session.as_ref().is_some_and(|session| session.on_miss == OnMiss::Origin);
        }
        facts = facts.and(own);
    }
    let session = sessions || facts.meets(FactSet::OF_THE_SESSION);
    let person = session || told || facts.meets(rules.personal());
    Some(Needs {
        device: person || facts.meets(FactSet::OF_THE_DEVICE),
        person,
        keeps: session || facts.meets(FactSet::IDS),
        session,
        on_miss: if sessions && origin_on_miss { OnMiss::Origin } else { OnMiss::Ask },
    })
}

/// Chooses the route and the variations. `candidates` are those whose path matches, the most specific first.
fn decide(
    rules: &RuleSet,
    candidates: Vec<Candidate>,
    head: &RequestHead,
    context: &Context,
    mut trace: Option<&mut Trace>,
) -> Decision {
    let mut chosen_by = FactSet::NONE;
    for candidate in candidates {
        let refused = excluded(&candidate, head, context.now).or_else(|| {
            chosen_by = chosen_by.and(candidate.route.reads.choice);
            let facts = context.on(&candidate.route);
            let holds = candidate.route.when.as_ref().is_none_or(|when| when.matches(&facts, rules.groups()));
            (!holds).then_some(NotMatched::When)
        });
        if let Some(trace) = trace.as_deref_mut() {
            trace.routes.push((candidate.route.id.clone(), refused));
        }
        if refused.is_none() {
            let mut decision = Decision { chosen_by: rules.followed(chosen_by), ..Decision::default() };
            if candidate.route.enabled {
                let steps = trace.map(|trace| &mut trace.steps);
                variations::evaluate(rules, &candidate.route, context, &mut decision, steps);
            }
            decision.route = Some(candidate);
            return decision;
        }
    }
    Decision { chosen_by: rules.followed(chosen_by), ..Decision::default() }
}
