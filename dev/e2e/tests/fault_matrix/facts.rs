//! Geo, session records and secrets.

use std::net::{IpAddr, Ipv4Addr};

use e2e::Builder;
use e2e::visitors::{NEW_YORK, NOWHERE, Visitor};
use serde_json::json;

use crate::matrix::{ALL, Matrix, Visit, user};
use crate::{record, shop};

const NO_SESSION: &str = "rules, region, user";
/// Bytes of a field that nobody expects.
const LARGE: usize = 100_000;
/// Bytes that no record within the limits can have.
const LARGER_THAN_A_RECORD: usize = 600_000;
/// Bytes that a secret can't have on the platform.
const LARGER_THAN_A_SECRET: usize = 64 * 1024 + 1;

pub fn cells() -> Matrix {
    let mut matrix = Matrix::default();
    facts(&mut matrix);
    secrets(&mut matrix);
    matrix
}

fn facts(matrix: &mut Matrix) {
    let odd = [
        (
            "malformed",
            place(41, &[("country_code", "\"é"), ("region", "\u{1}\""), ("continent", "XX"), ("city", "\r\n")]),
        ),
        (
            "oversized",
            place(
                42,
                &[("country_code", &"x".repeat(LARGE)), ("region", &"y".repeat(LARGE)), ("city", &"z".repeat(LARGE))],
            ),
        ),
        ("stale", place(43, &[("country_code", "SU"), ("continent", "EU")])),
    ];
    // As an entry was before it had these fields: the look-up finds nothing.
    let mut older = place(44, &[]);
    for field in ["proxy_type", "utc_offset", "conn_speed"] {
        older.1.remove(field);
    }
    let records = [
        ("good", record(0).to_string()),
        ("malformed", "{\"updated_at\":17".to_owned()),
        ("oversized", format!("{}{}", record(0), " ".repeat(LARGER_THAN_A_RECORD))),
        ("stale", record(9_000).to_string()),
        ("ancient", record(400 * 86_400).to_string()),
        ("older", json!({ "v": 0, "updated_at": record(0)["updated_at"], "recent_views": ["a"], "cart": "one" }).to_string()),
        (
            "newer",
            json!({ "v": 99, "updated_at": record(0)["updated_at"], "recent_views": [{ "sku": "a", "mood": 1 }], "cart": { "lines": [] } }).to_string(),
        ),
    ];
    let located = |builder: Builder, (address, entry): &(IpAddr, toml::Table)| {
        builder.manifest(|manifest| manifest.geolocation(&address.to_string(), entry.clone()))
    };
    let edge = odd.iter().map(|(_, place)| place).chain([&older]).fold(shop(false), located);
    let edge =
        records.iter().fold(edge, |edge, (user, bytes)| edge.kv("sessions", &format!("user/{user}"), bytes)).start();

    matrix.cell(&edge, "none", "none", user("good"), ALL);
    let from = |address| Visit { visitor: Visitor { address, ..NEW_YORK }, ..user("good") };
    matrix.cell(&edge, "geo", "missing", from(NOWHERE.address), "rules");
    for ((fault, (address, _)), left) in odd.iter().zip(["rules", "rules", "rules, user, session"]) {
        matrix.cell(&edge, "geo", fault, from(*address), left);
    }
    matrix.cell(&edge, "geo", "older version", from(older.0), "rules");

    matrix.cell(&edge, "KV", "missing: the record", user("nobody"), NO_SESSION);
    for (fault, record, left) in [
        ("malformed", "malformed", NO_SESSION),
        ("oversized", "oversized", NO_SESSION),
        ("stale", "stale", ALL),
        ("stale: beyond use", "ancient", NO_SESSION),
        ("older version", "older", ALL),
        ("newer version", "newer", ALL),
    ] {
        matrix.cell(&edge, "KV", fault, user(record), left);
    }
    let path = format!("/echo/page/{}", "x".repeat(7_000));
    matrix.cell(&edge, "log", "oversized: a path", Visit { path: &path, ..user("good") }, ALL);
}

/// An address, and an entry of geolocation for it.
fn place(last: u8, fields: &[(&str, &str)]) -> (IpAddr, toml::Table) {
    let mut entry = NEW_YORK.geolocation();
    for (name, text) in fields {
        entry.insert((*name).to_owned(), (*text).into());
    }
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), entry)
}

fn secrets(matrix: &mut Matrix) {
    let store = |builder: Builder| builder.kv("sessions", "user/good", &record(0).to_string());
    let left = "rules, region";
    let without = |builder: Builder| builder.manifest(|manifest| manifest.without(&[], "secret_stores"));
    let edge = without(store(shop(false))).start();
    matrix.cell(&edge, "secrets", "missing: the store", user("good"), left);
    let edge =
        without(store(shop(false))).secret("replication", "whsec_bG9jYWwtcmVwbGljYXRpb24tc2VjcmV0LW9mLTMyLWI=").start();
    matrix.cell(&edge, "secrets", "missing: the secret", user("good"), left);
    for (fault, secret) in [
        ("malformed", "{\"keys\":"),
        ("oversized", &*"x".repeat(LARGER_THAN_A_SECRET)),
        ("stale", "the-key-that-came-after-of-32-bytes"),
        ("older version", "{\"version\":0,\"key\":\"k\"}"),
    ] {
        let edge = store(shop(false)).secret("identity", secret).start();
        matrix.cell(&edge, "secrets", fault, user("good"), left);
    }
}
