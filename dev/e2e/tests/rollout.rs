//! Promise 16: rules change under load, by the command that people use, and nobody notices: no request fails, none is served by
//! two revisions, and the edge is never restarted.
//!
//! Each revision names itself in everything that it shapes: in the path by its routes, its regions and its features, in the query,
//! in request headers, in the body, in `Edge-Variant` and in `Edge-Revision`. An answer that two revisions had a hand in would show two
//! names.
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use e2e::load::{Load, Sample};
use e2e::visitors::{BOSTON, NEW_YORK, SAN_FRANCISCO, SEATTLE};
use e2e::{Answer, Edge, Request, personalizer};
use edge_personalizer::rules::canary::Share;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Clients at once.
const CLIENTS: [e2e::visitors::Visitor; 4] = [NEW_YORK, SAN_FRANCISCO, SEATTLE, BOSTON];
/// Visitors of each client, in turn.
const VISITORS: usize = 40;
/// Requests between two changes: every visitor is seen.
const BETWEEN: usize = CLIENTS.len() * VISITORS + 20;
/// Times through all commands; many more where `EDGE_FULL` asks for the long run.
const ROUNDS: usize = 3;
const FULL_ROUNDS: usize = 20;
/// The local server reads the pointer at every request: what takes longer than this hangs.
const EFFECT_LIMIT: Duration = Duration::from_secs(5);
/// How long the last log lines may take.
const LOG_LIMIT: Duration = Duration::from_secs(20);
/// What names itself where no rules serve.
const OFF: &str = "off";

/// Rules that say their name wherever they can.
fn rules(name: &str) -> Value {
    json!({
        "regions": { "default": { "id": name, "slug": name }, "regions": [] },
        "features": { "features": { "rules": { "defaultValue": name } } },
        "routes": { "routes": [ {
            "id": name, "path": "/echo/page/*", "features": ["rules"],
            "rewrite": { "path": format!("/echo/{name}/{{region.slug}}/{{feature.rules}}/{{path.rest}}"), "set_query": { "by": name } },
            "request_headers": { "set": { "X-By": format!("{name} {{feature.rules}} {{region.id}}") } },
            "json": { "set": [{ "pointer": "/by", "value": format!("{name} {{{{ region.slug }}}}") }] } } ] }
    })
}

/// The revision that an answer names in each of its places; [`OFF`] where it names none.
fn places(answer: &Answer) -> BTreeMap<&'static str, String> {
    let echo = answer.json();
    let text = |value: &Value| value.as_str().unwrap_or(OFF).to_owned();
    let sent = |name: &str| {
        let lines = echo["headers"].as_array().into_iter().flatten();
        let line = lines.filter(|line| line[0] == name).map(|line| text(&line[1])).next();
        line.unwrap_or_else(|| OFF.to_owned())
    };
    // region="r1", rules="r1"
    let variant = |line: String, dimension: &str| {
        let members = line.split(", ").filter_map(|member| member.split_once('='));
        let value = members.filter(|(name, _)| *name == dimension).map(|(_, value)| value.trim_matches('"')).next();
        value.unwrap_or(OFF).to_owned()
    };
    let path = echo["path"].as_str().unwrap_or_default();
    let mut segments = path.trim_start_matches("/echo/").split('/');
    let mut segment = || if path.starts_with("/echo/page/") { OFF } else { segments.next().unwrap_or("?") }.to_owned();
    let answered = answer.header("edge-variant").unwrap_or_default();
    let by = |words: &str, index: usize| words.split(' ').nth(index).unwrap_or(OFF).to_owned();
    BTreeMap::from([
        ("the path, by its routes", segment()),
        ("the path, by its regions", segment()),
        ("the path, by its features", segment()),
        ("the query", text(&echo["query"]).trim_start_matches("by=").to_owned()),
        ("X-By, by its routes", by(&sent("x-by"), 0)),
        ("X-By, by its features", by(&sent("x-by"), 1)),
        ("X-By, by its regions", by(&sent("x-by"), 2)),
        ("X-Geo-Region", sent("x-geo-region")),
        ("Edge-Variant to the origin, region", variant(sent("edge-variant"), "region")),
        ("Edge-Variant to the origin, feature", variant(sent("edge-variant"), "rules")),
        ("Edge-Variant, region", variant(answered.clone(), "region")),
        ("Edge-Variant, feature", variant(answered, "rules")),
        ("Edge-Revision", answer.header("edge-revision").unwrap_or_else(|| OFF.to_owned())),
        ("the body, by its routes", by(&text(&echo["by"]), 0)),
        ("the body, by its regions", by(&text(&echo["by"]), 1)),
    ])
}

/// Who serves whom from one command to the next.
struct Phase {
    command: String,
    /// The command was started, and had ended.
    changed: (Instant, Instant),
    /// When the file was written, by the system's clock and by ours.
    written: Instant,
    /// What serves most, and what serves the canary's visitors.
    revision: String,
    canary: Option<(String, f64)>,
}

impl Phase {
    fn serves(&self, visitor: &str) -> &str {
        match &self.canary {
            Some((revision, percent)) if Share::from_percent(*percent).unwrap().has(revision, visitor) => revision,
            _ => &self.revision,
        }
    }
}

