//! What the shop knows of its visitors: what they looked at, and what is in the cart. Every change streams to the edge, where somebody
//! listens there ([`crate::DemoOrigin::stream_sessions`]).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::header::{COOKIE, HeaderValue, LOCATION, SET_COOKIE};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::catalog::{self, Product};
use crate::pages;

/// Visitors who are remembered; newcomers beyond them aren't.
const KEPT: usize = 10_000;
/// Products that are remembered as looked at, the last first.
const VIEWS: usize = 12;
/// The shop's own cookie, for a cart without the edge's id: a shop can't do without.
const SESSION: &str = "shop_session";
/// The visitor that `fastly.toml` has a session of.
const RETURNING: &str = "visitor/00000000000000000000000000000001";

/// Sends a batch of updates (NDJSON) to the edge, and returns when it has been taken, or failed.
pub(crate) type Send = dyn Fn(&str) + std::marker::Send + Sync;

/// All visitors.
#[derive(Default)]
pub(crate) struct Visits {
    known: Mutex<HashMap<String, Visit>>,
    send: OnceLock<Arc<Send>>,
}

impl fmt::Debug for Visits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visits").field("streams", &self.send.get().is_some()).finish_non_exhaustive()
    }
}

/// What one visitor did.
#[derive(Debug, Clone, Default)]
struct Visit {
    /// SKUs, the last first.
    views: Vec<String>,
    /// SKU and quantity, in the order of adding.
    cart: Vec<(String, u32)>,
    /// Milliseconds since 1970.
    changed: u64,
}

/// Who asks, as the edge or the shop's own cookie says.
struct Who {
    key: String,
    /// The shop's cookie, where the key is another's.
    guest: Option<String>,
}

impl Visits {
    /// From now on changes go to `send`, and the session API knows what happened here, and nobody else.
    pub(crate) fn stream(&self, send: Arc<Send>) {
        let mut returning = Visit { cart: vec![("P0001".to_owned(), 2)], ..Visit::default() };
        returning.views = ["P0003", "P0005"].map(str::to_owned).to_vec();
        returning.touch();
        self.lock().insert(RETURNING.to_owned(), returning);
        // The first who listens goes on listening.
        let _ = self.send.set(send);
    }

