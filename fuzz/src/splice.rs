//! Any bytes as a page, kept and then changed anywhere, in any pieces: what is spliced is what a parser alone makes of it.
//!
//! The first byte gives the size of the pieces, the second and third where the page changes, the fourth what stands there then.

use std::sync::LazyLock;

use edge_personalizer::transform::charset::Charset;
use edge_personalizer::transform::facts::Facts;
use edge_personalizer::transform::html::{
    Circumstances, HtmlPlan, HtmlRewriter, HtmlRules, Pages, Splice, SplicedPage,
};
use edge_personalizer::transform::template::Templates;
use http::HeaderMap;
use serde_json::{Value, json};

fn plan(facts: Value) -> HtmlPlan {
    let stored = json!([
        {"select": "#hero, p > b", "inner": "<h1>{{ name }}</h1>", "class": {"add": ["seen", "{{ name }}"], "remove": ["big"]}},
        {"select": "li", "prepend": "{{ name }}", "append": "2", "before": "{{ name }}", "after": "4"},
        {"mark": {"attribute": "data-sku", "in": "skus", "class": "in-cart"}},
        {"select": "a[href]", "attribute": {"set": {"href": "{{ name }}"}, "remove": ["title"]}},
        {"select": "textarea, svg", "replace": "<hr>{{ name }}"},
        {"json": {"id": "d"}}
    ]);
    let mut templates = Templates::new([]);
    let mut faults = Vec::new();
    let rules = HtmlRules::compile(stored.as_array().unwrap(), "", &mut templates, &mut faults);
    let decisions = json!({"a": "</script>"});
    let circumstances = Circumstances { decisions: Some(&decisions), ..Circumstances::default() };
    let plan = rules.plan(&templates, &Facts::new(&facts), circumstances, |_| true, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    plan
}

thread_local! {
    static VISITORS: LazyLock<[HtmlPlan; 2]> = LazyLock::new(|| [
        plan(json!({"name": "<\"'&", "skus": ["a&b", "s"]})),
        plan(json!({"name": "Ann", "skus": ["b", "s3"]})),
    ]);
}

fn parsed(plan: &HtmlPlan, page: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rewriter = HtmlRewriter::new(plan, |bytes: &[u8]| out.extend_from_slice(bytes));
    rewriter.write(page);
    rewriter.end();
    out
}

fn spliced(pages: &Pages, plan: &HtmlPlan, page: &[u8], size: usize) -> Vec<u8> {
    let charset = Charset::utf_8();
    let splice = Splice::look_up(pages, plan, b"", &HeaderMap::new(), charset);
    let mut out = Vec::new();
    let sink = Box::new(|bytes: &[u8]| out.extend_from_slice(bytes));
    let mut stream = SplicedPage::new(plan, &splice, charset, Box::new(|| true), sink);
    page.chunks(size).for_each(|chunk| stream.write(chunk));
    stream.end();
    out
}

/// One input.
pub fn run(data: &[u8]) {
    let [size, high, low, byte, page @ ..] = data else { return };
    let size = usize::from(*size).max(1);
    let mut other = page.to_vec();
    let place = usize::from(u16::from_be_bytes([*high, *low])) % page.len().max(1);
    match other.get_mut(place) {
        Some(_) if byte % 4 == 0 => other.truncate(place),
        Some(at) => *at = *byte,
        None => {}
    }
    VISITORS.with(|visitors| {
        let pages = Pages::default();
        for page in [page, page, &other, &other, page] {
            for plan in visitors.iter() {
                assert!(spliced(&pages, plan, page, size) == parsed(plan, page), "pieces of {size}");
            }
        }
    });
}
