//! One request to a backend: exactly what is sent, and under which key it is cached.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::key::{Canonical, digest};
use super::variant::{EDGE_VARIANT, Variant};
use super::{forwarded, personal, surrogate, values};
use crate::admit::{RequestHead, add_hop_headers};
use crate::context::{Context, preview};
use crate::platform::Caching;
use crate::rules::RuleSet;
use crate::rules::route::{Cache, DEFAULT_BACKEND, Route};
use crate::rules::settings::Settings;
use crate::rules::settings::sticky::StickySettings;
use crate::transform::headers::{Version, is_read, prepare_conditions};
use crate::wire::cookies::{Cookies, pair_name};
use crate::wire::headers::accepts_encoding;
use crate::wire::url::path_and_query;

/// Fields that make a request conditional (RFC 9110 section 13.1), but for the one that only changes of state have.
const CONDITIONS: [HeaderName; 4] =
    [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_RANGE, header::IF_MATCH];

/// One request to a backend.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The backend's name.
    pub backend: String,
    /// Method.
    pub method: Method,
    /// Scheme, host, path and query as the backend is asked: the host is the backend's own where settings name one.
    pub url: String,
    /// The path alone, for the log: what is one visitor's own is redacted.
    pub path: String,
    /// Exactly what is sent; empty once it was.
    pub headers: HeaderMap,
    /// How the cache treats it.
    pub caching: Caching,
    /// What shaped it.
    pub variant: Variant,
    /// Whether it asks for the client's own page at the default backend.
    pub is_own_page: bool,
    /// The code of the shield that it is asked through. What no cache keeps needs none.
    pub shield: Option<String>,
}

impl Exchange {
    /// What tells this answer from others at the client's URL: an origin may give two of its pages the same `ETag`, and the client can't
    /// know that they are two. `None` where the client's own page is asked for, as it is.
    pub fn version(&self) -> Option<Version> {
        let own = self.variant.is_empty() && self.is_own_page;
        (!own).then(|| Version::new([self.backend.as_bytes(), self.url.as_bytes(), self.variant.header().as_bytes()]))
    }

    /// Makes a conditional request one about this version. A shared request has no conditions, and is in the key as it is.
    pub(super) fn compare_versions(&mut self) {
        let conditional = CONDITIONS.iter().any(|name| self.headers.contains_key(name));
        if conditional
            && self.caching == Caching::Pass
            && let Some(version) = self.version()
        {
            prepare_conditions(&self.method, &mut self.headers, &version);
        }
    }
}

/// Where a request goes.
pub(super) struct Target<'a> {
    pub backend: &'a str,
    pub path: String,
    pub query: Option<String>,
}

/// A request that is as the client made it, edge headers aside; the platform's cache treats it as the origin's headers say.
pub(super) fn transparent(head: &RequestHead, settings: &Settings, backend: &str) -> Exchange {
    let headers = client_headers(head, settings);
    // A visitor's credentials make an answer the visitor's own, whatever the origin forgot to say.
    let credentials = headers.contains_key(header::COOKIE) || headers.contains_key(header::AUTHORIZATION);
    // Nor does a body belong to a cache's key: OPTIONS may come with one (RFC 9110 section 9.3.7).
    let shareable = is_read(&head.method) && !credentials;
    // Two of the site's hosts may be one host to the backend, and have two pages.
    let key = || settings.host_of(backend).map(|_| digest([backend.as_bytes(), head.url().as_bytes()]));
    Exchange {
        backend: backend.to_owned(),
        method: head.method.clone(),
        url: url(head, settings, backend, &head.path, head.query.as_deref()),
        path: head.path.clone(),
        headers: with_origin_of(head, headers),
        caching: if shareable { Caching::Origin { key: key() } } else { Caching::Pass },
        variant: Variant::default(),
        is_own_page: backend == DEFAULT_BACKEND,
        shield: shield_of(settings, backend, shareable),
    }
}