/// A shop whose rules somebody rolls out.
struct Shop {
    edge: Edge,
    folder: TempDir,
    phases: Vec<Phase>,
}

impl Shop {
    fn open() -> Self {
        Self { edge: Edge::with_rules(&json!({})).start(), folder: TempDir::new().unwrap(), phases: Vec::new() }
    }

    /// Runs `personalizer` with the store of the running edge; afterwards `revision` serves, and the canary's where there is one.
    fn personalizer(&mut self, arguments: &[&str], revision: &str, canary: Option<(&str, f64)>) {
        let begun = Instant::now();
        let target = format!("file:{}", self.edge.store().display());
        let mut command = Command::new(personalizer());
        command.args(arguments).current_dir(self.folder.path()).env("PERSONALIZER_TARGET", target);
        let output = command.output().unwrap();
        let ended = Instant::now();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "personalizer {arguments:?}: {said}");
        let age =
            SystemTime::now().duration_since(fs::metadata(self.edge.store()).unwrap().modified().unwrap()).unwrap();
        self.phases.push(Phase {
            command: arguments.join(" "),
            changed: (begun, ended),
            written: Instant::now() - age,
            revision: revision.to_owned(),
            canary: canary.map(|(revision, percent)| (revision.to_owned(), percent)),
        });
    }

    fn push(&mut self, name: &str, serves: &str, more: &[&str]) {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        for (dictionary, value) in rules(name).as_object().unwrap() {
            fs::write(folder.join(format!("{dictionary}.json")), value.to_string()).unwrap();
        }
        self.personalizer(&[&["push", name, "--revision", name], more].concat(), serves, None);
    }
}

