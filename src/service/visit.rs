//! One request on its way through the steps: what is known so far, and the record at the end.

use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use time::OffsetDateTime;

use super::shadow;
use crate::admit::RequestHead;
use crate::context::identity::{Identity, pseudonym};
use crate::context::{Context, preview};
use crate::decide::Decision;
use crate::fetch::{self, FallbackReason};
use crate::mac::MacKey;
use crate::plan::variant::Variant;
use crate::plan::{Exchange, Privacy};
use crate::platform::Platform;
use crate::record::{self, DecisionLine, ExposureLine, VariantMap};
use crate::rules::cache::Notes;
use crate::rules::{Role, RuleSet};
use crate::session::State;

/// Share of sandboxes that look rules over: a hundred sandboxes find a mistake, and none pays much for it.
const CHECKING: f64 = 1.0 / 16.0;
/// Most routes that one of them looks over: compiling a thousand would take what vCPU a request has.
const CHECKED: usize = 64;

/// A request on its way.
pub(super) struct Visit<'p, P: Platform> {
    pub platform: &'p P,
    pub head: RequestHead,
    /// The wall clock when the request came.
    pub now: OffsetDateTime,
    /// The sandbox's age then.
    pub started: Duration,
    vcpu_started: Option<u64>,
    is_cold: bool,
    pub rules_took: Duration,
    pub notes: Notes,
    /// The role of the revision that serves.
    pub role: Option<Role>,
    /// Rules that are decided by as well, for the log alone.
    pub shadow: Option<Rc<RuleSet>>,
    pub context: Option<Context>,
    pub decision: Decision,
    /// Whether a signed preview is on.
    pub is_preview: bool,
    pub cookies: Vec<HeaderValue>,
    /// The cookie of remembered arms, where it changes.
    pub sticky: Option<HeaderValue>,
    /// Codes of what went wrong.
    pub codes: Vec<&'static str>,
    /// The key of pseudonyms in logs; without one, exposures carry no unit and are not written.
    pub log_key: Option<MacKey>,
}

/// What was sent, for the record.
#[derive(Default)]
pub(super) struct Sent<'a> {
    pub status: u16,
    pub bytes: Option<u64>,
    pub route: Option<&'a str>,
    pub exchange: Option<&'a Exchange>,
    pub variant: Option<&'a Variant>,
    pub fallback: Option<FallbackReason>,
    pub origin: Option<Duration>,
}

impl<'p, P: Platform> Visit<'p, P> {
    pub fn begin(platform: &'p P, head: RequestHead, is_cold: bool) -> Self {
        Self {
            platform,
            head,
            now: platform.now(),
            started: platform.uptime(),
            vcpu_started: platform.vcpu_ms(),
            is_cold,
            rules_took: Duration::ZERO,
            notes: Notes::default(),
            role: None,
            shadow: None,
            context: None,
            decision: Decision::default(),
            is_preview: false,
            cookies: Vec::new(),
            sticky: None,
            codes: Vec::new(),
            log_key: None,
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.platform.uptime().saturating_sub(self.started)
    }

    /// Milliseconds of vCPU that the request has used, where the platform says.
    pub fn vcpu_used(&self) -> Option<u64> {
        self.platform.vcpu_ms().zip(self.vcpu_started).map(|(now, then)| now.saturating_sub(then))
    }

    /// The personalized answer was not shown: nothing of it is an exposure, or to be remembered.
    pub fn forget_arms(&mut self) {
        self.decision.exposures.clear();
        self.sticky = None;
    }

    /// How private the answer is: a preview is nobody's to keep, nor is what carries a cookie of the edge's.
    pub fn privacy(&self, planned: Privacy) -> Privacy {
        let own = self.is_preview || !self.cookies.is_empty() || self.sticky.is_some();
        if own { planned.max(Privacy::NoStore) } else { planned }
    }

    /// Cookies, and the mark of a preview.
    pub fn add_own_headers(&self, headers: &mut HeaderMap) {
        for cookie in self.cookies.iter().chain(&self.sticky) {
            headers.append(header::SET_COOKIE, cookie.clone());
        }
        if self.is_preview {
            preview::mark(headers);
        }
    }

    /// `Server-Timing` (W3C) where settings ask for it.
    pub fn add_server_timing(&self, rules: Option<&RuleSet>, headers: &mut HeaderMap, origin: Option<Duration>) {
        if !rules.is_some_and(|rules| rules.settings.log.server_timing) {
            return;
        }
        let took = [("edge", Some(self.elapsed())), ("rules", Some(self.rules_took)), ("origin", origin)];
        let took = took.into_iter().filter_map(|(name, took)| Some((name, microseconds(took?))));
        let metrics: Vec<String> =
            took.map(|(name, micros)| format!("{name};dur={}.{:03}", micros / 1_000, micros % 1_000)).collect();
        let value = metrics.join(", ");
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.append("server-timing", value);
        }
    }

