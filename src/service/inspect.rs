//! `/.edge/inspect`: the decision for people. One static page, which asks `/.edge/explain` and shows what that says; it decides nothing
//! itself, writes nothing, and counts in no experiment.
//!
//! A signed link brings a token in its fragment. The page posts it once and it becomes a cookie, which opens this page's questions and
//! nothing else, from this page alone. Without the secret `inspect` there is no such path.

mod link;
mod names;

use std::io::Read as _;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::{Sandbox, events};
use crate::admit::{Arrival, RequestHead};
use crate::code::Code;
use crate::context::Kept;
use crate::context::inspect::{self, COOKIE, InspectClaims, TokenError};
use crate::json_words::house_wording;
use crate::platform::Platform;
use crate::record;
use crate::rules::{RuleSet, Rules};
use crate::wire::cookies::Cookies;
use crate::wire::query::pairs;

const HTML: &str = include_str!("inspect/page.html");
const STYLE: &str = include_str!("inspect/page.css");
const SCRIPT: &str = include_str!("inspect/page.js");
/// Where style and script stand in the page.
const PLACES: [&str; 2] = ["/*style*/", "/*script*/"];
/// Bytes of the longest body.
const LONGEST: u64 = 16 * 1024;

/// An answer to a question of the page.
struct Said {
    status: StatusCode,
    body: Json,
    cookie: Option<HeaderValue>,
}

impl Said {
    fn ok(body: Json) -> Self {
        Self { status: StatusCode::OK, body, cookie: None }
    }
}

/// Why there is none.
type Refused = (StatusCode, String);

/// What a page posts.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Posted {
    /// The token of a link, for a cookie.
    Token(String),
    /// A preview link to sign.
    Preview(Box<link::Wanted>),
    /// Whether the cookie is to go.
    End(bool),
}

/// The page, or the answer to a question of it; `None` where there is no secret: nobody learns that there is something to guess at.
pub(super) fn answer<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    sandbox: &mut Sandbox,
    head: &RequestHead,
    body: P::Body,
) -> Option<(StatusCode, HeaderMap, String)> {
    let keys = sandbox.kept.keys.inspect(platform);
    let codes: Vec<Code> = sandbox.kept.keys.take_code().into_iter().collect();
    record::errors(platform, &record::timestamp(arrival.now), &head.request_id, None, &[], &codes);
    if keys.is_empty() {
        return None;
    }
    let is_names = pairs(head.query.as_deref().unwrap_or_default()).any(|(name, _)| name == "names");
    let said = match head.method {
        Method::GET | Method::HEAD if !is_names => return Some(page()),
        Method::GET | Method::HEAD => names::answer(platform, arrival, sandbox, head),
        Method::POST => post(platform, arrival, sandbox, head, body),
        _ => return None,
    };
    let said = said.unwrap_or_else(|(status, reason)| Said { status, body: json!({ "error": reason }), cookie: None });
    let mut headers = guarded("application/json", "default-src 'none'; frame-ancestors 'none'");
    headers.extend(said.cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    Some((said.status, headers, said.body.to_string()))
}

/// The claims of whoever asks from the inspector's page with its cookie. Browsers say from where a request comes; what doesn't say so is
/// refused.
pub(super) fn inspector<P: Platform>(
    platform: &P,
    kept: &mut Kept,
    head: &RequestHead,
    now: OffsetDateTime,
) -> Option<InspectClaims> {
    let token = Cookies::of(&head.headers).get(COOKIE).filter(|token| !token.is_empty())?;
    if !is_from_page(head) {
        return None;
    }
    let claims: InspectClaims = inspect::verify(token, &kept.keys.inspect(platform), now).ok()?;
    is_for_host(&claims, head).then_some(claims)
}

/// Whether a page of this very host asks.
fn is_from_page(head: &RequestHead) -> bool {
    head.headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin") && !events::is_foreign(head)
}

fn is_for_host(claims: &InspectClaims, head: &RequestHead) -> bool {
    head.host().eq_ignore_ascii_case(&claims.host)
}

/// The claims, or the refusal.
fn known<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    sandbox: &mut Sandbox,
    head: &RequestHead,
) -> Result<InspectClaims, Refused> {
    let claims = inspector(platform, &mut sandbox.kept, head, arrival.now);
    claims.ok_or_else(|| {
        (
            StatusCode::FORBIDDEN,
            "expected a link of `personalizer inspect`, but found none that is valid now".to_owned(),
        )
    })
}

fn post<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    sandbox: &mut Sandbox,
    head: &RequestHead,
    body: P::Body,
) -> Result<Said, Refused> {
    if !is_from_page(head) {
        return Err((StatusCode::FORBIDDEN, "expected a page of this host, but found another's".to_owned()));
    }
    match read(head, body)? {
        Posted::Token(token) => let_in(platform, arrival, sandbox, head, token.trim()),
        Posted::End(false) => Err((StatusCode::BAD_REQUEST, "end: expected true, but found false".to_owned())),
        Posted::End(true) => Ok(Said { cookie: inspect::set_cookie("", 0), ..Said::ok(json!({ "ended": true })) }),
        Posted::Preview(wanted) => {
            let claims = known(platform, arrival, sandbox, head)?;
            link::answer(platform, arrival, sandbox, (head, &claims), *wanted).map(Said::ok)
        }
    }
}

