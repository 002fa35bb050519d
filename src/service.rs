//! The service: walks the steps for one request. Nothing of one visitor survives into the next.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::admit::{self, Refusal, RequestHead, Reserved};
use crate::context::Context;
use crate::context::cookies::Cookies;
use crate::context::visitor::VisitorSettings;
use crate::decide::{self, Decision};
use crate::fetch::{self, Fetched};
use crate::plan::variant::Variant;
use crate::plan::{self, AnswerPlan, FetchPlan, Plan, Privacy};
use crate::platform::{Caching, ClientRequest, Kv, Platform, Response};
use crate::record::{self, DecisionLine, VariantMap};
use crate::respond::{self, conditional, error_page};
use crate::rules::cache::Notes;
use crate::rules::{Arm, RuleCache, RuleSet, Rules};

/// What a sandbox keeps from one request to the next: compiled rules, and nothing of a visitor.
#[derive(Debug, Default)]
pub struct Sandbox {
    rules: RuleCache,
    served: u64,
}

/// How far the request has come, for the record.
struct Progress<'p, P: Platform> {
    platform: &'p P,
    started: Duration,
    vcpu_started: Option<u64>,
    time: String,
    cold: bool,
    rules_took: Duration,
    notes: Notes,
    arm: Option<Arm>,
}

impl<P: Platform> Progress<'_, P> {
    fn elapsed(&self) -> Duration {
        self.platform.uptime().saturating_sub(self.started)
    }
}

/// What was sent, for the record.
#[derive(Default)]
struct Sent<'a> {
    status: u16,
    bytes: Option<u64>,
    route: Option<&'a str>,
    exchange: Option<&'a plan::Exchange>,
    variant: Option<&'a Variant>,
    fallback: Option<fetch::FallbackReason>,
    origin: Option<Duration>,
    codes: Vec<&'a str>,
}

/// Serves one request: sends the answer, then writes the log lines.
pub fn handle<P: Platform>(platform: &P, sandbox: &mut Sandbox, mut request: ClientRequest<P::Body>) {
    let mut progress = Progress {
        platform,
        started: platform.uptime(),
        vcpu_started: platform.vcpu_ms(),
        time: String::new(),
        cold: sandbox.served == 0,
        rules_took: Duration::ZERO,
        notes: Notes::default(),
        arm: None,
    };
    sandbox.served += 1;
    let now = platform.now();
    let head = match admit::admit(&mut request, [platform.random(), platform.random()]) {
        Ok(head) => head,
        Err(refusal) => return refuse(&mut progress, &refusal, now),
    };
    if let Some(reserved) = head.reserved {
        return answer_reserved(&progress, sandbox, &head, reserved);
    }

    let staging = platform.runtime().is_staging;
    let (rules, notes) = resolve(platform, &mut sandbox.rules, staging, progress.started, Some(&head));
    progress.notes = notes;
    progress.rules_took = progress.elapsed();
    match rules {
        Rules::Set(served) => {
            progress.arm = Some(served.arm);
            personalize(&mut progress, &head, request.body, &served.set, now);
        }
        Rules::Off | Rules::Unusable => {
            let mut plan = plan::passthrough(&head);
            exchange(&mut progress, &head, request.body, &mut plan, None, None, now);
        }
    }
}

/// The rules of a request. A visitor is told from others by the id in the visitor's cookie; without one, a canary takes all or not.
fn resolve<P: Platform>(
    platform: &P,
    rules: &mut RuleCache,
    staging: bool,
    uptime: Duration,
    head: Option<&RequestHead>,
) -> (Rules, Notes) {
    let kv = |key: &str| {
        let found = platform.kv_start(Kv::Rules, key).and_then(|pending| platform.kv_wait(pending))?;
        Ok(found.map(|value| value.bytes))
    };
    let unit = |_: &RuleSet| {
        let cookies = Cookies::of(&head?.headers);
        VisitorSettings::default().read(&cookies).map(|id| id.to_string())
    };
    rules.resolve(&mut |key| platform.config(key), &mut { kv }, staging, uptime, unit)
}

fn personalize<P: Platform>(
    progress: &mut Progress<'_, P>,
    head: &RequestHead,
    body: P::Body,
    rules: &RuleSet,
    now: time::OffsetDateTime,
) {
    let candidates = rules.routes.candidates(&head.normal_path);
    progress.notes.faults.extend(rules.routes.take_faults());
    if candidates.is_empty() {
        let mut plan = plan::passthrough(head);
        return exchange(progress, head, body, &mut plan, Some(rules), None, now);
    }
    let context = Context::gather(progress.platform, head, rules, now);
    let decision: Decision = decide::decide(rules, candidates, head, &context, None);
    match plan::plan(head, rules, &context, &decision) {
        Plan::Fetch(mut plan) => exchange(progress, head, body, &mut plan, Some(rules), Some(&context), now),
        Plan::Answer(plan) => answer(progress, head, plan, rules, &context, now),
    }
}

