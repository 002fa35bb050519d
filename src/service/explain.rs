//! `/.edge/explain`: a visitor described by query parameters, the whole decision with its reasons, as JSON (design.md section 6).
//!
//! `url` is asked for (required), by `method`, from `address` or from `country`, `subdivision`, `continent`; with `me` the visitor is whoever
//! asks. `device`, `network`, `language`, `consent` say it in a word, `header=Name: value` may come several times, `user` counts as proven,
//! `at` is a time (RFC 3339). `revision` shows that revision, whatever the pointer says of it, and whether or not the kill switch is on.
//! `canary` of the answer says on which side of a canary the visitor is.
//!
//! Who has the bearer token of the secret `admin` may ask everything. Who has the inspector's cookie may ask about pages of this host and the
//! users that the link names, and sees no credentials.

mod described;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::{Sandbox, inspect};
use crate::admit::{Arrival, RequestHead, microseconds};
use crate::context::inspect::InspectClaims;
use crate::explain::{Explanation, explain};
use crate::plan::key::digest;
use crate::platform::Platform;
use crate::rules::Rules;
use crate::rules::canary::Share;
use crate::rules::settings::Settings;
use crate::wire::authority;
use crate::wire::cookies::Cookies;
use crate::wire::headers::bearer_token;
use described::Asked;

/// The secret that holds the bearer token.
const SECRET: &str = "admin";
/// Shortest token that counts: a guess must take longer than the token lives.
const SHORTEST_TOKEN: usize = 16;

/// The answer: 200 with the explanation, 400 with what is wrong, 404 for who has no token, 409 where no rules serve.
pub(super) fn answer<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    sandbox: &mut Sandbox,
    head: &RequestHead,
) -> (StatusCode, HeaderMap, String) {
    let headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ]);
    let error = |status: StatusCode, reason: &str| {
        (status, headers.clone(), serde_json::json!({ "error": reason }).to_string())
    };
    let inspector = match is_admin(platform, head) {
        true => None,
        false => match inspect::inspector(platform, &mut sandbox.kept, head, arrival.now) {
            Some(claims) => Some(claims),
            // Nobody learns that there is something to guess at.
            None => return error(StatusCode::NOT_FOUND, "not found"),
        },
    };
    let Sandbox { rules: cache, kept, .. } = sandbox;
    let asked = described::read(platform, arrival, head, kept);
    let asked = asked.and_then(|asked| inspector.as_ref().map_or(Ok(()), |may| within(may, &asked)).map(|()| asked));
    let Asked { described, address, revision } = match asked {
        Ok(asked) => asked,
        Err(reason) => return error(StatusCode::BAD_REQUEST, &reason),
    };
    // The revision is chosen as for the visitor who is described: a canary's visitor gets the canary's rules.
    let unit = |settings: &Settings| {
        let host = authority::host(&described.request.authority).to_ascii_lowercase();
        let visitor =
            settings.on_host(&host).visitor.read(&Cookies::of(&described.request.headers)).map(|id| id.to_string());
        visitor.or_else(|| address.map(|address| address.to_string()))
    };
    let (set, role) = match &revision {
        Some(name) => {
            let (stores, is_staging) = (&mut super::FromPlatform(platform), platform.runtime().is_staging);
            let (set, _) = cache.resolve_named(name, stores, is_staging, arrival.uptime, 0);
            let Some(set) = set else {
                let message = format!("revision: expected one that can serve, but found '{name}'");
                return error(StatusCode::CONFLICT, &message);
            };
            (set, None)
        }
        None => {
            let (rules, notes) = super::resolve(platform, cache, arrival, unit);
            super::reserved::name_faults(platform, arrival, head, &rules, &notes);
            let Rules::Set(served) = rules else {
                return error(StatusCode::CONFLICT, "the kill switch is on, or no rules are usable");
            };
            (served.set, Some(served.role))
        }
    };
    let canary = cache.canary().map(|canary| {
        let (unit, share) = (unit(&set.settings), canary.share());
        let is_within = share == Share::ALL || unit.as_deref().is_some_and(|unit| share.has(&canary.revision, unit));
        let is_address = |unit: &str| address.is_some_and(|address| address.to_string() == unit);
        let unit = unit.map(|unit| if is_address(&unit) { "address" } else { "visitor" });
        CanarySide { revision: canary.revision.clone(), percent: canary.percent, is_within, unit }
    });
    let rules_us = microseconds(arrival.elapsed(platform));
    let mut explanation = explain(&set, role, described);
    if inspector.is_some() {
        explanation.hide_credentials();
    }
    let timings = Timings { rules_us, total_us: microseconds(arrival.elapsed(platform)) };
    match serde_json::to_string(&Answered { explanation, canary, timings }) {
        Ok(body) => (StatusCode::OK, headers, body),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "the explanation could not be written"),
    }
}

/// The explanation, and what the canary makes of the visitor.
#[derive(Serialize)]
struct Answered {
    #[serde(flatten)]
    explanation: Explanation,
    canary: Option<CanarySide>,
    timings: Timings,
}

/// How long it took, in microseconds from the request on.
#[derive(Serialize)]
struct Timings {
    /// Until the rules were there.
    rules_us: u64,
    /// Until the decision was explained.
    total_us: u64,
}

/// The canary that is on, and the visitor's side of it.
#[derive(Serialize)]
struct CanarySide {
    revision: String,
    percent: f64,
    #[serde(rename = "within")]
    is_within: bool,
    /// What tells the visitor from others: `visitor` (the cookie), `address`; `null` where nothing does.
    unit: Option<&'static str>,
}

/// Whether what is asked for is within what an inspector may see.
fn within(may: &InspectClaims, asked: &Asked<'_>) -> Result<(), String> {
    let host = authority::host(&asked.described.request.authority);
    if !host.eq_ignore_ascii_case(&may.host) {
        return Err(format!("url: expected a page of {}, but found one of '{host}'", may.host));
    }
    match &asked.described.user {
        Some(user) if !may.users.iter().any(|known| known == user.as_str()) => Err(format!(
            "user: expected a test user that the link names (`personalizer inspect --user`), but found '{}'",
            user.as_str()
        )),
        _ => Ok(()),
    }
}

/// Whether the request has the bearer token. Digests are compared: how long that takes says nothing of the token.
fn is_admin<P: Platform>(platform: &P, head: &RequestHead) -> bool {
    let Some(token) = bearer_token(&head.headers) else { return false };
    let secret = platform.secret(SECRET).ok().flatten().unwrap_or_default();
    let secret = secret.trim_ascii();
    secret.len() >= SHORTEST_TOKEN && digest([token]) == digest([secret])
}
