//! Promise 23: a page spliced is the page parsed, and nothing of a visitor is kept.

use http::{HeaderMap, HeaderValue};

use super::*;
use crate::transform::html::{Pages, Splice, SplicedPage};

impl Random {
    fn pieces<'c>(&mut self, page: &'c [u8]) -> Vec<&'c [u8]> {
        let most = [1, 3, 40, 700, 5000, 40_000][self.below(6)];
        let mut rest = page;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((1 + self.below(most)).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}

/// How a page was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Parsed,
    Recorded,
    Spliced,
}

fn served_as(
    pages: &Pages,
    plan: &HtmlPlan,
    headers: &HeaderMap,
    charset: Charset,
    chunks: &[&[u8]],
    budget: usize,
) -> (Vec<u8>, Ending, How) {
    let splice = Splice::look_up(pages, plan, b"r1\0origin\0/\0", headers, charset);
    let how = match splice {
        Splice::Off => How::Parsed,
        Splice::Record(..) => How::Recorded,
        Splice::Kept(..) => How::Spliced,
    };
    let mut out = Vec::new();
    let mut left = budget;
    let goes_on = move || {
        left = left.saturating_sub(1);
        left > 0
    };
    let sink = Box::new(|bytes: &[u8]| out.extend_from_slice(bytes));
    let mut page = SplicedPage::new(plan, &splice, charset, Box::new(goes_on), sink);
    for chunk in chunks {
        page.write(chunk);
    }
    let ending = page.end();
    (out, ending, how)
}

fn served(pages: &Pages, plan: &HtmlPlan, page: &[u8]) -> (String, How) {
    let (out, _, how) = served_as(pages, plan, &HeaderMap::new(), Charset::utf_8(), &[page], usize::MAX);
    (String::from_utf8(out).unwrap(), how)
}

fn parsed(plan: &HtmlPlan, page: &[u8]) -> String {
    String::from_utf8(rewrite(plan, [page]).0).unwrap()
}

/// A visitor whose every value is marked.
fn visitor(name: &str, cart: &[&str]) -> Value {
    json!({"session": {"name": format!("{name} <\"'&\u{20ac}"), "cart": cart, "tone": format!("tone-{name} dark")}})
}

/// Operations of every kind, on what [`PAGE`] and [`shop_page`] have.
fn operations() -> Vec<Value> {
    vec![
        json!({"select": "#hero", "inner": {"template": "hero"}, "class": {"add": ["seen"], "remove": ["big"]}}),
        json!({"select": "li.product, article", "prepend": "<i>{{ session.name }}</i>", "append": "<u></u>", "before": "<!--b-->"}),
        json!({"mark": {"attribute": "data-sku", "in": "session.cart", "class": "in-cart"}}),
        json!({"select": "[data-sku]", "mark": {"attribute": "data-sku", "in": "session.views", "class": "viewed"}, "append": "{{ session.name }}"}),
        json!({"select": "a[href]", "attribute": {"set": {"href": "/x/{{ session.name }}", "title": "{{ session.name }}"}}, "after": "!"}),
        json!({"select": "textarea, svg", "replace": "<hr>"}),
        json!({"select": "body", "attribute": {"remove": ["data-x"]}, "once": true}),
        json!({"select": "body", "class": {"add": ["{{ session.tone }}"]}}),
        json!({"select": "h2", "class": {"add": ["{{ session.tone }}", "h"]}, "attribute": {"set": {"class": "{{ session.name }}"}}}),
        json!({"select": "img", "mark": {"attribute": "src", "in": "session.cart", "class": "v"}, "after": "{{ session.name }}", "before": "1"}),
        json!({"select": "section#hero, header", "once": true, "replace": "<b>{{ session.name }}</b>"}),
        json!({"select": "p", "inner": "{{ session.name }}", "mark": {"attribute": "class", "in": "session.cart", "class": "p"}}),
        json!({"json": {"id": "edge-decisions"}}),
        json!({"select": "title", "append": "{{ session.name }}", "once": true}),
    ]
}

fn random_plan(random: &mut Random, who: &Value, chosen: &[usize]) -> HtmlPlan {
    let all = operations();
    let stored: Vec<Value> = chosen.iter().map(|place| all[*place].clone()).collect();
    let mut plan = plan(&Value::Array(stored), who);
    if random.below(4) == 0 {
        plan.adopt_nonce(Some("AbC123=="));
    }
    plan
}

