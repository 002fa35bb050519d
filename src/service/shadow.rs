//! The shadow: a rule set that is decided by and not applied, after the answer, so that it can be judged on live traffic.

use crate::admit::{Arrival, RequestHead};
use crate::context::FactSource;
use crate::decide::{self, Considered};
use crate::plan::sketch::{self, Judged};
use crate::platform::Platform;
use crate::record::ShadowDifference;
use crate::respond::Answered;
use crate::rules::RuleSet;

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
    let sketch = sketch::sketch(head, shadow, &considered);
    let asked = answered.exchange.as_ref().map(|exchange| exchange.path.as_str());
    let real = Judged { considered: real, route: answered.route.as_deref(), path: asked };
    let other = Judged { considered: &considered, route: sketch.route.as_deref(), path: sketch.path.as_deref() };
    real.difference(shadow.revision.as_deref().unwrap_or_default(), &other, answered.fallback.is_none())
}
