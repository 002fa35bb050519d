//! The service: walks the steps for one request. Each step takes what came before and returns a value of its own; nothing of one visitor
//! survives into the next request.

mod events;
mod explain;
mod inspect;
mod ofrep;
mod reserved;
mod shadow;
mod shield;

use std::rc::Rc;

use crate::admit::{self, Arrival, RequestHead};
use crate::context::front::Client;
use crate::context::preview::Preview;
use crate::context::{Context, FactSource, Kept, Live, Needs};
use crate::decide::{self, Considered, Decision};
use crate::fetch::pass::{self, EDGE_PASS};
use crate::plan::{self, Passing};
use crate::platform::{ClientRequest, Kv, Platform, StoreError};
use crate::record::{self, Visit};
use crate::respond::{self, Answered};
use crate::rules::settings::Settings;
use crate::rules::{Notes, RuleCache, RuleSet, RuleStores, Rules, Served};
use crate::wire::cookies::Cookies;

/// What a sandbox keeps from one request to the next: compiled rules, keys, the breaker; nothing of a visitor.
#[derive(Debug, Default)]
pub struct Sandbox {
    rules: RuleCache,
    kept: Kept,
    served: u64,
    events: events::Taken,
}

/// Serves one request: sends the answer, then writes the log lines.
pub fn handle<P: Platform>(platform: &P, sandbox: &mut Sandbox, mut request: ClientRequest<P::Body>) {
    let arrival = Arrival::now(platform, sandbox.served == 0);
    sandbox.served += 1;
    // The first pass decided: this one is for the shield. What proves nothing goes the way of all headers that a client can't have.
    if request.headers.contains_key(EDGE_PASS) {
        let keys = sandbox.kept.keys.shield(platform);
        if let Some(passage) = pass::open(&mut request, &keys, arrival.now) {
            return shield::forward(platform, &arrival, passage);
        }
    }
    let mut head = match admit::admit(&mut request, platform.random()) {
        Ok(head) => head,
        Err(refusal) => return reserved::refuse(platform, &arrival, &refusal),
    };
    if let Some(path) = head.reserved {
        claim(platform, &arrival, sandbox, &mut head);
        return reserved::answer(platform, &arrival, sandbox, &head, request.body, path);
    }
    let Sandbox { rules: cache, kept, events: taken, .. } = sandbox;
    let unit = |settings: &Settings| {
        let client = Client::of(&head, settings, || kept.keys.front(platform));
        canary_unit(&head, &client, settings)
    };
    let (rules, mut notes) = resolve(platform, cache, &arrival, unit);
    // What isn't known is `None`: then no line has a path.
    let known = known_settings(platform, cache, &arrival, &rules, &notes);
    // Without usable rules, nothing says how a backend wants to be asked.
    let settings = known.clone().filter(|_| !matches!(rules, Rules::Unusable)).unwrap_or_default();
    let client = Client::of(&head, &settings, || kept.keys.front(platform));
    notes.codes.extend(client.claim(&mut head));
    let resolved = Resolved { notes, took: arrival.elapsed(platform) };
    if let Some(events) = events::is_for(&settings, &head) {
        return events::answer(platform, &arrival, (kept, taken), head, (&rules, events), resolved, request.body);
    }
    // A server's key may be in it: whatever else can't be used, no origin gets it.
    if let Some((flags, asked)) = ofrep::is_for(known.as_deref().unwrap_or(&settings), &head) {
        return ofrep::answer(platform, &arrival, (kept, cache), head, (rules, flags, &asked), resolved, request.body);
    }
    match rules {
        Rules::Set(served) => personalize(platform, &arrival, (kept, cache), head, served, resolved, request.body),
        Rules::Off | Rules::Unusable => {
            let settings = settings.on_host(head.host());
            pass_through(platform, &arrival, kept, &head, (settings, known.as_deref()), resolved, request.body)
        }
    }
}

/// What resolving the rules took and told.
struct Resolved {
    notes: Notes,
    took: std::time::Duration,
}

