//! What one pass of the service says to the next, where a shield stands between the edge and an origin: "this was decided, ask for
//! exactly this". It is signed with the secret `shield`, bound to the request that carries it, and short-lived.
//!
//! The header is `Edge-Pass: <base64url of JSON>.<base64url of HMAC-SHA256>`, both without padding.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::admit::RequestHead;
use crate::mac::MacKey;
use crate::plan::Exchange;
use crate::plan::key::digest;
use crate::platform::{Caching, ClientRequest};
use crate::wire::headers::{is_reserved, join_cookies};
use crate::wire::url::AbsoluteUrl;

/// The header that carries it. Like all that begin with `Edge-`, it never goes to an origin.
pub const EDGE_PASS: HeaderName = HeaderName::from_static("edge-pass");
/// Seconds for which it is valid, and that clocks may differ.
pub const LIFE: u64 = 30;
/// Bytes of the longest one: a header may have 8 kB.
const LONGEST: usize = 7_500;
/// What the signature covers first, so that one made with the same key for another purpose is none here.
const CONTEXT: &[u8] = b"edge-personalizer pass 1";

/// A request that was decided at the edge, as the shield is to make it.
#[derive(Debug)]
pub struct Passage {
    /// The request.
    pub exchange: Exchange,
    /// The request's id at the edge.
    pub request_id: String,
    /// Whether the edge writes a line about the request in `decisions`, should nothing fail.
    pub is_logged: bool,
    /// The share of requests that have one.
    pub sample: f64,
}

/// What is signed, beside the request itself.
#[derive(Serialize, Deserialize)]
struct Signed {
    /// Seconds since 1970.
    time: i64,
    backend: String,
    url: String,
    /// The path for the log.
    path: String,
    caching: Stored,
    id: String,
    is_logged: bool,
    #[serde(default = "whole")]
    sample: f64,
    /// What the edge says: with values, for others on the way may say such things too.
    said: Vec<(String, String)>,
    /// The names of all other headers; their values are in the request.
    others: Vec<String>,
}

fn whole() -> f64 {
    1.0
}

/// [`Caching`], written out.
#[derive(Serialize, Deserialize)]
enum Stored {
    Origin { key: Option<String> },
    Keyed { key: String, ttl: Option<u32>, revalidate: Option<u32>, if_error: Option<u32>, surrogate_keys: String },
}

impl Stored {
    fn of(caching: &Caching) -> Option<Self> {
        let hex = base16ct::lower::encode_string;
        match caching {
            Caching::Pass => None,
            Caching::Origin { key } => Some(Self::Origin { key: key.as_ref().map(|key| hex(key)) }),
            Caching::Keyed { key, ttl, stale_while_revalidate, stale_if_error, surrogate_keys } => Some(Self::Keyed {
                key: hex(key),
                ttl: *ttl,
                revalidate: *stale_while_revalidate,
                if_error: *stale_if_error,
                surrogate_keys: surrogate_keys.clone(),
            }),
        }
    }

    fn caching(self) -> Option<Caching> {
        let bytes = |hex: &str| {
            let mut key = [0; 32];
            base16ct::lower::decode(hex, &mut key).ok().filter(|read| read.len() == 32)?;
            Some(key)
        };
        Some(match self {
            Self::Origin { key: None } => Caching::Origin { key: None },
            Self::Origin { key: Some(key) } => Caching::Origin { key: Some(bytes(&key)?) },
            Self::Keyed { key, ttl, revalidate, if_error, surrogate_keys } => Caching::Keyed {
                key: bytes(&key)?,
                ttl,
                stale_while_revalidate: revalidate,
                stale_if_error: if_error,
                surrogate_keys,
            },
        })
    }
}

