//! `POST /.edge/sessions`: the central backend streams sessions to the edge.
//!
//! The request is signed as the Standard Webhooks specification 1.0.0 says; the body is NDJSON or a JSON array of
//! updates, one for a user or a visitor each:
//!
//! ```json
//! {"op":"put","user":"alice","updated_at":"2026-11-27T10:00:00.000Z","record":{"cart":[{"sku":"a","quantity":1}]}}
//! {"op":"merge","user":"alice","updated_at":1795773601000,"record":{"attributes":{"tier":"gold","old":null}}}
//! {"op":"delete","visitor":"00000000000000000000000000000abc","updated_at":1795773602000}
//! ```
//!
//! Updates may come in any order and any number of times: see [`stored`](crate::session::stored). So a sender repeats
//! a batch until it gets 200 or 422.
//!
//! | status | meaning |
//! | --- | --- |
//! | 200 | every item is stored, or was already |
//! | 400 | the body broke off; send it again |
//! | 401 | the signature doesn't count; nothing was read |
//! | 413 | too many bytes or items; send smaller batches |
//! | 415 | another content type than NDJSON or JSON, or a compressed body |
//! | 422 | some items can't be used and never will be (the others are stored) |
//! | 429 | the store throttles; send again after `Retry-After` |
//! | 503 | the store failed, or no secret is set; send again after `Retry-After` |

mod apply;
mod items;
pub mod webhook;

use std::io::Read;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use time::OffsetDateTime;

pub use webhook::{WebhookFault, WebhookSecret, sign};

use crate::code::Code;
use crate::platform::{Platform, StoreError};
pub use crate::rules::settings::replication::{LARGEST_BODY, ReplicationSettings};
use crate::session::SessionSettings;

/// The secret's name in the secret store.
pub const SECRET: &str = "replication";
/// Seconds after which to send again where the store failed.
const RETRY_FAILED: u32 = 5;
/// Seconds after which to send again where the store throttles: it takes one write a second for each key.
const RETRY_THROTTLED: u32 = 1;

/// How many items ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Written.
    pub stored: usize,
    /// Repeated or superseded: nothing to write.
    pub unchanged: usize,
    /// Not usable, now or ever.
    pub refused: usize,
    /// To be sent again.
    pub retry: usize,
}

/// The answer to the sender.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Seconds after which to send again.
    pub retry_after: Option<u32>,
    /// JSON: what went wrong, or what became of every item.
    pub body: Value,
    /// The code for the log; `None` where all went well.
    pub code: Option<Code>,
    /// How many items ended how.
    pub counts: Counts,
}

impl Answer {
    fn refusal(status: StatusCode, code: Code, reason: &str) -> Self {
        let body = json!({ "error": code, "reason": reason });
        Self { status, retry_after: None, body, code: Some(code), counts: Counts::default() }
    }

    /// The answer's headers: never cached, never sniffed.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        headers
    }
}

