//! Promise 12 in a browser: whatever stands in a session, in every place that a page has for it, none of it runs.

use e2e::visitors::NEW_YORK;
use e2e::{Behaviour, Edge, Relay};
use serde_json::{Value, json};

use super::chromium::{Chromium, Page};

/// Each runs in at least one place of a page that forgets to escape: the control shows it.
const HOSTILE: [&str; 20] = [
    "</script><script>hit()</script>",
    "\"><img src=x onerror=hit()>",
    "'><img src=x onerror=hit()>",
    "\" onmouseover=\"hit()",
    "' onmouseover='hit()",
    "x onmouseover=hit() y",
    "<svg onload=hit()>",
    "--><script>hit()</script><!--",
    "</textarea><script>hit()</script>",
    "</title><script>hit()</script>",
    "</style></textarea></title><svg/onload=hit()>",
    "<iframe srcdoc='<script>parent.hit()</script>'></iframe>",
    "javascript:hit()",
    " javascript:hit()",
    "JAVA\tSCRIPT:hit()",
    "java\nscript:hit()",
    "\u{1}javascript:hit()",
    "data:text/html,<script>parent.postMessage('hit','*')</script>",
    "<a href=javascript:hit()>x</a>",
    "]</script><script>hit()</script>",
];
/// What tries to break a page rather than to run: it must arrive as it is, or not at all.
const ODD: [&str; 8] = [
    "<!--",
    "<!--<script>",
    "\u{2028}hit()\u{2029}",
    "a\r\nb",
    "a\0b<\0script>hit()</script>",
    "&lt;script&gt;hit()&lt;/script&gt;&quot;",
    "{{ 7 * 7 }}{% raw %}",
    "<plaintext>",
];

/// Where the values land: each sink's name, the operation at the edge, and the same done without care, for the control.
const SINKS: [(&str, &str, &str); 11] = [
    ("text", r#"{"select": "SLOT", "inner": "<p>{{ session.attributes.v }}</p>"}"#, "<p>V</p>"),
    (
        "around",
        r#"{"select": "SLOT", "before": "{{ session.attributes.v }}", "after": "{{ session.attributes.v }}"}"#,
        "VV",
    ),
    (
        "inside",
        r#"{"select": "SLOT", "prepend": "{{ session.attributes.v }}", "append": "{{ session.attributes.v }}"}"#,
        "VV",
    ),
    (
        "attributes",
        r#"{"select": "SLOT", "inner": "<b title=\"{{ session.attributes.v }}\" data-x='{{ session.attributes.v }}'>b</b>"}"#,
        "<b title=\"V\">b</b><b title='V'>b</b><b title=V>b</b>",
    ),
    (
        "links",
        r#"{"select": "SLOT", "inner": "<a href=\"{{ session.attributes.v }}\">a</a><iframe src=\"{{ session.attributes.v }}\"></iframe><img src=\"{{ session.attributes.v }}\"><form action=\"{{ session.attributes.v }}\"><button>b</button></form>"}"#,
        "<a href=\"V\">a</a><iframe src=\"V\"></iframe><img src=\"V\"><form action=\"V\"><button>b</button></form>",
    ),
    (
        "textarea",
        r#"{"select": "SLOT", "inner": "<textarea>{{ session.attributes.v }}</textarea>"}"#,
        "<textarea>V</textarea>",
    ),
    (
        "json",
        r#"{"select": "SLOT", "inner": "<script type=\"application/json\">[{{ session.attributes.v }}]</script>"}"#,
        "<script type=\"application/json\">[\"V\"]</script>",
    ),
    ("comment", r#"{"select": "SLOT", "inner": "<i>c</i><!-- {{ session.attributes.v }} -->"}"#, "<i>c</i><!-- V -->"),
    (
        "own-attributes",
        r#"{"select": "SLOT", "attribute": {"set": {"title": "{{ session.attributes.v }}", "data-x": "{{ session.attributes.v }}"}}, "class": {"add": ["c-{{ session.attributes.v }}"]}}"#,
        "<u title=\"V\" class=\"V\">u</u>",
    ),
    (
        "own-link",
        r#"{"select": "SLOT a", "attribute": {"set": {"href": "{{ session.attributes.v }}"}}}"#,
        "<a href='V'>a</a>",
    ),
    ("replaced", r#"{"select": "SLOT a", "replace": "<em>{{ session.attributes.v }}</em>"}"#, "<em>V</em>"),
];

/// Counts what runs, and then does to a page what a curious visitor would.
const COUNT: &str = "window.hits = 0; window.hit = () => { window.hits++ };
    addEventListener('message', event => { if (event.data === 'hit') hit() });";
const POKE: &str = "(async () => {
    const pause = (ms) => new Promise(done => setTimeout(done, ms));
    for (const node of document.querySelectorAll('*')) {
        for (const kind of ['mouseover', 'click', 'focus'])
            if (kind !== 'click' || !node.closest('a, form')) node.dispatchEvent(new Event(kind, { bubbles: false }));
        if (node.localName === 'a' && node.protocol === 'javascript:') node.click();
        if (node.localName === 'form' && /^javascript:/i.test(node.action)) node.requestSubmit();
    }
    await pause(60);
    return window.hits;
})()";

fn visitor_id(number: usize) -> String {
    format!("{:032x}", 0xbad_0000 + number)
}

fn rules() -> Value {
    let html: Vec<Value> = SINKS
        .iter()
        .map(|(name, operation, _)| serde_json::from_str(&operation.replace("SLOT", &format!("#{name}"))).unwrap())
        .chain([json!({ "mark": { "attribute": "data-sku", "in": "session.cart_skus", "class": "in-cart" } })])
        .chain([json!({ "json": { "id": "decisions" } })])
        .collect();
    json!({
        "settings": { "consent": { "cookie": { "name": "consent", "value": "yes" } } },
        "features": { "features": { "hostile": { "defaultValue": corpus() } } },
        "routes": { "routes": [
            { "id": "sinks", "path": "/sinks", "features": ["hostile"], "session": {}, "html": html },
            { "id": "data", "path": "/data", "session": {},
              "json": { "set": [{ "pointer": "/v", "value": { "from": "session.attributes.v" } }] } } ] }
    })
}

/// The corpus, and a visitor's session for each.
fn corpus() -> Vec<&'static str> {
    HOSTILE.into_iter().chain(ODD).collect()
}

