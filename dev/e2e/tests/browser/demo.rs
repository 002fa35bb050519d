//! The demo as a person sees it who starts it and opens a browser: consent, what was looked at, the cart, somebody else.

use std::time::Duration;

use e2e::{DemoOrigin, LocalEdge};
use serde_json::{Value, json};

use super::chromium::{Chromium, Page};
use super::pictures::keep;

/// The visitor whose session `fastly.toml` has.
const RETURNING: &str = "00000000000000000000000000000001";

/// How long is waited before one looks again.
const PAUSE: Duration = Duration::from_millis(100);

/// What of the page is the visitor's own.
fn own(page: &Page) -> Value {
    page.value(
        "({ count: document.querySelector('nav b')?.textContent ?? null,
            viewed: [...document.querySelectorAll('#recently-viewed .card')].map(card => card.dataset.sku),
            liked: [...document.querySelectorAll('#recommendations .card')].map(card => card.dataset.sku),
            marked: [...document.querySelectorAll('#products .in-cart')].map(card => card.dataset.sku) })",
    )
}

fn nothing() -> Value {
    json!({ "count": null, "viewed": [], "liked": [], "marked": [] })
}

/// Waits until the edge shows what the shop has streamed: `condition` of what is the visitor's own on the home page.
fn eventually(page: &Page, url: &str, expected: &Value) {
    for _ in 0..50 {
        page.open(url);
        if own(page) == *expected {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    assert_eq!(own(page), *expected);
}

/// Clicks what leads to another page, and waits until it is there.
fn follow(page: &Page, selector: &str) {
    page.value("window.before = true");
    page.value(&format!("document.querySelector({}).click()", json!(selector)));
    page.until("!window.before && document.readyState === 'complete'");
}

#[test]
fn who_accepts_sees_what_one_looked_at_might_like_and_has_in_the_cart() {
    let shop = DemoOrigin::on_a_free_port().unwrap();
    let edge = LocalEdge::demo(&shop);
    let Some(chromium) = Chromium::start() else { return };
    let page = chromium.visitor();

    // From nowhere known consent comes first.
    page.open(&edge.url("/"));
    page.until("document.querySelector('#consent button') !== null");
    assert_eq!(page.value("document.querySelector('#consent').ariaLabel"), "Cookies");
    assert_eq!((own(&page), page.kept_cookie("ep_vid").is_none()), (nothing(), true));
    page.value("window.still = true");
    page.value("document.querySelector('#consent button').click()");
    page.until("document.querySelector('#consent') === null && document.activeElement.localName === 'main'");
    assert_eq!(page.value("window.still"), true, "nothing was loaded anew");
    let id = page.kept_cookie("ep_vid").expect("who agreed is known").value;

    // Two looks at the kitchen, one at books.
    for sku in ["P0004", "P0002", "P0007"] {
        page.open(&edge.url(&format!("/products/{sku}")));
        assert_eq!(page.value("document.querySelector('main').dataset.seen"), "/seen");
        let told = || shop.requests().iter().any(|of| of.path() == "/seen" && of.body == Some(format!("sku={sku}")));
        while !told() {
            // Beacons go when the browser has time; the test's limit is the harness's.
            page.until("document.readyState === 'complete'");
            std::thread::sleep(PAUSE);
        }
    }
    let seen = json!({ "count": null, "viewed": ["P0007", "P0002", "P0004"],
                       "liked": ["P0002", "P0007", "P0012", "P0017"], "marked": [] });
    eventually(&page, &edge.url("/"), &seen);

    // The cart: what is in it is marked, counted and recommended no more.
    page.open(&edge.url("/products/P0007"));
    follow(&page, "article form button");
    let items = "[...document.querySelectorAll('#cart-items li')].map(item => item.dataset.sku)";
    assert_eq!((page.value("location.pathname"), page.value(items)), (json!("/cart"), json!(["P0007"])));
    assert_eq!(own(&page)["count"], "1", "the edge knows it by then");
    follow(&page, "nav a[href='/']");
    let cart = json!({ "count": "1", "viewed": ["P0007", "P0002", "P0004"], "liked": ["P0002", "P0012", "P0017"],
                       "marked": ["P0007"] });
    assert_eq!(own(&page), cart);
    page.until("[...document.images].every(i => i.getBoundingClientRect().top > innerHeight || (i.complete && i.naturalWidth > 0))");
    keep("demo", &page);
    assert_eq!(page.kept_cookie("ep_vid").unwrap().value, id, "one id all the way");

    // Who declines afterwards is forgotten, in place.
    page.value("[...document.querySelectorAll('footer button')].at(-1).click()");
    page.value("document.querySelector('#consent button[value=no]').click()");
    page.until("document.querySelector('#consent') === null && document.querySelector('nav b') === null");
    assert_eq!((own(&page), page.kept_cookie("ep_vid").is_none()), (nothing(), true));
    page.open(&edge.url("/"));
    assert_eq!(page.value("document.querySelector('#consent')"), Value::Null, "nobody is asked twice");
}

/// Sets the strip's fields and sends it.
fn be(page: &Page, fields: &Value) {
    page.until("document.querySelector('#somebody form') !== null");
    page.value("window.before = true");
    page.value(&format!(
        "(() => {{ const form = document.querySelector('#somebody form');
            for (const [name, value] of Object.entries({fields})) form.elements[name].value = value;
            form.requestSubmit(); }})()"
    ));
    page.until("!window.before && document.readyState === 'complete' && document.querySelector('#somebody') !== null");
}

#[test]
fn the_strip_makes_the_browser_somebody_else() {
    let shop = DemoOrigin::on_a_free_port().unwrap();
    let edge = LocalEdge::demo(&shop);
    let Some(chromium) = Chromium::start() else { return };
    let page = chromium.visitor();
    page.open(&edge.url("/"));
    let region = "fetch('/api/products/all').then(answer => answer.json()).then(answer => answer.region)";
    assert_eq!(page.value(region), "global");

    // In California nobody has to be asked; this visitor has a cart.
    be(&page, &json!({ "place": "US-CA", "visitor": RETURNING }));
    assert_eq!(page.value(region), "west");
    assert_eq!(page.value("document.querySelector('#consent')"), Value::Null);
    let known = json!({ "count": "2", "viewed": ["P0003", "P0005"], "liked": ["P0006", "P0011", "P0016"], "marked": ["P0001"] });
    eventually(&page, &edge.url("/"), &known);
    assert!(
        page.value("document.querySelector('#somebody summary').textContent").as_str().unwrap().contains("California")
    );

    // A new visitor from Paris with a phone, who is asked first.
    be(&page, &json!({ "place": "FR", "device": "mobile", "language": "fr", "visitor": "new" }));
    page.until("document.querySelector('#consent') !== null");
    assert_eq!((page.value(region), own(&page)), (json!("europe"), nothing()));
    let language = "fetch('/search/x').then(answer => answer.json()).then(answer => answer.query)";
    assert!(page.value(language).as_str().unwrap().contains("lang=fr"));

    // Who has declined is nobody, also with a cookie.
    be(&page, &json!({ "consent": "no", "visitor": RETURNING }));
    assert_eq!((own(&page), page.kept_cookie("ep_vid").is_none()), (nothing(), true));
    be(&page, &json!({ "consent": "yes", "visitor": RETURNING }));
    assert_eq!(own(&page)["count"], "2", "the edge forgot, the shop didn't: it is asked again");
}
