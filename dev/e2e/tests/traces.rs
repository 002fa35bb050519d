//! Promises 13 and 14 through the real service: who refuses leaves no trace, and no log line, shared header or error page names anybody.
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]

use std::time::Duration;

use e2e::visitors::{NEW_YORK, NOWHERE, PARIS, Visitor};
use e2e::{Answer, Behaviour, Edge, Request, now};
use edge_personalizer::context::identity::{UserId, sign};
use edge_personalizer::mac::MacKey;
use serde_json::{Value, json};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0; canary-client) Gecko/20100101 Firefox/145.0";
const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const LOCAL_SECRET: &[u8] = b"local-identity-key-of-32-bytes-or-more";
const ADMIN: &str = "local-admin-token-for-explain";
const USER: &str = "canary-user";
const VISITOR: &str = "ca9a51e500000000000000000000beef";
/// Purposes 1 to 10, and 1 to 3.
const TCF_ALL: &str = "euconsent-v2=COvFyGBOvFyGBAbAAAENAPCAAP_AAAAAAAAAAEEUACCKAAA";
const TCF_PART: &str = "euconsent-v2=COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA";
const LOG_LIMIT: Duration = Duration::from_secs(20);

fn edge() -> Edge {
    let record = json!({ "version": 1, "updated_at": now().as_millis(), "recent_views": ["canary-view"], "cart": [{ "sku": "canary-cart", "quantity": 1 }],
        "segments": ["canary-segment"], "attributes": { "name": "canary-name" } })
    .to_string();
    let rules = json!({
        "settings": { "session": { "path": "/sessions/{kind}/{id}" },
            "consent": { "cookie": { "name": "consent", "value": "yes" }, "tcf": {} },
            "log": { "exposure_attributes": ["id", "userId", "visitorId", "url", "query", "session", "country"] } },
        "features": { "features": { "hero": { "defaultValue": "old", "rules": [{ "key": "hero-test", "variations": ["old", "new"], "hashVersion": 2 }] } } },
        "routes": { "routes": [
            { "id": "shared", "path": "/echo/shared", "rewrite": { "path": "/echo/{feature.hero}" }, "cache": { "ttl": 60 } },
            { "id": "own", "path": "/echo/own", "features": ["hero"], "session": { "query": { "recent": "recent_views" }, "header": ["cart"] } },
            { "id": "by-path", "path": "/echo/by-path", "rewrite": { "path": "/echo/u/{user.id|none}/{session.attributes.name|none}" } },
            { "id": "home", "path": "/", "session": {}, "html": [{ "select": "#hero h1", "inner": "{{ session.attributes.name }}" }] },
            { "id": "lost", "path": "/lost", "cache": { "ttl": 1 }, "backend": "nowhere", "fallback": { "path": "/also-lost" } } ] }
    });
    Edge::with_rules(&rules)
        .kv("sessions", &format!("user/{USER}"), &record)
        .kv("sessions", &format!("visitor/{VISITOR}"), &record)
        .start()
}

/// A request by somebody who was here before, and proves who it is.
fn known(target: &str, agent: &str, cookies: &[&str]) -> Request {
    let signature = sign(&MacKey::new(LOCAL_SECRET).unwrap(), &UserId::parse(USER).unwrap(), now().as_secs());
    let id = format!("ep_vid={VISITOR}");
    let all: Vec<&str> = cookies.iter().copied().chain([id.as_str(), "theme=canary-cookie"]).collect();
    Request::get(target)
        .header("User-Agent", agent)
        .header("Cookie", all.join("; "))
        .header("X-User-ID", USER)
        .header("X-User-Signature", signature)
        .header("Referer", "https://shop.example/canary-referer")
        .header("X-Forwarded-For", "198.51.100.99")
}

fn kept_cookies(answer: &Answer) -> usize {
    answer.header_lines("set-cookie").iter().filter(|line| !line.contains("Max-Age=0")).count()
}

