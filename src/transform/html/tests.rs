use std::fmt::Write as _;

use serde_json::{Value, json};

use super::*;
use crate::transform::charset::Charset;
use crate::transform::facts::Facts;

mod chunks;
mod early;
mod growthbook;
mod injection;
mod operations;
mod splice;

/// A small generator, so that a failing case is the same on every machine (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

/// A page with what real ones have: comments, raw text, entities, void and unclosed elements, odd quotes.
pub(super) const PAGE: &str = "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><title>A &amp; B</title>\n\
<script nonce=\"r4nd0m==\">if (a < b && c > d) { document.write('<div id=\"hero\">no</div>') }</script>\n\
<style>#hero > p { content: '</p>' }</style></head>\n<body class='home page' data-x=\"1>2\">\
<!-- <div id=hero>no</div> --><div id=\"hero\" class=big><p>old <b>text</b></p><img src=a.png><br/></div>\n\
<ul><li class=\"product\" data-sku=\"a&amp;b\"><a href='/p/1'>One</a><li class=product data-sku=s2>Two</li>\
<li CLASS=\"product  sale\" DATA-SKU='s3'>Three \u{20ac} \u{1f600}</ul>\n\
<textarea><div id=hero>no</textarea><svg><title>x</title><path d='M0'/></svg><p id=last>end</body></html>\n";

/// Compiles without faults.
pub(super) fn rules(stored: &Value, templates: &mut Templates) -> HtmlRules {
    let mut faults = Vec::new();
    let rules = HtmlRules::compile(stored.as_array().unwrap(), "/html", templates, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    rules
}

pub(super) fn plan(stored: &Value, facts: &Value) -> HtmlPlan {
    let mut templates = Templates::new([("hero".to_owned(), "<h1>{{ session.name }}</h1>".to_owned())]);
    let rules = rules(stored, &mut templates);
    let mut faults = Vec::new();
    let decisions = json!({"hero": "</script><!--", "n": 1.50});
    let circumstances = Circumstances { decisions: Some(&decisions), nonce: None, ..Circumstances::default() };
    let plan = rules.plan(&templates, &Facts::new(facts), circumstances, |_| true, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    plan
}

/// Every operation at once, on [`PAGE`].
pub(super) fn everything() -> HtmlPlan {
    plan(
        &json!([
            {"select": "#hero", "inner": {"template": "hero"}, "class": {"add": ["seen"], "remove": ["big"]}},
            {"select": "li.product", "prepend": "<i>{{ session.name }}</i>", "append": "<u></u>", "before": "<!--b-->"},
            {"mark": {"attribute": "data-sku", "in": "session.cart", "class": "in-cart"}},
            {"select": "a[href]", "attribute": {"set": {"href": "/x/{{ session.name }}", "title": "{{ session.name }}"}}, "after": "!"},
            {"select": "textarea, svg", "replace": "<hr>"},
            {"select": "body", "attribute": {"remove": ["data-x"]}, "once": true},
            {"json": {"id": "edge-decisions"}}
        ]),
        &json!({"session": {"name": "J\u{f6} <\"'&", "cart": ["a&b", "s3"]}}),
    )
}

/// Rewrites a page given in pieces.
pub(super) fn rewrite<'c>(plan: &HtmlPlan, chunks: impl IntoIterator<Item = &'c [u8]>) -> (Vec<u8>, Outcome) {
    let mut out = Vec::new();
    let mut rewriter = HtmlRewriter::new(plan, |bytes: &[u8]| out.extend_from_slice(bytes));
    chunks.into_iter().for_each(|chunk| rewriter.write(chunk));
    let outcome = rewriter.end();
    (out, outcome)
}

pub(super) fn rewritten(stored: &Value, facts: &Value, page: &str) -> String {
    let plan = plan(stored, facts);
    let (out, outcome) = rewrite(&plan, [page.as_bytes()]);
    assert_eq!(outcome.ending, Ending::Complete);
    String::from_utf8(out).unwrap()
}

/// A page of a shop, some `kilobytes` long.
pub(super) fn shop_page(kilobytes: usize) -> String {
    let mut page = String::from(
        "<!doctype html><html><head><title>Shop</title><meta charset=utf-8></head><body><header id=top><nav><a href=/>Home</a></nav></header><section id=hero><h1>Welcome</h1></section><main>",
    );
    let mut n = 0;
    while page.len() < kilobytes * 1000 {
        n += 1;
        let _ = writeln!(
            page,
            "<article class=\"product card\" data-sku=\"sku-{n}\"><a href=\"/p/{n}\"><img src=\"/img/{n}.jpg\" alt=\"Product {n}\" width=320 height=240></a><h2>Product {n}</h2><p class=price>\u{20ac} {n}.99</p><p>Some words about this product that nobody reads to the end, as ever.</p></article>"
        );
    }
    page + "</main><footer id=foot>Bye</footer></body></html>"
}
