//! Promise 5: a client can't forge a decision. Whatever the service says to the origin, a client says too, in every spelling; the
//! origin receives what it would have received without.
//!
//! The list of headers isn't kept by hand: it is what the demo shop saw that no client had sent.
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]

use std::collections::{BTreeMap, BTreeSet};

use e2e::crowd::proof;
use e2e::visitors::NEW_YORK;
use e2e::{Answer, Dice, Edge, Recorded, Request, now};
use edge_personalizer::context::identity::UserId;
use serde_json::{Value, json};

const SEED: u64 = 5;
const VISITOR: &str = "00000000000000000000000000000abc";
const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1";
/// Headers of other trades that origins and frameworks trust: another address, host, scheme, path or method.
const TRUSTED: [&str; 24] = [
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "Forwarded",
    "X-Original-URL",
    "X-Original-Host",
    "X-Rewrite-URL",
    "X-Host",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Real-IP",
    "True-Client-IP",
    "Client-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "CF-Connecting-IP",
    "Fastly-Client-IP",
    "Fastly-FF",
    "X-Geo-City",
    "X-User-Signature",
];
/// They name the request or its way here: a client's part of them may go on, the edge's own stands at their end.
const TRAIL: [&str; 5] = ["x-request-id", "traceparent", "tracestate", "via", "cdn-loop"];

/// They frame the message, or are the local server's own.
const OF_THE_HOP: [&str; 4] = ["host", "content-length", "transfer-encoding", "fastly-xqd-cache-key"];

fn rules() -> Value {
    json!({
        "settings": {},
        "regions": { "regions": [
            { "id": "US", "slug": "states", "when": { "country": "US" } }, { "id": "APAC", "slug": "asia", "when": { "continent": "AS" } } ] },
        "features": { "features": { "hero": { "defaultValue": "plain" } } },
        "routes": { "routes": [
            { "id": "shared", "path": "/s", "features": ["hero"], "rewrite": { "path": "/echo/{region.slug}/{deviceType}/{network}/{country}" },
              "cache": { "ttl": 60, "key_headers": ["x-tier"] } },
            { "id": "private", "path": "/p", "rewrite": { "path": "/echo/{region.slug}/{feature.hero}" }, "session": { "header": ["cart"] },
              "request_headers": { "set": { "X-Who": "{user.id|nobody} {country}" } } },
            { "id": "through", "path": "/echo/through", "action": "passthrough" } ] }
    })
}

/// What somebody sends without mischief.
struct Honest {
    what: &'static str,
    target: &'static str,
    user: Option<UserId>,
}

impl Honest {
    fn all() -> Vec<Self> {
        let user = || UserId::parse("user-7");
        vec![
            Self { what: "a shared route", target: "/s?a=1", user: None },
            Self { what: "a private route", target: "/p?a=1", user: None },
            Self { what: "a private route, logged in", target: "/p?a=1", user: user() },
            Self { what: "a passed-through route", target: "/echo/through?a=1", user: None },
            Self { what: "no route", target: "/echo/none?a=1", user: None },
        ]
    }

    fn request(&self) -> Request {
        let request = Request::get(self.target).header("User-Agent", PHONE).header("X-Tier", "gold");
        let request = request.header("Cookie", format!("ep_vid={VISITOR}; theme=dark"));
        // Signed anew, so that a slow machine doesn't let it expire.
        self.user.iter().flat_map(proof).fold(request, |request, (name, value)| request.header(name, value))
    }
}

/// What the origin received and the visitor was shown, in a form that is the same for the same decision.
type Seen = BTreeMap<String, Vec<String>>;

fn seen(sent: &Recorded, answer: &Answer) -> Seen {
    let mut seen = Seen::new();
    let mut add = |what: &str, value: &str| seen.entry(what.to_owned()).or_default().push(value.to_owned());
    add("request line", &format!("{} {}", sent.method, sent.target));
    add("status", &answer.status.to_string());
    add("answer's variant", &answer.header("edge-variant").unwrap_or_default());
    for (name, value) in
        sent.headers.iter().filter(|(name, _)| !TRAIL.contains(&name.as_str()) && name != "fastly-xqd-cache-key")
    {
        // The session grows older.
        let value = if name == "edge-session" { value.split(';').next().unwrap() } else { value };
        add(name, value);
    }
    seen
}

