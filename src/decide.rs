//! Decide: rules and facts in, a decision with its reasons out. No clock, no header, no store is read here.

use crate::admit::RequestHead;
use crate::context::Context;
use crate::rules::RuleSet;
use crate::rules::routes::Candidate;

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
}

/// What a decision looked at, for those who ask.
#[derive(Debug, Default, serde::Serialize)]
pub struct Trace {
    /// Routes in the order in which they were tried; the last is the match, if there is one.
    pub routes: Vec<(String, Option<NotMatched>)>,
}

/// Chooses the route. `candidates` are those whose path matches, the most specific first.
pub fn decide(
    rules: &RuleSet,
    candidates: Vec<Candidate>,
    head: &RequestHead,
    context: &Context,
    mut trace: Option<&mut Trace>,
) -> Decision {
    for candidate in candidates {
        let refused = refusal(rules, &candidate, head, context);
        if let Some(trace) = trace.as_deref_mut() {
            trace.routes.push((candidate.route.id.clone(), refused));
        }
        if refused.is_none() {
            return Decision { route: Some(candidate) };
        }
    }
    Decision::default()
}

fn refusal(rules: &RuleSet, candidate: &Candidate, head: &RequestHead, context: &Context) -> Option<NotMatched> {
    let route = &candidate.route;
    if !route.is_for_host(head.host()) {
        return Some(NotMatched::Host);
    }
    if !route.methods.contains(&head.method) {
        return Some(NotMatched::Method);
    }
    if !route.schedule.holds(context.now) {
        return Some(NotMatched::Schedule);
    }
    let holds = route.when.as_ref().is_none_or(|when| when.matches(context, &rules.groups));
    (!holds).then_some(NotMatched::When)
}
