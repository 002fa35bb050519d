//! Which answer a path gets.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use serde_json::json;

use crate::answer::{Answer, Connection, Script};
use crate::record::{Recorded, RequestLog};
use crate::visits::Visits;
use crate::{Behaviour, careless, catalog, faults, pages, pictures, session_api, variations};

/// Request bodies beyond this are refused, so that a mistake can't fill the memory.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// The shop's state: what it received, and how it was told to misbehave.
#[derive(Debug, Default)]
pub(crate) struct Shop {
    log: Mutex<RequestLog>,
    armed: Mutex<Vec<Armed>>,
    forgetful: AtomicBool,
    pub(crate) visits: Visits,
}

/// A behaviour waiting for its path.
#[derive(Debug)]
struct Armed {
    path: String,
    behaviour: Behaviour,
    left: Option<usize>,
}

impl Armed {
    fn covers(&self, path: &str) -> bool {
        match self.path.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == self.path,
        }
    }
}

impl Shop {
    pub(crate) fn arm(&self, path: &str, behaviour: Behaviour, left: Option<usize>) {
        lock(&self.armed).push(Armed { path: path.to_owned(), behaviour, left });
    }

    pub(crate) fn disarm(&self) {
        lock(&self.armed).clear();
    }

    pub(crate) fn remember(&self, yes: bool) {
        self.forgetful.store(!yes, Ordering::Relaxed);
    }

    pub(crate) fn recorded_since(&self, number: u64) -> Vec<Recorded> {
        lock(&self.log).since(number)
    }

    pub(crate) fn forget(&self) {
        lock(&self.log).forget();
    }

    /// The behaviour that a request to `path` meets now; one that is counted is used up.
    fn behaviour(&self, path: &str) -> Option<Behaviour> {
        let mut armed = lock(&self.armed);
        let found = armed.iter_mut().rev().find(|armed| armed.covers(path) && armed.left != Some(0))?;
        if let Some(left) = &mut found.left {
            *left -= 1;
        }
        Some(found.behaviour.clone())
    }

    /// Answers one request.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> io::Result<Response<Script>> {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
            return Answer::status(StatusCode::PAYLOAD_TOO_LARGE).play(connection).await;
        };
        let body = body.to_bytes();
        let path = head.uri.path().to_owned();
        if path == "/_requests" {
            return self.requests_since(&head).play(connection).await;
        }
        if !self.forgetful.load(Ordering::Relaxed) {
            lock(&self.log).push(Recorded::new(&head, &body));
        }
        let mut answer = match self.visits.answer(&head, &body, &path).await {
            Some(answer) => answer,
            None => ordinary(&head, &body, &path),
        };
        if let Some(behaviour) = self.behaviour(&path) {
            answer = behaviour.apply(answer);
        }
        answer.play(connection).await
    }

    fn requests_since(&self, head: &Parts) -> Answer {
        let since = number(head, "since").unwrap_or(0);
        let requests: Vec<_> = self.recorded_since(since).iter().map(Recorded::to_json).collect();
        Answer::json(&json!({ "requests": requests })).cached("no-store")
    }
}

/// The answer of a shop in good health.
fn ordinary(head: &Parts, body: &[u8], path: &str) -> Answer {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match segments.as_slice() {
        [""] => pages::home(),
        ["products"] => pages::listing(),
        ["products", sku] => catalog::product(sku).map_or_else(Answer::not_found, |product| pages::product(&product)),
        ["thanks"] => pages::thanks(),
        ["page", "42k"] => pages::of_42_kilobytes(),
        ["style.css"] => pages::style(),
        ["measures.js"] => pages::measures(),
        ["shop.js"] => pages::script(),
        ["img", sku] => pictures::picture(head, sku),
        ["api", "products"] => product_list(head),
        ["api", "products", "all"] => all_products(),
        ["api", "products", "promotions", slug] => promotion(slug),
        ["echo", ..] => Answer::json(&Recorded::new(head, body).to_json()).cached("no-store"),
        ["careless", rest @ ..] => careless::answer(head, rest),
        ["sessions", kind @ ("user" | "visitor"), id] => session_api::record(kind, id),
        ["fault", fault, rest @ ..] => faults::answer(head, fault, rest),
        ["gzip", ..] => variations::gzip(head, ordinary(head, body, path.trim_start_matches("/gzip"))),
        ["etag", ..] => variations::etag(head, path),
        ["etag-of-all", ..] => variations::etag_of_all(head, path),
        ["range"] => variations::range(head),
        ["chunks"] => variations::chunks(head),
        ["set-cookie"] => variations::set_cookie(),
        ["headers"] => variations::headers(head),
        _ => Answer::not_found(),
    }
}

fn product_list(head: &Parts) -> Answer {
    let count = number(head, "n").and_then(|count| usize::try_from(count).ok()).unwrap_or(50);
    let list: Vec<_> = catalog::products(count).iter().map(catalog::Product::to_json).collect();
    Answer::json(&json!({ "products": list })).cached("public, max-age=60")
}

fn all_products() -> Answer {
    let list: Vec<_> = catalog::products(20).iter().map(catalog::Product::to_json).collect();
    Answer::json(&json!({ "title": "All products", "generic": true, "products": list })).cached("public, max-age=60")
}

fn promotion(slug: &str) -> Answer {
    let (title, skus) = match slug {
        "east" => ("Winter is coming: coats and kettles", ["P0008", "P0017"]),
        "west" => ("Pack for the coast", ["P0003", "P0013"]),
        "europe" => ("Coffee, slowly", ["P0007", "P0019"]),
        "asia" => ("Small rooms, bright light", ["P0006", "P0011"]),
        "global" => ("Everywhere, every day", ["P0001", "P0004"]),
        _ => return Answer::not_found(),
    };
    let list: Vec<_> = skus.iter().filter_map(|sku| catalog::product(sku)).map(|found| found.to_json()).collect();
    Answer::json(&json!({ "region": slug, "title": title, "products": list })).cached("public, max-age=60")
}

/// A query parameter, undecoded.
pub(crate) fn parameter<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    let pairs = head.uri.query()?.split('&');
    pairs.filter_map(|pair| pair.split_once('=')).find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// A query parameter that is a number.
pub(crate) fn number(head: &Parts, name: &str) -> Option<u64> {
    parameter(head, name)?.parse().ok()
}

/// A poisoned lock means that another test's thread stopped at a surprise: its data is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
