//! Promise 13: no consent, no trace. Every jurisdiction × consent cookie × TCF string × GPP string × `Sec-GPC` × bot, on every kind of route, for
//! somebody new and for somebody who comes with everything a client can say of itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::ops::AddAssign;

use edge_personalizer::platform::Endpoint;
use edge_personalizer::platform::memory::{Memory, Received};
use serde_json::json;
use support::sessions::{VISITOR, answers, api, by_user_from, codes, lookups, put, record, store};
use support::{NEW_YORK, NOWHERE, PARIS, echo, visit};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const USER: &str = "user-4711";

/// What one dimension may say: its name in the table, and what it says of consent.
type Said<T> = (&'static str, T, Option<bool>);

/// Where the visitor is; whether silence is a yes there.
const JURISDICTIONS: [(&str, IpAddr, bool); 3] =
    [("opt-in (FR)", PARIS, false), ("opt-out (US)", NEW_YORK, true), ("unknown", NOWHERE, false)];
const COOKIES: [Said<&str>; 4] = [
    ("-", "", None),
    ("yes", "consent=yes", Some(true)),
    ("no", "consent=no", Some(false)),
    ("garbage", "consent=%FF%00yes", Some(false)),
];
/// Purposes 1 to 10; 1, 2 and 3, without those for personalising content; a string cut short.
const TCF: [Said<&str>; 4] = [
    ("-", "", None),
    ("all", "euconsent-v2=COvFyGBOvFyGBAbAAAENAPCAAP_AAAAAAAAAAEEUACCKAAA", Some(true)),
    ("part", "euconsent-v2=COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA", Some(false)),
    ("broken", "euconsent-v2=COvFyGBOvFyG", Some(false)),
];
/// Sale and sharing opted out in California; a string cut short.
const GPP: [Said<&str>; 3] =
    [("-", "", None), ("out", "__gpp=DBABBg~BVWSSSVY.QA", Some(false)), ("broken", "__gpp=DBABBg", Some(false))];
const GPC: [Said<Option<&str>>; 2] = [("-", None, None), ("1", Some("1"), Some(false))];
const AGENTS: [(&str, &str, bool); 2] = [("person", FIREFOX, false), ("bot", GOOGLEBOT, true)];

/// Every kind of route: shared, private, with a session, JSON, answered here, redirected, an experiment of the page's own.
const TARGETS: [&str; 7] = ["/page", "/own", "/session", "/json", "/here", "/away", "/visual"];

/// Traces of a visitor, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Traces {
    requests: usize,
    /// Cookies set; one that removes an id is none.
    cookies: usize,
    kv_reads: usize,
    /// Requests to the session API.
    api: usize,
    exposures: usize,
    /// Headers to the origin that name or describe the visitor.
    user_headers: usize,
}

impl Traces {
    fn none_left(self) -> bool {
        self == Self { requests: self.requests, ..Self::default() }
    }
}

impl AddAssign for Traces {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.cookies += other.cookies;
        self.kv_reads += other.kv_reads;
        self.api += other.api;
        self.exposures += other.exposures;
        self.user_headers += other.user_headers;
    }
}

