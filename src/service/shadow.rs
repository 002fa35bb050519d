//! The shadow: a rule set that is decided by and not applied, after the answer, so that it can be judged on live traffic.

use std::collections::BTreeMap;

use super::visit::{Sent, Visit};
use crate::context::{Context, Platformed};
use crate::decide;
use crate::plan::{self, Plan};
use crate::platform::Platform;
use crate::record::{ShadowDifference, bounded};
use crate::rules::RuleSet;

/// The word for "none" where the other has one.
const NONE: &str = "none";

/// Where the shadow's plan differs from what was sent. `None` where it doesn't, or where the request has used up its budget.
pub(super) fn compare<P: Platform>(
    visit: &Visit<'_, P>,
    shadow: &RuleSet,
    sent: &Sent<'_>,
) -> Option<ShadowDifference> {
    if visit.vcpu_used().is_some_and(|used| used >= shadow.settings.limits.vcpu_ms) {
        return None;
    }
    let candidates = shadow.routes.candidates(&visit.head.normal_path);
    let context = match &visit.context {
        Some(real) => {
            // The same facts; the region alone follows from the rules.
            let platformed = Platformed { geo: real.geo.clone(), device: None };
            let mut context = Context::from_facts(&visit.head, shadow, visit.now, platformed, real.preview.clone())
                .with_person(real.person.clone());
            context.device = real.device;
            context.with_session(real.session.clone())
        }
        None => {
            let geo = visit.head.address.and_then(|address| visit.platform.geo(address));
            Context::from_facts(&visit.head, shadow, visit.now, Platformed { geo, device: None }, None)
        }
    };
    let decision = decide::decide(shadow, candidates, &visit.head, &context, None);
    let path = match plan::plan(&visit.head, shadow, &context, &decision) {
        Plan::Fetch(plan) => Some(plan.primary.path.clone()),
        Plan::Answer(_) => None,
    };
    let route = decision.route.as_ref().map(|candidate| candidate.route.id.as_str());
    let real_region = visit.context.as_ref().map(|context| &context.region.id);
    let asked = sent.exchange.filter(|_| sent.fallback.is_none()).map(|exchange| exchange.path.as_str());
    let mut difference = ShadowDifference {
        revision: shadow.revision.clone().unwrap_or_default(),
        route: (route != sent.route).then(|| route.unwrap_or(NONE).to_owned()),
        region: (decision.route.is_some() && real_region.is_some_and(|real| *real != context.region.id))
            .then(|| context.region.id.clone()),
        features: BTreeMap::new(),
        path: (sent.fallback.is_none() && path.as_deref() != asked)
            .then(|| bounded(path.as_deref().unwrap_or(NONE)).to_owned()),
    };
    for shown in &decision.shown {
        let real = visit.decision.shown.iter().find(|real| real.key == shown.key);
        if real.is_none_or(|real| real.text != shown.text) {
            difference.features.insert(shown.key.clone(), shown.text.clone());
        }
    }
    let same = difference.route.is_none()
        && difference.region.is_none()
        && difference.features.is_empty()
        && difference.path.is_none();
    (!same).then_some(difference)
}
