//! Pictures of the demo shop for four visitors. `cargo xtask pictures` writes those of the README anew.

use std::path::Path;
use std::{env, fs};

use e2e::visitors::NEW_YORK;
use e2e::{Edge, Relay};
use serde_json::{Value, json};

use super::chromium::{Chromium, Page};

/// The visitor whose session `fastly.toml` has: two products viewed, one in the cart.
const RETURNING: &str = "00000000000000000000000000000001";
/// Both arms are met among so many visitors, but for one case in a million.
const VISITORS: usize = 20;
/// The folder that pictures are written to; without it they are taken all the same.
const FOLDER: &str = "EDGE_PICTURES";
/// A README is read over slow lines too.
const MAX_BYTES: usize = 150_000;

/// A visitor's page of the shop's home, all that is seen of it loaded.
fn visit(page: &Page, way: &Relay) {
    page.open(&way.url("/"));
    // Pictures further down load when somebody scrolls.
    page.until(
        "[...document.images].every(i => i.getBoundingClientRect().top > innerHeight || (i.complete && i.naturalWidth > 0))",
    );
}

/// The page of a new visitor who was assigned this arm.
fn new_visitor(chromium: &Chromium, way: &Relay, arm: &str) -> Page {
    for _ in 0..VISITORS {
        let page = chromium.visitor();
        visit(&page, way);
        if page.value("document.getElementById('hero').className") == arm {
            return page;
        }
    }
    panic!("nobody among {VISITORS} visitors is in arm {arm}");
}

/// What of the page is the visitor's own: the experiment's arm, products marked, the count in the menu, what was viewed, the pictures'
/// width, whether the page is the light one.
fn own(page: &Page) -> Value {
    page.value(
        "({ arm: document.getElementById('hero').className,
            marked: [...document.querySelectorAll('.in-cart')].map(card => card.dataset.sku),
            count: document.querySelector('nav b')?.textContent ?? null,
            viewed: [...document.querySelectorAll('#recently-viewed .card')].map(card => card.dataset.sku),
            width: document.querySelector('#products img').naturalWidth,
            light: document.querySelector('main').classList.contains('light') })",
    )
}

/// Takes a picture of what is seen of a page, and keeps it where a folder is named.
pub fn keep(name: &str, page: &Page) {
    let picture = page.picture();
    assert!(picture.starts_with(b"\x89PNG"));
    println!("{name}.png: {} kB", picture.len() / 1000);
    if let Some(folder) = env::var_os(FOLDER) {
        assert!(picture.len() <= MAX_BYTES, "{name} has {} bytes", picture.len());
        fs::write(Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
    }
}

#[test]
fn four_visitors_see_four_shops() {
    let edge = Edge::demo().start();
    let Some(chromium) = Chromium::start() else { return };
    let way = Relay::open(NEW_YORK, edge.address()).unwrap();

    let page = new_visitor(&chromium, &way, "returns");
    let nothing = json!({ "arm": "returns", "marked": [], "count": null, "viewed": [], "width": 640, "light": false });
    assert_eq!(own(&page), nothing);
    keep("new", &page);

    let page = new_visitor(&chromium, &way, "shipping");
    assert_eq!(own(&page)["arm"], "shipping");
    keep("experiment", &page);

    let page = chromium.visitor();
    page.cookie(&way.url("/"), "ep_vid", RETURNING);
    visit(&page, &way);
    let shop = own(&page);
    assert_eq!((&shop["marked"], &shop["count"]), (&json!(["P0001"]), &json!("2")), "{shop}");
    assert_eq!(shop["viewed"], json!(["P0003", "P0005"]));
    keep("returning", &page);

    let page = chromium.phone_on_a_slow_network();
    visit(&page, &way);
    let shop = own(&page);
    assert_eq!((&shop["width"], &shop["light"]), (&json!(320), &json!(true)), "{shop}");
    keep("mobile-slow", &page);
    let asked = edge.origin().requests();
    let pictures = |width: &str| asked.iter().filter(|request| request.target.contains(width)).count();
    println!("pictures asked for: {} of 320 px, {} of 640 px", pictures("width=320"), pictures("width=640"));
    assert!(
        asked
            .iter()
            .filter(|request| request.path().starts_with("/img/"))
            .all(|request| request.target.contains("width="))
    );
}
