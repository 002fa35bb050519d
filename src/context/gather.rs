//! Gathering: the host calls of the context step, each made only where a route that may match asks for it.

use super::keys::Keys;
use super::person::{Evidence, Person};
use super::preview::PreviewClaims;
use super::{Context, Platformed};
use crate::admit::RequestHead;
use crate::platform::Platform;
use crate::rules::RuleSet;
use crate::rules::route::Needs;
use crate::session::{self, Breaker, OnMiss};

/// What a sandbox keeps for gathering. Nothing of it is a visitor's.
#[derive(Debug, Default)]
pub struct Kept {
    /// Secrets.
    pub keys: Keys,
    /// Whether the session API may be asked.
    pub breaker: Breaker,
}

/// Gathers the facts that the routes which may match need.
pub fn gather<P: Platform>(
    platform: &P,
    head: &RequestHead,
    rules: &RuleSet,
    needs: Needs,
    preview: Option<PreviewClaims>,
    kept: &mut Kept,
) -> Context {
    let now = platform.now();
    let device = needs.device.then(|| {
        let agent = head.headers.get(http::header::USER_AGENT)?.to_str().ok()?;
        platform.device(agent)
    });
    let platformed = Platformed { geo: head.address.and_then(|address| platform.geo(address)), device };
    let context = Context::from_facts(head, rules, now, platformed, preview);
    if !needs.person {
        return context;
    }
    let evidence = Evidence::of(head, &context, if needs.keeps { platform.random() } else { 0 });
    let mut keys = || kept.keys.identity(platform);
    let person = Person::of(&evidence, &rules.settings, &rules.consent, &mut keys);
    if !needs.session {
        return context.with_person(person);
    }
    let settings = &rules.settings.session;
    // A new visitor has no session yet: nobody is asked for it.
    let visitor = person.visitor.filter(|_| !person.visitor_is_new);
    let subjects = session::subjects(person.permissions.identify, settings.which, person.user(), visitor);
    let started = session::start(platform, subjects);
    let on_miss = if needs.origin_on_miss { OnMiss::Origin } else { OnMiss::Ask };
    let context = context.with_person(person);
    let outcome = session::finish(platform, started, settings, on_miss, &mut kept.breaker);
    context.with_session(outcome)
}
