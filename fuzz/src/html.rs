//! Any bytes as a page, in any pieces, with a budget that ends anywhere: no panic, the pieces don't matter, and a page that
//! nothing is done to keeps its bytes.
//!
//! The first byte gives the size of the pieces, the second when the budget ends.

use std::sync::LazyLock;

use edge_personalizer::transform::facts::Facts;
use edge_personalizer::transform::html::{Circumstances, Ending, HtmlPlan, HtmlRewriter, HtmlRules};
use edge_personalizer::transform::template::Templates;
use serde_json::{Value, json};

fn plan(stored: Value) -> HtmlPlan {
    let mut templates = Templates::new([]);
    let mut faults = Vec::new();
    let rules = HtmlRules::compile(stored.as_array().unwrap(), "", &mut templates, &mut faults);
    let facts = json!({"name": "<\"'&", "skus": ["a&b", "s"]});
    let decisions = json!({"a": "</script>"});
    let circumstances = Circumstances { decisions: Some(&decisions), nonce: None, ..Circumstances::default() };
    let plan = rules.plan(&templates, &Facts::new(&facts), circumstances, |_| true, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    plan
}

thread_local! {
    static EVERYTHING: LazyLock<HtmlPlan> = LazyLock::new(|| plan(json!([
        {"select": "#hero, p > b", "inner": "<h1>{{ name }}</h1>", "class": {"add": ["seen"], "remove": ["big"]}},
        {"select": "li", "prepend": "1", "append": "2", "before": "3", "after": "4"},
        {"mark": {"attribute": "data-sku", "in": "skus", "class": "in-cart"}},
        {"select": "a[href]", "attribute": {"set": {"href": "{{ name }}"}, "remove": ["title"]}},
        {"select": "textarea, svg", "replace": "<hr>"},
        {"json": {"id": "d"}}
    ])));
    static MARKING: LazyLock<HtmlPlan> = LazyLock::new(|| plan(json!([{"select": "*", "before": "\u{1}", "append": "\u{1}"}])));
}

fn rewrite(plan: &HtmlPlan, page: &[u8], size: usize, budget: usize) -> (Vec<u8>, Ending) {
    let mut out = Vec::new();
    let mut left = budget;
    let mut rewriter = HtmlRewriter::new(plan, |bytes: &[u8]| out.extend_from_slice(bytes)).budget(|| {
        left = left.saturating_sub(1);
        left > 0
    });
    page.chunks(size).for_each(|chunk| rewriter.write(chunk));
    let ending = rewriter.end().ending;
    (out, ending)
}

/// One input.
pub fn run(data: &[u8]) {
    let [size, budget, page @ ..] = data else { return };
    let size = usize::from(*size).max(1);
    EVERYTHING.with(|plan| {
        let (whole, _) = rewrite(plan, page, page.len().max(1), usize::MAX);
        let (pieces, _) = rewrite(plan, page, size, usize::MAX);
        assert!(whole == pieces, "pieces of {size}");
    });
    if !page.contains(&1) {
        MARKING.with(|plan| {
            let (out, ending) = rewrite(plan, page, size, usize::from(*budget));
            let plain: Vec<u8> = out.iter().copied().filter(|b| *b != 1).collect();
            assert!(plain == page, "{ending:?}");
        });
    }
}
