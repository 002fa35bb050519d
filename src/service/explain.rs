//! `/.edge/explain`: a visitor described by query parameters, the whole decision with its reasons, as JSON (design.md section 6).
//!
//! `url` is asked for (required), by `method`, from `address` or from `country`, `subdivision`, `continent`; `header=Name: value` may
//! come several times, `user` counts as proven, `at` is a time (RFC 3339). `revision` shows that revision, whatever the pointer says of it,
//! and whether or not the kill switch is on. `canary` of the answer says on which side of a canary the visitor is.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Sandbox;
use crate::admit::{Arrival, RequestHead};
use crate::context::Kept;
use crate::context::identity::UserId;
use crate::explain::{Described, Explanation, explain};
use crate::plan::key::digest;
use crate::platform::geo::CONTINENTS;
use crate::platform::{ClientRequest, Geo, Platform};
use crate::rules::Rules;
use crate::rules::canary::Share;
use crate::rules::pointer::is_revision_name;
use crate::rules::settings::Settings;
use crate::session;
use crate::wire::authority;
use crate::wire::cookies::Cookies;
use crate::wire::query::pairs;
use crate::wire::url::AbsoluteUrl;

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
    if !is_admin(platform, head) {
        // Nobody learns that there is something to guess at.
        return error(StatusCode::NOT_FOUND, "not found");
    }
    let Asked { described, address, revision } = match described(platform, arrival, head, &mut sandbox.kept) {
        Ok(described) => described,
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
            let (set, _) = sandbox.rules.resolve_named(name, stores, is_staging, arrival.uptime);
            let Some(set) = set else {
                let message = format!("revision: expected one that can serve, but found '{name}'");
                return error(StatusCode::CONFLICT, &message);
            };
            (set, None)
        }
        None => {
            let (rules, notes) = super::resolve(platform, &mut sandbox.rules, arrival, unit);
            super::reserved::name_faults(platform, arrival, head, &rules, &notes);
            let Rules::Set(served) = rules else {
                return error(StatusCode::CONFLICT, "the kill switch is on, or no rules are usable");
            };
            (served.set, Some(served.role))
        }
    };
    let canary = sandbox.rules.canary().map(|canary| {
        let (unit, share) = (unit(&set.settings), canary.share());
        let is_within = share == Share::ALL || unit.as_deref().is_some_and(|unit| share.has(&canary.revision, unit));
        let is_address = |unit: &str| address.is_some_and(|address| address.to_string() == unit);
        let unit = unit.map(|unit| if is_address(&unit) { "address" } else { "visitor" });
        CanarySide { revision: canary.revision.clone(), percent: canary.percent, is_within, unit }
    });
    match serde_json::to_string(&Answered { explanation: explain(&set, role, described), canary }) {
        Ok(body) => (StatusCode::OK, headers, body),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "the explanation could not be written"),
    }
}

/// What was asked for.
struct Asked<'a> {
    /// The visitor and the request.
    described: Described<'a>,
    /// The address that the query names.
    address: Option<IpAddr>,
    /// The revision that it names.
    revision: Option<String>,
}

/// The explanation, and what the canary makes of the visitor.
#[derive(Serialize)]
struct Answered {
    #[serde(flatten)]
    explanation: Explanation,
    canary: Option<CanarySide>,
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

/// Whether the request has the bearer token. Digests are compared: how long that takes says nothing of the token.
fn is_admin<P: Platform>(platform: &P, head: &RequestHead) -> bool {
    let sent = head.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let Some(token) = sent.strip_prefix(b"Bearer ") else { return false };
    let secret = platform.secret(SECRET).ok().flatten().unwrap_or_default();
    let secret = secret.trim_ascii();
    secret.len() >= SHORTEST_TOKEN && digest([token.trim_ascii()]) == digest([secret])
}

/// What the query asks for.
fn described<'a, P: Platform>(
    platform: &'a P,
    arrival: &Arrival,
    head: &RequestHead,
    kept: &'a mut Kept,
) -> Result<Asked<'a>, String> {
    let preview_keys = kept.keys.preview(platform);
    let identity_keys = kept.keys.identity(platform);
    let breaker = &mut kept.breaker;
    let mut described = Described {
        request: ClientRequest {
            method: Method::GET,
            scheme: String::new(),
            authority: String::new(),
            path: String::new(),
            query: None,
            headers: HeaderMap::new(),
            address: None,
            body: (),
        },
        geo: None,
        device: None,
        user: None,
        identity_keys,
        session: Box::new(move |subjects, settings, on_miss| {
            let started = session::start(platform, subjects);
            session::finish(platform, started, settings, on_miss, breaker)
        }),
        preview_keys,
        now: arrival.now,
        random: [platform.random(), platform.random()],
    };
    let (mut place, mut named, mut revision) = (Geo::default(), None, None);
    for (name, value) in pairs(head.query.as_deref().unwrap_or_default()) {
        let wrong = |expected: &str| format!("{name}: expected {expected}, but found '{value}'");
        let request = &mut described.request;
        match name.as_str() {
            "url" => set_url(request, &value).ok_or_else(|| wrong("an absolute URL"))?,
            "method" => request.method = value.parse().map_err(|_| wrong("a method"))?,
            "address" => {
                let address = value.parse().map_err(|_| wrong("an IP address"))?;
                described.geo = platform.geo(address);
                named = Some(address);
            }
            "country" => place.country = Some(value.to_ascii_uppercase()),
            "subdivision" => place.subdivision = Some(value.to_ascii_uppercase()),
            "continent" => {
                let known = CONTINENTS.into_iter().find(|code| code.eq_ignore_ascii_case(&value));
                place.continent = Some(known.ok_or_else(|| wrong("AF, AN, AS, EU, NA, OC or SA"))?);
            }
            "header" => {
                let line = value.split_once(':').and_then(|(name, value)| {
                    Some((
                        HeaderName::from_bytes(name.trim().as_bytes()).ok()?,
                        value.trim().parse::<HeaderValue>().ok()?,
                    ))
                });
                let (name, value) = line.ok_or_else(|| wrong("'Name: value'"))?;
                request.headers.append(name, value);
            }
            "user" => described.user = Some(UserId::parse(&value).ok_or_else(|| wrong("a user id"))?),
            "at" => described.now = OffsetDateTime::parse(&value, &Rfc3339).map_err(|_| wrong("a time (RFC 3339)"))?,
            "revision" if is_revision_name(&value) => revision = Some(value),
            "revision" => return Err(wrong("the name of a revision")),
            _ => {
                let known = "url, method, address, country, subdivision, continent, header, user, at or revision";
                return Err(wrong(known));
            }
        }
    }
    if place != Geo::default() {
        described.geo = Some(place);
    }
    let agent = described.request.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    described.device = agent.and_then(|agent| platform.device(agent));
    match described.request.path.is_empty() {
        true => Err("url: expected the URL that is asked for, but found none".to_owned()),
        false => Ok(Asked { described, address: named, revision }),
    }
}

fn set_url(request: &mut ClientRequest<()>, url: &str) -> Option<()> {
    let url = AbsoluteUrl::split(url).filter(|url| !url.authority.is_empty())?;
    let (path, query) = url.path_and_query();
    url.scheme.clone_into(&mut request.scheme);
    url.authority.clone_into(&mut request.authority);
    path.clone_into(&mut request.path);
    request.query = query.map(str::to_owned);
    Some(())
}