    /// The answer of a path that is about a visitor; `None` for any other.
    pub(crate) async fn answer(&self, head: &Parts, body: &[u8], path: &str) -> Option<Answer> {
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let posts = head.method == Method::POST;
        match segments.as_slice() {
            ["cart"] if posts => {
                let Some(product) = chosen(body) else { return Some(Answer::status(StatusCode::BAD_REQUEST)) };
                let who = self.who(head).unwrap_or_else(newcomer);
                self.change(&who, |visit| visit.add(&product.sku)).await;
                let answer = Answer::text(StatusCode::SEE_OTHER, "It is in your cart.\n").cached("no-store");
                Some(who.keep(answer.with(LOCATION, HeaderValue::from_static("/cart"))))
            }
            ["cart"] => Some(pages::cart(&self.cart(head))),
            ["seen"] if posts => {
                let Some(product) = chosen(body) else { return Some(Answer::status(StatusCode::BAD_REQUEST)) };
                // Who isn't known leaves no trace.
                if let Some(who) = self.who(head).filter(|who| !who.is_guest()) {
                    self.change(&who, |visit| visit.saw(&product.sku)).await;
                }
                Some(Answer::new(StatusCode::NO_CONTENT, "text/plain", "").cached("no-store"))
            }
            ["orders"] if posts => {
                if let Some(who) = self.who(head) {
                    self.change(&who, |visit| visit.cart.clear()).await;
                }
                Some(pages::order(head))
            }
            ["sessions", kind @ ("user" | "visitor"), id] if self.send.get().is_some() => {
                let visit = self.lock().get(&format!("{kind}/{id}")).cloned();
                let answer = visit.map_or_else(Answer::not_found, |visit| Answer::json(&visit.session()));
                Some(answer.cached("no-store"))
            }
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Visit>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who asks, if anybody says so.
    fn who(&self, head: &Parts) -> Option<Who> {
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let guest = cookie(head, SESSION).map(|id| format!("guest/{id}"));
        let known = header("x-user-id").map(|id| format!("user/{id}"));
        let known = known.or_else(|| header("edge-visitor-id").map(|id| format!("visitor/{id}")));
        match (known, guest) {
            (Some(key), guest) => Some(Who { key, guest }),
            (None, Some(key)) => Some(Who { key, guest: None }),
            (None, None) => None,
        }
    }

    fn cart(&self, head: &Parts) -> Vec<(Product, u32)> {
        let Some(who) = self.who(head) else { return Vec::new() };
        let known = self.lock();
        let visit = known.get(&who.key).or_else(|| known.get(who.guest.as_ref()?));
        let items = visit.into_iter().flat_map(|visit| &visit.cart);
        items.filter_map(|(sku, quantity)| Some((catalog::product(sku)?, *quantity))).collect()
    }

    /// Changes what is known of a visitor, and tells the edge.
    async fn change(&self, who: &Who, change: impl FnOnce(&mut Visit)) {
        let visit = {
            let mut known = self.lock();
            // Who agreed in the meantime keeps the cart of before.
            let before = who.guest.as_ref().and_then(|guest| known.remove(guest));
            if known.len() >= KEPT && !known.contains_key(&who.key) {
                return;
            }
            let visit = known.entry(who.key.clone()).or_insert_with(|| before.unwrap_or_default());
            change(visit);
            visit.touch();
            visit.clone()
        };
        let Some((send, line)) = self.send.get().zip(visit.update(&who.key)) else { return };
        let send = Arc::clone(send);
        // Sending waits for the edge. If it fails, the edge asks the session API later.
        let _ = tokio::task::spawn_blocking(move || send(&line)).await;
    }
}

impl Who {
    fn is_guest(&self) -> bool {
        self.key.starts_with("guest/")
    }

    /// Has the browser keep the shop's own cookie, where the visitor is known by that alone.
    fn keep(&self, answer: Answer) -> Answer {
        let cookie =
            self.key.strip_prefix("guest/").map(|id| format!("{SESSION}={id}; Path=/; HttpOnly; SameSite=Lax"));
        match cookie.and_then(|cookie| HeaderValue::try_from(cookie).ok()) {
            Some(cookie) => answer.with(SET_COOKIE, cookie),
            None => answer,
        }
    }
}

impl Visit {
    fn saw(&mut self, sku: &str) {
        self.views.retain(|known| known != sku);
        self.views.insert(0, sku.to_owned());
        self.views.truncate(VIEWS);
    }

    fn add(&mut self, sku: &str) {
        match self.cart.iter_mut().find(|(known, _)| known == sku) {
            Some((_, quantity)) => *quantity = quantity.saturating_add(1),
            None => self.cart.push((sku.to_owned(), 1)),
        }
    }

    /// Each change is later than the one before, whatever the clock says.
    fn touch(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        self.changed = u64::try_from(now).unwrap_or_default().max(self.changed.saturating_add(1));
    }

    /// How much the visitor likes each category, from 0 to 1: a product in the cart says as much as two looks.
    fn affinity(&self) -> BTreeMap<&'static str, f64> {
        let looks = self.views.iter().map(|sku| (sku, 1.0));
        let all: Vec<_> = looks.chain(self.cart.iter().map(|(sku, _)| (sku, 2.0))).collect();
        let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
        let mut affinity = BTreeMap::new();
        for (sku, weight) in all {
            if let Some(product) = catalog::product(sku) {
                *affinity.entry(product.category).or_default() += weight / sum;
            }
        }
        affinity
    }

    /// The session record (docs/SESSIONS.md).
    fn session(&self) -> Value {
        let cart: Vec<_> =
            self.cart.iter().map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity })).collect();
        json!({ "v": 1, "updated_at": self.changed, "recent_views": self.views, "cart": cart, "affinity": self.affinity() })
    }

    /// The line that tells the edge; `None` for whom the edge doesn't know.
    fn update(&self, key: &str) -> Option<String> {
        let (kind, id) = key.split_once('/').filter(|(kind, _)| *kind != "guest")?;
        let line = json!({ "op": "put", kind: id, "updated_at": self.changed, "record": self.session() });
        Some(format!("{line}\n"))
    }
}