/// Makes a request for the edge itself the visitor's own, where a hop in front says whose it is.
fn claim<P: Platform>(platform: &P, arrival: &Arrival, sandbox: &mut Sandbox, head: &mut RequestHead) {
    if head.claims.hop.is_empty() {
        return;
    }
    let Sandbox { rules: cache, kept, .. } = sandbox;
    let (rules, mut notes) = resolve(platform, cache, arrival, |_| None);
    if let Some(settings) = known_settings(platform, cache, arrival, &rules, &notes) {
        let client = Client::of(head, &settings, || kept.keys.front(platform));
        notes.codes.extend(client.claim(head));
    }
    reserved::name_faults(platform, arrival, head, &rules, &notes);
}

/// The settings that hold whatever serves: those of the rules, also where these are switched off or can't be used. `None`: nobody knows.
fn known_settings<P: Platform>(
    platform: &P,
    cache: &mut RuleCache,
    arrival: &Arrival,
    rules: &Rules,
    notes: &Notes,
) -> Option<Rc<Settings>> {
    match rules {
        Rules::Set(served) => Some(Rc::clone(&served.set.settings)),
        // A store that has just failed isn't waited for again.
        Rules::Unusable if notes.store_error.is_some() => None,
        Rules::Off | Rules::Unusable => cache.settings_unserved(&mut FromPlatform(platform), arrival.uptime),
    }
}

/// The rules of a request. `unit` gives what tells the visitor from others to a canary, under the settings that everybody else gets.
fn resolve<P: Platform>(
    platform: &P,
    rules: &mut RuleCache,
    arrival: &Arrival,
    unit: impl FnOnce(&Settings) -> Option<String>,
) -> (Rules, Notes) {
    let is_staging = platform.runtime().is_staging;
    rules.resolve(&mut FromPlatform(platform), is_staging, arrival.uptime, unit)
}

/// The rules' stores, as the platform has them.
struct FromPlatform<'p, P>(&'p P);

impl<P: Platform> RuleStores for FromPlatform<'_, P> {
    fn config(&mut self, key: &str) -> Result<Option<String>, StoreError> {
        self.0.config(key)
    }

    fn kv(&mut self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.0.kv_start(Kv::Rules, key).and_then(|pending| self.0.kv_wait(pending))?;
        Ok(found.map(|value| value.bytes))
    }

    fn secret(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.secret(name)
    }
}

/// What tells a visitor from others to a canary: the visitor's cookie, or the address where there is none. Neither is stored for it. An id
/// that is made later lies on the address's side ([`Side`](crate::rules::canary::Side)).
fn canary_unit(head: &RequestHead, client: &Client, settings: &Settings) -> Option<String> {
    let visitor = settings.on_host(client.host(head)).visitor.read(&Cookies::of(&head.headers));
    visitor.map(|id| id.to_string()).or_else(|| client.address.map(|address| address.to_string()))
}

/// What a request through a shield is proven by, where settings name one.
fn passing<P: Platform>(platform: &P, kept: &mut Kept, settings: &Settings, head: &RequestHead) -> Passing {
    if !settings.backends.values().any(|backend| backend.shield.is_some()) {
        return Passing::default();
    }
    let sample = settings.log.sample;
    Passing { keys: kept.keys.shield(platform), is_logged: record::is_sampled(&head.request_id, sample), sample }
}

/// From the facts to the answer, and to its record.
fn personalize<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    (kept, cache): (&mut Kept, &mut RuleCache),
    mut head: RequestHead,
    mut served: Served,
    mut resolved: Resolved,
    body: P::Body,
) {
    let preview = previewed(platform, arrival, (kept, cache), &mut head, &mut served, &mut resolved.notes);
    let rules = served.set.on_host(head.host());
    let rules = &*rules;
    let mut facts = Live::new(platform, kept, served.side);
    let mut considered = decide::consider(&mut facts, rules, &head, preview.claims.clone(), arrival.now, None);
    let mut plan = plan::plan(&head, rules, &considered, &preview);
    plan.terms.passing = passing(platform, facts.kept, &rules.settings, &head);
    // A preview's pages are nobody else's.
    if preview.claims.is_none() {
        plan.keep_pages(&facts.kept.pages);
    }
    let answered = respond::respond(platform, arrival, &head, Some((rules, &considered)), plan, resolved.took, body);
    // The visitor has been answered: what follows delays nobody.
    let shadow = served.shadow.as_deref().map(|shadow| shadow.on_host(head.host()));
    let shadow = shadow
        .as_deref()
        .and_then(|shadow| shadow::compare(&mut facts, platform, arrival, &head, shadow, &considered, &answered));
    let late = who_asked(&mut facts, rules, &head, &preview, arrival, &considered, &answered);
    let writes = considered.context.as_mut().map(|context| std::mem::take(&mut context.session.write_back));
    record::record(
        platform,
        Visit {
            arrival,
            head: &head,
            rules: Some(rules),
            redaction: Some(&rules.settings.log.redaction),
            role: Some(served.role),
            considered: &considered,
            late: late.as_ref(),
            answered: &answered,
            notes: resolved.notes,
            rules_took: resolved.took,
            shadow,
            preview: &preview,
            writes: writes.unwrap_or_default(),
            keys: &mut facts.kept.keys,
        },
    );
}