fn shop() -> Memory {
    let host = store(echo);
    put(&host, &format!("user/{USER}"), record(9_000).to_string());
    put(&host, &format!("visitor/{VISITOR}"), record(9_000).to_string());
    api(&host, |_| answers(&record(0)));
    host.set(
        "settings",
        &json!({ "session": { "path": "/sessions/{kind}/{id}", "which": "merged" }, "languages": ["en"],
        "consent": { "cookie": { "name": "consent", "value": "yes" }, "tcf": {}, "gpp": {} } }),
    );
    host.set("features", &json!({ "features": { "hero": { "defaultValue": "old", "rules": [{
        "key": "hero-test", "variations": ["old", "new"], "hashVersion": 2, "meta": [{ "key": "0" }, { "key": "1" }] }] } } }));
    host.set(
        "experiments",
        &json!({ "experiments": [{ "key": "look", "hashVersion": 2, "meta": [{ "key": "0" }, { "key": "1" }],
            "variations": [{}, { "css": "h1 { color: red }" }],
            "urlPatterns": [{ "type": "simple", "pattern": "/visual", "include": true }] }] }),
    );
    host.set("routes", &json!({ "routes": [
        { "id": "page", "path": "/page", "rewrite": { "path": "/page/{feature.hero}" }, "cache": { "ttl": 60 } },
        { "id": "own", "path": "/own", "features": ["hero"] },
        { "id": "session", "path": "/session", "features": ["hero"],
          "session": { "query": { "recent": "recent_views" }, "header": ["cart", "affinity"] } },
        { "id": "json", "path": "/json", "session": {}, "cache": {}, "json": { "set": [{ "pointer": "/cart", "value": { "from": "session.cart_quantity" } }] } },
        { "id": "here", "path": "/here", "action": "respond", "respond": { "body": "{feature.hero} {user.id|nobody} {session.attributes.name|nobody}" } },
        { "id": "away", "path": "/away", "action": "redirect", "redirect": { "location": "/there/{feature.hero}/{user.id|nobody}" } },
        { "id": "visual", "path": "/visual", "html": [{ "select": "h1", "inner": "{{ session.attributes.name }}" }] } ] }));
    host
}

/// What a request left behind.
fn traces(host: &Memory, answer: &Received) -> Traces {
    let kept = |line: &http::HeaderValue| !line.to_str().unwrap().contains("Max-Age=0");
    let asked = host.asked.borrow();
    let describes = ["x-user-id", "x-user-signature", "edge-visitor-id", "edge-session", "edge-session-data"];
    let names = |text: &str| text.contains(USER) || text.contains(VISITOR);
    let to_origin = asked.iter().filter(|asked| asked.backend == "origin");
    let user_headers = to_origin
        .map(|asked| {
            let headers = asked.headers.iter().filter(|(name, value)| {
                describes.contains(&name.as_str()) || names(&String::from_utf8_lossy(value.as_bytes()))
            });
            headers.count() + usize::from(names(&asked.url))
        })
        .sum();
    Traces {
        requests: 1,
        cookies: answer.headers.get_all("set-cookie").iter().filter(|line| kept(line)).count(),
        kv_reads: lookups(host, "kv") as usize,
        api: asked.iter().filter(|asked| asked.backend == "session_api").count(),
        exposures: host.lines_of(Endpoint::Exposures).len(),
        user_headers,
    }
}

/// One cell: every route, by somebody new and by somebody known.
fn cell(address: IpAddr, cookies: &[&str], gpc: Option<&str>, agent: &str) -> Traces {
    let mut sum = Traces::default();
    for target in TARGETS {
        for known in [false, true] {
            let host = shop();
            let id = format!("ep_vid={VISITOR}");
            let all: Vec<&str> =
                cookies.iter().copied().chain(known.then_some(id.as_str())).filter(|c| !c.is_empty()).collect();
            let mut request = if known { by_user_from(address, USER, target) } else { visit(address, target) };
            request = request.with("user-agent", agent).with("accept-language", "en");
            if !all.is_empty() {
                request = request.with("cookie", all.join("; "));
            }
            if let Some(value) = gpc {
                request = request.with("sec-gpc", value);
            }
            let answer = request.send(&host);
            assert!(answer.status.is_success() || answer.status.is_redirection(), "{target}: {}", answer.status);
            assert!(!codes(&host).iter().any(|code| code.starts_with("identity")), "{:?}", codes(&host));
            sum += traces(&host, &answer);
        }
    }
    sum
}

/// The rule in one line, written apart from the policy's own code.
fn may(silence_is_yes: bool, said: &[Option<bool>], bot: bool) -> bool {
    let refused = said.contains(&Some(false));
    let agreed = said.contains(&Some(true)) || silence_is_yes;
    !bot && !refused && agreed
}

