//! A simulated shop: visitors, experiments and orders whose truth the report doesn't see. The truth is counted from what visitors did,
//! not from lines.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// 2026-11-02T00:00:00Z, a Monday.
pub const START: i64 = 1_793_577_600;
const DAY: f64 = 86_400.0;

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below 1.
    pub fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.share()).ln()).sqrt() * (std::f64::consts::TAU * self.share()).cos()
    }

    pub fn unit(&mut self) -> String {
        format!("{:016x}{:016x}", self.bits(), self.bits())
    }

    pub fn pick<'v>(&mut self, values: &[&'v str]) -> &'v str {
        values[(self.share() * values.len() as f64) as usize]
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twist {
    /// Nothing.
    None,
    /// The second variation redirects, and one in twelve visitors on a phone leaves before the second page.
    Redirect,
    /// The second variation fails for one visitor in twenty, who then buys less; the lines say so.
    Fallback,
    /// A fifth of the visitors are bots that don't say so: they see pages and buy nothing.
    Bots,
    /// A fifth of the visitors log in and are somebody else from then on.
    Login,
    /// The log key is rotated in the middle: from then on everybody has another pseudonym.
    Rotation,
    /// The weights change from 50:50 to 30:70 in the middle, with a new revision that moves one visitor in five, and the shop is at a sale
    /// then.
    Weights,
    /// One in ten lines of `decisions` is kept from the middle on.
    Sample,
    /// A third of the visitors lose their cookie and come back as somebody else.
    LostCookies,
    /// Lines come twice, late, and cut; orders are reported again.
    Messy,
}

/// A shop.
#[derive(Debug, Clone)]
pub struct Shop {
    pub seed: u64,
    pub visitors: usize,
    pub days: f64,
    /// The share of visitors who buy.
    pub rate: f64,
    /// What the second variation adds to it, relatively.
    pub lift: f64,
    /// The deviation of the logarithm of an order's value.
    pub spread: f64,
    pub twist: Twist,
}

/// What is true.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    /// Visitors that were exposed, by variation; once for each log key and for each set of weights.
    pub units: [u64; 2],
    /// Those of them who bought within the window after their first exposure.
    pub bought: [u64; 2],
    /// What they bought, in cents.
    pub cents: [u64; 2],
    /// Pages that were asked for, and those of them that fell back.
    pub pages: [u64; 2],
}

impl Default for Shop {
    fn default() -> Self {
        Self { seed: 1, visitors: 20_000, days: 14.0, rate: 0.1, lift: 0.0, spread: 1.0, twist: Twist::None }
    }
}

/// RFC 3339 of seconds since the start.
pub fn at(seconds: f64) -> String {
    OffsetDateTime::from_unix_timestamp(START + seconds as i64).unwrap().format(&Rfc3339).unwrap()
}

impl Shop {
    /// The lines of `exposures` and `conversions`, and the truth.
    pub fn lines(&self) -> (Vec<String>, Truth) {
        let (mut random, mut truth, mut lines) = (Random(self.seed.wrapping_mul(7_919)), Truth::default(), Vec::new());
        for number in 0..self.visitors {
            self.visitor(number, &mut random, &mut truth, &mut lines);
        }
        if self.twist == Twist::Messy {
            messy(&mut random, &mut lines);
        }
        (lines, truth)
    }