/// What the request previews; where that is another revision than the one that serves, it serves this request.
fn previewed<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    (kept, cache): (&mut Kept, &mut RuleCache),
    head: &mut RequestHead,
    served: &mut Served,
    notes: &mut Notes,
) -> Preview {
    // Who may preview, the rules that serve everybody say.
    let settings = Rc::clone(&served.set.on_host(head.host()).settings);
    let mut preview = Preview::take(head, &settings, arrival.now, || kept.keys.preview(platform));
    if let Some(set) = previewed_revision(platform, arrival, cache, served, &mut preview, notes) {
        (served.set, served.shadow) = (set, None);
    }
    preview.fit(&served.set.on_host(head.host()));
    preview
}

/// The revision that a preview names, where it is another than the one that serves. Without it the page is made by that one. The look-ups of
/// a request are bounded for both together.
fn previewed_revision<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    cache: &mut RuleCache,
    served: &Served,
    preview: &mut Preview,
    notes: &mut Notes,
) -> Option<Rc<RuleSet>> {
    let name = preview.claims.as_ref()?.revision.as_deref()?;
    if served.set.revision.as_deref() == Some(name) {
        return None;
    }
    let is_staging = platform.runtime().is_staging;
    let (set, mut more) =
        cache.resolve_named(name, &mut FromPlatform(platform), is_staging, arrival.uptime, notes.lookups);
    preview.lacks_revision = set.is_none();
    notes.faults.append(&mut more.faults);
    notes.codes.append(&mut more.codes);
    notes.lookups += more.lookups;
    set
}

/// Who asked, found out after the answer where no rule needed it and the record does: what failed, and what happened, is counted by visitors. Nobody gets an id
/// by it.
fn who_asked(
    facts: &mut dyn FactSource,
    rules: &RuleSet,
    head: &RequestHead,
    preview: &Preview,
    arrival: &Arrival,
    considered: &Considered,
    answered: &Answered,
) -> Option<Context> {
    let is_known = considered.context.as_ref().is_some_and(|context| context.needs.person);
    let is_wanted = answered.has_failed() || !record::happened(head, considered, answered).is_empty();
    (!is_known && is_wanted).then(|| {
        let needs = Needs { device: true, person: true, ..Needs::default() };
        Context::gather(facts, head, rules, needs, preview.claims.clone(), arrival.now)
    })
}

/// Nothing is personalized: the kill switch is on, or no rules are usable.
fn pass_through<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    kept: &mut Kept,
    head: &RequestHead,
    (settings, known): (&Settings, Option<&Settings>),
    resolved: Resolved,
    body: P::Body,
) {
    let mut plan = plan::passthrough(head, settings);
    // Without rules, every request has its line.
    plan.terms.passing = Passing { is_logged: true, sample: 1.0, ..passing(platform, kept, settings, head) };
    let answered = respond::respond(platform, arrival, head, None, plan, resolved.took, body);
    record::record(
        platform,
        Visit {
            arrival,
            head,
            rules: None,
            redaction: known.map(|settings| &settings.log.redaction),
            role: None,
            considered: &Considered { context: None, decision: Decision::default() },
            late: None,
            answered: &answered,
            notes: resolved.notes,
            rules_took: resolved.took,
            shadow: None,
            preview: &Preview::default(),
            writes: Vec::new(),
            keys: &mut kept.keys,
        },
    );
}