#[test]
fn who_refuses_or_was_not_asked_leaves_no_trace_on_any_route() {
    let mut table = format!(
        "{:<13} {:<8} {:<7} {:<7} {:<4} {:<7} {:<4} {:>5} {:>8} {:>4} {:>10} {:>13}\n",
        "jurisdiction",
        "cookie",
        "TCF",
        "GPP",
        "GPC",
        "agent",
        "may",
        "set",
        "KV reads",
        "API",
        "exposures",
        "user headers"
    );
    let (mut permitted, mut refused) = (Traces::default(), Traces::default());
    let (mut cells, mut wrong) = (0, Vec::new());
    for (jurisdiction, address, silence_is_yes) in JURISDICTIONS {
        for (cookie_name, cookie, by_cookie) in COOKIES {
            for (tcf_name, tcf, by_tcf) in TCF {
                for (gpp_name, gpp, by_gpp) in GPP {
                    for (gpc_name, gpc, by_gpc) in GPC {
                        for (agent_name, agent, bot) in AGENTS {
                            let may = may(silence_is_yes, &[by_cookie, by_tcf, by_gpp, by_gpc], bot);
                            let left = cell(address, &[cookie, tcf, gpp], gpc, agent);
                            cells += 1;
                            let line = format!(
                                "{jurisdiction:<13} {cookie_name:<8} {tcf_name:<7} {gpp_name:<7} {gpc_name:<4} {agent_name:<7} {:<4} {:>5} {:>8} {:>4} {:>10} {:>13}",
                                if may { "yes" } else { "no" },
                                left.cookies,
                                left.kv_reads,
                                left.api,
                                left.exposures,
                                left.user_headers
                            );
                            let _ = writeln!(table, "{line}");
                            // Where it is permitted, each kind of trace shows that the count counts.
                            let full = left.cookies > 0
                                && left.kv_reads > 0
                                && left.api > 0
                                && left.exposures > 0
                                && left.user_headers > 0;
                            if if may { !full } else { !left.none_left() } {
                                wrong.push(line);
                            }
                            if may { permitted += left } else { refused += left }
                        }
                    }
                }
            }
        }
    }
    println!("{table}{cells} cells\npermitted: {permitted:?}\nrefused:   {refused:?}");
    assert_eq!(cells, 3 * 4 * 4 * 3 * 2 * 2);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(refused.none_left() && refused.requests > permitted.requests);
}

#[test]
fn an_id_from_before_a_refusal_is_taken_back_but_not_from_a_bot() {
    for (address, agent, gpc, removed) in [
        (PARIS, FIREFOX, "0", 1),
        (NEW_YORK, FIREFOX, "1", 1),
        (NOWHERE, FIREFOX, "0", 0),
        (NOWHERE, FIREFOX, "1", 1),
        (NEW_YORK, GOOGLEBOT, "1", 0),
    ] {
        let host = shop();
        let request = visit(address, "/page").with("user-agent", agent).with("sec-gpc", gpc);
        let answer = request.with("cookie", format!("theme=dark; ep_vid={VISITOR}")).send(&host);
        let lines: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect();
        assert_eq!(lines.len(), removed, "{lines:?}");
        assert!(lines.iter().all(|line| line.starts_with("ep_vid=;") && line.contains("Max-Age=0")), "{lines:?}");
    }
}

#[test]
fn a_refusal_takes_back_every_cookie_that_holds_an_id() {
    for sticky in [json!({}), json!(null), json!({ "cookie": "menu_memory" })] {
        let host = shop();
        let name = sticky["cookie"].as_str().unwrap_or("ep_sticky");
        host.set("settings", &json!({ "sticky": sticky, "consent": { "cookie": { "name": "cc", "value": "yes" } } }));
        let sent = format!("ep_vid={VISITOR}; {name}=1.e30; cc=yes; cc=no");
        let answer = visit(NEW_YORK, "/page").with("user-agent", FIREFOX).with("cookie", sent).send(&host);
        let mut lines: Vec<_> =
            answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect();
        lines.sort_unstable();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines.iter().all(|line| line.contains("Max-Age=0")), "{lines:?}");
        let named: Vec<_> = lines.iter().filter_map(|line| line.split('=').next()).collect();
        let mut expected = ["ep_vid", name];
        expected.sort_unstable();
        assert_eq!(named, expected);
    }
}

