//! The experiment on the demo shop's hero line, as a browser sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::visitors::{NEW_YORK, PARIS};
use e2e::{Behaviour, Edge, Relay, Request};
use headless_chrome::protocol::cdp::Network::CookieSameSite;
use serde_json::Value;

use super::chromium::{Chromium, Page};

/// The arms, and the line that each shows.
const ARMS: [(&str, &str); 2] =
    [("returns", "Free returns on everything."), ("shipping", "Free shipping, this week only.")];
/// Both arms are met among so many visitors, but for one case in half a million.
const VISITORS: usize = 20;
/// What the visitor's cookie lives (`settings.visitor.days`).
const DAYS: f64 = 180.0;

/// Notes every text that the hero line ever has, and every text that a frame was painted with, with its time.
const WATCH: &str = "(() => {
    const seen = window.seen = { texts: [], frames: [] };
    const note = (list) => {
        const line = document.querySelector('#hero .promo'), text = line && line.textContent, last = list.at(-1);
        if (text && !(last && last.text === text)) list.push({ text, at: performance.now() });
    };
    new MutationObserver(() => note(seen.texts)).observe(document, { childList: true, subtree: true, characterData: true });
    const frame = () => { note(seen.frames); requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
})()";

/// What a page showed from its first byte until some time after it was loaded.
#[derive(Debug)]
struct Shown {
    /// Texts of the hero line in the document, in order, each with the time of its coming in milliseconds.
    texts: Vec<(String, f64)>,
    /// The same for painted frames.
    frames: Vec<(String, f64)>,
    /// When the first content was painted.
    first_paint: f64,
}

impl Shown {
    fn by(page: &Page) -> Self {
        page.until("performance.getEntriesByName('first-contentful-paint').length > 0 && seen.frames.length > 0");
        // Whatever changes a page late does so within a few frames.
        std::thread::sleep(Duration::from_millis(200));
        let list = |name: &str| {
            let list = page.value(&format!("seen.{name}"));
            let list = list.as_array().unwrap().iter();
            list.map(|entry| (entry["text"].as_str().unwrap().to_owned(), entry["at"].as_f64().unwrap())).collect()
        };
        let first_paint = page.value("performance.getEntriesByName('first-contentful-paint')[0].startTime");
        Self { texts: list("texts"), frames: list("frames"), first_paint: first_paint.as_f64().unwrap() }
    }

    fn last(&self) -> &str {
        &self.texts.last().unwrap().0
    }

    /// Whether a text ever gave way to another; a text may come in pieces.
    fn flickers(&self) -> bool {
        let all = self.texts.iter().chain(&self.frames);
        all.into_iter().any(|(text, _)| !self.last().starts_with(text.as_str()))
    }
}

fn arm_of(shown: &Shown) -> &'static str {
    let arm = ARMS.iter().find(|(_, line)| *line == shown.last());
    arm.unwrap_or_else(|| panic!("no arm's line: {shown:?}")).0
}

