//! What the edge answers itself: refusals and reserved paths (design.md section 6).

use std::io::Read;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::Sandbox;
use super::explain;
use super::visit::Visit;
use crate::admit::{Refusal, Reserved};
use crate::platform::{ClientRequest, Platform, Response};
use crate::record;
use crate::replication;
use crate::respond::error_page;
use crate::rules::settings::Settings;
use crate::rules::{RuleCache, Rules};

/// Answers a request that was not admitted.
pub(super) fn refuse<P: Platform>(platform: &P, refusal: &Refusal) {
    let (mut headers, body) = error_page::page(refusal.status, &refusal.request_id);
    if refusal.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    platform.respond(Response { status: refusal.status, headers, body: body.into_bytes().into() });
    let time = record::timestamp(platform.now());
    record::errors(platform, &time, &refusal.request_id, None, &[], &[refusal.code]);
}

/// Answers a reserved path.
pub(super) fn answer<P: Platform>(
    visit: &Visit<'_, P>,
    sandbox: &mut Sandbox,
    request: ClientRequest<P::Body>,
    path: Reserved,
) {
    let platform = visit.platform;
    let method = &visit.head.method;
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let (status, headers, body) = match path {
        Reserved::Health if is_read => {
            let (headers, body) = health(visit, &mut sandbox.rules);
            (StatusCode::OK, headers, body)
        }
        Reserved::Explain if is_read => {
            let (rules, _) = rules(visit, &mut sandbox.rules);
            match rules {
                Rules::Set(served) => explain::answer(visit, Some(&served.set)),
                Rules::Off | Rules::Unusable => explain::answer(visit, None),
            }
        }
        Reserved::Sessions if *method == Method::POST => sessions(visit, &mut sandbox.rules, request.body),
        Reserved::Health | Reserved::Explain | Reserved::Sessions | Reserved::Unknown => {
            let (headers, body) = error_page::page(StatusCode::NOT_FOUND, &visit.head.request_id);
            (StatusCode::NOT_FOUND, headers, body)
        }
    };
    let body = if *method == Method::HEAD { Vec::new() } else { body.into_bytes() };
    platform.respond(Response { status, headers, body: body.into() });
}

/// The rules as they are now; their faults are named.
fn rules<P: Platform>(visit: &Visit<'_, P>, cache: &mut RuleCache) -> (Rules, bool) {
    let platform = visit.platform;
    let staging = platform.runtime().is_staging;
    let (rules, notes) = super::resolve(platform, cache, staging, visit.started, None);
    let revision = match &rules {
        Rules::Set(served) => served.set.revision.as_deref(),
        Rules::Off | Rules::Unusable => None,
    };
    // A probe can be the first to meet a faulty dictionary: it names it as any request would.
    let time = record::timestamp(visit.now);
    record::errors(platform, &time, &visit.head.request_id, revision, &notes.faults, &notes.codes);
    (rules, notes.store_error.is_none())
}

/// Status, revision and service version; works with every store missing.
fn health<P: Platform>(visit: &Visit<'_, P>, cache: &mut RuleCache) -> (HeaderMap, String) {
    let runtime = visit.platform.runtime();
    let (rules, store_answers) = rules(visit, cache);
    let (state, revision) = match &rules {
        Rules::Set(served) => ("personalizing", served.set.revision.clone()),
        Rules::Off => ("disabled", None),
        Rules::Unusable => ("passthrough", None),
    };
    let body = serde_json::json!({
        "status": "ok",
        "rules": state,
        "revision": revision,
        "config_store": if store_answers { "ok" } else { "unavailable" },
        "service_version": runtime.service_version,
        "pop": runtime.pop,
    });
    let headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]);
    (headers, body.to_string())
}

/// Takes session records from the central backend.
fn sessions<P: Platform>(
    visit: &Visit<'_, P>,
    cache: &mut RuleCache,
    body: P::Body,
) -> (StatusCode, HeaderMap, String) {
    let settings = match rules(visit, cache).0 {
        Rules::Set(served) => std::rc::Rc::clone(&served.set.settings),
        Rules::Off | Rules::Unusable => std::rc::Rc::new(Settings::default()),
    };
    // One byte more than is allowed tells that there is more.
    let limit = u64::try_from(settings.replication.max_bytes()).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if body.take(limit).read_to_end(&mut bytes).is_err() {
        let (headers, page) = error_page::page(StatusCode::BAD_REQUEST, &visit.head.request_id);
        return (StatusCode::BAD_REQUEST, headers, page);
    }
    let answer = replication::handle(
        visit.platform,
        &visit.head.headers,
        &bytes,
        &settings.replication,
        &settings.session,
        visit.now,
    );
    let codes: Vec<&str> = answer.code.into_iter().collect();
    let time = record::timestamp(visit.now);
    record::errors(visit.platform, &time, &visit.head.request_id, None, &[], &codes);
    let headers = answer.headers();
    (answer.status, headers, answer.body.to_string())
}
