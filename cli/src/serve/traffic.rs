//! Visitors from everywhere, so that there is something to see on a laptop: they look at pages, come back, and some of them order.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use edge_personalizer::platform::ClientRequest;
use http::{HeaderMap, HeaderValue, Method, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::runtime::Handle;

use super::body::HostBody;
use super::listen::Door;
use super::picked::{DEVICES, Picked};
use crate::folder::Folder;
use crate::folder::payload::PayloadOptions;

/// Where visitors are, and the language that they read; the United States come twice as often.
const PLACES: [(&str, &str); 12] = [
    ("US", "en-US,en;q=0.9"),
    ("US", "en-US,en;q=0.9"),
    ("CA", "fr-CA,fr;q=0.9,en;q=0.8"),
    ("FR", "fr-FR,fr;q=0.9"),
    ("DE", "de-DE,de;q=0.9,en;q=0.5"),
    ("GB", "en-GB,en;q=0.9"),
    ("ES", "es-ES,es;q=0.9"),
    ("JP", "ja-JP,ja;q=0.9"),
    ("BR", "pt-BR,pt;q=0.9"),
    ("IN", "en-IN,hi;q=0.8"),
    ("AU", "en-AU,en;q=0.9"),
    ("ZA", "en-ZA,en;q=0.9"),
];
/// Where an order goes: the demo shop's page.
const ORDERS: &str = "/orders";
/// Visitors who may come back.
const KNOWN: usize = 200;
/// Percent of requests that are of a new visitor, and that are an order; of visitors who refuse, and who have not agreed yet.
const NEW: u64 = 70;
const ORDER: u64 = 6;
const REFUSES: u64 = 5;
const UNDECIDED: u64 = 5;
/// Percent of new visitors that are bots, the last of the devices.
const BOTS: u64 = 3;

/// What is asked for, how often, and where.
#[derive(Debug)]
pub struct Traffic {
    pause: Duration,
    paths: Vec<String>,
    /// The cookie by which a visitor agrees, where the rules have one.
    consent: Option<(String, String)>,
    address: SocketAddr,
}

/// Somebody.
#[derive(Debug, Clone)]
struct Visitor {
    address: IpAddr,
    picked: Picked,
    language: &'static str,
    cookies: BTreeMap<String, String>,
}

impl Traffic {
    /// So many requests a second, on the pages that a folder's routes name.
    ///
    /// # Errors
    ///
    /// The folder can't be read.
    pub fn new(rate: u32, folder: &Path, address: SocketAddr) -> anyhow::Result<Self> {
        let folder = Folder::read(folder, &PayloadOptions::default())?;
        let values = folder.values();
        let mut paths = vec!["/".to_owned()];
        let routes = values.get("routes").and_then(|routes| routes.get("routes")).and_then(Value::as_array);
        let is_read = |route: &&Value| {
            let methods = route.get("methods").and_then(Value::as_array);
            methods.is_none_or(|methods| methods.iter().any(|method| method == "GET"))
        };
        let named = routes.into_iter().flatten().filter(is_read).filter_map(|route| route.get("path")?.as_str());
        paths.extend(named.map(example));
        paths.dedup();
        let consent = values.get("settings").and_then(|settings| settings.pointer("/consent/cookie"));
        let text = |key: &str| consent?.get(key)?.as_str().map(str::to_owned);
        let consent = text("name").zip(text("value"));
        let pause = Duration::from_secs(1) / rate.max(1);
        Ok(Self { pause, paths, consent, address })
    }

    /// The pages, for people.
    pub fn told(&self) -> String {
        let rate = 1.0 / self.pause.as_secs_f64();
        format!("Traffic: {rate:.0} requests a second on {}, and orders.", self.paths.join(", "))
    }

    /// Asks until the program ends.
    pub async fn run(self, door: Arc<Door>, runtime: Handle) {
        let known: Arc<Mutex<Vec<Visitor>>> = Arc::default();
        let traffic = Arc::new(self);
        let mut clock = tokio::time::interval(traffic.pause);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            clock.tick().await;
            let (traffic, door, known) = (Arc::clone(&traffic), Arc::clone(&door), Arc::clone(&known));
            let runtime_of_body = runtime.clone();
            runtime.spawn(async move { traffic.visit(&door, &known, runtime_of_body).await });
        }
    }

    async fn visit(&self, door: &Door, known: &Mutex<Vec<Visitor>>, runtime: Handle) {
        let back = {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            let count = known.len();
            if count == 0 || below(100) < NEW { None } else { Some(known.swap_remove(index(count))) }
        };
        let orders = back.is_some() && below(100) < ORDER;
        let mut visitor = back.unwrap_or_else(|| self.somebody());
        let path = if orders { ORDERS } else { self.paths.get(index(self.paths.len())).map_or("/", String::as_str) };
        let request = visitor.request(if orders { Method::POST } else { Method::GET }, path, self.address, runtime);
        let answer = door.ask(request, visitor.picked.clone()).await;
        visitor.keep(answer.headers());
        // Who doesn't read to the end breaks off.
        let _ = answer.into_body().collect().await;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < KNOWN {
            known.push(visitor);
        }
    }

    fn somebody(&self) -> Visitor {
        let (country, language) = PLACES.get(index(PLACES.len())).copied().unwrap_or(("US", "en"));
        let people = DEVICES.len().saturating_sub(1);
        let device = if below(100) < BOTS { people } else { index(people) };
        let device = DEVICES.get(device).map_or("desktop", |(name, _)| name);
        let consent = if below(100) < REFUSES { "&consent=refused" } else { "" };
        let mut cookies = BTreeMap::new();
        if let Some((name, value)) = self.consent.clone().filter(|_| below(100) >= UNDECIDED) {
            cookies.insert(name, value);
        }
        // 198.18.0.0/15 is for measurements (RFC 2544): nobody has such an address.
        let [.., a, b, c] = below(1 << 17).to_be_bytes();
        let address = IpAddr::V4(Ipv4Addr::new(198, 18 + a, b, c));
        let picked = Picked::read(&format!("country={country}&device={device}{consent}"));
        Visitor { address, picked, language, cookies }
    }
}

