//! An origin that lets the edge down, on the personalized path alone, and altogether.

use std::time::Duration;

use e2e::visitors::{NEW_YORK, PARIS};
use e2e::{Behaviour, Request};
use serde_json::Value;

use super::{Stand, gets};

/// What the demo route rewrites to for somebody in New York.
const EAST: &str = "/api/products/promotions/east";
/// Where it falls back to.
const GLOBAL: &str = "/api/products/promotions/global";
/// Far beyond any budget of the edge, well below the test's patience.
const TOO_LONG: Duration = Duration::from_secs(40);
const FROM_GLOBAL: &str = "\"region\": \"global\"";

/// Lets it fail.
pub fn fails(stand: &mut Stand) {
    let page = Request::get("/api/products/all");
    let whole = [
        ("404 on the personalized path", Behaviour::Status(404), "status-404"),
        ("500 on the personalized path", Behaviour::Status(500), "status-500"),
        ("503 on the personalized path", Behaviour::Status(503), "status-503"),
        ("a reset before the head", Behaviour::Reset, "backend-"),
        ("a stall before the head", Behaviour::StallHead(TOO_LONG), "backend-"),
    ];
    for (name, behaviour, says) in whole {
        stand.edge.origin().on(EAST, behaviour);
        stand.meets(name, NEW_YORK, &page, &gets(200, FROM_GLOBAL, says));
        stand.edge.origin().behave();
    }
    stand.meets(
        "none: the path is well again",
        NEW_YORK,
        &page,
        &gets(200, "\"region\": \"east\"", "\"fallback\":null"),
    );
    // The head is out: what can still be told is that the body isn't whole.
    let broken = [
        ("a stall in the body", Behaviour::StallBody(TOO_LONG)),
        ("a reset in the body", Behaviour::ResetBody),
        ("a truncated body", Behaviour::Truncate),
    ];
    for (name, behaviour) in broken {
        for (target, path) in [("/api/products/all", EAST), ("/", "/")] {
            stand.edge.origin().on(path, behaviour.clone());
            let place = if path == "/" { "a page that is rewritten" } else { "an answer that streams through" };
            stand.breaks_off(&format!("{name} of {place}"), NEW_YORK, &Request::get(target), "\"status\":200");
            stand.edge.origin().behave();
        }
    }
    stand.edge.origin().on(EAST, Behaviour::Status(500));
    stand.edge.origin().on(GLOBAL, Behaviour::Reset);
    stand.meets("the fallback fails as well", NEW_YORK, &page, &gets(500, "The shop says 500", "\"status\":500"));
    stand.edge.origin().on("*", Behaviour::Status(503));
    stand.meets("503 everywhere", NEW_YORK, &page, &gets(503, "The shop says 503", "\"status\":503"));
    stand.edge.origin().on("*", Behaviour::Reset);
    stand.meets("a reset everywhere", NEW_YORK, &page, &gets(502, "Please try again", "backend-"));
    stand.edge.origin().behave();
    refused(stand, &page);
}

/// Connections that nobody takes: for the personalized request alone, then for the fallback, too.
fn refused(stand: &mut Stand, page: &Request) {
    let set = |stand: &mut Stand, edit: fn(&mut Value)| {
        stand.edge.edit(|rules| {
            let mut routes: Value = serde_json::from_str(&rules.entries()["routes"]).unwrap();
            edit(&mut routes["routes"][0]);
            rules.set("routes", &routes);
        });
        std::thread::sleep(Duration::from_millis(1_100));
    };
    set(stand, |route| route["backend"] = "refusing".into());
    stand.meets("a refused connection", PARIS, page, &gets(200, FROM_GLOBAL, "backend-"));
    set(stand, |route| route["fallback"]["backend"] = "refusing".into());
    let answer = stand.meets("every connection refused", PARIS, page, &gets(502, "Please try again", "backend-"));
    assert_eq!(answer.list("vary"), ["edge-variant"], "an error of a personalized route varies too");
    let id = stand.edge.logs().of("errors").pop().unwrap()["request_id"].clone();
    assert!(answer.text().contains(id.as_str().unwrap()), "the page names the request, as the log does");
}