    fn visitor(&self, number: usize, random: &mut Random, truth: &mut Truth, lines: &mut Vec<String>) {
        let first = random.share() * self.days * DAY;
        let is_late = first > self.days * DAY / 2.0;
        let device = random.pick(&["mobile", "mobile", "desktop"]);
        let country = random.pick(&["FR", "DE", "US"]);
        let second = if self.twist == Twist::Weights && is_late { 0.7 } else { 0.5 };
        let arm = usize::from(random.share() < second);
        let is_bot = self.twist == Twist::Bots && random.share() < 0.2;
        if self.twist == Twist::Redirect && arm == 1 && device == "mobile" && random.share() < 1.0 / 12.0 {
            return;
        }
        let falls = self.twist == Twist::Fallback && arm == 1 && random.share() < 0.05;
        let mut rate = self.rate * if arm == 1 { 1.0 + self.lift } else { 1.0 };
        if falls {
            rate *= 0.5;
        }
        if self.twist == Twist::Weights && is_late {
            rate *= 2.0;
        }
        if is_bot {
            rate = 0.0;
        }
        let unit = random.unit();
        let mut told = Told {
            shop: self,
            middle: self.days * DAY / 2.0,
            country,
            device,
            pages: [0; 2],
            seen: BTreeMap::new(),
            bought: Vec::new(),
        };
        let mut person = Person { unit, arm, moved: arm };
        if self.twist == Twist::Weights && arm == 0 && !is_late && random.share() < 0.4 {
            person.moved = 1;
        }
        told.page(first, &person, falls, random, lines);
        for visit in 0..2 {
            if random.share() < 0.4 {
                let time = first + (1.0 + f64::from(visit)) * 3_600.0 * (1.0 + random.share());
                told.page(time, &person, false, random, lines);
            }
        }
        // An order before anything was seen is nobody's doing.
        if random.share() < 0.02 {
            told.order(first - 600.0, &person, &format!("early-{number}"), 20.0, random, lines);
        }
        let time = first + 300.0 + random.share() * 40.0 * 3_600.0;
        let leaves = match self.twist {
            Twist::Login => random.share() < 0.2,
            Twist::LostCookies => random.share() < 1.0 / 3.0,
            _ => false,
        };
        if leaves {
            // Somebody new to the edge, by the dice again.
            let unit = random.unit();
            let arm = usize::from(random.share() < second);
            person = Person { unit, arm, moved: arm };
            told.page(time - 60.0, &person, false, random, lines);
            rate = self.rate * if arm == 1 { 1.0 + self.lift } else { 1.0 };
        }
        if random.share() < rate {
            let value = self.value(random);
            told.order(time, &person, &format!("o{number}"), value, random, lines);
            if self.twist == Twist::Messy && random.share() < 0.2 {
                // The origin tells it again: another line, the same order.
                told.again(time + 5.0, &person, &format!("o{number}"), value, random, lines);
            }
        }
        // Too late to be counted.
        if !leaves && random.share() < 0.02 {
            told.order(first + 80.0 * 3_600.0, &person, &format!("late-{number}"), 20.0, random, lines);
        }
        told.count(truth);
    }

    fn value(&self, random: &mut Random) -> f64 {
        ((3.5 + self.spread * random.normal()).exp() * 100.0).round() / 100.0
    }
}

/// Somebody, as the edge knows them.
struct Person {
    unit: String,
    /// The variation, and the one after the weights have changed.
    arm: usize,
    moved: usize,
}

/// What one visitor did.
struct Told<'s> {
    shop: &'s Shop,
    /// When the twist comes.
    middle: f64,
    country: &'static str,
    device: &'static str,
    pages: [u64; 2],
    /// By log key, revision and pseudonym: the first look and the variation.
    seen: BTreeMap<(&'static str, &'static str, String), (f64, usize)>,
    bought: Vec<(f64, String, u64)>,
}

