//! `/.edge/explain`: a visitor described by query parameters, the whole decision with its reasons, as JSON (design.md section 6).
//!
//! `url` is asked for (required), by `method`, from `address` or from `country`, `subdivision`, `continent`; `header=Name: value` may
//! come several times, `user` counts as proven, `at` is a time (RFC 3339).

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::visit::Visit;
use crate::context::identity::UserId;
use crate::context::keys::Keys;
use crate::explain::{Described, explain};
use crate::plan::key::digest;
use crate::platform::geo::CONTINENTS;
use crate::platform::{ClientRequest, Geo, Platform};
use crate::rules::RuleSet;
use crate::wire::query::pairs as query_pairs;

/// The secret that holds the bearer token.
const SECRET: &str = "admin";
/// Shortest token that counts: a guess must take longer than the token lives.
const SHORTEST_TOKEN: usize = 16;

/// The answer: 200 with the explanation, 400 with what is wrong, 404 for who has no token.
pub(super) fn answer<P: Platform>(visit: &Visit<'_, P>, rules: Option<&RuleSet>) -> (StatusCode, HeaderMap, String) {
    let headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ]);
    let error = |status: StatusCode, reason: &str| {
        (status, headers.clone(), serde_json::json!({ "error": reason }).to_string())
    };
    if !is_admin(visit) {
        // Nobody learns that there is something to guess at.
        return error(StatusCode::NOT_FOUND, "not found");
    }
    let Some(rules) = rules else {
        return error(StatusCode::CONFLICT, "the kill switch is on, or no rules are usable");
    };
    match described(visit) {
        Ok(described) => match serde_json::to_string(&explain(rules, described)) {
            Ok(body) => (StatusCode::OK, headers, body),
            Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "the explanation could not be written"),
        },
        Err(reason) => error(StatusCode::BAD_REQUEST, &reason),
    }
}

/// Whether the request has the bearer token. Digests are compared: how long that takes says nothing of the token.
fn is_admin<P: Platform>(visit: &Visit<'_, P>) -> bool {
    let sent = visit.head.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let Some(token) = sent.strip_prefix(b"Bearer ") else { return false };
    let secret = visit.platform.secret(SECRET).ok().flatten().unwrap_or_default();
    let secret = secret.trim_ascii();
    secret.len() >= SHORTEST_TOKEN && digest([token.trim_ascii()]) == digest([secret])
}

fn described<P: Platform>(visit: &Visit<'_, P>) -> Result<Described, String> {
    let platform = visit.platform;
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
        preview_keys: Keys::default().preview(platform),
        now: visit.now,
        random: [platform.random(), platform.random()],
    };
    let mut place = Geo::default();
    for (name, value) in query_pairs(visit.head.query.as_deref().unwrap_or_default()) {
        let wrong = |expected: &str| format!("{name}: expected {expected}, but found '{value}'");
        let request = &mut described.request;
        match name.as_str() {
            "url" => set_url(request, &value).ok_or_else(|| wrong("an absolute URL"))?,
            "method" => request.method = value.parse().map_err(|_| wrong("a method"))?,
            "address" => {
                let address = value.parse().map_err(|_| wrong("an IP address"))?;
                described.geo = platform.geo(address);
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
            _ => return Err(wrong("url, method, address, country, subdivision, continent, header, user or at")),
        }
    }
    if place != Geo::default() {
        described.geo = Some(place);
    }
    let agent = described.request.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    described.device = agent.and_then(|agent| platform.device(agent));
    match described.request.path.is_empty() {
        true => Err("url: expected the URL that is asked for, but found none".to_owned()),
        false => Ok(described),
    }
}

fn set_url(request: &mut ClientRequest<()>, url: &str) -> Option<()> {
    let (scheme, rest) = url.split_once("://")?;
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, target) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    scheme.clone_into(&mut request.scheme);
    authority.clone_into(&mut request.authority);
    if path.is_empty() { "/" } else { path }.clone_into(&mut request.path);
    request.query = query;
    (!authority.is_empty()).then_some(())
}
