//! What the edge answers itself: refusals and reserved paths (design.md section 6).

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{Sandbox, explain, inspect};
use crate::admit::{Arrival, Refusal, RequestHead, Reserved};
use crate::code::Code;
use crate::platform::{Platform, Response};
use crate::record;
use crate::replication;
use crate::respond::error_page;
use crate::rules::settings::Settings;
use crate::rules::{Notes, Rules};

/// Answers a request that was not admitted.
pub(super) fn refuse<P: Platform>(platform: &P, arrival: &Arrival, refusal: &Refusal) {
    let (mut headers, body) = error_page::page(refusal.status, &refusal.request_id);
    if refusal.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    platform.respond(Response { status: refusal.status, headers, body: body.into_bytes().into() });
    let time = record::timestamp(arrival.now);
    record::errors(platform, &time, &refusal.request_id, None, &[], &[refusal.code]);
}

/// Answers a reserved path.
pub(super) fn answer<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    sandbox: &mut Sandbox,
    head: &RequestHead,
    body: P::Body,
    path: Reserved,
) {
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    let (status, headers, body) = match path {
        Reserved::Health if is_read => health(platform, arrival, sandbox, head),
        Reserved::Explain if is_read => explain::answer(platform, arrival, sandbox, head),
        Reserved::Sessions if head.method == Method::POST => sessions(platform, arrival, sandbox, head, body),
        Reserved::Inspect => {
            let answer = inspect::answer(platform, arrival, sandbox, head, body);
            answer.unwrap_or_else(|| not_found(head))
        }
        Reserved::Health | Reserved::Explain | Reserved::Sessions | Reserved::Unknown => not_found(head),
    };
    let body = if head.method == Method::HEAD { Vec::new() } else { body.into_bytes() };
    platform.respond(Response { status, headers, body: body.into() });
}

fn not_found(head: &RequestHead) -> (StatusCode, HeaderMap, String) {
    let (headers, page) = error_page::page(StatusCode::NOT_FOUND, &head.request_id);
    (StatusCode::NOT_FOUND, headers, page)
}

/// Names the faults that resolving the rules met: a probe can be the first to meet a faulty dictionary.
pub(super) fn name_faults<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    head: &RequestHead,
    rules: &Rules,
    notes: &Notes,
) {
    let revision = match rules {
        Rules::Set(served) => served.set.revision.as_deref(),
        Rules::Off | Rules::Unusable => None,
    };
    let time = record::timestamp(arrival.now);
    record::errors(platform, &time, &head.request_id, revision, &notes.faults, &notes.codes);
}

/// The rules as they are now, for nobody in particular.
fn rules<P: Platform>(platform: &P, arrival: &Arrival, sandbox: &mut Sandbox, head: &RequestHead) -> (Rules, Notes) {
    let (rules, notes) = super::resolve(platform, &mut sandbox.rules, arrival, |_| None);
    name_faults(platform, arrival, head, &rules, &notes);
    (rules, notes)
}

/// Status, revision and service version; works with every store missing.
fn health<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    sandbox: &mut Sandbox,
    head: &RequestHead,
) -> (StatusCode, HeaderMap, String) {
    let runtime = platform.runtime();
    let (rules, notes) = rules(platform, arrival, sandbox, head);
    let (state, revision) = match &rules {
        Rules::Set(served) => ("personalizing", served.set.revision.clone()),
        Rules::Off => ("disabled", None),
        Rules::Unusable => ("passthrough", None),
    };
    let body = serde_json::json!({
        "status": "ok",
        "rules": state,
        "revision": revision,
        "config_store": if notes.store_error.is_none() { "ok" } else { "unavailable" },
        "service_version": runtime.service_version,
        "pop": runtime.pop,
    });
    let headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]);
    (StatusCode::OK, headers, body.to_string())
}

/// Takes session records from the central backend.
fn sessions<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    sandbox: &mut Sandbox,
    head: &RequestHead,
    body: P::Body,
) -> (StatusCode, HeaderMap, String) {
    let settings = match rules(platform, arrival, sandbox, head).0 {
        Rules::Set(served) => std::rc::Rc::clone(&served.set.settings),
        Rules::Off | Rules::Unusable => std::rc::Rc::new(Settings::default()),
    };
    let (replication, session) = (&settings.replication, &settings.session);
    let answer = replication::handle(platform, &head.headers, body, replication, session, arrival.now);
    let codes: Vec<Code> = answer.code.into_iter().collect();
    record::errors(platform, &record::timestamp(arrival.now), &head.request_id, None, &[], &codes);
    let headers = answer.headers();
    (answer.status, headers, answer.body.to_string())
}
