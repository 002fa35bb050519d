//! One request, recorded: what the steps learned becomes log lines. The visitor has been answered already.

use std::time::Duration;

use http::StatusCode;

use super::{DecisionLine, SCHEMA, ShadowDifference, VariantMap, path};
use crate::admit::{Arrival, RequestHead, milliseconds};
use crate::code::Code;
use crate::context::Context;
use crate::context::consent::Consent;
use crate::context::identity::{Identity, IdentityKeys};
use crate::context::keys::Keys;
use crate::context::preview::Preview;
use crate::decide::Considered;
use crate::fetch;
use crate::platform::{Kv, Platform};
use crate::respond::Answered;
use crate::respond::events::{Event, Source};
use crate::rules::settings::{LogSettings, Redaction};
use crate::rules::{Notes, Role, RuleSet};
use crate::session::{State, Subject, WriteBack};

/// Share of sandboxes that look rules over: a hundred sandboxes find a mistake, and none pays much for it.
const CHECKING: f64 = 1.0 / 16.0;
/// Most routes that one of them looks over: compiling a thousand would take what vCPU a request has.
const CHECKED: usize = 64;

/// What the steps of one request learned.
pub struct Visit<'a> {
    /// When it came.
    pub arrival: &'a Arrival,
    /// Its head.
    pub head: &'a RequestHead,
    /// The rules that it was decided by.
    pub rules: Option<&'a RuleSet>,
    /// What is kept out of paths; `None` where nobody knows: then no line has one.
    pub redaction: Option<&'a Redaction>,
    /// Which of the pointer's revisions they are.
    pub role: Option<Role>,
    /// The facts and the decision.
    pub considered: &'a Considered,
    /// The facts again where they were gathered after the answer, for who asks wasn't known before.
    pub late: Option<&'a Context>,
    /// What was sent.
    pub answered: &'a Answered,
    /// What resolving the rules told.
    pub notes: Notes,
    /// How long that took.
    pub rules_took: Duration,
    /// Where the shadow's plan differs.
    pub shadow: Option<ShadowDifference>,
    /// The preview that the request brought.
    pub preview: &'a Preview,
    /// What the central backend said of sessions, to be stored.
    pub writes: Vec<WriteBack>,
    /// The sandbox's keys: one makes the pseudonyms of exposures.
    pub keys: &'a mut Keys,
}

/// Stores what the session API said, and writes the log lines of one request.
pub fn record<P: Platform>(platform: &P, visit: Visit<'_>) {
    let done = visit.arrival.elapsed(platform);
    let person = known_person(&visit);
    let unit = person.and_then(Context::unit).map(str::to_owned);
    let Visit { arrival, head, rules, considered, answered, mut notes, .. } = visit;
    let context = considered.context.as_ref();
    let exposed = !considered.decision.exposures.is_empty();
    let identity = (exposed || unit.is_some()).then(|| visit.keys.identity(platform));
    let log_key = identity.as_deref().and_then(IdentityKeys::named_log_key);
    let mut codes = codes_of(context, answered, visit.preview, &notes);
    codes.extend(visit.keys.take_code());
    notes.faults.extend(visit.keys.take_faults());
    let events = happened(head, considered, answered);
    let counted = person.filter(|person| !events.is_empty() && super::conversion::unit(person).is_some());
    if (exposed || counted.is_some()) && log_key.is_none() {
        // Ids go into logs as pseudonyms, or not at all.
        codes.push(Code::ExposureNoKey);
    }
    if let Some(rules) = rules {
        look_over(rules, arrival, head, &mut notes);
        codes.extend(context.and_then(|context| erase(platform, context)));
        for write in visit.writes {
            if write.perform(platform, &rules.settings.session).is_err() {
                codes.push(Code::SessionWriteBack);
            }
        }
    }
    codes.extend((!notes.faults.is_empty()).then_some(Code::RuleFault));
    codes.sort_unstable();
    codes.dedup();

    let time = super::timestamp(arrival.now);
    let id = head.request_id.as_str();
    let strictest;
    let redaction = match visit.redaction {
        Some(redaction) => redaction,
        None => {
            strictest = LogSettings::strictest();
            &strictest.redaction
        }
    };
    let revision = rules.and_then(|rules| rules.revision.as_deref());
    super::errors(platform, &time, id, revision, &notes.faults, &codes);
    if let (Some(rules), Some(context), Some(key)) = (rules, context, log_key) {
        let shown = (considered.decision.exposures.as_slice(), answered.not_shown.as_deref());
        super::exposures(platform, (head, &time), (rules, context), key, shown, Source::Route);
    }
    if let (Some(rules), Some(person), Some(key)) = (rules, counted, log_key) {
        super::conversion::conversions(platform, (head, &time), (rules, person), key, &events);
    }
    // What failed or fell back is always kept, and says so.
    let sample = rules.filter(|_| !answered.has_failed()).map_or(1.0, |rules| rules.settings.log.sample);
    if !super::is_sampled(id, sample) {
        return;
    }
    let client = redaction.of(&head.path);
    let made = |made: &str| super::bounded(&path::shown(&redaction.of_made(made, &client))).to_owned();
    let runtime = platform.runtime();
    let session = context.map(|context| &context.session).filter(|session| session.state != State::None);
    let exchange = answered.exchange.as_ref();
    super::decision(
        platform,
        &DecisionLine {
            v: SCHEMA,
            time,
            request_id: id,
            trace_id: &head.trace.trace_id,
            pop: &runtime.pop,
            service_version: runtime.service_version,
            revision,
            role: visit.role,
            shadow: visit.shadow.map(|shadow| ShadowDifference { path: shadow.path.as_deref().map(made), ..shadow }),
            route: answered.route.as_deref(),
            method: head.method.as_str(),
            path: super::bounded(&path::shown(&client.path)),
            status: answered.status.as_u16(),
            region: context.map(|context| context.region.id.as_str()),
            country: context.and_then(Context::country).map(super::bounded),
            device: context.and_then(|context| context.device.as_ref()).map(|device| device.class.as_str()),
            variant: VariantMap(answered.variant()),
            facts: match (rules, context) {
                (Some(rules), Some(context)) => super::facts(context, &rules.own, &rules.settings.log),
                _ => serde_json::Map::new(),
            },
            slot: log_key.zip(unit.as_deref()).map(|(key, unit)| super::slot(&key.key, arrival.now, unit)),
            sample,
            cache_key: exchange.and_then(fetch::key_hex),
            backend: exchange.map(|exchange| exchange.backend.as_str()),
            backend_path: exchange.map(|exchange| made(&exchange.path)),
            shield: answered.shield.as_deref(),
            pass: 1,
            fallback: answered.fallback.as_ref().map(|reason| reason.code()),
            session: session.map(|session| session.state.as_str()),
            session_age: session.and_then(|session| session.age),
            session_ms: session.map(|session| session.timing.kv_ms + session.timing.api_ms.unwrap_or(0)),
            preview: visit.preview.claims.is_some(),
            errors: &codes,
            cold: arrival.is_cold,
            lookups: notes.lookups,
            total_ms: milliseconds(answered.head_after),
            done_ms: milliseconds(done),
            rules_ms: milliseconds(visit.rules_took),
            origin_ms: answered.origin.map(milliseconds),
            vcpu_ms: arrival.vcpu_used(platform),
            heap_mib: platform.heap_mib(),
            bytes: answered.bytes,
        },
    );
}