/// A request for another page than the client's own, untouched otherwise: no cache keeps its answer.
pub(super) fn instead(head: &RequestHead, settings: &Settings, backend: &str, target: Option<&str>) -> Exchange {
    let mut exchange = transparent(head, settings, backend);
    (exchange.caching, exchange.shield) = (Caching::Pass, None);
    if let Some(target) = target {
        let (path, query) = path_and_query(target);
        exchange.url = url(head, settings, backend, path, query);
        path.clone_into(&mut exchange.path);
        exchange.is_own_page = false;
    }
    exchange
}

/// The shield of a backend, for a request that can be cached. Unsafe ones are made once, and a shield may refuse.
fn shield_of(settings: &Settings, backend: &str, is_cached: bool) -> Option<String> {
    settings.shield_of(backend).filter(|_| is_cached).map(str::to_owned)
}

/// How the requests of a route are made: alike for all who share them, or for one visitor.
#[derive(Clone, Copy)]
pub(super) struct Sharing<'a> {
    pub head: &'a RequestHead,
    pub rules: &'a RuleSet,
    pub context: &'a Context,
    pub route: &'a Route,
    /// How the shared answer is cached; `None` where it is one visitor's own.
    pub cache: Option<&'a Cache>,
    /// Whether a part of the answer is asked for, where the client wants one.
    pub in_parts: bool,
}

impl Sharing<'_> {
    /// What of the client's headers goes into a request, before the route edits them.
    pub(super) fn headers(&self) -> HeaderMap {
        match self.cache {
            Some(cache) => canonical_headers(self.head, &self.rules.settings, cache),
            None => client_headers(self.head, &self.rules.settings),
        }
    }

    /// The request.
    pub(super) fn exchange(&self, target: Target<'_>, mut headers: HeaderMap, variant: Variant) -> Exchange {
        add_variant_headers(&mut headers, &variant);
        let Target { backend, path, query } = target;
        let settings = &*self.rules.settings;
        let url = url(self.head, settings, backend, &path, query.as_deref());
        let is_own_page = backend == DEFAULT_BACKEND && path == self.head.path && query == self.head.query;
        let (headers, caching) = match self.cache {
            Some(cache) if !self.wants_part() => self.shared(backend, &url, headers, cache, &variant),
            Some(_) => (self.part(headers), Caching::Pass),
            None => (self.private(headers), Caching::Pass),
        };
        let shield = shield_of(settings, backend, caching != Caching::Pass);
        let (backend, method) = (backend.to_owned(), self.head.method.clone());
        Exchange { backend, method, url, path, headers, caching, variant, is_own_page, shield }
    }

    /// Whether the client asks for a part of what is shared.
    fn wants_part(&self) -> bool {
        self.in_parts && self.head.method == Method::GET && self.head.headers.contains_key(header::RANGE)
    }

    /// The canonical request for a part (RFC 9110 section 14.2): a cache keeps wholes, so it passes. Parts of an encoded body would be
    /// parts of something else.
    fn part(&self, mut headers: HeaderMap) -> HeaderMap {
        forwarded::add(self.head, None, &mut headers);
        headers.remove(header::ACCEPT_ENCODING);
        for name in [header::RANGE, header::IF_RANGE] {
            if let Some(value) = self.head.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        add_hop_headers(self.head, &mut headers);
        headers
    }

    /// Nobody shares it: the visitor is in it as far as is known and permitted.
    fn private(&self, mut headers: HeaderMap) -> HeaderMap {
        personal::add_headers(self.context, &mut headers);
        with_origin_of(self.head, headers)
    }

    /// All share it who make the same: everything that is sent is in the key, trace headers aside.
    fn shared(
        &self,
        backend: &str,
        url: &str,
        mut headers: HeaderMap,
        cache: &Cache,
        variant: &Variant,
    ) -> (HeaderMap, Caching) {
        // The visitor's address would make each visitor's request another one, or one visitor's answer everybody's.
        forwarded::add(self.head, None, &mut headers);
        let canonical = Canonical { backend, method: self.head.method.as_str(), url, headers: &headers };
        let caching = Caching::Keyed {
            key: canonical.key(),
            ttl: cache.stored.ttl,
            stale_while_revalidate: cache.stored.stale_while_revalidate,
            stale_if_error: cache.stored.stale_if_error,
            surrogate_keys: surrogate::of_answer(self.rules, self.route, cache, variant),
        };
        add_hop_headers(self.head, &mut headers);
        (headers, caching)
    }
}

