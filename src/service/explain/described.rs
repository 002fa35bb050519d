//! What the query of `/.edge/explain` asks for: a visitor and a request.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::admit::{Arrival, INSPECT_COOKIE, RequestHead};
use crate::attributes::DeviceClass;
use crate::context::Kept;
use crate::context::assumed::Assumed;
use crate::context::identity::UserId;
use crate::explain::{Described, say};
use crate::platform::geo::{CONTINENTS, continent_of};
use crate::platform::{ClientRequest, Geo, Platform};
use crate::rules::pointer::is_revision_name;
use crate::session;
use crate::wire::cookies;
use crate::wire::query::pairs;
use crate::wire::url::AbsoluteUrl;

/// What a browser says of this request, and not of a visit to a page.
const OF_THE_QUESTION: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::ORIGIN,
    header::REFERER,
    header::CACHE_CONTROL,
    header::PRAGMA,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("sec-fetch-dest"),
];
/// What it says where it asks for a page.
const PAGES: HeaderValue = HeaderValue::from_static("text/html,application/xhtml+xml,*/*;q=0.8");
/// What may be said, for whoever says something else.
const KNOWN: &str = "url, me, method, address, country, subdivision, continent, device, network, language, consent, header, user, at or revision";

/// What was asked for.
pub(super) struct Asked<'a> {
    /// The visitor and the request.
    pub described: Described<'a>,
    /// The address that the query names, or that whoever asks has.
    pub address: Option<IpAddr>,
    /// The revision that it names.
    pub revision: Option<String>,
}

/// Whether the visitor is whoever asks.
pub(super) fn is_me(head: &RequestHead) -> bool {
    pairs(head.query.as_deref().unwrap_or_default()).any(|(name, _)| name == "me")
}

/// What the query asks for. For `me`, headers and address are those of whoever asks.
pub(super) fn read<'a, P: Platform>(
    platform: &'a P,
    arrival: &Arrival,
    head: &RequestHead,
    kept: &'a mut Kept,
) -> Result<Asked<'a>, String> {
    let preview_keys = kept.keys.preview(platform);
    let identity_keys = kept.keys.identity(platform);
    let breaker = &mut kept.breaker;
    let said: Vec<(String, String)> = pairs(head.query.as_deref().unwrap_or_default()).collect();
    let (headers, mut address) = if is_me(head) { (own_headers(head), head.address) } else { Default::default() };
    let mut described = Described {
        request: ClientRequest {
            method: Method::GET,
            scheme: String::new(),
            authority: String::new(),
            path: String::new(),
            query: None,
            headers,
            address,
            body: (),
        },
        geo: address.and_then(|address| platform.geo(address)),
        device: None,
        user: None,
        assumed: Assumed::default(),
        identity_keys,
        session: Box::new(move |subjects, settings, on_miss| {
            let started = session::start(platform, subjects);
            session::finish(platform, started, settings, on_miss, breaker)
        }),
        preview_keys,
        now: arrival.now,
        random: [platform.random(), platform.random()],
    };
    let (mut place, mut revision) = (Geo::default(), None);
    for (name, value) in &said {
        let wrong = |expected: &str| format!("{name}: expected {expected}, but found '{value}'");
        let request = &mut described.request;
        match name.as_str() {
            "url" => set_url(request, value).ok_or_else(|| wrong("an absolute URL"))?,
            "me" => {}
            "method" => request.method = value.parse().map_err(|_| wrong("a method"))?,
            "address" => {
                let named = value.parse().map_err(|_| wrong("an IP address"))?;
                described.geo = platform.geo(named);
                address = Some(named);
            }
            "country" => place.country = Some(value.to_ascii_uppercase()),
            "subdivision" => place.subdivision = Some(value.to_ascii_uppercase()),
            "continent" => {
                let known = CONTINENTS.into_iter().find(|code| code.eq_ignore_ascii_case(value));
                place.continent = Some(known.ok_or_else(|| wrong("AF, AN, AS, EU, NA, OC or SA"))?);
            }
            "device" => {
                let class = DeviceClass::named(value);
                described.assumed.device = Some(class.ok_or_else(|| wrong("mobile, tablet, desktop, tv or bot"))?);
            }
            "network" => say::network(&mut request.headers, value).map_err(wrong)?,
            "language" => say::language(&mut request.headers, value).map_err(wrong)?,
            "consent" => described.assumed.consent = Some(say::consent(value).map_err(wrong)?),
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
            "user" => described.user = Some(UserId::parse(value).ok_or_else(|| wrong("a user id"))?),
            "at" => {
                let at = OffsetDateTime::parse(value, &Rfc3339).map_err(|_| wrong("a time (RFC 3339)"))?;
                described.assumed.at = Some(at.unix_timestamp());
            }
            "revision" if is_revision_name(value) => revision = Some(value.clone()),
            "revision" => return Err(wrong("the name of a revision")),
            _ => return Err(wrong(KNOWN)),
        }
    }
    if place != Geo::default() {
        // As the command line has it: the country's continent, where nobody says another.
        place.continent = place.continent.or_else(|| continent_of(place.country.as_deref()?));
        described.geo = Some(place);
    }
    let agent = described.request.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    described.device = agent.and_then(|agent| platform.device(agent));
    match described.request.path.is_empty() {
        true => Err("url: expected the URL that is asked for, but found none".to_owned()),
        false => Ok(Asked { described, address, revision }),
    }
}

/// The headers with which whoever asks would visit a page.
fn own_headers(head: &RequestHead) -> HeaderMap {
    let mut headers = head.headers.clone();
    for name in OF_THE_QUESTION {
        headers.remove(name);
    }
    headers.insert(header::ACCEPT, PAGES);
    cookies::remove(&mut headers, INSPECT_COOKIE);
    headers
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