/// The header for a request to the shield, and the URL that it is made to: the site's own host, for the shield is the same service.
/// `None` where the request can't be cached, or doesn't fit. The last argument: whether the request is logged, and which share is.
pub fn seal(
    exchange: &Exchange,
    head: &RequestHead,
    key: &MacKey,
    now: OffsetDateTime,
    (is_logged, sample): (bool, f64),
) -> Option<(String, HeaderValue)> {
    let target = target_of(&exchange.url)?;
    let mut said = Vec::new();
    let mut others = BTreeSet::new();
    for (name, value) in &exchange.headers {
        if is_reserved(name) {
            said.push((name.as_str().to_owned(), value.to_str().ok()?.to_owned()));
        } else {
            others.insert(name.as_str().to_owned());
        }
    }
    let signed = Signed {
        time: now.unix_timestamp(),
        backend: exchange.backend.clone(),
        url: exchange.url.clone(),
        path: exchange.path.clone(),
        caching: Stored::of(&exchange.caching)?,
        id: head.request_id.clone(),
        is_logged,
        sample,
        said,
        others: others.into_iter().collect(),
    };
    let payload = serde_json::to_vec(&signed).ok()?;
    let bound = bound(&exchange.method, &head.authority, target, &payload, &signed.others, &exchange.headers);
    let header = format!("{}.{}", URL_SAFE_NO_PAD.encode(&payload), URL_SAFE_NO_PAD.encode(key.tag(&[&bound])));
    let header = HeaderValue::try_from(header).ok().filter(|header| header.len() <= LONGEST)?;
    Some((format!("{}://{}{target}", head.scheme, head.authority), header))
}

/// What an earlier pass says of this request. `None` where it says nothing, where nobody who holds a key said it, or said it of this
/// request, within [`LIFE`].
pub fn open<B>(request: &mut ClientRequest<B>, keys: &[MacKey], now: OffsetDateTime) -> Option<Passage> {
    let mut lines = request.headers.get_all(EDGE_PASS).iter();
    let line = lines.next().filter(|line| line.len() <= LONGEST)?.to_str().ok()?;
    if lines.next().is_some() {
        return None;
    }
    let (payload, tag) = line.split_once('.')?;
    let (payload, tag) = (URL_SAFE_NO_PAD.decode(payload).ok()?, URL_SAFE_NO_PAD.decode(tag).ok()?);
    let signed: Signed = serde_json::from_slice(&payload).ok()?;
    join_cookies(&mut request.headers);
    let target = match &request.query {
        Some(query) => format!("{}?{query}", request.path),
        None => request.path.clone(),
    };
    let authority = request.authority.to_ascii_lowercase();
    let bound = bound(&request.method, &authority, &target, &payload, &signed.others, &request.headers);
    let is_signed = keys.iter().fold(false, |known, key| known | key.verify(&[&bound], &tag));
    let is_fresh = signed.time.abs_diff(now.unix_timestamp()) <= LIFE;
    if !is_signed || !is_fresh || target_of(&signed.url) != Some(&target) {
        return None;
    }
    let mut headers = HeaderMap::with_capacity(32);
    for name in &signed.others {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        for value in request.headers.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    for (name, value) in &signed.said {
        headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?);
    }
    let exchange = Exchange {
        backend: signed.backend,
        method: request.method.clone(),
        url: signed.url,
        path: signed.path,
        headers,
        caching: signed.caching.caching()?,
        variant: crate::plan::variant::Variant::default(),
        is_own_page: false,
        shield: None,
    };
    Some(Passage { exchange, request_id: signed.id, is_logged: signed.is_logged, sample: signed.sample })
}

/// Path and query of a URL.
fn target_of(url: &str) -> Option<&str> {
    AbsoluteUrl::split(url).map(|url| url.rest).filter(|target| target.starts_with('/'))
}

/// What the signature is over: the request, its headers, and what is said of it.
fn bound(
    method: &Method,
    authority: &str,
    target: &str,
    payload: &[u8],
    names: &[String],
    headers: &HeaderMap,
) -> [u8; 32] {
    let head = [CONTEXT, method.as_str().as_bytes(), authority.as_bytes(), target.as_bytes(), payload];
    let lines = names
        .iter()
        .flat_map(|name| headers.get_all(name).iter().flat_map(|value| [name.as_bytes(), value.as_bytes()]));
    digest(head.into_iter().chain(lines))
}
