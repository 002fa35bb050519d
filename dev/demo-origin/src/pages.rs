//! The shop's pages: plain semantic HTML, with slots that the edge may fill.

use std::fmt::Write as _;

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue, LOCATION};
use hyper::http::request::Parts;

use crate::answer::Answer;
use crate::catalog::{self, Product};

const STYLE: &str = include_str!("style.css");
/// Sends how fast a page was to the edge, to be copied into sites.
const MEASURES: &str = include_str!("measures.js");
/// What the bench's page weighs, at least.
const LARGE: usize = 42_000;
/// The consent banner, what a visitor looks at, and the strip to be somebody else.
const SCRIPT: &str = include_str!("shop.js");

pub(crate) fn style() -> Answer {
    Answer::new(StatusCode::OK, "text/css; charset=utf-8", STYLE).cached("public, max-age=3600")
}

pub(crate) fn measures() -> Answer {
    Answer::new(StatusCode::OK, "text/javascript; charset=utf-8", MEASURES).cached("public, max-age=3600")
}

pub(crate) fn script() -> Answer {
    Answer::new(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT).cached("public, max-age=3600")
}

pub(crate) fn home() -> Answer {
    page("Home", &home_body(8)).cached("public, max-age=60")
}

/// The home page with as many products as make some 42 kB of it, the size that HTML figures are given for.
pub(crate) fn of_42_kilobytes() -> Answer {
    let one = card(&catalog::products(1).remove(0)).len();
    let count = LARGE.saturating_sub(whole("Home", &home_body(0)).len()).div_ceil(one);
    page("Home", &home_body(count)).cached("public, max-age=60")
}

pub(crate) fn listing() -> Answer {
    page("Products", &format!("<h1>Products</h1>\n{}", cards(50))).cached("public, max-age=60")
}

pub(crate) fn product(product: &Product) -> Answer {
    let Product { sku, name, category, .. } = product;
    let body = format!(
        "<article class=\"product\" data-sku=\"{sku}\">\n<img src=\"/img/{sku}\" alt=\"\" width=\"640\" height=\"400\">\n<h1>{name}</h1>\n<p class=\"category\">{category}</p>\n\
         <p class=\"price\">${}</p>\n<form method=\"post\" action=\"/cart\"><input type=\"hidden\" name=\"sku\" \
         value=\"{sku}\"><button>Add to cart</button></form>\n</article>\n{}",
        product.price(),
        slots()
    );
    page(name, &body).cached("public, max-age=60")
}

/// The cart, as the shop itself knows it.
pub(crate) fn cart(items: &[(Product, u32)]) -> Answer {
    let mut body = String::from("<h1>Your cart</h1>\n<ul id=\"cart-items\">");
    for (Product { sku, name, price_cents, .. }, quantity) in items {
        let (price, count) = (price_cents * usize::try_from(*quantity).unwrap_or(1), quantity);
        let (whole, rest) = (price / 100, price % 100);
        // Writing to a string can't fail.
        let _ = write!(
            body,
            "<li data-sku=\"{sku}\">{count} × <a href=\"/products/{sku}\">{name}</a> ${whole}.{rest:02}</li>"
        );
    }
    let note = if items.is_empty() { "<p class=\"empty\">Nothing here yet.</p>\n" } else { "" };
    let _ = write!(body, "</ul>\n{note}<form method=\"post\" action=\"/orders\"><button>Order</button></form>\n");
    page("Cart", &body).cached("private, no-store")
}

/// An order is taken: the edge is told, and the visitor is sent on. Every order costs the same.
pub(crate) fn order(head: &Parts) -> Answer {
    let id = head.headers.get("x-request-id").and_then(|id| id.to_str().ok()?.get(..12)).unwrap_or("unknown");
    let answer = Answer::text(StatusCode::SEE_OTHER, "Thank you.\n").cached("no-store");
    let answer = answer.with(LOCATION, HeaderValue::from_static("/thanks"));
    match HeaderValue::try_from(format!("order;id=\"{id}\";value=59.90;currency=\"USD\"")) {
        Ok(event) => answer.with(HeaderName::from_static("edge-event"), event),
        Err(_) => answer,
    }
}

pub(crate) fn thanks() -> Answer {
    page("Thank you", "<h1>Thank you</h1>\n<p>Nothing will be sent.</p>\n").cached("private, no-store")
}

fn home_body(count: usize) -> String {
    format!(
        "<div id=\"hero\"><h1>Good things, sent soon</h1><p class=\"promo\">Free returns on everything.</p></div>\n\
         {}<section id=\"products\">\n<h2>New this week</h2>\n{}</section>\n",
        slots(),
        cards(count)
    )
}

/// Where the edge, or the origin told by the edge, puts what is the visitor's own.
fn slots() -> &'static str {
    "<section id=\"recently-viewed\"><h2>Recently viewed</h2><p class=\"empty\">Nothing yet.</p></section>\n\
     <section id=\"recommendations\"><h2>You might also like</h2><p class=\"empty\">Have a look around.</p></section>\n"
}

fn cards(count: usize) -> String {
    let mut list = String::from("<ul class=\"cards\">\n");
    for product in catalog::products(count) {
        list.push_str(&card(&product));
    }
    list.push_str("</ul>\n");
    list
}

fn card(product: &Product) -> String {
    let Product { sku, name, category, .. } = product;
    format!(
        "<li class=\"card\" data-sku=\"{sku}\" data-category=\"{category}\"><a href=\"/products/{sku}\"><img src=\"/img/{sku}\" \
         alt=\"\" width=\"320\" height=\"200\" loading=\"lazy\"><h3>{name}</h3></a>\
         <p class=\"category\">{category}</p><p class=\"price\">${}</p></li>\n",
        product.price()
    )
}

fn page(title: &str, body: &str) -> Answer {
    Answer::html(whole(title, body))
}

fn whole(title: &str, body: &str) -> String {
    let mut page = String::new();
    // Writing to a string can't fail.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} · The demo shop</title>\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n<script src=\"/measures.js\" data-to=\"/m\" defer></script>\n<script src=\"/shop.js\" defer></script>\n</head>\n<body>\n<header><strong>The demo shop</strong><nav>\
         <a href=\"/\">Home</a><a href=\"/products\">Products</a><a href=\"/cart\">Cart</a></nav></header>\n\
         <main>\n{body}</main>\n<footer>An origin to personalize. Nothing here is for sale.</footer>\n</body>\n</html>\n"
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_small_and_needs_nothing() {
        assert!(MEASURES.len() < 3_000, "{} bytes", MEASURES.len());
        for word in ["import", "require(", "fetch(", "XMLHttpRequest", "cookie;", "localStorage", "http:", "https:"] {
            assert!(!MEASURES.contains(word), "{word}");
        }
        for measure in ["LCP", "CLS", "INP", "FCP", "TTFB", "sendBeacon", "visibilitychange", "pagehide"] {
            assert!(MEASURES.contains(measure), "{measure}");
        }
        let home = home().bytes();
        assert!(String::from_utf8_lossy(&home).contains("<script src=\"/measures.js\" data-to=\"/m\" defer></script>"));
    }
}