#[test]
fn the_first_paint_shows_the_arm_and_it_stays() {
    let edge = Edge::demo().start();
    let Some(chromium) = Chromium::start() else { return };
    let way = Relay::open(NEW_YORK, edge.address()).unwrap();
    let mut of_arms: BTreeMap<&str, Page> = BTreeMap::new();
    let mut visits = 0;
    while of_arms.len() < ARMS.len() {
        visits += 1;
        assert!(visits <= VISITORS, "one arm alone among {VISITORS} visitors");
        let page = chromium.visitor();
        page.before_every_page(WATCH);
        page.open(&way.url("/"));
        let shown = Shown::by(&page);
        assert!(!shown.flickers(), "{shown:?}");
        assert!(shown.texts[0].1 <= shown.first_paint, "painted before the arm was there: {shown:?}");
        println!(
            "{}: in the document after {:.0} ms, painted after {:.0} ms",
            arm_of(&shown),
            shown.texts[0].1,
            shown.first_paint
        );
        of_arms.entry(arm_of(&shown)).or_insert(page);
    }
    for (arm, page) in &of_arms {
        page.reload();
        let again = Shown::by(page);
        assert_eq!((arm_of(&again), again.flickers()), (*arm, false));
        // A page that comes in pieces is painted while it comes.
        edge.origin().on_next("/", 1, Behaviour::Chunks { count: 8, every: Duration::from_millis(60) });
        page.reload();
        let slowly = Shown::by(page);
        assert_eq!((arm_of(&slowly), slowly.flickers()), (*arm, false), "{slowly:?}");
        assert!(page.value("performance.timing.domComplete - performance.timing.responseStart >= 300") == true);
        let id = page.kept_cookie("ep_vid").unwrap().value;
        let request = Request::get("/")
            .header("User-Agent", "Mozilla/5.0 Firefox/145.0")
            .header("Cookie", format!("ep_vid={id}"));
        let html = edge.visitor(NEW_YORK).send(&request).text();
        let line = ARMS.iter().find(|(name, _)| name == arm).unwrap().1;
        assert!(html.contains(line), "the page as it is delivered holds the arm");
    }
    drop(edge);
    let restarted = Edge::demo().start();
    way.lead_to(restarted.address());
    for (arm, page) in &of_arms {
        page.reload();
        assert_eq!(arm_of(&Shown::by(page)), *arm, "after a restart");
    }
    println!("{visits} visitors until both arms were met; each kept its arm over 3 reloads and a restart");
}

#[test]
fn a_page_that_changes_its_line_by_script_is_seen_to_flicker() {
    let edge = Edge::demo().start();
    let html = format!(
        "<!doctype html><div id=hero><p class=promo>{}</p></div><script>setTimeout(() => {{ \
         document.querySelector('#hero .promo').textContent = '{}' }}, 60)</script>",
        ARMS[0].1, ARMS[1].1
    );
    let headers = vec![("Content-Type".to_owned(), "text/html".to_owned())];
    edge.origin().on("/by-script", Behaviour::Answer { status: 200, headers, body: html.into_bytes() });
    let Some(chromium) = Chromium::start() else { return };
    let way = Relay::open(NEW_YORK, edge.address()).unwrap();
    let page = chromium.visitor();
    page.before_every_page(WATCH);
    page.open(&way.url("/by-script"));
    let shown = Shown::by(&page);
    assert_eq!(shown.last(), ARMS[1].1);
    assert!(shown.flickers(), "{shown:?}");
}

#[test]
fn the_visitors_cookie_is_kept_as_it_was_set_and_only_with_consent() {
    let edge = Edge::demo().start();
    let Some(chromium) = Chromium::start() else { return };
    let from_new_york = Relay::open(NEW_YORK, edge.address()).unwrap();
    let page = chromium.visitor();
    page.open(&from_new_york.url("/"));
    let cookie = page.kept_cookie("ep_vid").unwrap();
    let days = (cookie.expires - e2e::now().as_secs_f64()) / 86_400.0;
    assert!((days - DAYS).abs() < 1.0, "{days} days");
    assert!(cookie.value.len() == 32 && cookie.value.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!((cookie.path.as_str(), cookie.secure, cookie.http_only), ("/", true, true));
    assert!(matches!(cookie.same_site, Some(CookieSameSite::Lax)), "{cookie:?}");
    assert_eq!(page.value("document.cookie"), "", "no script can read it");
    page.reload();
    assert_eq!(page.kept_cookie("ep_vid").unwrap().value, cookie.value, "one id a visitor");

    let from_paris = Relay::open(PARIS, edge.address()).unwrap();
    let page = chromium.visitor();
    page.before_every_page(WATCH);
    page.open(&from_paris.url("/"));
    assert_eq!(arm_of(&Shown::by(&page)), ARMS[0].0, "who wasn't asked gets control");
    assert_eq!(page.value("document.cookie"), "");
    assert!(page.kept_cookie("ep_vid").is_none(), "and no cookie");
    assert_eq!(page.value("document.cookie = 'consent=yes'"), Value::from("consent=yes"));
    page.reload();
    assert!(page.kept_cookie("ep_vid").is_some(), "who agreed is known from then on");
}
