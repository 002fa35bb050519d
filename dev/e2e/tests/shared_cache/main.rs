//! Promise 1 in front of a real shared cache: Varnish keeps what it may, and no visitor ever sees what is another's.
//!
//! Where there is no Varnish, each test prints NOT TESTED and how to install it, and in CI it panics.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what is missing in a JSON value is null, and a surprise ends the test"
)]

mod people;
mod shop;

use e2e::varnish::{Varnish, is_hit};
use e2e::visitors::NOWHERE;
use e2e::{Answer, Visit};

use people::Person;

/// What is asked for by every visitor in turn, so often that what was stored for one is there for the next.
const ROUNDS: usize = 2;

/// Everything that was seen.
#[derive(Debug, Default)]
struct Tally {
    answers: usize,
    hits: usize,
    leaks: Vec<String>,
}

impl Tally {
    /// Every visitor asks for a target through the cache, again and again; each answer must be what the edge says to this visitor.
    fn ask(&mut self, edge: &Visit<'_>, varnish: &Varnish, people: &[Person], target: &str) {
        let truths: Vec<Answer> = people.iter().map(|person| edge.send(&person.request(target))).collect();
        for _ in 0..ROUNDS {
            for (person, truth) in people.iter().zip(&truths) {
                let answer = varnish.send(&person.request(target));
                self.answers += 1;
                self.hits += usize::from(is_hit(&answer));
                let found = leaks(person, people, truth, &answer);
                self.leaks.extend(found.into_iter().map(|what| format!("{target} for {}: {what}", person.name)));
            }
        }
    }
}

/// The text but for what differs from request to request: the request's id, which an error page of the edge's own
/// shows, and the session's age in seconds, which the origin echoes.
fn comparable(text: &str) -> String {
    let without_id = without(text, "<code>", "</code>");
    without(&without_id, ";age=", "\"")
}

/// The text without what stands between the first `start` and the `end` after it.
fn without(text: &str, start: &str, end: &str) -> String {
    let Some((before, after)) = text.split_once(start) else { return text.to_owned() };
    after.split_once(end).map_or_else(|| text.to_owned(), |(_, rest)| format!("{before}{start}{end}{rest}"))
}

/// What of an answer is somebody else's.
fn leaks(person: &Person, people: &[Person], truth: &Answer, answer: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    let text = answer.text();
    let others = people.iter().filter(|other| other.name != person.name).flat_map(Person::canaries);
    for canary in others {
        let in_header = answer.headers.iter().any(|(_, value)| String::from_utf8_lossy(value).contains(canary));
        if in_header || text.contains(canary) {
            found.push(format!("it holds {canary}"));
        }
    }
    for name in ["edge-variant", "location"] {
        if answer.header(name) != truth.header(name) {
            found.push(format!("{name} is {:?}, not {:?}", answer.header(name), truth.header(name)));
        }
    }
    if (answer.status, comparable(&text)) != (truth.status, comparable(&truth.text())) {
        found.push(format!("it is {} {text:?}, not {} {:?}", answer.status, truth.status, truth.text()));
    }
    found
}

#[test]
fn no_visitor_gets_what_is_anothers_through_a_shared_cache() {
    let edge = shop::start();
    let Some(varnish) = Varnish::before(edge.address()) else { return };
    let people = Person::three(&edge);
    let mut tally = Tally::default();
    for (what, target) in shop::PERSONALIZED {
        let before = tally.leaks.len();
        tally.ask(&edge.visitor(NOWHERE), &varnish, &people, target);
        let personal = people.iter().map(|person| edge.send(&person.request(target)));
        let texts: Vec<_> =
            personal.map(|answer| (answer.text(), answer.header("edge-variant"), answer.header("location"))).collect();
        assert!(texts[0] != texts[1], "{target} ({what}) is the same for all: it shows nothing\n{:?}", texts[0]);
        println!("{target:<28} {what}: {} leaks", tally.leaks.len() - before);
    }
    let plain = (tally.answers, tally.hits);
    for (_, target) in shop::PERSONALIZED {
        for confusing in shop::confusing(target) {
            tally.ask(&edge.visitor(NOWHERE), &varnish, &people, &confusing);
        }
    }
    for target in shop::FAILING {
        tally.ask(&edge.visitor(NOWHERE), &varnish, &people, target);
        let answer = edge.send(&people[0].request(target));
        assert!(
            answer.status >= 400 && answer.list("cache-control").contains(&"no-store".to_owned()),
            "{target}: {answer:#?}"
        );
    }
    println!(
        "{} answers of {} routes, {} more under confusing paths and of failing routes",
        plain.0,
        shop::PERSONALIZED.len(),
        tally.answers - plain.0
    );
    println!("{} of all came out of the cache; leaks {}", tally.hits, tally.leaks.len());
    assert!(tally.leaks.is_empty(), "{} leaks:\n{}", tally.leaks.len(), tally.leaks.join("\n"));
}

#[test]
fn what_is_the_same_for_all_comes_out_of_the_cache() {
    let edge = shop::start();
    let Some(varnish) = Varnish::before(edge.address()) else { return };
    let people = Person::three(&edge);
    for (what, target) in shop::SHAREABLE {
        let mut tally = Tally::default();
        tally.ask(&edge.visitor(NOWHERE).same_for_all(), &varnish, &people, target);
        println!("{target:<28} {what}: {} of {} from the cache", tally.hits, tally.answers);
        assert!(tally.leaks.is_empty(), "{:#?}", tally.leaks);
        assert!(tally.hits >= people.len(), "{target}: the cache was of no use: {tally:?}");
    }
}

#[test]
fn an_origin_that_shares_what_is_one_visitors_is_caught() {
    let edge = shop::start();
    let Some(varnish) = Varnish::before(edge.address()) else { return };
    let people = Person::three(&edge);
    let mut tally = Tally::default();
    // No route: the origin's own headers count, and this one calls a page public that holds the visitor's cookies.
    tally.ask(&edge.visitor(NOWHERE).transparent(), &varnish, &people, "/careless/no-route");
    println!("control: {} leaks among {} answers of a careless origin", tally.leaks.len(), tally.answers);
    assert!(tally.leaks.iter().any(|leak| leak.contains(people[0].user.as_str())), "{tally:#?}");
}