/// Fetches, responds and records.
fn exchange<P: Platform>(
    progress: &mut Progress<'_, P>,
    head: &RequestHead,
    body: P::Body,
    plan: &mut FetchPlan,
    rules: Option<&RuleSet>,
    context: Option<&Context>,
    now: time::OffsetDateTime,
) {
    // A body goes with the methods that have one; an empty one on a GET would make it look chunked.
    let body = (!matches!(head.method, Method::GET | Method::HEAD)).then_some(body);
    let fetched = fetch::fetch(progress.platform, plan, body);
    let Fetched { response, exchange, fallback, first_byte } = fetched;
    let mut codes: Vec<&str> = plan.codes.clone();
    let mut response = response.unwrap_or_else(|error| {
        codes.push(fetch::send_code(error));
        let (status, (headers, body)) = {
            let status = error_page::status_for(error);
            (status, error_page::page(status, &head.request_id))
        };
        Response { status, headers, body: P::Body::from(body.into_bytes()) }
    });
    if matches!(exchange.caching, Caching::Keyed { .. })
        && conditional::is_not_modified(&head.method, &head.headers, response.status, &response.headers)
    {
        response.status = StatusCode::NOT_MODIFIED;
        conditional::to_not_modified(&mut response.headers);
        response.body = P::Body::from(Vec::new());
    }
    respond::shape(response.status, &mut response.headers, &exchange.variant, plan.privacy);
    respond::add_revision(&mut response.headers, rules.and_then(|rules| rules.revision.as_deref()), plan.privacy);
    let timing = Timing { rules: progress.rules_took, origin: Some(first_byte), total: progress.elapsed() };
    add_server_timing(&mut response.headers, rules, timing);
    let mut sent = Sent {
        status: response.status.as_u16(),
        bytes: record::content_length(&response.headers),
        route: plan.route.as_deref(),
        variant: Some(&exchange.variant),
        exchange: Some(&exchange),
        fallback,
        origin: Some(first_byte),
        codes: Vec::new(),
    };
    sent.codes = codes;
    progress.platform.respond(response);
    finish(progress, head, rules, context, sent, now);
}

/// Answers without a backend, and records.
fn answer<P: Platform>(
    progress: &mut Progress<'_, P>,
    head: &RequestHead,
    mut plan: AnswerPlan,
    rules: &RuleSet,
    context: &Context,
    now: time::OffsetDateTime,
) {
    respond::shape(plan.status, &mut plan.headers, &plan.variant, plan.privacy);
    respond::add_revision(&mut plan.headers, rules.revision.as_deref(), plan.privacy);
    let timing = Timing { rules: progress.rules_took, origin: None, total: progress.elapsed() };
    add_server_timing(&mut plan.headers, Some(rules), timing);
    let body = if head.method == Method::HEAD { Vec::new() } else { plan.body.into_bytes() };
    let bytes = u64::try_from(body.len()).ok();
    let sent = Sent {
        status: plan.status.as_u16(),
        bytes,
        route: Some(&plan.route),
        variant: Some(&plan.variant),
        ..Sent::default()
    };
    progress.platform.respond(Response { status: plan.status, headers: plan.headers, body: body.into() });
    finish(progress, head, Some(rules), Some(context), sent, now);
}

/// After the answer: log lines. They delay nobody.
fn finish<P: Platform>(
    progress: &mut Progress<'_, P>,
    head: &RequestHead,
    rules: Option<&RuleSet>,
    context: Option<&Context>,
    sent: Sent<'_>,
    now: time::OffsetDateTime,
) {
    let platform = progress.platform;
    let total = progress.elapsed();
    let revision = rules.and_then(|rules| rules.revision.as_deref());
    let mut codes = sent.codes;
    if progress.notes.store_error.is_some() {
        codes.push("config-store");
    }
    if progress.cold
        && let Some(rules) = rules.filter(|rules| !rules.is_checked)
    {
        // Rules that no request has come near are compiled now, so that a mistake is named before it is met.
        rules.routes.all().for_each(drop);
        progress.notes.faults.extend(rules.routes.take_faults());
    }
    progress.time = record::timestamp(now);
    record::errors(platform, &progress.time, &head.request_id, revision, &progress.notes.faults, &codes);
    let sample = rules.map_or(1.0, |rules| rules.settings.log.sample);
    if !record::is_sampled(&head.request_id, sample) {
        return;
    }
    let runtime = platform.runtime();
    let line = DecisionLine {
        v: record::SCHEMA,
        time: progress.time.clone(),
        request_id: &head.request_id,
        trace_id: &head.trace.trace_id,
        pop: &runtime.pop,
        service_version: runtime.service_version,
        revision,
        arm: progress.arm,
        route: sent.route,
        method: head.method.as_str(),
        path: record::bounded(&head.path),
        status: sent.status,
        region: context.map(|context| context.region.id.as_str()),
        country: context.and_then(Context::country),
        variant: VariantMap(sent.variant),
        cache_key: sent.exchange.and_then(fetch::key_hex),
        backend: sent.exchange.map(|exchange| exchange.backend.as_str()),
        backend_path: sent.exchange.map(|exchange| record::bounded(&exchange.path)),
        fallback: sent.fallback.map(fetch::FallbackReason::code),
        errors: codes,
        cold: progress.cold,
        lookups: progress.notes.lookups,
        total_ms: milliseconds(total),
        rules_ms: milliseconds(progress.rules_took),
        origin_ms: sent.origin.map(milliseconds),
        vcpu_ms: platform.vcpu_ms().zip(progress.vcpu_started).map(|(now, then)| now.saturating_sub(then)),
        bytes: sent.bytes,
    };
    record::decision(platform, &line);
}