#[test]
fn consent_settings_with_a_mistake_permit_nothing_to_the_silent_and_are_named() {
    let good = json!({ "name": "cc", "value": "yes" });
    for (consent, agreed) in [
        (json!({ "cookie": good, "countries": "DE" }), true),
        (json!({ "cookie": good, "countries": ["fr"] }), true),
        (json!({ "cookie": good, "countries": ["France"] }), true),
        (json!({ "cookie": good, "countries": ["EU"] }), true),
        (json!({ "cookie": good, "countries": ["UK"] }), true),
        (json!({ "cookie": good, "contries": ["*"] }), false),
        (json!({ "cokie": good }), false),
        (json!({ "cookie": good, "tcf": { "purpose": [1] } }), false),
        (json!({ "cookie": { "name": "cc", "value": true } }), false),
        (json!({ "cookie": { "name": "cc", "pattern": "(" } }), false),
        (json!({ "cookie": good, "tcf": { "purposes": "1" } }), false),
        (json!({ "cookie": good, "gpp": "__gpp" }), false),
        (json!({ "cookie": good, "gpp": { "cookie": 7 } }), false),
        (json!({ "cookie": good, "gpp": { "purposes": [25] } }), false),
        (json!([]), false),
    ] {
        for (cookie, may) in [("", false), ("cc=no", false), ("cc=yes", agreed)] {
            for address in [NEW_YORK, PARIS, NOWHERE] {
                let host = shop();
                host.set("settings", &json!({ "consent": consent }));
                let answer = visit(address, "/page").with("user-agent", FIREFOX).with("cookie", cookie).send(&host);
                let kept = answer.headers.get_all("set-cookie").iter().count();
                assert_eq!(kept > 0, may, "{consent} {cookie} {address}");
                let errors = host.lines_of(Endpoint::Errors);
                let named = errors.iter().any(|line| line.to_string().contains("/consent"));
                assert!(named, "{consent}: {errors:?}");
            }
        }
    }
}

#[test]
fn settings_that_cannot_be_read_track_nobody() {
    let host = shop();
    host.config.borrow_mut().insert("settings".to_owned(), r#"{"consent":{"cookie":{"name":"cc","#.to_owned());
    let known = format!("ep_vid={VISITOR}; cc=yes");
    for cookie in ["cc=yes", &known] {
        let answer = visit(NEW_YORK, "/page").with("user-agent", FIREFOX).with("cookie", cookie).send(&host);
        assert_eq!(
            answer.headers.get_all("set-cookie").iter().count(),
            0,
            "nothing kept, and nothing taken away for our mistake"
        );
    }
    assert!(host.lines_of(Endpoint::Exposures).is_empty());
}

#[test]
fn a_cookie_name_that_no_browser_takes_makes_no_visitor_and_is_named() {
    let host = shop();
    host.set("settings", &json!({ "visitor": { "cookie": "a b" } }));
    let mut sandbox = edge_personalizer::service::Sandbox::default();
    for _ in 0..3 {
        let answer = visit(NEW_YORK, "/page").with("user-agent", FIREFOX).send_in(&host, &mut sandbox);
        assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 0);
    }
    assert!(host.lines_of(Endpoint::Exposures).is_empty(), "a new id each time would be a new variation each time");
    let errors = host.lines_of(Endpoint::Errors);
    assert!(errors.iter().any(|line| line.to_string().contains("/visitor")), "{errors:?}");
}