/// Answers a request to replicate sessions; `now` is the wall clock. Of `body` nothing is read before the headers have shown a signature
/// of this time, and never more than [`max_bytes`](ReplicationSettings::max_bytes) and one.
pub fn handle<P: Platform>(
    platform: &P,
    headers: &HeaderMap,
    body: impl Read,
    settings: &ReplicationSettings,
    session: &SessionSettings,
    now: OffsetDateTime,
) -> Answer {
    let unauthorized = |fault: WebhookFault| Answer::refusal(StatusCode::UNAUTHORIZED, fault.code(), fault.reason());
    let announced = match webhook::announced(headers, settings.tolerance, now) {
        Ok(announced) => announced,
        Err(fault) => return unauthorized(fault),
    };
    let secrets = match secrets(platform) {
        Ok(secrets) => secrets,
        Err(answer) => return *answer,
    };
    // One byte more than is allowed tells that there is more.
    let limit = u64::try_from(settings.max_bytes()).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if body.take(limit).read_to_end(&mut bytes).is_err() {
        return Answer::refusal(
            StatusCode::BAD_REQUEST,
            Code::ReplicationBrokenOff,
            "the body broke off; send it again",
        );
    }
    if bytes.len() > settings.max_bytes() {
        let reason = format!("expected at most {} bytes; send smaller batches", settings.max_bytes());
        return Answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, Code::ReplicationTooLarge, &reason);
    }
    let body = bytes.as_slice();
    if let Err(fault) = announced.verify(body, &secrets) {
        return unauthorized(fault);
    }
    let plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        // RFC 9110, section 15.5.16: an encoding, too, is a media type that isn't taken.
        let reason = "expected a body without Content-Encoding";
        return Answer::refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::ReplicationContentEncoding, reason);
    }
    let Some(format) = items::Format::of(headers) else {
        let reason = "expected Content-Type application/x-ndjson or application/json";
        return Answer::refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::ReplicationContentType, reason);
    };
    let read = items::read(format, body, settings.max_items(), &session.limits, now);
    match read {
        Ok(items) => finished(apply::apply(platform, items, session)),
        Err(items::BodyFault::TooMany) => {
            let reason = format!("expected at most {} items; send smaller batches", settings.max_items());
            Answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, Code::ReplicationTooMany, &reason)
        }
        Err(items::BodyFault::Malformed(reason)) => {
            Answer::refusal(StatusCode::UNPROCESSABLE_ENTITY, Code::ReplicationMalformed, reason)
        }
    }
}

fn secrets<P: Platform>(platform: &P) -> Result<Vec<WebhookSecret>, Box<Answer>> {
    let unavailable = |code, reason| {
        let mut answer = Answer::refusal(StatusCode::SERVICE_UNAVAILABLE, code, reason);
        answer.retry_after = Some(RETRY_FAILED);
        Box::new(answer)
    };
    let secret = platform
        .secret(SECRET)
        .map_err(|_| unavailable(Code::ReplicationNoSecretStore, "the secret store did not answer"))?;
    let secrets = WebhookSecret::parse_all(secret.as_deref().unwrap_or_default());
    if secrets.is_empty() {
        return Err(unavailable(Code::ReplicationNoSecret, "no usable webhook secret (whsec_…) is set"));
    }
    Ok(secrets)
}

/// The answer that the items' ends make up: what must be sent again outweighs what never can be.
fn finished(results: Vec<(usize, apply::End)>) -> Answer {
    let mut counts = Counts::default();
    let (mut throttled, mut lines) = (false, Vec::with_capacity(results.len()));
    for (index, end) in results {
        let line = match end {
            apply::End::Stored => {
                counts.stored += 1;
                json!({ "index": index, "status": "stored" })
            }
            apply::End::Unchanged => {
                counts.unchanged += 1;
                json!({ "index": index, "status": "unchanged" })
            }
            apply::End::Refused(reason) => {
                counts.refused += 1;
                json!({ "index": index, "status": "refused", "reason": reason })
            }
            apply::End::Retry(error) => {
                counts.retry += 1;
                throttled |= error == apply::Retry::Store(StoreError::Throttled);
                json!({ "index": index, "status": "retry", "reason": error.reason() })
            }
        };
        lines.push(line);
    }
    let (status, code, retry_after) = match counts {
        Counts { retry: 1.., .. } if throttled => {
            (StatusCode::TOO_MANY_REQUESTS, Some(Code::ReplicationThrottled), Some(RETRY_THROTTLED))
        }
        Counts { retry: 1.., .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, Some(Code::ReplicationStoreFailed), Some(RETRY_FAILED))
        }
        Counts { refused: 1.., .. } => (StatusCode::UNPROCESSABLE_ENTITY, Some(Code::ReplicationRefused), None),
        _ => (StatusCode::OK, None, None),
    };
    let body = json!({
        "stored": counts.stored, "unchanged": counts.unchanged, "refused": counts.refused, "retry": counts.retry,
        "results": lines,
    });
    Answer { status, retry_after, body, code, counts }
}

#[cfg(test)]
mod tests;