struct Timing {
    rules: Duration,
    origin: Option<Duration>,
    total: Duration,
}

/// `Server-Timing` (W3C) where settings ask for it.
fn add_server_timing(headers: &mut HeaderMap, rules: Option<&RuleSet>, timing: Timing) {
    if !rules.is_some_and(|rules| rules.settings.log.server_timing) {
        return;
    }
    let mut value = format!("edge;dur={:.3}, rules;dur={:.3}", milliseconds(timing.total), milliseconds(timing.rules));
    if let Some(origin) = timing.origin {
        value.push_str(&format!(", origin;dur={:.3}", milliseconds(origin)));
    }
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.append("server-timing", value);
    }
}

fn refuse<P: Platform>(progress: &mut Progress<'_, P>, refusal: &Refusal, now: time::OffsetDateTime) {
    let (mut headers, body) = error_page::page(refusal.status, &refusal.request_id);
    if refusal.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(http::header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    let platform = progress.platform;
    platform.respond(Response { status: refusal.status, headers, body: body.into_bytes().into() });
    record::errors(platform, &record::timestamp(now), &refusal.request_id, None, &[], &[refusal.code]);
}

/// Answers a reserved path (design.md section 6).
fn answer_reserved<P: Platform>(
    progress: &Progress<'_, P>,
    sandbox: &mut Sandbox,
    head: &RequestHead,
    reserved: Reserved,
) {
    let platform = progress.platform;
    let readable = matches!(head.method, Method::GET | Method::HEAD);
    let (status, mut headers, body) = match reserved {
        Reserved::Health if readable => {
            let (headers, body) = health(platform, sandbox, progress.started, &head.request_id);
            (StatusCode::OK, headers, body)
        }
        Reserved::Health | Reserved::Explain | Reserved::Sessions | Reserved::Unknown => {
            let (headers, body) = error_page::page(StatusCode::NOT_FOUND, &head.request_id);
            (StatusCode::NOT_FOUND, headers, body)
        }
    };
    respond::shape(status, &mut headers, &Variant::default(), Privacy::Transparent);
    let body = if head.method == Method::HEAD { Vec::new() } else { body.into_bytes() };
    platform.respond(Response { status, headers, body: body.into() });
}

/// Status, revision and service version; works with every store missing.
fn health<P: Platform>(platform: &P, sandbox: &mut Sandbox, uptime: Duration, request_id: &str) -> (HeaderMap, String) {
    let runtime = platform.runtime();
    let (rules, notes) = resolve(platform, &mut sandbox.rules, runtime.is_staging, uptime, None);
    let (state, revision) = match &rules {
        Rules::Set(served) => ("personalizing", served.set.revision.clone()),
        Rules::Off => ("disabled", None),
        Rules::Unusable => ("passthrough", None),
    };
    // A probe can be the first to meet a faulty dictionary: it names it as any request would.
    let time = record::timestamp(platform.now());
    record::errors(platform, &time, request_id, revision.as_deref(), &notes.faults, &[]);
    let body = serde_json::json!({
        "status": "ok",
        "rules": state,
        "revision": revision,
        "config_store": if notes.store_error.is_some() { "unavailable" } else { "ok" },
        "service_version": runtime.service_version,
        "pop": runtime.pop,
    });
    let headers = HeaderMap::from_iter([
        (http::header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (http::header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]);
    (headers, body.to_string())
}

fn milliseconds(duration: Duration) -> f64 {
    // Microseconds are as fine as the log needs.
    #[allow(clippy::cast_precision_loss)]
    let micros = duration.as_micros() as f64;
    micros / 1_000.0
}