#[test]
fn a_page_spliced_is_the_page_parsed() {
    let documents = [PAGE.to_owned(), shop_page(3), shop_page(9), PAGE.replace("</head>", "").replace("</p>", "")];
    let (mut spliced, mut recorded) = (0, 0);
    for seed in 0..400 {
        let mut random = Random(seed);
        let pages = Pages::default();
        let chosen: Vec<usize> = (0..operations().len()).filter(|_| random.below(3) == 0).collect();
        if chosen.is_empty() {
            continue;
        }
        let visitors = [
            visitor("Xanthippe", &["sku-1", "a&b", "price", "a.png"]),
            visitor("Quetzal", &["sku-2", "s3", "/img/4.jpg"]),
            visitor("Wojciech", &[]),
            json!({"session": {}}),
        ];
        let mut page = documents[random.below(4)].clone().into_bytes();
        for request in 0..8 {
            // Now and then another page: the origin has changed it, in the middle, at its end, or not at all.
            if request > 1 && random.below(3) == 0 {
                let at = random.below(page.len());
                match random.below(5) {
                    0 => page[at] = b"<>\"'=/! -\0&"[random.below(11)],
                    1 => page.truncate(at.max(1)),
                    2 => drop(page.remove(at)),
                    3 => page.extend_from_slice(b"<p class=price>more</p>"),
                    _ => page.insert(at, b"<>\"'=/!"[random.below(7)]),
                }
            }
            let who = &visitors[random.below(4)];
            let plan = random_plan(&mut random, who, &chosen);
            let (whole, outcome) = rewrite(&plan, [&page[..]]);
            let chunks = random.pieces(&page);
            let (out, ending, how) = served_as(&pages, &plan, &HeaderMap::new(), Charset::utf_8(), &chunks, usize::MAX);
            spliced += usize::from(how == How::Spliced);
            recorded += usize::from(how == How::Recorded);
            assert!(
                out == whole,
                "seed {seed}, request {request}, {how:?}, operations {chosen:?}:\n{}\n--- expected\n{}",
                String::from_utf8_lossy(&out),
                String::from_utf8_lossy(&whole)
            );
            assert_eq!(ending, outcome.ending, "seed {seed}, request {request}");
            for kept in pages.dump() {
                let kept = format!("{:?}", kept).replace(", ", "");
                for name in ["Xanthippe", "Quetzal", "Wojciech"] {
                    // As `Debug` shows bytes.
                    let bytes: String = name.bytes().map(|byte| byte.to_string()).collect();
                    assert!(!kept.contains(&bytes) && !kept.contains(name), "{name} is kept");
                }
            }
        }
    }
    assert!(spliced > 500 && recorded > 300, "{spliced} spliced, {recorded} recorded");
}

#[test]
fn the_second_visitor_of_a_page_is_spared_the_parser() {
    let pages = Pages::default();
    let page = shop_page(36);
    let stored = json!([
        {"select": "#hero", "inner": "<h1>Hello {{ session.name }}</h1>"},
        {"select": "#top", "append": "<b>{{ session.cart.0 }}</b>"},
        {"mark": {"attribute": "data-sku", "in": "session.cart", "class": "in-cart"}},
        {"select": "a[href]", "attribute": {"set": {"title": "{{ session.name }}"}}},
        {"json": {"id": "d"}}
    ]);
    let (ann, bob) = (plan(&stored, &visitor("ann", &["sku-3"])), plan(&stored, &visitor("bob", &["sku-3", "sku-9"])));
    assert_eq!(served(&pages, &ann, page.as_bytes()), (parsed(&ann, page.as_bytes()), How::Recorded));
    for plan in [&bob, &ann, &bob] {
        assert_eq!(served(&pages, plan, page.as_bytes()), (parsed(plan, page.as_bytes()), How::Spliced));
    }
    // No budget is needed for what needs no parser.
    let (out, ending, _) = served_as(&pages, &bob, &HeaderMap::new(), Charset::utf_8(), &[page.as_bytes()], 0);
    assert_eq!((String::from_utf8(out).unwrap(), ending), (parsed(&bob, page.as_bytes()), Ending::Complete));
    assert!(pages.bytes() < 4 * page.len(), "{} bytes for a page of {}", pages.bytes(), page.len());
}

#[test]
fn the_beginning_goes_out_before_the_rest_comes() {
    let pages = Pages::default();
    let page = shop_page(36);
    let plan = plan(&json!([{"select": "h2", "append": "{{ session.name }}"}]), &visitor("ann", &[]));
    for how in [How::Recorded, How::Spliced] {
        let splice = Splice::look_up(&pages, &plan, b"", &HeaderMap::new(), Charset::utf_8());
        let seen = std::cell::Cell::new(0);
        let sink = Box::new(|bytes: &[u8]| seen.set(seen.get() + bytes.len()));
        let mut stream = SplicedPage::new(&plan, &splice, Charset::utf_8(), Box::new(|| true), sink);
        for (place, chunk) in page.as_bytes().chunks(1500).enumerate() {
            stream.write(chunk);
            assert!(seen.get() + 300 > place * 1500 + chunk.len(), "{how:?}: {} bytes after chunk {place}", seen.get());
        }
        stream.end();
    }
}