impl Told<'_> {
    /// The log key, the revision and the pseudonym of a time.
    fn known(&self, time: f64, person: &Person) -> (&'static str, &'static str, String) {
        let is_late = time > self.middle;
        let (rotated, changed) =
            (self.shop.twist == Twist::Rotation && is_late, self.shop.twist == Twist::Weights && is_late);
        let unit = if rotated { person.unit.chars().rev().collect() } else { person.unit.clone() };
        (if rotated { "2026-12" } else { "2026-11" }, if changed { "r2" } else { "r1" }, unit)
    }

    fn page(&mut self, time: f64, person: &Person, falls: bool, random: &mut Random, lines: &mut Vec<String>) {
        let (key, revision, unit) = self.known(time, person);
        let arm = if revision == "r2" { person.moved } else { person.arm };
        let seen = self.seen.entry((key, revision, unit.clone())).or_insert((time, arm));
        seen.0 = seen.0.min(time);
        let request = random.unit();
        if self.shop.twist == Twist::Sample {
            self.pages[0] += 1;
            // A page that fell back always has its line.
            let falls = random.share() < 0.02;
            self.pages[1] += u64::from(falls);
            let sample = if falls || time <= self.middle { 1.0 } else { 0.1 };
            if random.share() < sample {
                let fallback = if falls { r#""status-503""# } else { "null" };
                lines.push(format!(
                    r#"{{"v":2,"time":"{}","request_id":"{request}","trace_id":"{request}","pop":"FRA","revision":"r1","route":"home","status":200,"pass":1,"fallback":{fallback},"errors":[],"cold":false,"total_ms":20,"origin_ms":19,"sample":{sample:.1}}}"#,
                    at(time)
                ));
            }
        }
        let fallback = if falls { r#","fallback":"status-503""# } else { "" };
        lines.push(format!(
            r#"{{"v":2,"timestamp":"{}","request_id":"{request}","revision":"{revision}","experiment_id":"hero","variation_id":"{arm}","variation":{arm},"feature_id":"hero","unit_type":"id","unit_id":"{unit}","sticky":false,"shown":{}{fallback},"key":"{key}","attributes":{{"country":"{}","deviceType":"{}"}}}}"#,
            at(time), !falls, self.country, self.device
        ));
    }

    /// An order, and its line.
    fn order(
        &mut self,
        time: f64,
        person: &Person,
        id: &str,
        value: f64,
        random: &mut Random,
        lines: &mut Vec<String>,
    ) {
        let (_, _, unit) = self.known(time, person);
        self.bought.push((time, unit, (value * 100.0).round() as u64));
        self.again(time, person, id, value, random, lines);
    }

    /// Another line of an order.
    fn again(&self, time: f64, person: &Person, id: &str, value: f64, random: &mut Random, lines: &mut Vec<String>) {
        let (key, _, unit) = self.known(time, person);
        lines.push(order(time, &unit, key, id, value, random));
    }

    /// What of it counts.
    fn count(&self, truth: &mut Truth) {
        for ((_, _, unit), (first, arm)) in &self.seen {
            truth.units[*arm] += 1;
            // Times of lines are whole seconds.
            let within = |time: f64| (first.floor()..=first.floor() + 72.0 * 3_600.0).contains(&time.floor());
            let own: Vec<u64> = self
                .bought
                .iter()
                .filter(|(time, of, _)| of == unit && within(*time))
                .map(|(.., cents)| *cents)
                .collect();
            truth.bought[*arm] += u64::from(!own.is_empty());
            truth.cents[*arm] += own.iter().sum::<u64>();
        }
        truth.pages[0] += self.pages[0];
        truth.pages[1] += self.pages[1];
    }
}

fn order(time: f64, unit: &str, key: &str, id: &str, value: f64, random: &mut Random) -> String {
    json!({ "v": 2, "timestamp": at(time), "request_id": random.unit(), "revision": "r1", "event": "order", "event_id": id,
        "value": value, "currency": "EUR", "source": "origin", "unit_type": "id", "unit_id": unit, "key": key, "attributes": {} })
    .to_string()
}

/// Every fifth line comes again, lines are in any order, and some are cut besides.
fn messy(random: &mut Random, lines: &mut Vec<String>) {
    let again: Vec<String> = lines.iter().filter(|_| random.share() < 0.2).cloned().collect();
    let cut: Vec<String> = again.iter().take(50).map(|line| line[..line.len() / 2].to_owned()).collect();
    lines.extend(again);
    lines.extend(cut);
    for index in (1..lines.len()).rev() {
        lines.swap(index, (random.share() * (index + 1) as f64) as usize);
    }
}

/// Lines of `decisions`: `count` requests, every tenth slow.
pub fn decisions(count: usize, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    (0..count)
        .map(|number| {
            let own = 0.2 + random.share();
            let origin = if number % 10 == 0 { 400.0 } else { 20.0 + 30.0 * random.share() };
            let fails = number % 50 == 0;
            let mut line = String::new();
            let _ = write!(
                line,
                r#"{{"v":2,"time":"{}","request_id":"{}","trace_id":"{}","pop":"{}","service_version":7,"revision":"r1","arm":"active","shadow":null,"route":"{}","method":"GET","path":"/products/{number}","status":{},"region":"EU-WEST","country":"FR","variant":{{"hero":"{}","region":"EU-WEST"}},"cache_key":null,"backend":"origin","backend_path":"/p","shield":null,"pass":1,"fallback":{},"session":"fresh","session_age":3,"session_ms":1,"preview":false,"errors":{},"cold":{},"lookups":1,"total_ms":{:.3},"done_ms":{:.3},"rules_ms":0.05,"origin_ms":{:.3},"vcpu_ms":2,"heap_mib":3,"bytes":900,"sample":1,"facts":{{}},"device":"mobile"}}"#,
                at(number as f64 * 60.0),
                random.unit(),
                random.unit(),
                random.pick(&["FRA", "CDG"]),
                random.pick(&["home", "products"]),
                if number % 200 == 0 { 503 } else { 200 },
                number % 2,
                if fails { r#""status-503""# } else { "null" },
                if fails { r#"["backend-status"]"# } else { "[]" },
                number % 20 == 0,
                own + origin,
                own + origin + 1.0,
                origin
            );
            line
        })
        .collect()
}