fn read<B: std::io::Read>(head: &RequestHead, body: B) -> Result<Posted, Refused> {
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "expected application/json, but found another type".to_owned(),
        ));
    }
    let mut bytes = Vec::new();
    let read = body.take(LONGEST + 1).read_to_end(&mut bytes);
    if read.is_err() || u64::try_from(bytes.len()).is_ok_and(|length| length > LONGEST) {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, format!("expected at most {LONGEST} bytes, but found more")));
    }
    serde_json::from_slice(&bytes).map_err(|error| (StatusCode::BAD_REQUEST, house_wording(&error)))
}

/// A link's token becomes a cookie, for as long as it is valid.
fn let_in<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    sandbox: &mut Sandbox,
    head: &RequestHead,
    token: &str,
) -> Result<Said, Refused> {
    let keys = sandbox.kept.keys.inspect(platform);
    let reason = match inspect::verify::<InspectClaims>(token, &keys, arrival.now) {
        Ok(claims) if is_for_host(&claims, head) => {
            let left = claims.exp.saturating_sub(arrival.now.unix_timestamp());
            let cookie = inspect::set_cookie(token, u32::try_from(left).unwrap_or(1));
            return Ok(Said { cookie, ..Said::ok(json!({ "host": claims.host, "seconds": left })) });
        }
        Ok(_) => "expected a link for this host, but found one for another",
        Err(TokenError::Expired) => "expected a link that is valid now, but found one whose time is over",
        Err(_) => "expected a link of `personalizer inspect`, but found none that this service signed",
    };
    let time = record::timestamp(arrival.now);
    record::errors(platform, &time, &head.request_id, None, &[], &[Code::InspectToken]);
    Err((StatusCode::FORBIDDEN, reason.to_owned()))
}

/// The rules that are looked at: those of `revision`, else those that serve, as they are on this host.
fn rules<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    sandbox: &mut Sandbox,
    head: &RequestHead,
    revision: Option<&str>,
) -> Result<RuleSet, Refused> {
    let (set, notes) = match revision {
        Some(name) => {
            let (stores, is_staging) = (&mut super::FromPlatform(platform), platform.runtime().is_staging);
            let (set, _) = sandbox.rules.resolve_named(name, stores, is_staging, arrival.uptime, 0);
            (set, None)
        }
        None => {
            let (rules, notes) = super::resolve(platform, &mut sandbox.rules, arrival, |_| None);
            super::reserved::name_faults(platform, arrival, head, &rules, &notes);
            match rules {
                Rules::Set(served) => (Some(Rc::clone(&served.set)), Some(notes)),
                Rules::Off | Rules::Unusable => (None, Some(notes)),
            }
        }
    };
    let missing = || match (revision, notes) {
        (Some(name), _) => format!("revision: expected one that can serve, but found '{name}'"),
        (None, _) => "the kill switch is on, or no rules are usable".to_owned(),
    };
    let set = set.ok_or_else(|| (StatusCode::CONFLICT, missing()))?;
    Ok(set.on_host(head.host()).into_owned())
}

/// The page, whole: its policy knows its style and its script by their digests, and lets it talk to this host alone.
fn page() -> (StatusCode, HeaderMap, String) {
    let digest = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; form-action 'none'; \
         base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        digest(STYLE),
        digest(SCRIPT)
    );
    let [style, script] = PLACES;
    let html = HTML.replace(style, STYLE).replace(script, SCRIPT);
    (StatusCode::OK, guarded("text/html; charset=utf-8", &policy), html)
}

/// Headers of an answer that is nobody's to keep, to frame or to find.
fn guarded(kind: &'static str, policy: &str) -> HeaderMap {
    let text = HeaderValue::from_static;
    let mut headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, text(kind)),
        (header::CACHE_CONTROL, text("private, no-store")),
        (header::REFERRER_POLICY, text("no-referrer")),
        (header::X_CONTENT_TYPE_OPTIONS, text("nosniff")),
        (header::X_FRAME_OPTIONS, text("DENY")),
        (HeaderName::from_static("x-robots-tag"), text("noindex, nofollow")),
        (HeaderName::from_static("cross-origin-opener-policy"), text("same-origin")),
        (HeaderName::from_static("cross-origin-resource-policy"), text("same-origin")),
    ]);
    if let Ok(policy) = HeaderValue::from_str(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_holds_no_other_sites() {
        let (_, headers, html) = page();
        assert!(html.len() <= 30_000, "{} bytes", html.len());
        assert!(PLACES.iter().all(|place| !html.contains(place)), "style and script are in");
        for foreign in
            ["http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
        {
            assert!(!html.contains(foreign), "{foreign}");
        }
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</script") && !SCRIPT.contains("<!--"));
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    }
}
