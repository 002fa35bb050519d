//! GrowthBook's own bundle in a page of the edge: the same variations, no second assignment, one exposure each. `cargo xtask test --only flags`
//! installs the bundle and runs this; `EDGE_VISITORS=1000` before it lets a thousand visitors come.

use std::collections::BTreeSet;
use std::{env, fs};

use e2e::{Behaviour, DemoOrigin, LocalEdge};
use serde_json::{Value, json};

use super::chromium::Chromium;

/// Names the bundle's file, `auto.min.js`.
const BUNDLE: &str = "EDGE_GROWTHBOOK";
/// Visitors, unless `EDGE_VISITORS` says how many.
const VISITORS: usize = 40;
/// Visitors whose pages are opened in one go.
const BATCH: usize = 20;

/// A page with the bundle. Its own code asks for a feature as soon as it can, and once more.
const PAGE: &str = "<!doctype html><html><head><title>t</title>
    <script>document.addEventListener('growthbookdata', () => {
        const gb = window._growthbook;
        window.got = [gb.getFeatureValue('hero', 'none'), gb.getFeatureValue('hero', 'none'), gb.isOn('server-only')];
    })</script><script src='/gb.js'></script></head><body>
    <p id=hero>everybody's</p><div id=target></div><p id=b>moves</p></body></html>";

/// Opens the page as one visitor after the other, and collects what each sees. `FEATURES` are the definitions themselves, which the SDK evaluates
/// for the visitor's id.
const VISIT: &str = "(async (from, count) => {
    const all = [];
    for (let number = from; number < from + count; number++) {
        const id = (number * 2654435761 + 97).toString(16).padStart(32, '0');
        document.cookie = `ep_vid=${id}; Path=/`;
        // A cookie is set in its own time: it is there when it can be read.
        while (!document.cookie.includes(id)) await new Promise((done) => setTimeout(done, 1));
        const frame = document.createElement('iframe');
        await new Promise((done) => { frame.onload = done; frame.src = `/page?${number}`; document.body.append(frame); });
        const [win, doc] = [frame.contentWindow, frame.contentDocument];
        for (let tries = 0; !win.got && tries < 200; tries++) await new Promise((done) => setTimeout(done, 10));
        await new Promise((done) => setTimeout(done, 20));
        const sdk = new win._growthbook.constructor({ attributes: { id }, features: FEATURES });
        const seen = win.dataLayer.filter((entry) => entry.event === 'experiment_viewed');
        all.push({
            got: win.got, shown: doc.getElementById('hero').textContent, sdk: sdk.getFeatureValue('hero', 'none'),
            seen: seen.map((entry) => `${entry.experiment_id}=${entry.variation_id}`).sort(),
            marked: doc.getElementById('b').className, moved: doc.getElementById('b').parentElement.id,
            own: win.document.cookie.split('; ').find((pair) => pair.startsWith('gbuuid=')) !== `gbuuid=${id}`,
            text: doc.documentElement.outerHTML.includes('s3cret'),
        });
        frame.remove();
    }
    return all;
})";

fn features() -> Value {
    json!({
        "hero": { "defaultValue": "none", "rules": [{ "key": "hero-test", "variations": ["a", "b", "c"], "weights": [0.3, 0.3, 0.4],
            "hashVersion": 2, "seed": "hero-s3cret", "hashAttribute": "id" }] },
        "server-only": { "defaultValue": true },
    })
}

fn rules(operation: &Value) -> Value {
    json!({
        "settings": { "consent": { "cookie": { "name": "cc", "value": "yes" } } },
        "features": { "features": features() },
        "experiments": { "experiments": [{ "key": "move-test", "hashVersion": 2, "seed": "move", "hashAttribute": "id",
            "urlPatterns": [{ "type": "simple", "pattern": "/page", "include": true }],
            "variations": [{}, { "domMutations": [
                { "selector": "#b", "attribute": "class", "action": "append", "value": "marked" },
                { "selector": "#b", "attribute": "position", "action": "set", "parentSelector": "#target" }] }] }] },
        "routes": { "routes": [{ "id": "page", "path": "/page", "html": [
            { "select": "#hero", "inner": "{{ feature.hero }}" }, { "growthbook": operation } ] }] },
    })
}

fn answer(kind: &str, body: Vec<u8>) -> Behaviour {
    Behaviour::Answer { status: 200, headers: vec![("Content-Type".to_owned(), kind.to_owned())], body }
}

#[test]
fn growthbooks_bundle_and_the_edge_agree() {
    let Some(bundle) = env::var_os(BUNDLE) else {
        println!(
            "NOT TESTED: {BUNDLE} isn't set; `cargo xtask test --only flags` installs GrowthBook's bundle and sets it"
        );
        return;
    };
    let visitors = env::var("EDGE_VISITORS").ok().and_then(|count| count.parse().ok()).unwrap_or(VISITORS);
    let shop = DemoOrigin::on_a_free_port().unwrap();
    shop.on("/page", answer("text/html; charset=utf-8", PAGE.into()));
    shop.on("/empty", answer("text/html; charset=utf-8", b"<!doctype html><title>t</title><body></body>".to_vec()));
    shop.on("/gb.js", answer("text/javascript", fs::read(bundle).unwrap()));
    let edge = LocalEdge::with_rules(&rules(&json!({ "features": ["hero"] })), &shop);
    let Some(chromium) = Chromium::start() else { return };
    let page = chromium.visitor();
    page.cookie(&edge.url("/"), "cc", "yes");
    page.open(&edge.url("/empty"));
    let visit = VISIT.replace("FEATURES", &features().to_string());
    let (mut arms, mut moved) = (BTreeSet::new(), 0);
    for from in (0..visitors).step_by(BATCH) {
        let all = page.value(&format!("{visit}({from}, {})", BATCH.min(visitors - from)));
        for (number, seen) in all.as_array().unwrap().iter().enumerate() {
            let who = from + number;
            let arm = seen["shown"].as_str().unwrap();
            arms.insert(arm.to_owned());
            assert_eq!(
                seen["got"],
                json!([arm, arm, false]),
                "visitor {who}: the bundle gives what the edge showed: {seen}"
            );
            assert_eq!(seen["sdk"], arm, "visitor {who}: and what the SDK assigns by itself");
            let variation = ["a", "b", "c"].iter().position(|name| *name == arm).unwrap();
            let moves = seen["marked"] == "marked";
            moved += usize::from(moves);
            let told = json!([format!("hero-test={variation}"), format!("move-test={}", u8::from(moves))]);
            assert_eq!(seen["seen"], told, "visitor {who}: one exposure each");
            assert_eq!(
                seen["moved"],
                if moves { "target" } else { "" },
                "visitor {who}: the bundle moves what the edge can't"
            );
            assert_eq!(
                (&seen["own"], &seen["text"]),
                (&json!(true), &json!(false)),
                "neither id nor definition is told"
            );
        }
    }
    assert!(arms.len() == 3 && moved > 0 && moved < visitors, "{arms:?}, {moved} moved");
    let logged = edge.exposures();
    assert_eq!(logged.len(), visitors * 2, "and one line each in the edge's own log");
    println!("{visitors} visitors, {} arms, {moved} moved: the same in all", arms.len());
}