/// Somebody who has nothing yet.
fn newcomer() -> Who {
    let id = |seed: u8| RandomState::new().hash_one(seed);
    Who { key: format!("guest/{:016x}{:016x}", id(0), id(1)), guest: None }
}

/// The product that a form or a beacon names.
fn chosen(body: &[u8]) -> Option<Product> {
    let form = std::str::from_utf8(body).ok()?;
    let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    catalog::product(pairs.find(|(name, _)| *name == "sku")?.1)
}

fn cookie<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    let lines = head.headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp, reason = "a surprise ends the test")]

    use hyper::Request;

    use super::*;

    async fn post(visits: &Visits, path: &str, sku: &str, header: Option<(&str, &str)>) -> Answer {
        let request = Request::builder().method(Method::POST).uri(path);
        let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let (head, ()) = request.body(()).unwrap().into_parts();
        visits.answer(&head, format!("sku={sku}").as_bytes(), path).await.unwrap()
    }

    #[tokio::test]
    async fn a_cart_of_a_visitor_who_may_be_known_streams_to_the_edge() {
        let visits = Visits::default();
        let sent: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = Arc::clone(&sent);
        visits.stream(Arc::new(move |line: &str| kept.lock().unwrap().push(serde_json::from_str(line).unwrap())));
        let guest = post(&visits, "/cart", "P0002", None).await;
        let cookie = guest.headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        post(&visits, "/seen", "P0007", Some(("cookie", &cookie))).await;
        assert!(sent.lock().unwrap().is_empty(), "nothing of who has not agreed");

        // The same browser, now known to the edge: the cart comes along.
        let (head, ()) = Request::builder()
            .method(Method::POST)
            .uri("/seen")
            .header("cookie", &cookie)
            .header("edge-visitor-id", "00000000000000000000000000000abc")
            .body(())
            .unwrap()
            .into_parts();
        visits.answer(&head, b"sku=P0007", "/seen").await.unwrap();
        let line = sent.lock().unwrap().pop().unwrap();
        assert_eq!(line["visitor"], "00000000000000000000000000000abc");
        assert_eq!(line["record"]["cart"], json!([{ "sku": "P0002", "quantity": 1 }]));
        assert_eq!(line["record"]["recent_views"], json!(["P0007"]));
        assert_eq!(line["record"]["affinity"]["kitchen"], 1.0);
        let asked = visits.answer(&head, b"", "/sessions/visitor/00000000000000000000000000000abc").await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&asked.bytes()).unwrap()["cart"], line["record"]["cart"]);
        assert_eq!(visits.answer(&head, b"", "/sessions/visitor/nobody").await.unwrap().status, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn an_order_empties_the_cart() {
        let visits = Visits::default();
        let known = Some(("edge-visitor-id", "1"));
        post(&visits, "/cart", "P0002", known).await;
        post(&visits, "/orders", "", known).await;
        let (head, ()) = Request::get("/cart").header("edge-visitor-id", "1").body(()).unwrap().into_parts();
        let page = visits.answer(&head, b"", "/cart").await.unwrap().bytes();
        assert!(String::from_utf8_lossy(&page).contains("Nothing here yet."));
        assert_eq!(post(&visits, "/cart", "nothing", known).await.status, StatusCode::BAD_REQUEST);
    }
}