impl Visitor {
    fn request(&self, method: Method, path: &str, edge: SocketAddr, runtime: Handle) -> ClientRequest<HostBody> {
        let mut headers = HeaderMap::new();
        let authority = edge.to_string();
        headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static(self.language));
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = format!("{}={}; {}", super::picked::COOKIE, self.picked.form(), pairs.join("; "));
        for (name, value) in [(header::HOST, &authority), (header::COOKIE, &cookies)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        // It sets the device's own headers, as for a browser.
        Picked::take(&mut headers);
        ClientRequest {
            method,
            scheme: "http".to_owned(),
            authority,
            path: path.to_owned(),
            query: None,
            headers,
            address: Some(self.address),
            body: HostBody::new(super::body::whole(Vec::new()), runtime),
        }
    }

    /// Keeps the cookies of an answer.
    fn keep(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(header::SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()) {
            let pair = cookie.split(';').next().and_then(|pair| pair.split_once('='));
            if let Some((name, value)) = pair {
                self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }
}

/// A path that a route's path matches.
fn example(path: &str) -> String {
    let segment = |part: &str| if part.contains(['*', '{', ':']) { "P0001".to_owned() } else { part.to_owned() };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// A number below another.
fn below(limit: u64) -> u64 {
    let mut bytes = [0; 8];
    // Without randomness everybody is alike, and the rest works.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes) % limit.max(1)
}

fn index(length: usize) -> usize {
    usize::try_from(below(u64::try_from(length).unwrap_or(1))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_from_the_routes_and_consent_from_the_settings() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        put(
            "routes.json",
            r#"{"routes":[{"id":"a","path":"/search/*"},{"id":"b","path":"/p/{id}/x"},{"id":"c","path":"/c","methods":["POST"]}]}"#,
        );
        put("settings.json", r#"{"consent":{"cookie":{"name":"ok","value":"1"}}}"#);
        let traffic = Traffic::new(20, folder.path(), SocketAddr::from(([127, 0, 0, 1], 7878))).unwrap();
        assert_eq!(traffic.paths, ["/", "/search/P0001", "/p/P0001/x"]);
        assert_eq!(traffic.pause, Duration::from_millis(50));
        let visitors: Vec<Visitor> = (0..400).map(|_| traffic.somebody()).collect();
        let agreed =
            visitors.iter().filter(|visitor| visitor.cookies.get("ok").is_some_and(|value| value == "1")).count();
        assert!((320..400).contains(&agreed), "{agreed}");
        let countries: std::collections::BTreeSet<_> = visitors.iter().map(|visitor| visitor.picked.country).collect();
        assert_eq!(countries.len(), 11, "each place is one that is known: {countries:?}");
        assert!(!countries.contains(&None));
    }

    #[test]
    fn a_visitor_comes_back_with_the_cookies() {
        let mut headers = HeaderMap::new();
        headers.append(header::SET_COOKIE, HeaderValue::from_static("ep_vid=abc; Path=/; Secure"));
        let picked = Picked::read("country=FR&device=mobile");
        let address = IpAddr::from([198, 18, 0, 1]);
        let mut visitor = Visitor { address, picked, language: "fr", cookies: BTreeMap::new() };
        visitor.keep(&headers);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let edge = SocketAddr::from(([127, 0, 0, 1], 7878));
        let request = visitor.request(Method::GET, "/", edge, runtime.handle().clone());
        assert_eq!(request.headers[header::COOKIE], "ep_vid=abc");
        assert!(request.headers[header::USER_AGENT].to_str().unwrap().contains("iPhone"));
    }
}
