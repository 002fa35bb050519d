//! What browsers send of themselves (`settings.events`): measures of how fast a page was, and which flags it used (`settings.ofrep`).
//! Anybody can send anything, so it is bounded, marked `browser`, and has no money in it. The answer is always 204: it tells a forger
//! nothing, and costs a visitor nothing.

use std::io::Read as _;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::Resolved;
use crate::admit::{Arrival, RequestHead};
use crate::code::Code;
use crate::context::preview::Preview;
use crate::context::{Context, Kept, Live, Needs};
use crate::decide::flags::{self, Visitor};
use crate::decide::variations::Exposed;
use crate::platform::{Platform, Response};
use crate::record;
use crate::respond::events::{Event, MOST, Source, is_id};
use crate::rules::settings::Settings;
use crate::rules::settings::events::EventSettings;
use crate::rules::settings::ofrep::OfrepSettings;
use crate::rules::{RuleSet, Rules, Served};
use crate::wire::url::AbsoluteUrl;

/// Bytes of the longest body.
const LONGEST: u64 = 4_096;
/// What a measure may be at most: beyond it, it is none. A day has 86,400,000 milliseconds.
const LARGEST: f64 = 1e9;
/// The event that says that a page used a flag.
const EXPOSURE: &str = "exposure";
/// What a rate is counted over.
const MINUTE: Duration = Duration::from_secs(60);

/// How many requests a sandbox took in the current minute.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// When it began, as the sandbox's uptime.
    since: Duration,
    count: u32,
}

impl Taken {
    /// Counts one more; `false` where there were enough. The first one too many gives a code.
    fn one_more(&mut self, uptime: Duration, most: u32) -> Result<(), Option<Code>> {
        if uptime.saturating_sub(self.since) >= MINUTE {
            *self = Self { since: uptime, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        if self.count <= most {
            return Ok(());
        }
        Err((self.count == most.saturating_add(1)).then_some(Code::BeaconTooMany))
    }
}

/// Whether this is a browser's request to the path of `settings.events`.
pub(super) fn is_for<'s>(settings: &'s Settings, head: &RequestHead) -> Option<&'s EventSettings> {
    settings.events.as_ref().filter(|events| head.method == Method::POST && head.path == events.path)
}

/// Answers, and logs what may be logged. With the kill switch on, nothing is.
pub(super) fn answer<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    (kept, taken): (&mut Kept, &mut Taken),
    mut head: RequestHead,
    (rules, settings): (&Rules, &EventSettings),
    resolved: Resolved,
    body: P::Body,
) {
    let mut codes = resolved.notes.codes;
    let events = match taken.one_more(arrival.uptime, settings.per_minute) {
        Ok(()) => read::<P>(&head, settings, speaks_ofrep(rules), body),
        Err(code) => Err(code),
    };
    let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]);
    platform.respond(Response { status: StatusCode::NO_CONTENT, headers, body: Vec::new().into() });
    let time = record::timestamp(arrival.now);
    let mut faults = resolved.notes.faults;
    let mut revision = None;
    match (events, rules) {
        (Ok((brought, code)), Rules::Set(served)) => {
            revision = served.set.revision.as_deref();
            codes.extend(code);
            codes.extend(log(platform, arrival, kept, (&mut head, &time), served, &brought));
        }
        (Err(code), _) => codes.extend(code),
        (Ok(_), Rules::Off | Rules::Unusable) => {}
    }
    codes.extend(kept.keys.take_code());
    faults.extend(kept.keys.take_faults());
    record::errors(platform, &time, &head.request_id, revision, &faults, &codes);
}

/// Logs events of a visitor who may be counted.
fn log<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    kept: &mut Kept,
    (head, time): (&mut RequestHead, &str),
    served: &Served,
    brought: &Brought,
) -> Option<Code> {
    let Brought { events, used } = brought;
    let rules = served.set.on_host(head.host());
    let rules = &*rules;
    let preview = Preview::take(head, &rules.settings, arrival.now, || kept.keys.preview(platform));
    let mut facts = Live::new(platform, kept, None);
    let needs = match used.is_empty() {
        true => Needs { device: true, person: true, ..Needs::default() },
        // What a page may ask for may cost no more: a new visitor used none.
        false => Needs { keeps: false, ..flags::needs(rules, used.iter().map(|used| used.flag.as_str())) },
    };
    let context = Context::gather(&mut facts, head, rules, needs, preview.claims, arrival.now);
    record::conversion::unit(&context)?;
    match facts.kept.keys.identity(platform).named_log_key() {
        Some(key) => {
            record::conversion::conversions(platform, (head, time), (rules, &context), key, events);
            for used in used {
                let Some(ofrep) = rules.settings.ofrep.as_ref().filter(|ofrep| ofrep.shows(&used.flag)) else {
                    continue;
                };
                let exposed = exposed(rules, &context, ofrep, used);
                let shown = (exposed.as_slice(), None);
                record::exposures(platform, (head, time), (rules, &context), key, shown, Source::Browser);
            }
        }
        None => return Some(Code::ExposureNoKey),
    }
    None
}

