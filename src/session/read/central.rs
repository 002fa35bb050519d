//! Asking the central backend, the source of truth.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use percent_encoding::utf8_percent_encode;
use serde_json::{Map, Value};

use super::{Found, Outcome, SessionFault, milliseconds_since};
use crate::platform::{BackendRequest, Caching, Platform, Response, SendError};
use crate::rules::settings::session::SessionSettings;
use crate::session::Subject;
use crate::session::breaker::Breaker;
use crate::session::patch::Patch;
use crate::session::record::{millis, time_ms, updated_ms};
use crate::session::stamp::{Action, Update};
use crate::session::storage::Known;
use crate::session::write_back::WriteBack;
use crate::wire::query::RESERVED;

/// Bytes read from a body at a time; the deadline is looked at in between.
const CHUNK: usize = 8 * 1024;
/// Milliseconds that the central backend's clock may be ahead. A record further in the future would win over every
/// real update to come.
const MOST_AHEAD: i64 = 5 * 60 * 1000;

/// Asks for every record that isn't fresh, all at once.
pub(super) fn refresh<P: Platform>(
    platform: &P,
    found: &mut [Found],
    settings: &SessionSettings,
    deadline: Duration,
    breaker: &mut Breaker,
    outcome: &mut Outcome,
) {
    let Some(template) = &settings.path else {
        return;
    };
    if found.iter().all(|found| found.fresh) {
        return;
    }
    let began = platform.uptime();
    let refused = if began >= deadline {
        Some(SessionFault::Budget)
    } else if !breaker.allows(began) {
        Some(SessionFault::BreakerOpen)
    } else {
        None
    };
    if let Some(fault) = refused {
        outcome.faults.push(fault);
        found.iter_mut().filter(|found| !found.fresh).for_each(|found| found.central = Some(Err(fault)));
        return;
    }
    let asked_at = millis(platform.now());
    let asked: Vec<_> = found
        .iter_mut()
        .filter(|found| !found.fresh)
        .map(|found| {
            let pending = request(&found.subject, template, settings)
                .and_then(|request| platform.send_start(request).map_err(of_send));
            (found, pending)
        })
        .collect();
    for (found, pending) in asked {
        let answer = pending.and_then(|pending| {
            let left = deadline.saturating_sub(platform.uptime());
            let response = platform.send_wait(pending, left).map_err(of_send)?;
            read(platform, response, settings, deadline, asked_at)
        });
        match answer {
            Ok((answer, is_flawed)) => {
                breaker.succeeded();
                outcome.faults.extend(is_flawed.then_some(SessionFault::Malformed));
                found.central = Some(Ok(()));
                outcome.write_back.push(accept(found, answer, asked_at, settings));
            }
            Err(fault) => {
                breaker.failed(platform.uptime(), settings);
                outcome.faults.push(fault);
                found.central = Some(Err(fault));
            }
        }
    }
    outcome.timing.api_ms = Some(milliseconds_since(began, platform.uptime()));
}

fn of_send(error: SendError) -> SessionFault {
    match error {
        SendError::NoBackend => SessionFault::NoBackend,
        SendError::TimedOut => SessionFault::TimedOut,
        SendError::Unreachable | SendError::Failed => SessionFault::Unreachable,
    }
}

fn request<B>(
    subject: &Subject,
    template: &str,
    settings: &SessionSettings,
) -> Result<BackendRequest<B>, SessionFault> {
    let id = utf8_percent_encode(&subject.id(), RESERVED).to_string();
    let path = template.replace("{kind}", subject.kind()).replace("{id}", &id);
    let url = format!("https://{}{path}", settings.host);
    // Without an id, everybody would have the same session.
    if !template.contains("{id}") || !path.starts_with('/') || url.parse::<http::Uri>().is_err() {
        return Err(SessionFault::NoBackend);
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    Ok(BackendRequest {
        backend: settings.backend.clone(),
        method: Method::GET,
        url,
        headers,
        body: None,
        caching: Caching::Pass,
        decompress_gzip: false,
    })
}

/// What the central backend knows.
enum Answer {
    /// A record, as an update.
    Session(Update),
    /// That there is none.
    Nothing,
}

/// The answer, and whether a part of it can't be used.
fn read<P: Platform>(
    platform: &P,
    response: Response<P::Body>,
    settings: &SessionSettings,
    deadline: Duration,
    asked_at: i64,
) -> Result<(Answer, bool), SessionFault> {
    match response.status {
        StatusCode::OK => {}
        StatusCode::NO_CONTENT | StatusCode::NOT_FOUND | StatusCode::GONE => {
            return Ok((Answer::Nothing, false));
        }
        _ => return Err(SessionFault::Status),
    }
    let bytes = bounded(platform, response.body, settings.max_bytes, deadline)?;
    let object: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|_| SessionFault::Malformed)?;
    let mut issues = Vec::new();
    let patch = Patch::read(&object, &settings.limits, &mut issues);
    // Of an answer with mistakes alone nobody can say that it means an empty session.
    if !issues.is_empty() && patch == Patch::default() {
        return Err(SessionFault::Malformed);
    }
    // Without a time of its own, the record counts as of the moment it was asked for: whatever happened later isn't
    // in it.
    let said = object.get("updated_at");
    let updated_at = said.and_then(updated_ms).unwrap_or(asked_at);
    let updated_at = if updated_at > asked_at.saturating_add(MOST_AHEAD) { asked_at } else { updated_at };
    let is_in_seconds = said.is_some_and(|said| time_ms(said).is_some() && updated_ms(said).is_none());
    let is_flawed = is_in_seconds || issues.iter().any(|issue| !issue.is_limit);
    Ok((Answer::Session(Update::new(updated_at, Action::Put(patch))), is_flawed))
}

/// The whole body, if it has at most `limit` bytes and comes before the deadline.
fn bounded<P: Platform>(
    platform: &P,
    mut body: P::Body,
    limit: usize,
    deadline: Duration,
) -> Result<Vec<u8>, SessionFault> {
    let mut bytes = Vec::new();
    let mut chunk = [0; CHUNK];
    loop {
        let length = body.read(&mut chunk).map_err(|error| {
            // The platform doesn't say of every error which it is: one that comes after the budget was a time-out.
            let late = error.kind() == ErrorKind::TimedOut || platform.uptime() >= deadline;
            if late { SessionFault::TimedOut } else { SessionFault::BrokenOff }
        })?;
        if length == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(chunk.get(..length).unwrap_or_default());
        if bytes.len() > limit {
            return Err(SessionFault::TooLarge);
        }
        if platform.uptime() >= deadline {
            return Err(SessionFault::TimedOut);
        }
    }
}

/// Applies the answer to what was read, and says what to store.
fn accept(found: &mut Found, answer: Answer, asked_at: i64, settings: &SessionSettings) -> WriteBack {
    let known = found.known.clone();
    let nothing = Known::default();
    let current = found.known.get_or_insert(nothing);
    let update = match answer {
        Answer::Session(update) => Some(update),
        // Everything the edge knew of is gone; what comes later may well be there.
        Answer::Nothing if current.stored.exists() => Some(Update::new(current.stored.updated_at(), Action::Delete)),
        Answer::Nothing => None,
    };
    if let Some(update) = &update {
        current.stored.apply(update, &settings.limits);
    }
    current.stored.check(asked_at);
    WriteBack { key: found.subject.kv_key(), update, checked_at: asked_at, known }
}