#[test]
fn who_refuses_leaves_no_trace() {
    // Jurisdiction, cookies, Sec-GPC, bot; whether that is a yes.
    type Case = (Visitor, &'static [&'static str], bool, bool, bool);
    let cases: [Case; 16] = [
        (PARIS, &[], false, false, false),
        (PARIS, &["consent=yes"], false, false, true),
        (PARIS, &["consent=no"], false, false, false),
        (PARIS, &["consent=%FFyes"], false, false, false),
        (PARIS, &[TCF_ALL], false, false, true),
        (PARIS, &[TCF_PART], false, false, false),
        (PARIS, &["consent=yes", TCF_PART], false, false, false),
        (PARIS, &["consent=yes"], true, false, false),
        (PARIS, &["consent=yes"], false, true, false),
        (NEW_YORK, &[], false, false, true),
        (NEW_YORK, &["consent=no"], false, false, false),
        (NEW_YORK, &["euconsent-v2=broken"], false, false, false),
        (NEW_YORK, &[], true, false, false),
        (NEW_YORK, &[], false, true, false),
        (NOWHERE, &[], false, false, false),
        (NOWHERE, &["consent=yes", TCF_ALL], false, false, true),
    ];
    let edge = edge();
    println!(
        "{:<10} {:<5} {:<5} {:<4} {:>7} {:>12} {:>9} {:>12}",
        "from", "GPC", "bot", "may", "cookies", "session read", "exposures", "user headers"
    );
    let mut wrong = Vec::new();
    for (visitor, cookies, gpc, bot, may) in cases {
        let agent = if bot { GOOGLEBOT } else { FIREFOX };
        let (mut set, mut read, mut headers) = (0, 0, 0);
        let before = edge.logs().of("exposures").len();
        for target in ["/echo/shared", "/echo/own", "/echo/by-path", "/"] {
            let mut known = known(target, agent, cookies);
            let mut new = Request::get(target).header("User-Agent", agent);
            if !cookies.is_empty() {
                new = new.header("Cookie", cookies.join("; "));
            }
            if gpc {
                (known, new) = (known.header("Sec-GPC", "1"), new.header("Sec-GPC", "1"));
            }
            for request in [known, new] {
                edge.origin().forget();
                let answer = edge.visitor(visitor).send(&request);
                assert_eq!(answer.status, 200, "{target}: {answer:#?}");
                set += kept_cookies(&answer);
                read += usize::from(!edge.decision()["session"].is_null());
                read += edge.origin().requests().iter().filter(|asked| asked.path().starts_with("/sessions/")).count();
                for asked in edge.origin().requests() {
                    let text = asked.to_json().to_string();
                    headers += [USER, VISITOR, "edge-session", "canary-view", "canary-name"]
                        .iter()
                        .filter(|mark| text.to_lowercase().contains(**mark))
                        .count();
                }
            }
        }
        // Exposures are written before the decision, which was waited for.
        let exposures = edge.logs().of("exposures").len() - before;
        let line = format!(
            "{:<10} {:<5} {:<5} {:<4} {set:>7} {read:>12} {exposures:>9} {headers:>12}   {}",
            visitor.city,
            gpc,
            bot,
            if may { "yes" } else { "no" },
            cookies.join(" ")
        );
        println!("{line}");
        let all = set > 0 && read > 0 && exposures > 0 && headers > 0;
        let none = set + read + exposures + headers == 0;
        if if may { !all } else { !none } {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_log_line_no_shared_header_and_no_error_page_names_anybody() {
    let edge = edge();
    let canaries = ["canary", VISITOR, NEW_YORK.address.to_string().leak() as &str, "198.51.100.99", "local-", ADMIN];
    let (mut hits, mut shared_headers, mut pages) = (Vec::new(), 0, 0);
    let mut look = |place: String, text: &str| {
        hits.extend(
            canaries
                .iter()
                .filter(|canary| text.contains(**canary))
                .map(|canary| format!("{canary} in {place}: {text}")),
        );
    };
    let targets = [
        "/echo/shared",
        "/echo/own",
        "/echo/by-path",
        "/",
        "/lost",
        "/no-route",
        "/.edge/health",
        "/.edge/nothing",
        "/.edge/sessions",
        "/%0d",
    ];
    for behaviour in [None, Some(Behaviour::Status(500)), Some(Behaviour::Reset)] {
        edge.origin().behave();
        if let Some(behaviour) = &behaviour {
            edge.origin().on("*", behaviour.clone());
        }
        for target in targets {
            for method in ["GET", "HEAD", "POST"] {
                let mut request = known(&format!("{target}?q=canary-query"), FIREFOX, &[]);
                request = request.header("Authorization", "Bearer canary-bearer");
                let mut sent = Request::new(method, format!("{target}?q=canary-query"));
                for (name, value) in request.headers() {
                    sent = sent.header(name, value);
                }
                if method == "POST" {
                    sent = sent.body("canary-body");
                }
                let answer = edge.visitor(NEW_YORK).send(&sent);
                if !answer.list("cache-control").contains(&"no-store".to_owned()) {
                    for (name, value) in &answer.headers {
                        shared_headers += 1;
                        look(
                            format!("a header of {method} {target}"),
                            &format!("{name}: {}", String::from_utf8_lossy(value)),
                        );
                    }
                }
                if answer.status >= 400 && answer.header(e2e_mark()).is_none() {
                    pages += 1;
                    look(format!("an error page of {method} {target}"), &answer.text());
                }
            }
        }
    }
    let token = format!("Bearer {ADMIN}");
    let explained = format!("/.edge/explain?url=https://shop.example/echo/own?canary-query&user={USER}");
    let explain = Request::get(&explained).header("Authorization", token);
    assert_eq!(edge.visitor(NEW_YORK).send(&explain).status, 200);
    edge.origin().behave();
    let last = edge.visitor(NEW_YORK).send(&known("/echo/last-of-all", FIREFOX, &[]));
    assert_eq!(last.status, 200);
    // Lines come in order: after the last one, all are there.
    assert!(edge.logs().wait("decisions", 0, LOG_LIMIT, |line| line["path"] == "/echo/last-of-all").is_some());
    let (mut lines, mut counted) = (0, std::collections::BTreeMap::new());
    for endpoint in ["decisions", "exposures", "errors", "conversions"] {
        for line in edge.logs().of(endpoint) {
            lines += 1;
            *counted.entry(endpoint).or_insert(0) += 1;
            look(endpoint.to_owned(), &line.to_string());
        }
    }
    println!(
        "log lines {counted:?}, headers of answers that others may get {shared_headers}, error pages {pages}; hits {}",
        hits.len()
    );
    assert!(lines > 80 && counted.len() == 3 && shared_headers > 50 && pages > 10);
    assert!(hits.is_empty(), "{:#?}", &hits[..hits.len().min(20)]);
    worst_figures(&edge);
}

/// The header that every answer of the shop carries.
fn e2e_mark() -> &'static str {
    "x-demo-origin"
}

/// Promise 15, as the log has it: the most that any of these requests took of what the platform gives.
fn worst_figures(edge: &Edge) {
    let lines = edge.logs().of("decisions");
    let most = |name: &str| lines.iter().filter_map(|line: &Value| line[name].as_u64()).max();
    println!("{:<28} {:>8} {:>8}", "counted", "maximum", "limit");
    for (name, limit) in [("lookups", 16), ("heap_mib", 128), ("vcpu_ms", 50)] {
        let seen = most(name);
        println!("{name:<28} {:>8} {limit:>8}", seen.map_or("unknown".to_owned(), |seen| seen.to_string()));
        // How much vCPU a request takes depends on how busy this machine is: it is printed.
        assert!(seen.is_some_and(|seen| name == "vcpu_ms" || seen <= limit), "{name}");
    }
}