#[test]
fn a_budget_that_ends_in_the_middle_of_a_fallback_loses_nothing() {
    let marks = plan(&json!([{"select": "*", "before": "\u{1}"}, {"select": "h2", "append": "\u{1}"}]), &json!({}));
    let page = shop_page(30);
    for place in [10, 700, 2048, 9000, 29_000, page.len() - 1] {
        let pages = Pages::default();
        served(&pages, &marks, page.as_bytes());
        let mut other = page.clone().into_bytes();
        other[place] = b'~';
        let chunks: Vec<&[u8]> = other.chunks(4000).collect();
        let (out, ending, how) = served_as(&pages, &marks, &HeaderMap::new(), Charset::utf_8(), &chunks, 1);
        assert_eq!(how, How::Spliced);
        let plain: Vec<u8> = out.iter().copied().filter(|byte| *byte != 1).collect();
        assert!(plain == other, "changed at {place}: {ending:?}");
        assert_eq!(ending, Ending::Stopped { at: place as u64 }, "changed at {place}");
    }
}

#[test]
fn a_page_of_one_visitor_is_not_kept() {
    let plan = everything();
    for (name, value) in [
        ("set-cookie", "sid=1"),
        ("cache-control", "private"),
        ("cache-control", "max-age=0, No-Store"),
        ("cache-control", "private=\"x\""),
        ("content-length", "300000"),
    ] {
        let pages = Pages::default();
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
        for _ in 0..2 {
            let (out, _, how) = served_as(&pages, &plan, &headers, Charset::utf_8(), &[PAGE.as_bytes()], usize::MAX);
            assert_eq!(
                (String::from_utf8(out).unwrap(), how),
                (parsed(&plan, PAGE.as_bytes()), How::Parsed),
                "{value}"
            );
        }
        assert_eq!(pages.bytes(), 0);
    }
}

#[test]
fn a_page_that_is_another_one_each_time_is_left_alone() {
    let pages = Pages::default();
    let plan =
        plan(&json!([{"select": "h2", "append": "{{ session.name }}"}, {"json": {"id": "d"}}]), &visitor("ann", &[]));
    let mut hows = Vec::new();
    for number in 0..6 {
        let page = shop_page(4).replace("<head>", &format!("<head><script nonce=n{number}></script>"));
        let (out, how) = served(&pages, &plan, page.as_bytes());
        assert_eq!(out, parsed(&plan, page.as_bytes()));
        assert!(out.contains(&format!("nonce=\"n{number}\"")));
        hows.push(how);
    }
    use How::{Parsed, Recorded, Spliced};
    assert_eq!(hows, [Recorded, Spliced, Recorded, Spliced, Parsed, Parsed]);
    assert_eq!(pages.bytes(), 0);
}

#[test]
fn a_page_that_changes_now_and_then_is_kept_anew() {
    let pages = Pages::default();
    let plan = everything();
    for number in 0..5 {
        let page = shop_page(4).replace("Welcome", &format!("Sale {number}"));
        let hows: Vec<How> = (0..4).map(|_| served(&pages, &plan, page.as_bytes()).1).collect();
        assert_eq!(hows[2..], [How::Spliced; 2], "{number}: {hows:?}");
    }
}

#[test]
fn what_reads_a_value_is_left_to_the_parser() {
    let who = visitor("ann", &["sku-1"]);
    let visual = json!({"domMutations": [{"selector": "a", "attribute": "title", "action": "append", "value": "!"}]});
    let mut appended = plan(&json!([{"select": "a", "attribute": {"set": {"title": "{{ session.name }}"}}}]), &who);
    appended.add_visual(&VisualChanges::compile(&visual, "", &mut Vec::new()));
    let classes = plan(
        &json!([{"select": "h2", "attribute": {"set": {"class": "{{ session.tone }}"}}}, {"select": "h2", "class": {"add": ["dark"]}}]),
        &who,
    );
    let marked = plan(
        &json!([{"mark": {"attribute": "data-sku", "in": "session.cart", "class": "c"}, "attribute": {"set": {"id": "{{ session.name }}"}}}]),
        &who,
    );
    for plan in [appended, classes, marked] {
        let pages = Pages::default();
        let page = shop_page(5);
        for _ in 0..3 {
            assert_eq!(served(&pages, &plan, page.as_bytes()).0, parsed(&plan, page.as_bytes()));
        }
        assert_eq!(served(&pages, &plan, page.as_bytes()).1, How::Parsed);
    }
}