fn id(client: usize, number: usize) -> String {
    let visitor = client * VISITORS + number % VISITORS;
    format!("{:032x}", (visitor as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

#[test]
fn rules_are_rolled_out_and_back_under_load_and_no_visitor_notices() {
    let mut shop = Shop::open();
    shop.edge.origin().remember(false);
    shop.push("r0", "r0", &["--activate"]);
    let addresses = CLIENTS.map(|visitor| visitor.address);
    let load = Load::start(&shop.edge, &addresses, |client, number| {
        let cookie = format!("theme=dark; ep_vid={}", id(client, number));
        Request::get(format!("/echo/page/{client}")).header("Cookie", cookie)
    });
    load.wait_for(BETWEEN);
    let rounds = if std::env::var_os("EDGE_FULL").is_some() { FULL_ROUNDS } else { ROUNDS };
    for round in 1..=rounds {
        let (old, new) = (format!("r{}", round - 1), format!("r{round}"));
        let next = |shop: &mut Shop, arguments: &[&str], revision: &str, canary: Option<(&str, f64)>| {
            shop.personalizer(arguments, revision, canary);
            load.wait_for(BETWEEN);
        };
        shop.push(&new, &old, &[]);
        load.wait_for(BETWEEN);
        for percent in [10.0, 30.0] {
            next(&mut shop, &["canary", &new, "--percent", &percent.to_string()], &old, Some((&new, percent)));
        }
        next(&mut shop, &["promote"], &new, None);
        next(&mut shop, &["rollback"], &old, None);
        next(&mut shop, &["disable"], OFF, None);
        next(&mut shop, &["enable"], &old, None);
        next(&mut shop, &["promote", &new], &new, None);
        next(&mut shop, &["prune", "--keep", "2"], &new, None);
    }
    let samples = load.stop();
    every_request_was_served_by_the_right_revision(&shop, &samples);
    canary_visitors_stay_and_only_more_come(&shop, &samples);
    the_log_says_the_same(&shop, &samples);
    time_to_effect(&shop, &samples);
}

fn visitor_of(sample: &Sample) -> String {
    // The client's number is the path's end.
    let target = sample.answer.as_ref().unwrap().json()["path"].as_str().unwrap().to_owned();
    id(target.rsplit('/').next().unwrap().parse().unwrap(), sample.number)
}

/// The one revision that an answer names.
fn revision_of(sample: &Sample) -> String {
    places(sample.answer.as_ref().unwrap()).into_values().next().unwrap()
}

fn every_request_was_served_by_the_right_revision(shop: &Shop, samples: &[Sample]) {
    let (mut failed, mut mixed, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for sample in samples {
        let answer = match &sample.answer {
            Ok(answer) if answer.status == 200 && answer.complete => answer,
            other => {
                failed.push(format!("{other:?}"));
                continue;
            }
        };
        let places = places(answer);
        let names: BTreeSet<&String> = places.values().collect();
        if names.len() > 1 {
            mixed.push(format!("{places:?}"));
            continue;
        }
        // What serves may change while the request is on its way; before and after, it is what the command said.
        let (visitor, name) = (visitor_of(sample), revision_of(sample));
        let until = |index: usize| shop.phases.get(index + 1).map(|next| next.changed.1);
        let allowed = shop.phases.iter().enumerate().filter(|(index, phase)| {
            phase.changed.0 <= sample.ended && until(*index).is_none_or(|until| sample.begun <= until)
        });
        let allowed: BTreeSet<&str> = allowed.map(|(_, phase)| phase.serves(&visitor)).collect();
        if !allowed.contains(name.as_str()) {
            wrong.push(format!("{visitor} was served by {name}, expected {allowed:?}"));
        }
    }
    println!(
        "{} requests over {} changes: failed {}, served by two revisions {}, by another than was said {}",
        samples.len(),
        shop.phases.len() - 1,
        failed.len(),
        mixed.len(),
        wrong.len()
    );
    assert!(failed.is_empty(), "failed: {:#?}\n{}", failed.first(), shop.edge.printed());
    assert!(mixed.is_empty(), "served by two revisions: {:#?}", mixed.first());
    assert!(wrong.is_empty(), "served by another: {wrong:#?}");
}

fn canary_visitors_stay_and_only_more_come(shop: &Shop, samples: &[Sample]) {
    let mut smaller: Option<(String, BTreeSet<String>)> = None;
    for (index, phase) in shop.phases.iter().enumerate() {
        let Some((canary, percent)) = &phase.canary else { continue };
        let until = shop.phases.get(index + 1).map(|next| next.changed.0);
        let within =
            |sample: &&Sample| sample.begun >= phase.changed.1 && until.is_none_or(|until| sample.ended <= until);
        let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for sample in samples.iter().filter(within) {
            seen.entry(visitor_of(sample)).or_default().insert(revision_of(sample));
        }
        assert!(seen.values().all(|revisions| revisions.len() == 1), "a visitor changed sides: {seen:#?}");
        let on_trial: BTreeSet<String> =
            seen.iter().filter(|(_, revisions)| revisions.contains(canary)).map(|(id, _)| id.clone()).collect();
        println!("canary {canary} at {percent} %: {} of {} visitors", on_trial.len(), seen.len());
        assert!(!on_trial.is_empty() && on_trial.len() < seen.len());
        if let Some((before, few)) = smaller.take().filter(|(before, _)| before == canary) {
            // Only who was seen in both phases can be compared.
            let left: Vec<_> = few.iter().filter(|id| seen.contains_key(*id) && !on_trial.contains(*id)).collect();
            assert!(left.is_empty(), "{before}: left the canary as it grew: {left:?}");
            assert!(on_trial.len() > few.len());
        }
        smaller = Some((canary.clone(), on_trial));
    }
}

/// The decision log names the revision that the visitor saw.
fn the_log_says_the_same(shop: &Shop, samples: &[Sample]) {
    let shown: BTreeMap<String, String> = samples
        .iter()
        .map(|sample| {
            let echo = sample.answer.as_ref().unwrap().json();
            let mut lines = echo["headers"].as_array().unwrap().iter();
            let line = lines.find(|line| line[0] == "x-request-id").unwrap();
            (line[1].as_str().unwrap().to_owned(), revision_of(sample))
        })
        .collect();
    let end = Instant::now() + LOG_LIMIT;
    let logged = loop {
        let lines = shop.edge.logs().of("decisions").into_iter();
        let logged: BTreeMap<String, Value> =
            lines.map(|line| (line["request_id"].as_str().unwrap().to_owned(), line)).collect();
        if shown.keys().all(|id| logged.contains_key(id)) || Instant::now() > end {
            break logged;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let differ: Vec<_> = shown
        .iter()
        .filter(|(id, name)| {
            logged.get(*id).map(|line| line["revision"].as_str().unwrap_or(OFF)) != Some(name.as_str())
        })
        .collect();
    let most = logged.values().filter_map(|line| line["lookups"].as_u64()).max().unwrap_or(0);
    println!(
        "{} decisions logged, {} differ from what was shown; most look-ups of a request: {most}",
        logged.len(),
        differ.len()
    );
    assert!(differ.is_empty(), "{differ:#?}");
    assert!(most <= 16, "{most} look-ups");
    assert!(shop.edge.errors().is_empty(), "{:#?}", shop.edge.errors());
    let printed = shop.edge.printed();
    assert!(!printed.contains("panicked"), "{printed}");
}

/// From the moment the pointer was written to the end of the first answer that shows it.
fn time_to_effect(shop: &Shop, samples: &[Sample]) {
    let mut times = Vec::new();
    for pair in shop.phases.windows(2) {
        let [before, after] = pair else { continue };
        let shows = |sample: &&Sample| {
            let visitor = visitor_of(sample);
            let (old, new) = (before.serves(&visitor), after.serves(&visitor));
            old != new && sample.ended >= after.written && revision_of(sample) == new
        };
        // A push and a prune change nothing that serves.
        let Some(first) = samples.iter().filter(shows).map(|sample| sample.ended).min() else { continue };
        let took = first - after.written;
        assert!(took < EFFECT_LIMIT, "{}: {took:?}", after.command);
        times.push(took);
    }
    times.sort();
    let (median, last) = (times[times.len() / 2], times[times.len() - 1]);
    println!("from pointer change to effect, {} changes: median {median:.1?}, longest {last:.1?}", times.len());
}