/// What is wrong with the trail that the origin received.
fn trail_faults(sent: &Recorded) -> Vec<String> {
    let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut faults = Vec::new();
    for (name, own) in [("via", "1.1 edge-personalizer"), ("cdn-loop", "edge-personalizer")] {
        if sent.header_lines(name).last() != Some(&own) {
            faults.push(format!("{name}: {:?}", sent.header_lines(name)));
        }
    }
    let ids = sent.header_lines("x-request-id");
    if ids.len() != 1 || ids[0].len() != 32 || !hexadecimal(ids[0]) {
        faults.push(format!("x-request-id: {ids:?}"));
    }
    let parents = sent.header_lines("traceparent");
    if parents.len() != 1 || parents[0].len() != 55 || !parents[0].split('-').all(hexadecimal) {
        faults.push(format!("traceparent: {parents:?}"));
    }
    faults
}

fn spellings(name: &str) -> Vec<String> {
    let alternating = |(at, letter): (usize, char)| {
        if at % 2 == 0 { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
    };
    let lower = name.to_ascii_lowercase();
    let title: Vec<String> =
        lower.split('-').map(|word| format!("{}{}", word[..1].to_ascii_uppercase(), &word[1..])).collect();
    let alternate = lower.char_indices().map(alternating).collect();
    // CGI and its heirs can't tell `_` from `-`.
    vec![name.to_ascii_uppercase(), title.join("-"), alternate, lower.replace('-', "_"), title.join("_"), lower]
}

/// The lines by which a client says `name`, in every form.
fn forms(name: &str, forged: &str) -> Vec<Vec<(String, String)>> {
    let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        vec![line(name, forged)],
        vec![line(name, forged), line(name, "FORGED-2")],
        vec![line(name, &format!("FORGED-0, {forged}"))],
        vec![line(name, forged), line("Connection", name)],
        vec![line("Connection", &format!("close, {name}"))],
        vec![line(name, ""), line(&name.to_ascii_lowercase(), forged)],
    ]
}

/// Something that would be believed.
fn plausible(name: &str) -> &'static str {
    match name {
        "x-geo-region" => "APAC",
        "x-geo-country" => "JP",
        "edge-variant" => "region=\"APAC\"",
        "x-device-type" => "desktop",
        "x-network" => "slow",
        "x-user-id" => "user-8",
        "edge-visitor-id" => "00000000000000000000000000000def",
        "edge-session" => "fresh;age=0",
        "edge-session-data" => "{\"cart\":[\"FORGED\"]}",
        "x-original-url" | "x-rewrite-url" => "/echo/admin",
        "x-http-method" | "x-http-method-override" | "x-method-override" => "DELETE",
        "forwarded" => "for=203.0.113.7;host=evil.example",
        name if name.ends_with("-for") || name.ends_with("-ip") => "203.0.113.7",
        name if name.ends_with("host") => "evil.example",
        _ => "FORGED-1",
    }
}

