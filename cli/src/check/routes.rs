//! Routes that can never match, and what a shared answer should not hold.

use std::cmp::Ordering;
use std::rc::Rc;

use edge_personalizer::rules::Route;
use edge_personalizer::rules::route::CompiledAction;
use edge_personalizer::rules::stored::Downstream;
use edge_personalizer::rules::template::Placeholder;
use time::OffsetDateTime;

use super::Checked;
use super::compile::nearest;

/// The methods that the edge lets through and clients send.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Rules that `Vary` may have an object (Fastly's limit).
const MAX_VARY: usize = 8;

impl Checked<'_> {
    /// Every usable route in the order of the list, with the pointer within its file.
    pub(super) fn routes(&self) -> Vec<(Rc<Route>, String)> {
        let all = self.rules.routes.all();
        all.map(|(route, place)| (route, place.find('/').and_then(|at| place.get(at..)).unwrap_or_default().to_owned()))
            .collect()
    }

    /// Routes behind one that takes everything, and routes whose time is over.
    pub(super) fn unreachable(&mut self) {
        let routes = self.routes();
        let now = OffsetDateTime::now_utc();
        for (index, (route, pointer)) in routes.iter().enumerate() {
            if route.schedule.until().is_some_and(|until| until <= now) {
                let message =
                    "expected a time in the future, but found one in the past: this route never matches again";
                self.warn("routes", format!("{pointer}/schedule/until"), message);
            }
            if route.methods.is_empty() {
                let message = "expected at least one method, but found none: this route never matches";
                self.warn("routes", format!("{pointer}/methods"), message);
            }
            for (number, method) in
                route.methods.iter().enumerate().filter(|(_, method)| !METHODS.contains(&method.as_str()))
            {
                let capitals = method.as_str().to_ascii_uppercase();
                let near = nearest(&capitals, METHODS);
                // Some have methods of their own, as WebDAV does.
                if capitals == method.as_str() && near.is_none() {
                    continue;
                }
                let hint = near.map(|name| format!(": is it '{name}'?")).unwrap_or_default();
                let message = format!("expected a method in capitals, but found '{method}', which nobody sends{hint}");
                self.warn("routes", format!("{pointer}/methods/{number}"), message);
            }
            let covering = routes.iter().enumerate().find(|(other, (earlier, _))| {
                *other != index && goes_before(earlier, *other, route, index) && takes_all(earlier, route)
            });
            if let Some((_, (earlier, _))) = covering {
                let message = format!(
                    "expected a route that some request reaches, but found one that never matches: '{}' comes first and takes all its requests",
                    earlier.id
                );
                self.warn("routes", pointer.clone(), message);
            }
        }
    }

    /// What makes a shared answer somebody's own, or keeps caches from holding it.
    pub(super) fn shared(&mut self) {
        for (route, pointer) in self.routes() {
            let CompiledAction::Personalize(personalize) = &route.action else { continue };
            let Some(cache) = &personalize.cache else { continue };
            let personal =
                route.templates().iter().flat_map(|template| template.placeholders()).find_map(|placeholder| {
                    match placeholder {
                        Placeholder::UserId => Some("user.id".to_owned()),
                        Placeholder::Session(path) => Some(format!("session.{path}")),
                        Placeholder::Own(name) if self.rules.own.find(name).is_some_and(|(_, own)| own.identifies) => {
                            Some(name.clone())
                        }
                        _ => None,
                    }
                });
            let sent = route.session.as_ref().is_some_and(|session| session.is_sent());
            let personal = personal.or_else(|| sent.then(|| "session (query or header)".to_owned()));
            if let Some(name) = personal {
                let message = format!(
                    "expected an answer for many visitors, but found '{name}' in it: this answer is never shared, whatever 'cache' says"
                );
                self.warn("routes", format!("{pointer}/cache"), message);
            }
            for (below, message) in self.told_apart(&route) {
                self.warn("routes", format!("{pointer}/{below}"), message);
            }
            let fits_visitors = !route.is_same_for_all() || route.chooses_visitors();
            if cache.stored.downstream == Downstream::Origin && fits_visitors {
                let message = "expected an answer that is the same for all visitors, but found a route that depends on the visitor: \
                               caches below the edge can't tell visitors apart, so the answer stays private";
                self.warn("routes", format!("{pointer}/cache/downstream"), message);
            }
            // `Edge-Variant` is one of them.
            let vary = cache.key_headers.len() + 1;
            if vary > MAX_VARY {
                let message = format!(
                    "expected at most {} headers, for Vary has {MAX_VARY} rules, but found {}",
                    MAX_VARY - 1,
                    vary - 1
                );
                self.warn("routes", format!("{pointer}/cache/key_headers"), message);
            }
            for (index, name) in cache.stored.key_cookies.iter().enumerate() {
                let personal = ["session", "sess", "sid", "user", "auth", "token", "visitor", "ep_vid"];
                let lower = name.to_ascii_lowercase();
                if personal.iter().any(|word| lower.contains(word)) {
                    let message = format!(
                        "expected a cookie with the same value for many visitors, but found '{name}', which looks like one visitor's own"
                    );
                    self.warn("routes", format!("{pointer}/cache/key_cookies/{index}"), message);
                }
            }
        }
    }
}

/// Whether the edge tries `one` before `other`.
fn goes_before(one: &Route, at: usize, other: &Route, other_at: usize) -> bool {
    match one.pattern.specificity(&other.pattern) {
        Ordering::Less => true,
        Ordering::Equal => at < other_at,
        Ordering::Greater => false,
    }
}

/// Whether `one` matches whatever `other` matches.
fn takes_all(one: &Route, other: &Route) -> bool {
    one.when.is_none()
        && one.schedule == edge_personalizer::growthbook::Schedule::default()
        && (one.host.is_none() || one.host == other.host)
        && other.methods.iter().all(|method| one.methods.contains(method))
        && one.pattern.covers(&other.pattern)
}
