//! The second pass: this is the shield, and the edge has decided. The request goes on as it was decided there, and nothing else happens.

use http::{Method, header};

use crate::admit::{Arrival, milliseconds};
use crate::code::Code;
use crate::fetch::pass::Passage;
use crate::fetch::{key_hex, send_code};
use crate::platform::{BackendRequest, Platform, Response};
use crate::record::{self, DecisionLine, SCHEMA};
use crate::respond::error_page;
use crate::rules::settings::log::EVERY_PATH;
use crate::wire::headers::remove_hop_by_hop;

/// Asks the backend, under the key and the surrogate keys of the edge, and hands its answer on as it is.
pub(super) fn forward<P: Platform>(platform: &P, arrival: &Arrival, passage: Passage) {
    let Passage { mut exchange, request_id, is_logged, sample } = passage;
    let trace = exchange.headers.get("traceparent").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let sent = platform.send(BackendRequest {
        backend: exchange.backend.clone(),
        method: exchange.method.clone(),
        url: exchange.url.clone(),
        headers: std::mem::take(&mut exchange.headers),
        body: None,
        caching: exchange.caching.clone(),
        decompress_gzip: false,
    });
    let origin = arrival.elapsed(platform);
    let mut codes: Vec<Code> = Vec::new();
    let mut response = sent.unwrap_or_else(|error| {
        codes.push(send_code(error));
        let status = error_page::status_for(error);
        let (headers, page) = error_page::page(status, &request_id);
        let page = if exchange.method == Method::HEAD { Vec::new() } else { page.into_bytes() };
        Response { status, headers, body: page.into() }
    });
    remove_hop_by_hop(&mut response.headers);
    let status = response.status;
    let bytes = response.headers.get(header::CONTENT_LENGTH);
    let bytes = bytes.and_then(|value| value.to_str().ok()?.parse().ok());
    platform.respond(response);
    let time = record::timestamp(arrival.now);
    record::errors(platform, &time, &request_id, None, &[], &codes);
    let has_failed = status.is_server_error();
    if !is_logged && !has_failed {
        return;
    }
    let runtime = platform.runtime();
    record::decision(
        platform,
        &DecisionLine {
            v: SCHEMA,
            time,
            request_id: &request_id,
            trace_id: trace.as_deref().and_then(|trace| trace.split('-').nth(1)).unwrap_or_default(),
            pop: &runtime.pop,
            service_version: runtime.service_version,
            method: exchange.method.as_str(),
            // What is to be redacted isn't known here. The first pass has the path, in the line of the same request.
            path: EVERY_PATH,
            status: status.as_u16(),
            sample: if has_failed { 1.0 } else { sample },
            cache_key: key_hex(&exchange),
            backend: Some(&exchange.backend),
            pass: 2,
            errors: &codes,
            cold: arrival.is_cold,
            total_ms: milliseconds(origin),
            done_ms: milliseconds(arrival.elapsed(platform)),
            origin_ms: Some(milliseconds(origin)),
            vcpu_ms: arrival.vcpu_used(platform),
            heap_mib: platform.heap_mib(),
            bytes,
            ..DecisionLine::default()
        },
    );
}
