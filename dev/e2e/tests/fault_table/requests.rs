//! Odd visitors and odd requests.

use e2e::visitors::NOWHERE;
use e2e::{Edge, Request};

use crate::dictionaries;
use crate::table::{Page, Table, row};

const ALL: &str = "/api/products/all";
const EAST: &str = "/api/products/promotions/east";
/// The header lines in which a visitor says something that the edge reads.
const READ: [&str; 9] = [
    "User-Agent",
    "Accept-Language",
    "Cookie",
    "X-Geo-Region",
    "X-User-ID",
    "X-User-Signature",
    "Authorization",
    "traceparent",
    "X-Anything",
];

pub fn rows() -> Table {
    let mut table = Table::default();
    let edge = Edge::with_rules(&dictionaries()).start();
    table.row(&edge, &row("geo absent", 200, Page::Generic, &[]).by(NOWHERE));
    for name in READ {
        let fault = format!("{name} that isn't UTF-8");
        let request = Request::get(ALL).header(name, b"a=\xff\xfe; b=\xc3");
        table.row(&edge, &row(&fault, 200, Page::Right, &[]).sends(request));
    }
    let all = READ.iter().fold(Request::get("/find"), |request, name| request.header(name, b"\x80\xff"));
    table.row(
        &edge,
        &row("all of them, to an origin that sees them", 200, Page::Right, &["identity-user-id"]).sends(all),
    );
    for (fault, lines, status, page) in [
        ("90 header lines", 90, 200, Page::Right),
        ("200 header lines (the service: src/admit/tests.rs)", 200, 431, Page::LocalServer),
    ] {
        let request = (0..lines).fold(Request::get(ALL), |request, n| request.header(format!("X-{n}"), "1"));
        table.row(&edge, &row(fault, status, page, &[]).sends(request));
    }
    let request = Request::get(ALL).header("X-Long", "x".repeat(9_000));
    table.row(&edge, &row("9 kB header", 431, Page::Plain, &["headers-too-large"]).sends(request).reaches(""));
    let request = (0..10).fold(Request::get(ALL), |request, n| request.header(format!("X-{n}"), "x".repeat(7_000)));
    table.row(&edge, &row("70 kB of headers", 431, Page::Plain, &["headers-too-large"]).sends(request).reaches(""));
    let url = format!("{ALL}?q={}", "x".repeat(9_000));
    table.row(&edge, &row("9 kB URL", 414, Page::Plain, &["url-too-long"]).asks(&url).reaches(""));
    for (path, status, page, log, reaches) in [
        ("//api/products/all", 200, Page::Own, &[][..], "//api/products/all"),
        ("/api//products/all", 404, Page::OwnError, &[], "/api//products/all"),
        ("/api/products%2Fall", 404, Page::OwnError, &[], "/api/products%2Fall"),
        ("/api/products/all%00", 400, Page::Plain, &["bad-path"], ""),
        ("/api/products/all?a=%00", 200, Page::Right, &[], EAST),
        ("/api/products/all%0d%0aX-Evil:1", 400, Page::Plain, &["bad-path"], ""),
        ("/api/x/../products/all", 200, Page::Right, &[], EAST),
        ("/api/x/%2e%2E/products/all", 200, Page::Right, &[], EAST),
        ("/../../api/products/all", 200, Page::Right, &[], EAST),
        ("/api/products/all/..;/all", 404, Page::OwnError, &[], "/api/products/all/..;/all"),
        ("/api/products/all;x=y", 404, Page::OwnError, &[], "/api/products/all;x=y"),
        ("/api;x=y/products/all", 404, Page::OwnError, &[], "/api;x=y/products/all"),
        ("/api/products/%61ll", 200, Page::Right, &[], EAST),
        ("/api/products/all%", 404, Page::OwnError, &[], "/api/products/all%"),
    ] {
        table.row(&edge, &row(path, status, page, log).asks(path).reaches(reaches));
    }
    let dropped = row("duplicate query keys, dropped", 200, Page::Right, &[]).asks("/api/products/all?a=1&a=2&a=");
    table.row(&edge, &dropped.reaches(EAST));
    let kept = row("duplicate query keys, kept beside a parameter that is set", 200, Page::Right, &[]);
    let kept = kept.asks("/find?a=1&lang=xx&a=2&a=&l%61ng=yy");
    table.row(&edge, &kept.reaches("/api/products/promotions/east?a=1&a=2&a=&lang=en"));
    table.row(&edge, &row("none any more", 200, Page::Right, &[]));
    table
}
