//! The shadow: a rule set that is decided by and not applied, after the answer, so that it can be judged on live traffic.

use std::collections::BTreeMap;

use crate::admit::{Arrival, RequestHead};
use crate::context::{Context, FactSource};
use crate::decide::{self, Considered};
use crate::plan::{self, Action};
use crate::platform::Platform;
use crate::record::ShadowDifference;
use crate::respond::Answered;
use crate::rules::RuleSet;

/// The word for "none" where the other has one.
const NONE: &str = "none";

/// Where the shadow's plan differs from what was sent. `None` where it doesn't, or where the request has used up its budget.
///
/// The shadow is considered as the real rules are, by the same facts; what it needs beyond those is gathered now.
pub(super) fn compare<P: Platform>(
    facts: &mut dyn FactSource,
    platform: &P,
    arrival: &Arrival,
    head: &RequestHead,
    shadow: &RuleSet,
    real: &Considered,
    answered: &Answered,
) -> Option<ShadowDifference> {
    if arrival.vcpu_used(platform).is_some_and(|used| used >= shadow.settings.limits.vcpu_ms) {
        return None;
    }
    let preview = real.context.as_ref().and_then(|context| context.preview.clone());
    let considered = decide::consider(facts, shadow, head, preview, arrival.now, None);
    let plan = plan::plan(head, shadow, &considered, &crate::context::preview::Preview::default());
    let path = match &plan.action {
        Action::Fetch(plan) => Some(plan.primary.path.as_str()),
        Action::Answer(_) => None,
    };
    let decision = &considered.decision;
    let route = plan.terms.route.as_deref();
    let region =
        |considered: &'_ Considered| considered.context.as_ref().map(|context: &Context| context.region.id.clone());
    let (ours, theirs) = (region(&considered), region(real));
    let has_fallen_back = answered.fallback.is_some();
    let asked = answered.exchange.as_ref().filter(|_| !has_fallen_back).map(|exchange| exchange.path.as_str());
    let mut difference = ShadowDifference {
        revision: shadow.revision.clone().unwrap_or_default(),
        route: (route != answered.route.as_deref()).then(|| route.unwrap_or(NONE).to_owned()),
        region: if decision.route.is_some() && theirs.is_some() && ours != theirs { ours } else { None },
        features: BTreeMap::new(),
        path: (!has_fallen_back && path != asked).then(|| path.unwrap_or(NONE).to_owned()),
    };
    for shown in &decision.shown {
        let same_kind =
            real.decision.shown.iter().find(|real| real.key == shown.key && real.is_feature() == shown.is_feature());
        if same_kind.is_none_or(|real| real.text != shown.text) {
            difference.features.insert(shown.key.clone(), shown.text.clone());
        }
    }
    let same = difference.route.is_none()
        && difference.region.is_none()
        && difference.features.is_empty()
        && difference.path.is_none();
    (!same).then_some(difference)
}
