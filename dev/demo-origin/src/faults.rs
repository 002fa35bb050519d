//! `/fault/…`: every way in which an origin lets its callers down.

use std::time::Duration;

use hyper::StatusCode;
use hyper::http::request::Parts;

use crate::Behaviour;
use crate::answer::Answer;
use crate::behaviour::valid;
use crate::shop::number;

/// How long a stall lasts where the query doesn't say (`?ms=`).
const STALL_MS: u64 = 5_000;

/// `/fault/{fault}/…`.
pub(crate) fn answer(head: &Parts, fault: &str, rest: &[&str]) -> Answer {
    let time = Duration::from_millis(number(head, "ms").unwrap_or(STALL_MS));
    let behaviour = match (fault, rest) {
        ("stall-head", []) => Behaviour::StallHead(time),
        ("stall-body", []) => Behaviour::StallBody(time),
        ("reset", []) => Behaviour::Reset,
        ("reset-body", []) => Behaviour::ResetBody,
        ("truncate", []) => Behaviour::Truncate,
        ("status", [code]) => {
            let status = code.parse().map_or(StatusCode::NOT_FOUND, valid);
            return Answer::status(status);
        }
        _ => return Answer::not_found(),
    };
    behaviour.apply(Answer::text(StatusCode::OK, "first half of the answer\nsecond half of the answer\n"))
}
