//! Promise 10: however the bytes arrive, the result is the same.

use super::*;

fn documents() -> Vec<String> {
    vec![
        PAGE.to_owned(),
        shop_page(3),
        PAGE.replace("</head>", "").replace("</p>", ""),
        "<body><div id=hero><div><div id=hero>x</div></div></div><a href=x".to_owned(),
        "<div id=hero".to_owned(),
        "<!--".to_owned(),
        "\u{feff}<p>\u{1f600}<li class=product>\u{e9}".to_owned(),
        String::new(),
    ]
}

#[test]
fn every_chunk_size_gives_the_same_page() {
    let plan = everything();
    for (number, page) in documents().iter().enumerate() {
        let (whole, outcome) = rewrite(&plan, [page.as_bytes()]);
        for size in 1..=page.len().max(1) {
            let (pieces, in_pieces) = rewrite(&plan, page.as_bytes().chunks(size));
            assert!(
                pieces == whole,
                "document {number}, chunks of {size}:\n{}\n{}",
                String::from_utf8_lossy(&pieces),
                String::from_utf8_lossy(&whole)
            );
            assert_eq!(in_pieces, outcome, "document {number}, chunks of {size}");
        }
    }
}

#[test]
fn random_splits_give_the_same_page() {
    let plan = everything();
    for (number, page) in documents().iter().enumerate() {
        let (whole, _) = rewrite(&plan, [page.as_bytes()]);
        for seed in 0..300 {
            let mut random = Random(seed);
            let mut chunks = Vec::new();
            let mut rest = page.as_bytes();
            while !rest.is_empty() {
                let most = [3, 40, 700][random.below(3)];
                let (chunk, after) =
                    rest.split_at((random.below(most) + usize::from(random.below(9) > 0)).min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            let (pieces, _) = rewrite(&plan, chunks.iter().copied());
            assert!(
                pieces == whole,
                "document {number}, seed {seed}: {:?}",
                chunks.iter().map(|chunk| chunk.len()).collect::<Vec<_>>()
            );
        }
    }
}

/// The short form of the fuzz target `html`: any bytes, mangled from real pages, in any pieces.
#[test]
fn mangled_pages_neither_panic_nor_depend_on_their_pieces() {
    let plan = everything();
    let documents = documents();
    for seed in 0..1500 {
        let mut random = Random(seed);
        let mut page = documents[random.below(4)].clone().into_bytes();
        for _ in 0..random.below(12) {
            let at = random.below(page.len());
            match random.below(4) {
                0 => page[at] = b"<>\"'=/! -\0&\xff"[random.below(12)],
                1 => page.truncate(at.max(1)),
                2 => drop(page.remove(at)),
                _ => page.insert(at, b"<>\"'=/!\xc3"[random.below(8)]),
            }
            if page.is_empty() {
                page.push(b'<');
            }
        }
        let (whole, _) = rewrite(&plan, [&page[..]]);
        let size = 1 + random.below(64);
        let (pieces, _) = rewrite(&plan, page.chunks(size));
        assert!(pieces == whole, "seed {seed}, chunks of {size}: {:?}", String::from_utf8_lossy(&page));
    }
}

#[test]
fn an_untouched_page_keeps_every_byte() {
    let plan =
        plan(&json!([{"select": "no-such-element", "inner": "x"}, {"select": "[no-such]", "inner": "x"}]), &json!({}));
    for page in documents() {
        for size in [1, 7, 4096] {
            assert_eq!(rewrite(&plan, page.as_bytes().chunks(size)).0, page.as_bytes());
        }
    }
}

#[test]
fn output_comes_in_large_pieces_and_at_once() {
    let plan = everything();
    let page = shop_page(42);
    let mut pieces = Vec::new();
    let mut rewriter = HtmlRewriter::new(&plan, |bytes: &[u8]| pieces.push(bytes.len()));
    rewriter.write(page.as_bytes());
    rewriter.end();
    assert!(pieces.len() <= 5, "{pieces:?}");

    // The first bytes don't wait for the last.
    let seen = std::cell::Cell::new(0);
    let mut rewriter = HtmlRewriter::new(&plan, |bytes: &[u8]| seen.set(seen.get() + bytes.len()));
    rewriter.write(b"<!doctype html><p>Hello, <b>wor");
    assert_eq!(seen.get(), 31);
}
