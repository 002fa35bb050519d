//! A preview link that the page asks for: the same that `personalizer preview` makes. The key stays here.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use time::{Duration, OffsetDateTime};

use super::{Refused, rules};
use crate::admit::{Arrival, RequestHead};
use crate::context::assumed::Assumed;
use crate::context::inspect::InspectClaims;
use crate::context::preview::{self, PreviewClaims};
use crate::platform::Platform;
use crate::platform::geo::continent_of;
use crate::record;
use crate::rules::settings::PreviewMode;
use crate::service::Sandbox;
use crate::wire::url::AbsoluteUrl;

/// Seconds that a link of the page works unless it says so.
const LIFE: i64 = 15 * 60;
/// And at most: who may look gives no longer right to.
const LONGEST_LIFE: i64 = 3600;

/// What the link shows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The page that it opens.
    url: String,
    #[serde(default)]
    features: BTreeMap<String, Json>,
    #[serde(default)]
    experiments: BTreeMap<String, u32>,
    region: Option<String>,
    revision: Option<String>,
    #[serde(default, rename = "as")]
    visitor: Assumed,
    /// Seconds that it works.
    ttl: Option<i64>,
}

/// The link, signed.
pub(super) fn answer<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    sandbox: &mut Sandbox,
    (head, may): (&RequestHead, &InspectClaims),
    wanted: Wanted,
) -> Result<Json, Refused> {
    let wrong = |reason: String| Err((StatusCode::BAD_REQUEST, reason));
    let conflict = |reason: &str| Err((StatusCode::CONFLICT, reason.to_owned()));
    let Wanted { url, features, experiments, region, revision, visitor, ttl } = wanted;
    let is_page = AbsoluteUrl::split(&url)
        .is_some_and(|url| matches!(url.scheme, "http" | "https") && url.is_on(&head.authority));
    if !is_page {
        return wrong(format!("url: expected a page of {}, but found '{url}'", head.authority));
    }
    if let Some(user) = visitor.user.as_ref().filter(|user| !may.users.contains(user)) {
        let known = "a test user that the link names (`personalizer inspect --user`)";
        return wrong(format!("user: expected {known}, but found '{user}'"));
    }
    if let Some(country) = visitor.country.as_deref().filter(|country| continent_of(country).is_none()) {
        return wrong(format!("country: expected a country's code in capitals, but found '{country}'"));
    }
    if visitor.at.is_some() && visitor.moment().is_none() {
        return wrong("at: expected seconds since 1970, but found a number that is no time".to_owned());
    }
    let rules = rules(platform, arrival, sandbox, head, revision.as_deref())?;
    if rules.settings.preview != PreviewMode::Signed {
        return conflict("preview: expected \"signed\" in the settings, but found another mode");
    }
    let keys = sandbox.kept.keys.preview(platform);
    let Some(key) = keys.first() else {
        return conflict("expected the secret 'preview', but found none");
    };
    let expires = arrival.now + Duration::seconds(ttl.unwrap_or(LIFE).clamp(1, LONGEST_LIFE));
    let mut claims = PreviewClaims { features, experiments, region, revision, visitor, exp: expires.unix_timestamp() };
    let unknown = claims.fit(&rules);
    if !unknown.is_empty() {
        return wrong(format!("expected names that the rules have, but found {}", unknown.join(", ")));
    }
    let words = claims.words();
    if words.is_empty() {
        return wrong("expected something to show, but found nothing".to_owned());
    }
    let Some(token) = preview::sign(&claims, key) else {
        return wrong(format!("expected a token of at most {} bytes, but found a longer one", preview::LONGEST_TOKEN));
    };
    let expires: OffsetDateTime = expires.replace_nanosecond(0).unwrap_or(expires);
    Ok(json!({ "link": preview::link(&url, &token), "expires": record::timestamp(expires), "shows": words }))
}