fn page_answer(body: String, kind: &str) -> Behaviour {
    let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
    Behaviour::Answer { status: 200, headers, body: body.into_bytes() }
}

fn start() -> Edge {
    let mut edge = Edge::with_rules(&rules());
    for (number, value) in corpus().into_iter().enumerate() {
        let record = json!({ "v": 1, "updated_at": e2e::now().as_millis(), "attributes": { "v": value },
                             "cart": [{ "sku": value, "quantity": 1 }] });
        edge = edge.kv("sessions", &format!("visitor/{}", visitor_id(number)), &record.to_string());
    }
    let edge = edge.start();
    let slots: String = SINKS.iter().map(|(name, ..)| format!("<div id={name}><a>a</a></div>\n")).collect();
    let page =
        format!("<!doctype html><html><head><title>t</title></head><body>{slots}<p data-sku=x>x</p></body></html>");
    edge.origin().on("/sinks", page_answer(page, "text/html; charset=utf-8"));
    edge.origin().on("/data", page_answer("{\"v\":null}".to_owned(), "application/json"));
    edge
}

/// How much ran on a page.
fn executed(page: &Page, url: &str) -> u64 {
    page.open(url);
    page.value(POKE).as_u64().unwrap()
}

/// A text as it can be once it went through a session and a page: the parser makes line ends one, and NUL doesn't survive.
fn comparable(text: &str) -> String {
    text.replace("\r\n", "\n").replace(['\0', '\u{fffd}'], "")
}

#[test]
fn nothing_of_a_session_runs_in_any_place_of_a_page() {
    let edge = start();
    let Some(chromium) = Chromium::start() else { return };
    let way = Relay::open(NEW_YORK, edge.address()).unwrap();
    let page = chromium.visitor();
    page.before_every_page(COUNT);
    let (mut pages, mut ran) = (0, 0);
    for (number, value) in corpus().into_iter().enumerate() {
        page.cookie(&way.url("/"), "ep_vid", &visitor_id(number));
        let hits = executed(&page, &way.url("/sinks"));
        pages += 1;
        ran += hits;
        assert_eq!(hits, 0, "{value:?} ran {hits} times on\n{}", page.value("document.documentElement.outerHTML"));
        // It isn't harmless because it isn't there.
        let text = page.value("document.querySelector('#text p')?.textContent");
        assert_eq!(comparable(text.as_str().unwrap_or("nothing")), comparable(value), "{value:?} arrives as text");
        let parsed = page.value("JSON.parse(document.querySelector('#json script').textContent)[0]");
        assert_eq!(comparable(parsed.as_str().unwrap_or("nothing")), comparable(value), "{value:?} arrives in JSON");
        let features =
            page.value("JSON.parse(document.getElementById('decisions').textContent).features.hostile.length");
        assert_eq!(features, HOSTILE.len() + ODD.len());
        let data = page.value("fetch('/data').then(answer => answer.json()).then(data => data.v)");
        assert_eq!(
            comparable(data.as_str().unwrap_or("nothing")),
            comparable(value),
            "{value:?} arrives in an answer of JSON"
        );
    }
    println!("{pages} pages with {} places each: executed {ran}", SINKS.len() + 2);
}

#[test]
fn the_same_on_a_page_that_forgets_to_escape_does_run() {
    let edge = start();
    let Some(chromium) = Chromium::start() else { return };
    let way = Relay::open(NEW_YORK, edge.address()).unwrap();
    let page = chromium.visitor();
    page.before_every_page(COUNT);
    let mut ran = 0;
    for value in HOSTILE {
        let careless: String = SINKS
            .iter()
            .map(|(name, _, html)| format!("<div id={name}>{}</div>\n", html.replace('V', value)))
            .collect();
        let title = format!("<!doctype html><html><head><title>{value}</title></head><body>{careless}</body></html>");
        edge.origin().on("/careless", page_answer(title, "text/html; charset=utf-8"));
        let hits = executed(&page, &way.url("/careless"));
        assert!(hits > 0, "{value:?} runs nowhere: it shows nothing");
        ran += hits;
    }
    println!("control: {} of {} ran where nothing is escaped, {ran} times", HOSTILE.len(), HOSTILE.len());
}
