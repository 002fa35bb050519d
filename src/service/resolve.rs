//! Resolving rules for a request: the stores behind the seam, and who the visitor is where a canary asks.

use super::Sandbox;
use super::visit::Visit;
use crate::admit::RequestHead;
use crate::context::gather::Kept;
use crate::context::person::{Evidence, Person};
use crate::context::{Context, Platformed};
use crate::platform::{Kv, Platform};
use crate::rules::cache::Notes;
use crate::rules::{RuleCache, RuleSet, Rules};

/// The rules of a visitor's request.
pub(super) fn for_visitor<P: Platform>(visit: &Visit<'_, P>, sandbox: &mut Sandbox) -> (Rules, Notes) {
    let Sandbox { rules, kept, .. } = sandbox;
    resolve(visit, rules, |set| unit(visit.platform, &visit.head, set, kept))
}

/// The rules of a request that no visitor makes.
pub(super) fn for_nobody<P: Platform>(visit: &Visit<'_, P>, rules: &mut RuleCache) -> (Rules, Notes) {
    resolve(visit, rules, |_| None)
}

fn resolve<P: Platform>(
    visit: &Visit<'_, P>,
    rules: &mut RuleCache,
    unit: impl FnOnce(&RuleSet) -> Option<String>,
) -> (Rules, Notes) {
    let platform = visit.platform;
    let mut kv = |key: &str| {
        let found = platform.kv_start(Kv::Rules, key).and_then(|pending| platform.kv_wait(pending))?;
        Ok(found.map(|value| value.bytes))
    };
    rules.resolve(&mut |key| platform.config(key), &mut kv, platform.runtime().is_staging, visit.started, unit)
}

/// What tells this visitor from others, under the rules that everybody else gets: as an experiment would have it, so that nobody is
/// told apart who may not be. A visitor whose id is made on this very request has none yet.
fn unit<P: Platform>(platform: &P, head: &RequestHead, rules: &RuleSet, kept: &mut Kept) -> Option<String> {
    let now = platform.now();
    let platformed = Platformed { geo: head.address.and_then(|address| platform.geo(address)), device: None };
    let context = Context::from_facts(head, rules, now, platformed, None);
    let evidence = Evidence {
        headers: &head.headers,
        claims: &head.claims,
        country: context.country(),
        bot: false,
        preview: false,
        now,
        random: 0,
    };
    let person = Person::of(&evidence, &rules.settings, &rules.consent, &mut || kept.keys.identity(platform));
    context.with_person(person).unit().map(str::to_owned)
}