    /// After the answer: what the session learned, and the log lines. They delay nobody.
    pub fn record(&mut self, rules: Option<&RuleSet>, sent: &Sent<'_>) {
        let platform = self.platform;
        let total = self.elapsed();
        let revision = rules.and_then(|rules| rules.revision.as_deref());
        if self.notes.store_error.is_some() {
            self.codes.push("config-store");
        }
        if let Some(context) = &self.context {
            if let Identity::Rejected(fault) = &context.person.identity {
                self.codes.push(fault.code());
            }
            self.codes.extend(context.session.faults.iter().map(|fault| fault.code()));
        }
        if let Some(rules) = rules {
            self.collect_faults(rules);
            self.write_back(rules);
        }
        let time = record::timestamp(self.now);
        let id = self.head.request_id.as_str();
        record::errors(platform, &time, id, revision, &self.notes.faults, &self.codes);
        if let Some(rules) = rules {
            self.record_exposures(rules, &time);
        }
        let sample = rules.map_or(1.0, |rules| rules.settings.log.sample);
        if !record::is_sampled(id, sample) {
            return;
        }
        let runtime = platform.runtime();
        let context = self.context.as_ref();
        let session = context.map(|context| &context.session).filter(|session| session.state != State::None);
        let line = DecisionLine {
            v: record::SCHEMA,
            time,
            request_id: id,
            trace_id: &self.head.trace.trace_id,
            pop: &runtime.pop,
            service_version: runtime.service_version,
            revision,
            role: self.role,
            shadow: self.shadow.as_deref().and_then(|shadow| shadow::compare(self, shadow, sent)),
            route: sent.route,
            method: self.head.method.as_str(),
            path: record::bounded(&self.head.path),
            status: sent.status,
            region: context.map(|context| context.region.id.as_str()),
            country: context.and_then(Context::country).map(record::bounded),
            variant: VariantMap(sent.variant),
            cache_key: sent.exchange.and_then(fetch::key_hex),
            backend: sent.exchange.map(|exchange| exchange.backend.as_str()),
            backend_path: sent.exchange.map(|exchange| record::bounded(&exchange.path)),
            fallback: sent.fallback.map(FallbackReason::code),
            session: session.map(|session| session.state.as_str()),
            session_age: session.and_then(|session| session.age),
            session_ms: session.map(|session| session.timing.kv_ms + session.timing.api_ms.unwrap_or(0)),
            preview: self.is_preview,
            errors: self.codes.clone(),
            cold: self.is_cold,
            lookups: self.notes.lookups,
            total_ms: milliseconds(total),
            rules_ms: milliseconds(self.rules_took),
            origin_ms: sent.origin.map(milliseconds),
            vcpu_ms: self.vcpu_used(),
            heap_mib: platform.heap_mib(),
            bytes: sent.bytes,
        };
        record::decision(platform, &line);
    }

    /// A rule is compiled when a request comes near it, and its mistakes are named then. Of rules that nobody checked, some sandboxes
    /// compile others as well on their first request, so that a mistake is named before it is met.
    fn collect_faults(&mut self, rules: &RuleSet) {
        if self.is_cold && !rules.is_checked && record::is_sampled(&self.head.request_id, CHECKING) {
            rules.look_over(usize::try_from(self.now.unix_timestamp()).unwrap_or_default(), CHECKED);
        }
        self.notes.faults.extend(rules.take_faults());
    }

    /// Stores what the central backend said of sessions.
    fn write_back(&mut self, rules: &RuleSet) {
        let Some(context) = &mut self.context else { return };
        for write in std::mem::take(&mut context.session.write_back) {
            if write.perform(self.platform, &rules.settings.session).is_err() {
                self.codes.push("session-write-back");
            }
        }
    }

    /// One line for each arm that was shown by assignment.
    fn record_exposures(&self, rules: &RuleSet, time: &str) {
        let (Some(context), Some(key)) = (&self.context, &self.log_key) else { return };
        for exposed in &self.decision.exposures {
            record::exposure(
                self.platform,
                &ExposureLine {
                    v: record::SCHEMA,
                    timestamp: time,
                    request_id: &self.head.request_id,
                    revision: rules.revision.as_deref(),
                    experiment_id: &exposed.experiment,
                    variation_id: &exposed.variation_key,
                    variation: exposed.variation,
                    feature_id: exposed.feature.as_deref(),
                    unit_type: &exposed.unit_type,
                    unit_id: pseudonym(key, &exposed.unit_type, &exposed.unit),
                    sticky: exposed.sticky,
                    attributes: record::allowed_attributes(context, &rules.settings.log.exposure_attributes),
                },
            );
        }
    }
}

/// Microseconds, as fine as the log needs. `Duration::as_micros` has 128 bits, for which WebAssembly has no instructions.
fn microseconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000).saturating_add(duration.subsec_micros().into())
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let micros = microseconds(duration) as f64;
    micros / 1_000.0
}