/// What a request brings.
#[derive(Default)]
struct Brought {
    events: Vec<Event>,
    used: Vec<Used>,
}

/// A flag that a page used, with what it said when it asked for it.
struct Used {
    flag: String,
    said: Map<String, Json>,
}

/// Whether the rules that serve have flags for browsers.
fn speaks_ofrep(rules: &Rules) -> bool {
    matches!(rules, Rules::Set(served) if served.set.settings.ofrep.is_some())
}

/// The variations of a flag that a page used: those that the edge itself assigns, whatever the page says.
fn exposed(rules: &RuleSet, context: &Context, ofrep: &OfrepSettings, used: &Used) -> Vec<Exposed> {
    let visitor = Visitor { context, said: &used.said, allowed: &ofrep.context };
    flags::for_visitor(rules, visitor, std::iter::once(used.flag.as_str())).exposures
}

/// The events that a request brings, and what is wrong with some of them.
fn read<P: Platform>(
    head: &RequestHead,
    settings: &EventSettings,
    speaks_ofrep: bool,
    body: P::Body,
) -> Result<(Brought, Option<Code>), Option<Code>> {
    if !is_of_the_site(head) {
        return Err(Some(Code::BeaconForeign));
    }
    let mut bytes = Vec::new();
    let whole = body.take(LONGEST + 1).read_to_end(&mut bytes);
    let fits = whole.is_ok() && u64::try_from(bytes.len()).is_ok_and(|length| length <= LONGEST);
    let sent = Some(bytes).filter(|_| fits && is_text(&head.headers)).and_then(|bytes| parse(&bytes));
    let Some(sent) = sent else { return Err(Some(Code::BeaconMalformed)) };
    let count = sent.len();
    let mut brought = Brought::default();
    // What is none of ours takes no other with it: a page may collect its measures from several places.
    for sent in sent.into_iter().take(MOST).filter_map(|sent| Sent::deserialize(sent).ok()) {
        match sent.flag {
            Some(flag) if speaks_ofrep && sent.name == EXPOSURE => {
                brought.used.push(Used { flag, said: sent.context.unwrap_or_default() });
            }
            _ => brought.events.extend(sent.event(settings)),
        }
    }
    let usable = brought.events.len() + brought.used.len();
    let code = if count > MOST { Some(Code::EventTooMany) } else { (usable < count).then_some(Code::BeaconMalformed) };
    Ok((brought, code))
}

/// Whether a page of this very site sent it, as browsers say (Fetch, sections 3.2 and "Sec-Fetch-Site").
fn is_of_the_site(head: &RequestHead) -> bool {
    let said = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let (site, origin) = (said("sec-fetch-site"), said("origin"));
    (site.is_some() || origin.is_some()) && !is_foreign(head)
}

/// Whether a browser says that a page of another site sent it. Browsers always say so of a POST.
pub(super) fn is_foreign(head: &RequestHead) -> bool {
    let said = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let same_site = said("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let same_origin = said("origin").is_none_or(|origin| {
        AbsoluteUrl::split(origin).is_some_and(|origin| origin.authority.eq_ignore_ascii_case(&head.authority))
    });
    !(same_site && same_origin)
}

/// Whether the body is of a type that a browser sends without asking first, or JSON.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    ["text/plain", "application/json"].iter().any(|known| kind.eq_ignore_ascii_case(known))
}

/// An event as npm `web-vitals` shapes its measures. Whatever else is in it is of no use here.
#[derive(Deserialize)]
struct Sent {
    name: String,
    value: Option<f64>,
    id: Option<String>,
    /// Of an exposure: the flag that was used, and the context that the page gave when it asked.
    flag: Option<String>,
    context: Option<Map<String, Json>>,
}

impl Sent {
    fn event(self, settings: &EventSettings) -> Option<Event> {
        let is_usable = settings.names.contains(&self.name)
            && self.value.is_none_or(|value| value.abs() <= LARGEST)
            && self.id.as_deref().is_none_or(is_id);
        let Self { name, value, id, .. } = self;
        is_usable.then_some(Event { name, id, value, currency: None, source: Source::Browser })
    }
}

/// One event, or a list of them.
fn parse(bytes: &[u8]) -> Option<Vec<Json>> {
    match serde_json::from_slice(bytes).ok()? {
        Json::Array(list) => Some(list),
        one => Some(vec![one]),
    }
}