#[test]
fn whatever_the_edge_says_a_client_cannot_say() {
    let record =
        json!({ "v": 1, "updated_at": now().as_millis(), "cart": [{ "sku": "P0001", "quantity": 1 }] }).to_string();
    let edge = Edge::with_rules(&rules())
        .kv("sessions", &format!("visitor/{VISITOR}"), &record)
        .kv("sessions", "user/user-7", &record)
        .start();
    let ask = |request: &Request| {
        edge.origin().forget();
        let answer = edge.visitor(NEW_YORK).send(request);
        let sent = edge.origin().requests();
        assert_eq!(sent.len(), 1, "{request:?} made {sent:#?}");
        (answer, sent.into_iter().next().unwrap())
    };
    // What the edge says: seen at the shop, and sent by no client.
    let all = Honest::all();
    let (mut honest, mut names) = (Vec::new(), BTreeSet::new());
    for visit in &all {
        let request = visit.request();
        let (answer, sent) = ask(&request);
        let own: BTreeSet<String> =
            request.headers().iter().map(|(name, _)| String::from_utf8_lossy(name).to_ascii_lowercase()).collect();
        names.extend(
            sent.headers
                .iter()
                .map(|(name, _)| name.clone())
                .filter(|name| !own.contains(name) && !OF_THE_HOP.contains(&name.as_str())),
        );
        // Only proven users are named, and they are.
        names.extend(sent.header("x-user-id").map(|_| "x-user-id".to_owned()));
        assert!(trail_faults(&sent).is_empty(), "{sent:#?}");
        honest.push(seen(&sent, &answer));
    }
    println!(
        "{} headers that the edge alone says: {}",
        names.len(),
        names.iter().cloned().collect::<Vec<_>>().join(", ")
    );
    for expected in [
        "edge-variant",
        "x-geo-region",
        "x-geo-country",
        "x-device-type",
        "x-network",
        "x-user-id",
        "edge-visitor-id",
        "edge-session",
        "edge-session-data",
        "x-forwarded-for",
        "x-request-id",
        "traceparent",
        "cdn-loop",
        "via",
    ] {
        assert!(names.contains(expected), "{expected} should be among them");
    }
    names.extend(TRUSTED.map(str::to_ascii_lowercase));
    let mut dice = Dice::new(SEED);
    let (mut tried, mut accepted) = (0, Vec::new());
    for name in &names {
        for spelling in spellings(name) {
            for lines in forms(&spelling, plausible(name)) {
                // An identity beside a forged one proves nothing (design.md section 5): there the proof is what is forged.
                let claims = ["x-user-id", "x-user-signature"].contains(&spelling.to_ascii_lowercase().as_str());
                // What a rule sets is the edge's on that rule's route; elsewhere it is a header like any other.
                let index = match spelling.to_ascii_lowercase().replace('_', "-").as_str() {
                    "x-who" => 1 + dice.below(2),
                    _ if claims => dice.below(2),
                    _ => dice.below(all.len()),
                };
                let request =
                    lines.iter().fold(all[index].request(), |request, (name, value)| request.header(name, value));
                let (answer, sent) = ask(&request);
                tried += 1;
                let after = seen(&sent, &answer);
                let faults = trail_faults(&sent);
                if after != honest[index] || !faults.is_empty() {
                    let differ = |what: &&String| after.get(*what) != honest[index].get(*what);
                    let what: BTreeSet<&String> = after.keys().chain(honest[index].keys()).filter(differ).collect();
                    let what: Vec<String> =
                        what.iter().map(|what| format!("{what}: {:?}", after.get(*what))).chain(faults).collect();
                    accepted.push(format!("{lines:?} on {}: {}", all[index].what, what.join("; ")));
                }
            }
        }
    }
    println!("seed {SEED}: {tried} forgeries of {} headers, accepted {}", names.len(), accepted.len());
    assert!(accepted.is_empty(), "{}", accepted.join("\n"));
}

#[test]
fn a_proof_that_somebody_tampered_with_proves_nothing() {
    let edge = Edge::with_rules(&rules()).start();
    let user = UserId::parse("user-7").unwrap();
    let [id, signature] = proof(&user);
    let cases = [
        ("another user", vec![("X-User-ID", "user-8".to_owned()), ("X-User-Signature", signature.1.clone())]),
        (
            "two users",
            vec![
                ("X-User-ID", id.1.clone()),
                ("x-user-id", "user-8".to_owned()),
                ("X-User-Signature", signature.1.clone()),
            ],
        ),
        (
            "two users in one line",
            vec![("X-User-ID", "user-7, user-8".to_owned()), ("X-User-Signature", signature.1.clone())],
        ),
        (
            "two signatures",
            vec![
                ("X-User-ID", id.1.clone()),
                ("X-User-Signature", signature.1.clone()),
                ("X-User-Signature", "t=1,v1=00".to_owned()),
            ],
        ),
        ("no signature", vec![("X-User-ID", id.1.clone())]),
        ("an underscore beside it", vec![("X_User_ID", "user-8".to_owned())]),
        ("a digit more", vec![("X-User-ID", id.1.clone()), ("X-User-Signature", format!("{}0", signature.1))]),
    ];
    let mut accepted = 0;
    for (what, lines) in cases {
        let request = lines
            .iter()
            .fold(Request::get("/p").header("User-Agent", PHONE), |request, (name, value)| request.header(name, value));
        assert_eq!(edge.visitor(NEW_YORK).send(&request).status, 200);
        let sent = edge.origin().last_request().unwrap();
        let believed = sent
            .headers
            .iter()
            .any(|(name, value)| name.replace('_', "-") == "x-user-id" || value.starts_with("user-"));
        accepted += usize::from(believed);
        println!("{what:<24} {}", if believed { "BELIEVED" } else { "not believed" });
    }
    assert_eq!(accepted, 0);
}
