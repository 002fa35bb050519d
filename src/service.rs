//! The service: walks the steps for one request. Nothing of one visitor survives into the next.

mod explain;
mod reserved;
mod shadow;
mod visit;

use std::time::Duration;

use http::Method;

use crate::admit::{self, RequestHead};
use crate::context::gather::{self, Kept};
use crate::context::preview::{Preview, PreviewError};
use crate::decide::{self, Decision};
use crate::fetch;
use crate::plan::body::BodyPlan;
use crate::plan::fallback::FallbackPlan;
use crate::plan::{self, AnswerPlan, Exchange, FetchPlan, Plan, Privacy, personal};
use crate::platform::{Caching, ClientRequest, Kv, Platform, Response, StoreError};
use crate::record;
use crate::respond::body::{Treatment, filter_playlist, send_edited, send_html, treat};
use crate::respond::{self, conditional, error_page};
use crate::rules::cache::Notes;
use crate::rules::settings::Settings;
use crate::rules::{RuleCache, RuleSet, RuleStores, Rules};
use crate::transform::headers::{csp_nonce, fit_version};
use crate::wire::cookies::Cookies;
use visit::{Sent, Visit};

/// What a sandbox keeps from one request to the next: compiled rules, keys, the breaker; nothing of a visitor.
#[derive(Debug, Default)]
pub struct Sandbox {
    rules: RuleCache,
    kept: Kept,
    served: u64,
}

/// Serves one request: sends the answer, then writes the log lines.
pub fn handle<P: Platform>(platform: &P, sandbox: &mut Sandbox, mut request: ClientRequest<P::Body>) {
    let is_cold = sandbox.served == 0;
    sandbox.served += 1;
    let head = match admit::admit(&mut request, platform.random()) {
        Ok(head) => head,
        Err(refusal) => return reserved::refuse(platform, &refusal),
    };
    let mut visit = Visit::begin(platform, head, is_cold);
    if let Some(path) = visit.head.reserved {
        return reserved::answer(&visit, sandbox, request, path);
    }
    let staging = platform.runtime().is_staging;
    let (rules, notes) = resolve(platform, &mut sandbox.rules, staging, visit.started, Some(&visit.head));
    visit.codes.extend(&notes.codes);
    visit.notes = notes;
    visit.rules_took = visit.elapsed();
    match rules {
        Rules::Set(served) => {
            visit.role = Some(served.role);
            visit.shadow = served.shadow;
            personalize(&mut visit, sandbox, &served.set, request.body);
        }
        Rules::Off | Rules::Unusable => {
            let plan = plan::passthrough(&visit.head, &Settings::default());
            exchange(&mut visit, None, plan, request.body);
        }
    }
}