/// What happened by this request: what the origin says, and what the route says, unless that is the same. A `HEAD` does nothing.
#[must_use]
pub fn happened(head: &RequestHead, considered: &Considered, answered: &Answered) -> Vec<Event> {
    if head.method == http::Method::HEAD {
        return Vec::new();
    }
    let mut events = answered.events.clone();
    let route = considered.decision.route.as_ref().map(|candidate| &candidate.route);
    let named = route.and_then(|route| route.event.as_deref());
    let is_good = answered.status.is_success() || answered.status == StatusCode::SEE_OTHER;
    if let Some(name) = named.filter(|name| is_good && events.iter().all(|event| event.name != *name)) {
        events.push(Event::named(name, Source::Route));
    }
    events
}

/// The facts in which it is known who asks, where somebody found out.
fn known_person<'a>(visit: &Visit<'a>) -> Option<&'a Context> {
    visit.late.or_else(|| visit.considered.context.as_ref().filter(|context| context.needs.person))
}

/// Deletes the session record of a visitor who wants none: one delete at most, and none where no id came. The code where it failed: the
/// record then lives until its time is over, and nobody can ask for it, for the cookie is gone.
fn erase<P: Platform>(platform: &P, context: &Context) -> Option<Code> {
    let key = Subject::Visitor(context.person.erase?).kv_key();
    platform.kv_delete(Kv::Sessions, &key).err().map(|_| Code::SessionErase)
}

/// Every code that the steps gave.
fn codes_of(context: Option<&Context>, answered: &Answered, preview: &Preview, notes: &Notes) -> Vec<Code> {
    let mut codes = answered.codes.clone();
    codes.extend(notes.codes.iter().copied());
    codes.extend(preview.codes());
    codes.extend(notes.store_error.map(|_| Code::ConfigStore));
    if let Some(context) = context {
        codes.extend((context.person.inputs.consent == Consent::Unreadable).then_some(Code::ConsentUnreadable));
        if let Identity::Rejected(fault) = &context.person.identity {
            codes.push(fault.code());
        }
        codes.extend(context.session.faults.iter().map(|fault| fault.code()));
        codes.extend(context.codes.iter().copied());
        codes.extend(context.pattern_work.is_exhausted().then_some(Code::PatternWork));
    }
    codes
}

/// A rule is compiled when a request comes near it, and its mistakes are named then. Of rules that nobody checked, some sandboxes
/// compile others as well on their first request, so that a mistake is named before it is met.
fn look_over(rules: &RuleSet, arrival: &Arrival, head: &RequestHead, notes: &mut Notes) {
    if arrival.is_cold && !rules.is_checked && super::is_sampled(&head.request_id, CHECKING) {
        rules.look_over(usize::try_from(arrival.now.unix_timestamp()).unwrap_or_default(), CHECKED);
    }
    notes.faults.extend(rules.take_faults());
}