#[test]
fn a_page_in_another_encoding_is_not_kept() {
    let plan = plan(
        &json!([{"select": "p", "append": "{{ session.name }}"}, {"select": "html", "before": "{{ session.name }}"}]),
        &visitor("ann", &[]),
    );
    let page = b"<html><meta charset=windows-1252><p>caf\xe9</p><p>x</p>";
    let undeclared = Charset::from_label(None).unwrap();
    let mut direct = Vec::new();
    let mut rewriter = HtmlRewriter::new(&plan, |bytes: &[u8]| direct.extend_from_slice(bytes)).charset(undeclared);
    rewriter.write(page);
    rewriter.end();
    for charset in [undeclared, Charset::from_label(Some("windows-1252")).unwrap()] {
        let pages = Pages::default();
        for _ in 0..3 {
            let (out, ..) = served_as(&pages, &plan, &HeaderMap::new(), charset, &[page], usize::MAX);
            if charset.undeclared {
                assert_eq!(out, direct);
            }
            assert!(out.windows(4).any(|bytes| bytes == b"caf\xe9"));
        }
        assert_eq!(pages.bytes(), 0);
    }
    // One that declares what it is in itself is.
    let pages = Pages::default();
    for how in [How::Recorded, How::Spliced] {
        let page = PAGE.as_bytes();
        let (out, _, was) = served_as(&pages, &plan, &HeaderMap::new(), undeclared, &[page], usize::MAX);
        assert_eq!((String::from_utf8(out).unwrap(), was), (parsed(&plan, page), how));
    }
}

#[test]
fn bounds_hold_for_pages_and_for_all_of_them() {
    // One page.
    let plan = plan(&json!([{"select": "h2", "append": "{{ session.name }}"}]), &visitor("ann", &[]));
    let (pages, long) = (Pages::default(), shop_page(300));
    for how in [How::Recorded, How::Parsed] {
        assert_eq!(served(&pages, &plan, long.as_bytes()), (parsed(&plan, long.as_bytes()), how));
    }
    // What operations may add.
    let many = plan_of_long_values(60_000);
    let few = plan_of_long_values(10);
    let page = shop_page(60);
    for plans in [[&few, &many], [&many, &few]] {
        let pages = Pages::default();
        for plan in plans.into_iter().cycle().take(6) {
            assert_eq!(served(&pages, plan, page.as_bytes()).0, parsed(plan, page.as_bytes()));
        }
    }
    // All of them.
    let pages = Pages::default();
    let page = shop_page(200);
    for number in 0..60_u8 {
        let splice = Splice::look_up(&pages, &plan, &[number], &HeaderMap::new(), Charset::utf_8());
        let mut stream = SplicedPage::new(&plan, &splice, Charset::utf_8(), Box::new(|| true), Box::new(|_| {}));
        stream.write(page.as_bytes());
        stream.end();
        assert!(pages.bytes() <= 8 * 1024 * 1024);
    }
    let last = Splice::look_up(&pages, &plan, &[59], &HeaderMap::new(), Charset::utf_8());
    let first = Splice::look_up(&pages, &plan, &[0], &HeaderMap::new(), Charset::utf_8());
    assert!(matches!((last, first), (Splice::Kept(..), Splice::Record(..))));
}

fn plan_of_long_values(bytes: usize) -> HtmlPlan {
    plan(
        &json!([{"select": "article", "append": "{{ session.name }}"}]),
        &json!({"session": {"name": "x".repeat(bytes)}}),
    )
}

#[test]
fn operations_that_are_done_let_the_rest_of_a_kept_page_pass() {
    let pages = Pages::default();
    let plan =
        plan(&json!([{"select": ".product", "once": true, "append": "{{ session.name }}"}]), &visitor("ann", &[]));
    let page = shop_page(60);
    for _ in 0..3 {
        assert_eq!(served(&pages, &plan, page.as_bytes()).0, parsed(&plan, page.as_bytes()));
    }
    // Behind the last operation the page may be another one each time.
    let other = page.replace("Bye", "Good bye");
    let splice = Splice::look_up(&pages, &plan, b"r1\0origin\0/\0", &HeaderMap::new(), Charset::utf_8());
    assert!(matches!(splice, Splice::Kept(..)));
    let mut out = Vec::new();
    let mut stream = SplicedPage::new(
        &plan,
        &splice,
        Charset::utf_8(),
        Box::new(|| true),
        Box::new(|bytes| out.extend_from_slice(bytes)),
    );
    let mut chunks = other.as_bytes().chunks(1000);
    while !stream.is_passing() {
        stream.write(chunks.next().unwrap());
    }
    stream.end();
    assert!(out.len() < 10_000, "{} bytes went through here", out.len());
    out.extend(chunks.flatten());
    assert_eq!(String::from_utf8(out).unwrap(), parsed(&plan, other.as_bytes()));
}
