//! Decide: rules and facts in, a decision with its reasons out. No clock, no header, no store is read here.

pub mod arms;

use crate::admit::RequestHead;
use crate::context::Context;
use crate::growthbook::StickyDocument;
use crate::rules::RuleSet;
use crate::rules::route::CompiledAction;
use crate::rules::route::Needs;
use crate::rules::routes::Candidate;
use arms::{Exposed, Shown};

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
    /// Whether another visitor may get another route, or none, at the same URL.
    pub by_visitor: bool,
    /// The features and experiments that the route asks for, as the visitor gets them.
    pub shown: Vec<Shown>,
    /// Where a URL experiment sends the visitor, and by which of them.
    pub redirect: Option<(String, String)>,
    /// The arms that the visitor was assigned: to be logged once they were shown.
    pub exposures: Vec<Exposed>,
    /// What is to be remembered of the visitor.
    pub sticky: Vec<StickyDocument>,
}

impl Decision {
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
#[derive(Debug, Default, serde::Serialize)]
pub struct Trace {
    /// Routes in the order in which they were tried; the last is the match, if there is one.
    pub routes: Vec<(String, Option<NotMatched>)>,
    /// The steps of evaluating features and experiments, in words.
    pub steps: Vec<String>,
}

/// Why a route can't be the match whoever asks: host, method and schedule need no facts about the visitor.
pub fn excluded(candidate: &Candidate, head: &RequestHead, now: time::OffsetDateTime) -> Option<NotMatched> {
    let route = &candidate.route;
    if !route.is_for_host(head.host()) {
        return Some(NotMatched::Host);
    }
    if !route.methods.contains(&head.method) {
        return Some(NotMatched::Method);
    }
    (!route.schedule.holds(now)).then_some(NotMatched::Schedule)
}

/// What has to be known of the visitor before one of `candidates` can be chosen; `None` where none can be, whoever asks.
pub fn needs(
    rules: &RuleSet,
    candidates: &[Candidate],
    head: &RequestHead,
    now: time::OffsetDateTime,
) -> Option<Needs> {
    let possible = candidates.iter().filter(|candidate| excluded(candidate, head, now).is_none());
    let mut is_personalized = false;
    let needs = possible
        .map(|candidate| {
            is_personalized |= candidate.route.is_personalized();
            candidate.route.needs
        })
        .reduce(Needs::and)?;
    // A page's experiments find it by its URL, whatever the route names: who is bucketed must be no bot.
    let experiments = is_personalized && !rules.definitions.experiments.is_empty();
    Some(Needs {
        device: needs.device || experiments,
        person: needs.person || experiments,
        keeps: needs.keeps || experiments,
        ..needs
    })
}

/// Chooses the route and the arms. `candidates` are those whose path matches, the most specific first.
pub fn decide(
    rules: &RuleSet,
    candidates: Vec<Candidate>,
    head: &RequestHead,
    context: &Context,
    mut trace: Option<&mut Trace>,
) -> Decision {
    let mut by_visitor = false;
    for candidate in candidates {
        let refused = excluded(&candidate, head, context.now).or_else(|| {
            by_visitor |= candidate.route.chooses_visitors();
            let holds = candidate.route.when.as_ref().is_none_or(|when| when.matches(context, rules.groups()));
            (!holds).then_some(NotMatched::When)
        });
        if let Some(trace) = trace.as_deref_mut() {
            trace.routes.push((candidate.route.id.clone(), refused));
        }
        if refused.is_none() {
            let mut decision = Decision { by_visitor, ..Decision::default() };
            if candidate.route.enabled {
                let steps = trace.map(|trace| &mut trace.steps);
                arms::evaluate(rules, &candidate.route, context, &mut decision, steps);
            }
            decision.route = Some(candidate);
            return decision;
        }
    }
    Decision { by_visitor, ..Decision::default() }
}
