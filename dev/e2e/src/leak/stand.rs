//! A service with everything around it, and the rounds that are run on it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use local_server::client::{Answer, Connection, Request};
use local_server::rules::Rules;
use local_server::visitors::NOWHERE;
use serde_json::{Value, json};

use super::judge::{Finding, Truth, findings};
use super::origin::{Origin, Seen};
use super::truth::Teller;
use super::visitors::Marked;
use super::{Leak, Options, Outcome, Way, describe};
use crate::at_random::{Random, dictionaries};
use crate::varnish::{Varnish, is_hit};
use crate::{Dice, Edge};

/// Visitors.
pub(super) const CROWD: usize = 50;
/// The local server's key of user ids, of `fastly.toml`.
const IDENTITY: &str = "local-identity-key-of-32-bytes-or-more";
/// How often a visitor asks for a URL below Varnish: what was stored for one is there for the next.
const AGAIN: usize = 2;
/// URLs of a round, each with one of these names.
const TARGETS: usize = 8;
const NAMES: [&str; 8] = ["a", "b", "a%2Fb", "%C3%A9", "x%22y", "own", "cookie", "missing"];
const QUERIES: [&str; 5] = ["", "&a=1", "&b=2&a=1", "&utm_source=x", "&a=%31&a=2"];
/// Of a hundred requests to the service itself, so many are `HEAD`.
const HEADS: usize = 8;
/// Clients at once.
const CLIENTS: usize = 4;
/// How often an answer that didn't come is asked for again: a kept connection may be closed just then.
const ATTEMPTS: usize = 4;
/// How many runs go into finding fewer visitors that leak as well.
const SHRINKING: usize = 16;

/// A service with everything around it.
pub(super) struct Stand {
    edge: Edge,
    varnish: Option<Varnish>,
    origin: Origin,
    crowd: Vec<Marked>,
    records: Vec<(String, Value)>,
    seed: u64,
    /// Tells the rules and URLs of one run from those of another.
    runs: usize,
}

/// One request that is made.
struct Ask<'c> {
    visitor: &'c Marked,
    way: Way,
    method: &'static str,
    target: String,
}

impl Stand {
    pub fn start(options: &Options) -> Self {
        let origin = Origin::start().unwrap();
        let crowd = Marked::crowd(CROWD, options.seed);
        let now = crate::now().as_millis();
        let records: Vec<(String, Value)> = crowd.iter().flat_map(|visitor| visitor.records(now)).collect();
        let start = Edge::with_rules(&json!({})).backend("origin", &origin.url());
        let start = records.iter().fold(start, |start, (key, record)| start.kv("sessions", key, &record.to_string()));
        let edge = start.start();
        let below = if options.careless { Varnish::careless } else { Varnish::before };
        let varnish = below(edge.address());
        Self { edge, varnish, origin, crowd, records, seed: options.seed, runs: 0 }
    }

    pub fn has_varnish(&self) -> bool {
        self.varnish.is_some()
    }

    pub fn seen(&self) -> Seen {
        self.origin.seen()
    }