/// What a shared request carries of the client's: what the route names, and the encoding.
fn canonical_headers(head: &RequestHead, settings: &Settings, cache: &Cache) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let encoding = ["br", "gzip"].into_iter().find(|coding| accepts_encoding(&head.headers, coding));
    if let Some(coding) = encoding {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding));
    }
    // Cookies are named one by one, or all. The edge's own never are: a visitor's id is no origin's to see on a shared request.
    let (cookies, others): (Vec<_>, Vec<_>) = cache.key_headers.iter().partition(|name| **name == header::COOKIE);
    for name in others {
        for value in head.headers.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    let own: Vec<&str> = own_cookies(settings).into_iter().chain(settings.visitor.adopt.as_deref()).collect();
    let named = Cookies::of(&head.headers).pairs().filter(|pair| {
        let name = pair_name(pair);
        let is_own = own.iter().any(|own| own.as_bytes() == name);
        !is_own && (!cookies.is_empty() || cache.key_cookies.iter().any(|key| key.as_bytes() == name))
    });
    set_cookie_pairs(&mut headers, named.collect());
    headers
}

/// The client's own headers, without the edge's own cookies: a visitor's id must not keep the origin's pages out of the cache.
fn client_headers(head: &RequestHead, settings: &Settings) -> HeaderMap {
    let mut headers = head.headers.clone();
    let own = own_cookies(settings);
    let is_own = |pair: &[u8]| own.iter().any(|own| own.as_bytes() == pair_name(pair));
    if Cookies::of(&head.headers).pairs().any(is_own) {
        headers.remove(header::COOKIE);
        set_cookie_pairs(&mut headers, Cookies::of(&head.headers).pairs().filter(|pair| !is_own(pair)).collect());
    }
    headers
}

/// The cookies that the edge itself sets. Where nothing is remembered now, a cookie from before still names its visitor.
fn own_cookies(settings: &Settings) -> [&str; 3] {
    let sticky = settings.sticky.as_ref().map_or(StickySettings::COOKIE, |sticky| sticky.cookie.as_str());
    [settings.visitor.cookie.as_str(), sticky, preview::COOKIE]
}

fn set_cookie_pairs(headers: &mut HeaderMap, pairs: Vec<&[u8]>) {
    if !pairs.is_empty()
        && let Ok(value) = HeaderValue::from_bytes(&pairs.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, value);
    }
}

/// What a request that nobody shares carries on top: where it came from.
fn with_origin_of(head: &RequestHead, mut headers: HeaderMap) -> HeaderMap {
    forwarded::add(head, head.address, &mut headers);
    add_hop_headers(head, &mut headers);
    headers
}

/// `Edge-Variant`, and beside it the headers that origins know, for those dimensions that are in it.
fn add_variant_headers(headers: &mut HeaderMap, variant: &Variant) {
    const NAMED: [(&str, HeaderName); 4] = [
        ("region", HeaderName::from_static("x-geo-region")),
        ("country", HeaderName::from_static("x-geo-country")),
        (values::DEVICE_TYPE, HeaderName::from_static("x-device-type")),
        ("network", HeaderName::from_static("x-network")),
    ];
    if variant.is_empty() {
        return;
    }
    for (dimension, name) in NAMED {
        if let Some(value) = variant.get(dimension).and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    if let Ok(value) = HeaderValue::from_str(&variant.header()) {
        headers.insert(EDGE_VARIANT, value);
    }
}

/// The URL of a path and query at a backend: on its own host where settings name one, else on the one that was asked for.
pub(super) fn url(head: &RequestHead, settings: &Settings, backend: &str, path: &str, query: Option<&str>) -> String {
    match settings.host_of(backend) {
        Some(host) => crate::wire::url::join(&head.scheme, host, path, query),
        None => head.url_of(path, query),
    }
}
