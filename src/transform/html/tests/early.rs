//! What ends the rewriting before the page's end: the rest follows as it came, nothing twice, nothing lost.

use super::*;

fn budgeted(plan: &HtmlPlan, page: &[u8], size: usize, chunks: usize) -> (Vec<u8>, Outcome) {
    let mut out = Vec::new();
    let mut left = chunks;
    let goes_on = move || {
        left = left.saturating_sub(1);
        left > 0
    };
    let mut rewriter = HtmlRewriter::new(plan, |bytes: &[u8]| out.extend_from_slice(bytes)).budget(goes_on);
    page.chunks(size).for_each(|chunk| rewriter.write(chunk));
    let outcome = rewriter.end();
    (out, outcome)
}

/// Elements edited in a way that shows where each byte came from.
fn prefixing() -> HtmlPlan {
    plan(&json!([{"select": "*", "before": "\u{1}"}]), &json!({}))
}

#[test]
fn a_spent_budget_leaves_the_rest_untouched_at_any_byte() {
    let plan = prefixing();
    for size in 1..PAGE.len() {
        let (out, outcome) = budgeted(&plan, PAGE.as_bytes(), size, 2);
        let Ending::Stopped { at } = outcome.ending else { panic!("{outcome:?}") };
        let at = usize::try_from(at).unwrap();
        assert_eq!(at, size);
        // Take the marks away: every byte is there, once, and behind the stop there was no mark.
        let plain: Vec<u8> = out.iter().copied().filter(|b| *b != 1).collect();
        assert!(plain == PAGE.as_bytes(), "stopped at {size}:\n{}", String::from_utf8_lossy(&out));
        assert!(out.ends_with(&PAGE.as_bytes()[size..]), "stopped at {size}");
    }
}

#[test]
fn a_stop_waits_for_the_end_of_content_being_replaced() {
    let plan = plan(
        &json!([{"select": "#x", "inner": "new"}, {"select": "b", "before": "!"}, {"select": "#x", "append": "+"}]),
        &json!({}),
    );
    let page = "<p><b>1</b></p><div id=x>old <i>content</i> of some length</div><b>2</b>";
    for size in 1..page.len() {
        let (out, outcome) = budgeted(&plan, page.as_bytes(), size, 2);
        let out = String::from_utf8(out).unwrap();
        assert!(!(out.contains("new") && out.contains("old")), "{size}: {out}");
        assert!(out.contains("new") || out.contains("old"), "{size}: {out}");
        assert_eq!(out.matches("</div>").count(), 1, "{size}: {out}");
        assert!(out.ends_with("</div><b>2</b>") || out.ends_with("</div>!<b>2</b>"), "{size}: {out}");
        assert!(matches!(outcome.ending, Ending::Stopped { .. } | Ending::Complete));
    }
}

#[test]
fn no_budget_at_all_is_a_pass_through() {
    let (out, outcome) = budgeted(&everything(), PAGE.as_bytes(), 100, 0);
    assert_eq!(out, PAGE.as_bytes());
    assert_eq!(outcome.ending, Ending::Stopped { at: 0 });
}

#[test]
fn the_budget_is_asked_within_one_large_chunk() {
    let page = shop_page(100);
    let (out, outcome) = budgeted(&prefixing(), page.as_bytes(), page.len(), 3);
    assert!(matches!(outcome.ending, Ending::Stopped { at } if at < 50_000));
    assert_eq!(out.iter().filter(|b| **b != 1).count(), page.len());
}

#[test]
fn a_parser_that_gives_up_loses_nothing() {
    let plan = plan(&json!([{"select": "[data-a]", "before": "\u{1}"}]), &json!({}));
    // A tag larger than the parser may hold, in front of it and behind it elements that would be edited.
    let page = format!("<p data-a>one</p><b title='{}'>two</b><p data-a>three</p>", "x".repeat(50_000));
    for size in [1000, 4096, 16_384, 30_000, 60_000] {
        let mut out = Vec::new();
        let mut rewriter = HtmlRewriter::new(&plan, |bytes: &[u8]| out.extend_from_slice(bytes));
        rewriter.max_memory = 20_000;
        page.as_bytes().chunks(size).for_each(|chunk| rewriter.write(chunk));
        let outcome = rewriter.end();
        assert!(matches!(outcome.ending, Ending::Failed { .. }), "{size}: {outcome:?}");
        assert_eq!(String::from_utf8(out).unwrap(), format!("\u{1}{page}"), "{size}");
    }
}

#[test]
fn a_parser_that_gives_up_in_replaced_content_keeps_the_nesting() {
    let plan = plan(&json!([{"select": "#x", "replace": "new"}, {"select": "[data-a]", "before": "!"}]), &json!({}));
    let page = format!("<div><section id=x>old<b title='{}'>two</b></section></div>", "x".repeat(50_000));
    let mut out = Vec::new();
    let mut rewriter = HtmlRewriter::new(&plan, |bytes: &[u8]| out.extend_from_slice(bytes));
    rewriter.max_memory = 20_000;
    page.as_bytes().chunks(4096).for_each(|chunk| rewriter.write(chunk));
    assert!(matches!(rewriter.end().ending, Ending::Failed { .. }));
    let out = String::from_utf8(out).unwrap();
    assert!(out.starts_with("<div>new<section><b title='x"), "{}", &out[..60]);
    assert!(out.ends_with("'>two</b></section></div>"));
}

#[test]
fn deep_nesting_is_survived() {
    let page = "<div>".repeat(200_000) + &"</div>".repeat(200_000);
    let (out, _) = rewrite(&everything(), [page.as_bytes()]);
    assert!(out == page.as_bytes() || out.len() > page.len());
    assert!(out.ends_with(b"</div></div></div>") || out.ends_with(b"</script>"));
}

#[test]
fn operations_that_are_done_let_the_rest_pass() {
    let plan = plan(&json!([{"select": ".product", "once": true, "append": "+"}]), &json!({}));
    let page = shop_page(60);
    let (out, outcome) = rewrite(&plan, page.as_bytes().chunks(1000));
    assert_eq!(outcome.ending, Ending::Complete);
    assert_eq!((outcome.edited, out.len()), (1, page.len() + 1));
    assert!(out.ends_with(&page.as_bytes()[2000..]));
}

#[test]
fn insertions_are_bounded() {
    let plan = plan(&json!([{"select": "article", "append": "x".repeat(60_000)}]), &json!({}));
    let page = shop_page(200);
    let (out, outcome) = rewrite(&plan, [page.as_bytes()]);
    assert!(outcome.insertions_cut);
    assert!(out.len() < 5_000_000);
}

#[test]
fn utf_16_streams_through() {
    let page: Vec<u8> = "\u{feff}<p id=hero>x</p>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (out, outcome) = rewrite(&everything(), page.chunks(1));
    assert_eq!((out, outcome.ending), (page, Ending::Encoding));
}