    /// Each visitor of `who` asks for each URL of a round, by each way.
    pub fn round(&mut self, round: usize, who: &[usize]) -> Outcome {
        let rules = rules(self.seed, round);
        self.runs += 1;
        let run = self.runs;
        self.edge.edit(|store| {
            *store = Rules::default();
            for (name, dictionary) in rules.as_object().into_iter().flatten() {
                store.set_entry(&format!("run-{run}/{name}"), &dictionary.to_string());
            }
            // A pointer's change counts at once.
            store.set_entry("active", &json!({ "revision": format!("run-{run}") }).to_string());
        });
        let asks = asks(&self.crowd, who, (self.seed, round, run), self.varnish.is_some());
        let below = self.varnish.as_ref().map_or(self.edge.address(), Varnish::address);
        let to = (self.edge.address(), below);
        let outcome = Mutex::new(Outcome::default());
        std::thread::scope(|scope| {
            for first in 0..CLIENTS {
                let (outcome, rules, records, asks) = (&outcome, &rules, &self.records, &asks);
                scope.spawn(move || {
                    let mut client = Client::new(to, round, Teller::new(rules, records, IDENTITY));
                    // A visitor's requests go one after the other, so that what they have to get is found out once.
                    asks.iter().filter(|ask| ask.visitor.number % CLIENTS == first).for_each(|ask| client.ask(ask));
                    outcome.lock().unwrap_or_else(PoisonError::into_inner).add(client.finish());
                });
            }
        });
        outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a leak is seen again, with as few visitors as leak as well; in words.
    pub fn again(&mut self, leak: &Leak) -> String {
        let owners = leak.findings.iter().filter_map(|finding| match finding {
            Finding::Mark(owner) => Some(*owner),
            Finding::Variant(_) => None,
        });
        let pair: Vec<usize> = owners.take(1).chain([leak.visitor]).collect();
        let mut fewest: Vec<usize> = (0..CROWD).collect();
        let mut left = SHRINKING;
        if pair.len() == 2 && self.leaks(leak.round, &pair) {
            fewest = pair;
        }
        // Without this half, then without that one, then without quarters …
        let mut size = fewest.len().div_ceil(2);
        while size > 0 && fewest.len() > 1 && left > 0 {
            let mut at = 0;
            while at < fewest.len() && fewest.len() > 1 && left > 0 {
                left -= 1;
                let rest: Vec<usize> = fewest
                    .iter()
                    .enumerate()
                    .filter(|(place, _)| !(at..at + size).contains(place))
                    .map(|(_, who)| *who)
                    .collect();
                if !rest.is_empty() && self.leaks(leak.round, &rest) {
                    fewest = rest;
                } else {
                    at += size;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
        describe(self.seed, leak, &rules(self.seed, leak.round), fewest.iter().filter_map(|who| self.crowd.get(*who)))
    }

    fn leaks(&mut self, round: usize, who: &[usize]) -> bool {
        self.origin.purge();
        !self.round(round, who).leaks.is_empty()
    }
}

/// The rules of a round, with what all rounds have.
fn rules(seed: u64, round: usize) -> Value {
    let mut rules = dictionaries(&mut Random(mixed(seed, round) | 1));
    let fixed = json!({
        "region_override": "any", "log": { "sample": 0 },
        // The local server takes the time that passes for vCPU time: a page must not stream on unrewritten on a busy machine.
        "limits": { "vcpu_ms": 60_000 },
        "consent": { "cookie": { "name": "consent", "value": "yes" }, "countries": ["*"] } });
    if let (Some(settings), Some(fixed)) =
        (rules.pointer_mut("/settings").and_then(Value::as_object_mut), fixed.as_object())
    {
        settings.extend(fixed.clone());
    }
    if let Some(session) = rules.pointer_mut("/settings/session").and_then(Value::as_object_mut) {
        session.insert("budget_ms".to_owned(), 2_000.into());
    }
    rules
}

fn mixed(seed: u64, round: usize) -> u64 {
    Dice::new(seed ^ (round as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)).next_bits()
}

/// Everything that is asked in a round, in its order.
fn asks<'c>(
    crowd: &'c [Marked],
    who: &[usize],
    (seed, round, run): (u64, usize, usize),
    varnish: bool,
) -> Vec<Ask<'c>> {
    let mut dice = Dice::new(mixed(seed, round) ^ 1);
    // What a cache below has of another round stays there.
    let target =
        |dice: &mut Dice, place: usize| format!("/r{}/{}?run={run}{}", place % 4, dice.one(&NAMES), dice.one(&QUERIES));
    let targets: Vec<String> = (0..TARGETS).map(|place| target(&mut dice, place)).collect();
    let mut asks = Vec::new();
    for visitor in who.iter().filter_map(|who| crowd.get(*who)) {
        for target in &targets {
            let method = if dice.chance(HEADS) { "HEAD" } else { "GET" };
            asks.push(Ask { visitor, way: Way::Direct, method, target: target.clone() });
            if varnish {
                let below = || Ask { visitor, way: Way::Below, method: "GET", target: target.clone() };
                asks.extend((0..AGAIN).map(|_| below()));
            }
        }
    }
    for place in (1..asks.len()).rev() {
        asks.swap(place, dice.below(place + 1));
    }
    asks
}

/// Asks one request after the other, on connections that it keeps.
struct Client {
    to: (SocketAddr, SocketAddr),
    round: usize,
    teller: Teller,
    truths: HashMap<(usize, Way, &'static str, String), Truth>,
    open: HashMap<(IpAddr, Way), Connection>,
    outcome: Outcome,
}

impl Client {
    fn new(to: (SocketAddr, SocketAddr), round: usize, teller: Teller) -> Self {
        let (truths, open) = (HashMap::new(), HashMap::new());
        Self { to, round, teller, truths, open, outcome: Outcome::default() }
    }

    fn ask(&mut self, ask: &Ask<'_>) {
        let Ask { visitor, way, method, target } = ask;
        let key = (visitor.number, *way, *method, target.clone());
        let teller = &mut self.teller;
        let truth = self.truths.entry(key).or_insert_with(|| teller.tell(visitor, *way, method, target)).clone();
        let from = if *way == Way::Direct { visitor.place.address } else { NOWHERE.address };
        let Some(answer) = self.send((from, *way), &visitor.request(method, target)) else {
            self.outcome.unanswered += 1;
            return;
        };
        match way {
            Way::Direct => self.outcome.direct += 1,
            Way::Below => self.outcome.below += 1,
        }
        self.outcome.hits += usize::from(is_hit(&answer));
        self.outcome.variants += usize::from(truth.variant.is_some());
        let findings = findings(visitor.number, &truth, &answer);
        if !findings.is_empty() {
            let asked = format!("{method} {target}");
            self.outcome.leaks.push(Leak { round: self.round, visitor: visitor.number, way: *way, asked, findings });
        }
    }

    fn send(&mut self, by: (IpAddr, Way), request: &Request) -> Option<Answer> {
        for _ in 0..ATTEMPTS {
            let to = if by.1 == Way::Direct { self.to.0 } else { self.to.1 };
            let open = self.open.remove(&by).or_else(|| Connection::open(by.0, to).ok());
            let Some(mut open) = open else { continue };
            if let Ok(answer) = open.send(request)
                && answer.complete
            {
                if !answer.list("connection").contains(&"close".to_owned()) {
                    self.open.insert(by, open);
                }
                return Some(answer);
            }
        }
        None
    }

    fn finish(mut self) -> Outcome {
        self.outcome.faults = self.teller.faults();
        self.outcome
    }
}