/// The rules of a request. A canary tells visitors apart by the visitor's cookie, or by the address where there is none: neither is
/// stored for it.
fn resolve<P: Platform>(
    platform: &P,
    rules: &mut RuleCache,
    is_staging: bool,
    uptime: Duration,
    head: Option<&RequestHead>,
) -> (Rules, Notes) {
    let unit = |settings: &Settings| {
        let head = head?;
        let visitor = settings.visitor.read(&Cookies::of(&head.headers));
        visitor.map(|id| id.to_string()).or_else(|| head.address.map(|address| address.to_string()))
    };
    rules.resolve(&mut FromPlatform(platform), is_staging, uptime, unit)
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

/// From the facts to the answer.
fn personalize<P: Platform>(visit: &mut Visit<'_, P>, sandbox: &mut Sandbox, rules: &RuleSet, body: P::Body) {
    let platform = visit.platform;
    let keys = || sandbox.kept.keys.preview(platform);
    let preview = Preview::take(&mut visit.head, &rules.settings, platform.now(), keys);
    visit.codes.extend(preview.error.map(PreviewError::code));
    visit.is_preview = preview.claims.is_some();
    // A link may open on a page that no rule touches: the preview begins there all the same.
    visit.cookies.extend(preview.cookie());
    let candidates = rules.routes.candidates(&visit.head.normal_path);
    visit.notes.faults.extend(rules.take_faults());
    let Some(needs) = decide::needs(rules, &candidates, &visit.head, visit.now) else {
        let plan = plan::passthrough(&visit.head, &rules.settings);
        return exchange(visit, Some(rules), plan, body);
    };
    let context = gather::gather(platform, &visit.head, rules, needs, preview.claims, &mut sandbox.kept);
    let decision: Decision = decide::decide(rules, candidates, &visit.head, &context, None);
    let plan = plan::plan(&visit.head, rules, &context, &decision);
    if decision.is_personal() {
        visit.cookies.extend(personal::visitor_cookies(&rules.settings, &context));
        visit.sticky = personal::sticky_cookie(&rules.settings, &context, &decision);
    }
    if !decision.exposures.is_empty() {
        visit.log_key = sandbox.kept.keys.identity(platform).log_key().cloned();
        // Ids go into logs as pseudonyms, or not at all.
        visit.codes.extend(visit.log_key.is_none().then_some("exposure-no-key"));
    }
    visit.context = Some(context);
    visit.decision = decision;
    match plan {
        Plan::Fetch(plan) => exchange(visit, Some(rules), *plan, body),
        Plan::Answer(plan) => answer(visit, rules, plan),
    }
}

/// Fetches, responds and records.
fn exchange<P: Platform>(visit: &mut Visit<'_, P>, rules: Option<&RuleSet>, mut plan: FetchPlan, body: P::Body) {
    // A body goes with the methods that have one; an empty one on a GET would make it look chunked.
    let body = (!matches!(visit.head.method, Method::GET | Method::HEAD)).then_some(body);
    let written_out = |fallback: &FallbackPlan| fallback.exchange(&visit.head, rules?, visit.context.as_ref()?);
    let fetched = fetch::fetch(visit.platform, plan.primary, plan.fallback, written_out, body, plan.body.is_some());
    let exchange = fetched.exchange;
    visit.codes.append(&mut plan.codes);
    let mut response = match fetched.response {
        Ok(response) => response,
        Err(error) => {
            visit.codes.push(fetch::send_code(error));
            // What was not shown is no exposure, and nothing to remember.
            visit.forget_arms();
            let status = error_page::status_for(error);
            let (headers, body) = error_page::page(status, &visit.head.request_id);
            Response { status, headers, body: P::Body::from(body.into_bytes()) }
        }
    };
    if fetched.fallback.is_some() {
        visit.forget_arms();
        plan.body = None;
    }
    let treatment = fit_body(visit, plan.body.as_mut(), plan.privacy, &exchange, &mut response);
    for name in &plan.vary {
        response.headers.append(http::header::VARY, http::HeaderValue::from_name(name.clone()));
    }
    if !plan.hints.is_empty() {
        respond::ask_for_hints(&mut response.headers, &plan.hints);
    }
    visit.add_own_headers(&mut response.headers);
    respond::shape(response.status, &mut response.headers, &exchange.variant, visit.privacy(plan.privacy));
    let revision = rules.and_then(|rules| rules.revision.as_deref());
    respond::add_revision(&mut response.headers, revision, plan.privacy);
    visit.add_server_timing(rules, &mut response.headers, Some(fetched.first_byte));
    let sent = Sent {
        status: response.status.as_u16(),
        bytes: record::content_length(&response.headers),
        route: plan.route.as_deref(),
        variant: Some(&exchange.variant),
        exchange: Some(&exchange),
        fallback: fetched.fallback,
        origin: Some(fetched.first_byte),
    };
    let limits = rules.map(|rules| rules.settings.limits.clone()).unwrap_or_default();
    let code = match (treatment, &plan.body) {
        (Treatment::Html(charset), Some(body)) => send_html(visit.platform, body, charset, &limits, response),
        (Treatment::Json, Some(body)) => send_edited(visit.platform, &limits, response, |bytes| body.edit_json(bytes)),
        (Treatment::Playlist(hls), _) => {
            send_edited(visit.platform, &limits, response, |bytes| filter_playlist(hls, bytes))
        }
        (Treatment::Untouched, _) | (_, None) => {
            visit.platform.respond(response);
            None
        }
    };
    visit.codes.extend(code);
    visit.record(rules, &sent);
}

/// What becomes of the answer's body, with the headers that must agree with it: its version, its length, and a 304 where the client has
/// that version.
fn fit_body<P: Platform>(
    visit: &mut Visit<'_, P>,
    body: Option<&mut BodyPlan>,
    privacy: Privacy,
    exchange: &Exchange,
    response: &mut Response<P::Body>,
) -> Treatment {
    let head = &visit.head;
    let mut treatment = Treatment::Untouched;
    if let Some(body) = body {
        let (found, code) = treat(body, &head.method, &head.headers, response);
        treatment = found;
        visit.codes.extend(code);
        if let Treatment::Html(_) = treatment {
            body.html.adopt_nonce(csp_nonce(&response.headers));
        }
    } else if privacy != Privacy::Transparent
        && response.headers.contains_key(http::header::ETAG)
        && let Some(version) = exchange.version(head)
    {
        fit_version(&mut response.headers, &version);
    }
    if matches!(exchange.caching, Caching::Keyed { .. })
        && conditional::is_not_modified(&head.method, &head.headers, response.status, &response.headers)
    {
        response.status = http::StatusCode::NOT_MODIFIED;
        conditional::to_not_modified(&mut response.headers);
        response.body = P::Body::from(Vec::new());
        return Treatment::Untouched;
    }
    treatment
}

/// Answers without a backend, and records.
fn answer<P: Platform>(visit: &mut Visit<'_, P>, rules: &RuleSet, mut plan: AnswerPlan) {
    visit.add_own_headers(&mut plan.headers);
    respond::shape(plan.status, &mut plan.headers, &plan.variant, visit.privacy(plan.privacy));
    respond::add_revision(&mut plan.headers, rules.revision.as_deref(), plan.privacy);
    visit.add_server_timing(Some(rules), &mut plan.headers, None);
    let body = if visit.head.method == Method::HEAD { Vec::new() } else { plan.body.into_bytes() };
    let sent = Sent {
        status: plan.status.as_u16(),
        bytes: u64::try_from(body.len()).ok(),
        route: Some(&plan.route),
        variant: Some(&plan.variant),
        ..Sent::default()
    };
    visit.platform.respond(Response { status: plan.status, headers: plan.headers, body: body.into() });
    visit.record(Some(rules), &sent);
}
