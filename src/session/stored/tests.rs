use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use serde_json::json;

use super::*;

fn patch(value: &Value) -> Patch {
    let mut issues = Vec::new();
    let patch = Patch::read(value.as_object().unwrap(), &RecordLimits::default(), &mut issues);
    assert_eq!(issues, []);
    patch
}

fn put(ms: i64, value: Value) -> Update {
    Update::new(ms, Action::Put(patch(&value)))
}

fn merge(ms: i64, value: Value) -> Update {
    Update::new(ms, Action::Merge(patch(&value)))
}

fn delete(ms: i64) -> Update {
    Update::new(ms, Action::Delete)
}

/// Applies updates one by one, each to what was stored and read again.
fn replay<'a>(updates: impl IntoIterator<Item = &'a Update>, limits: &RecordLimits) -> Stored {
    let mut bytes = None;
    for update in updates {
        let mut stored = bytes.map_or_else(Stored::default, |bytes: Vec<u8>| Stored::parse(&bytes, limits).unwrap());
        stored.apply(update, limits);
        bytes = Some(stored.to_bytes());
    }
    bytes.map_or_else(Stored::default, |bytes| Stored::parse(&bytes, limits).unwrap())
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![vec![]];
    }
    permutations(n - 1)
        .into_iter()
        .flat_map(|shorter| {
            (0..n).map(move |place| {
                let mut longer = shorter.clone();
                longer.insert(place, n - 1);
                longer
            })
        })
        .collect()
}

#[test]
fn all_orders_of_five_updates_end_in_the_same_record() {
    let sets = [
        vec![
            put(1, json!({ "cart": ["a"], "attributes": { "tier": "silver", "x": 1 }, "segments": ["new"] })),
            merge(2, json!({ "attributes": { "tier": "gold", "x": null }, "affinity": { "shoes": 1 } })),
            merge(3, json!({ "cart": [{ "sku": "b", "quantity": 2 }], "affinity": { "hats": 0.5, "shoes": null } })),
            put(4, json!({ "recent_views": ["v"], "attributes": { "y": 2 } })),
            merge(5, json!({ "attributes": { "z": { "b": 1, "a": [2] } }, "segments": null })),
        ],
        vec![
            put(1, json!({ "cart": ["a"] })),
            merge(2, json!({ "attributes": { "t": 1 } })),
            delete(3),
            merge(3, json!({ "attributes": { "t": 2 } })),
            merge(4, json!({ "cart": ["late"] })),
        ],
        // The same instant for all.
        vec![
            put(7, json!({ "cart": ["a"], "attributes": { "p": 1 } })),
            put(7, json!({ "cart": ["b"], "attributes": { "q": 2 } })),
            merge(7, json!({ "cart": ["c"], "attributes": { "r": 3 } })),
            merge(7, json!({ "cart": ["d"], "attributes": null })),
            merge(7, json!({ "affinity": { "a": 1 } })),
        ],
        vec![
            merge(1, json!({ "attributes": { "a": 1 } })),
            merge(2, json!({ "attributes": null })),
            merge(3, json!({ "attributes": { "b": 1 } })),
            delete(4),
            put(5, json!({ "attributes": { "c": 1 } })),
        ],
    ];
    let limits = RecordLimits::default();
    let (mut orders, mut diverged) = (0, 0);
    for updates in &sets {
        let expected = replay(updates, &limits);
        for order in permutations(5) {
            let shuffled: Vec<&Update> = order.iter().map(|index| &updates[*index]).collect();
            let result = replay(shuffled.iter().copied(), &limits);
            let repeated = replay(shuffled.iter().chain(shuffled.iter().rev()).copied(), &limits);
            orders += 2;
            diverged += usize::from(result != expected) + usize::from(repeated != expected);
        }
    }
    println!("{orders} orders, {diverged} diverged");
    assert_eq!(diverged, 0);
}

/// A field's change: nothing said, taken away, or a value.
fn change(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![Just(None), Just(Some(Value::Null)), value.prop_map(Some)]
}

/// Few names and few instants, so that updates meet in the same places and tie.
fn any_update() -> impl Strategy<Value = Update> {
    let name = || (0..9).prop_map(|n| format!("n{n}"));
    let list = || change(vec(name(), 2).prop_map(|names| json!(names)));
    let entry = prop_oneof![1 => Just(Value::Null), 5 => (1..6).prop_map(|n| json!(n))];
    let entries = move || change(btree_map(name(), entry.clone(), 0..5).prop_map(|entries| json!(entries)));
    let fields =
        (list(), list(), list(), entries(), entries()).prop_map(|(cart, views, segments, affinity, attributes)| {
            let named = [
                ("cart", cart),
                ("recent_views", views),
                ("segments", segments),
                ("affinity", affinity),
                ("attributes", attributes),
            ];
            named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>()
        });
    (0..30_i64, 0..8, fields).prop_map(|(ms, kind, fields)| match kind {
        0 => delete(ms),
        1 | 2 => put(ms, fields.into()),
        _ => merge(ms, fields.into()),
    })
}

/// A sequence, and a delivery of it: each index at least once, some again, in any order.
fn any_delivery() -> impl Strategy<Value = (Vec<Update>, Vec<usize>)> {
    vec(any_update(), 1..100).prop_flat_map(|updates| {
        let once: Vec<usize> = (0..updates.len()).collect();
        let again = vec(0..updates.len(), 0..40);
        let delivery = again.prop_map(move |again| [once.clone(), again].concat()).prop_shuffle();
        (Just(updates), delivery)
    })
}

proptest! {
    #![proptest_config(Config { cases: 400, failure_persistence: None, rng_seed: RngSeed::Fixed(15), ..Config::default() })]
    #[test]
    fn sequences_of_a_hundred_converge_whatever_is_repeated_or_late((updates, delivery) in any_delivery()) {
        // Limits so tight that entries are let go of all the time.
        let tight = RecordLimits { affinity: 4, attributes: 3, ..RecordLimits::default() };
        for limits in [RecordLimits::default(), tight] {
            let mut in_order: Vec<&Update> = updates.iter().collect();
            in_order.sort_by_key(|update| update.stamp());
            let delivered = delivery.iter().map(|index| &updates[*index]);
            prop_assert_eq!(replay(delivered, &limits), replay(in_order, &limits));
        }
    }
}

#[test]
fn a_merge_changes_what_it_names_and_a_put_everything() {
    let limits = RecordLimits::default();
    let mut stored = replay(
        &[
            put(1, json!({ "cart": ["a"], "attributes": { "tier": "silver", "x": 1 } })),
            merge(2, json!({ "attributes": { "tier": "gold", "x": null } })),
        ],
        &limits,
    );
    let record = stored.record();
    assert_eq!(record.updated_at, 2);
    assert_eq!(record.cart[0].sku, "a");
    assert_eq!(record.attributes, BTreeMap::from([("tier".into(), json!("gold"))]));
    assert!(stored.apply(&put(3, json!({ "segments": ["s"] })), &limits));
    let record = stored.record();
    assert!(record.cart.is_empty() && record.attributes.is_empty());
    assert_eq!(record.segments, ["s"]);
    assert!(!stored.apply(&put(2, json!({ "cart": ["old"] })), &limits), "too late");
    assert!(!stored.apply(&put(3, json!({ "segments": ["s"] })), &limits), "a repeat");
}

#[test]
fn a_late_update_does_not_bring_a_deleted_user_back() {
    let limits = RecordLimits::default();
    let mut stored = replay(&[put(5, json!({ "cart": ["a"] })), delete(9)], &limits);
    assert!(stored.is_tombstone());
    for late in [put(8, json!({ "cart": ["a"] })), merge(9, json!({ "cart": ["a"] })), delete(3)] {
        assert!(!stored.apply(&late, &limits));
    }
    assert!(stored.is_tombstone() && stored.record().is_empty());
    assert!(String::from_utf8(stored.to_bytes()).unwrap().contains(r#""deleted":true"#));
    assert!(stored.apply(&merge(10, json!({ "cart": ["new"] })), &limits));
    assert!(!stored.is_tombstone());
}

#[test]
fn a_record_written_by_hand_is_read_and_kept_up() {
    let limits = RecordLimits::default();
    let by_hand = br#"{ "updated_at": "2027-01-15T08:00:00Z", "cart": [{"sku":"a","colour":"red"}], "what": [1] }"#;
    let mut stored = Stored::parse(by_hand, &limits).unwrap();
    assert_eq!(stored.record().cart[0].sku, "a");
    assert_eq!(stored.updated_at(), 1_800_000_000_000);
    assert!(!stored.apply(&merge(1_799_999_999_999, json!({ "cart": ["old"] })), &limits));
    assert!(stored.apply(&merge(1_800_000_000_000, json!({ "segments": ["s"] })), &limits));
    assert_eq!(stored.record().cart[0].sku, "a");
}

#[test]
fn other_versions_and_wrong_fields_are_read_as_far_as_they_go() {
    let limits = RecordLimits::default();
    let newer = json!({
        "v": 9, "updated_at": 5, "cart": { "items": ["a"], "currency": "EUR" }, "segments": "vip", "recent_views": [1, "b"],
        "attributes": { "tier": "gold" }, "sync": { "base": "nonsense", "fields": { "cart": 1, "x/y": "1.0.0", "attributes/": "9.0.0" } },
    });
    let record = Stored::parse(newer.to_string().as_bytes(), &limits).unwrap().record();
    assert_eq!(record.cart[0].sku, "a");
    assert_eq!(record.recent_views[0].sku, "b");
    assert!(record.segments.is_empty());
    assert_eq!(record.attributes["tier"], json!("gold"));
}

#[test]
fn broken_records_are_told_apart() {
    let limits = RecordLimits::default();
    for bytes in [&b""[..], b"null", b"[]", b"{", b"\xff", b"\"x\"", b"{\"updated_at\":1}x"] {
        assert_eq!(Stored::parse(bytes, &limits), Err(Broken::NotJson), "{bytes:?}");
    }
    let deep = format!("{{\"updated_at\":1,\"attributes\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(Stored::parse(deep.as_bytes(), &limits), Err(Broken::NotJson));
    for bytes in [&b"{}"[..], b"{\"updated_at\":-1}", b"{\"updated_at\":\"yesterday\"}"] {
        assert_eq!(Stored::parse(bytes, &limits), Err(Broken::NoTime), "{bytes:?}");
    }
    assert_eq!(Stored::parse(&vec![b' '; limits.stored_bytes() + 1], &limits), Err(Broken::TooLarge));
}

#[test]
fn injection_strings_survive_as_data_and_nothing_else() {
    let limits = RecordLimits::default();
    let nasty = [
        "</script><script>alert(1)</script>",
        "\"><img src=x>",
        "<!--",
        "\u{2028}\u{2029}",
        "a\r\nSet-Cookie: x=1",
        "\0",
        "'; DROP TABLE users",
        "../../etc",
        "{{constructor}}",
        "attributes/cart",
        "\u{fffd}é🦀",
    ];
    for text in nasty {
        let stored = replay(
            &[merge(
                5,
                json!({
                    "recent_views": [text], "cart": [{ "sku": text, "quantity": 1 }], "segments": [text],
                    "affinity": { text: 1 }, "attributes": { text: text, "nested": { text: [text] } },
                }),
            )],
            &limits,
        );
        let record = stored.record();
        assert_eq!(record.recent_views[0].sku, text);
        assert_eq!(record.cart[0].sku, text);
        assert_eq!(record.segments, [text]);
        assert_eq!(record.affinity[text], 1.0);
        assert_eq!(record.attributes[text], json!(text));
        assert_eq!(record.attributes["nested"][text][0], json!(text));
        assert_eq!(record.attributes.len(), 2);
        assert!(!stored.to_bytes().contains(&b'\n'), "one line of JSON");
    }
}

#[test]
fn the_largest_record_within_the_limits_can_be_read_again() {
    let limits = RecordLimits::default();
    let name = |n: u64| format!("{n:\u{0}<128}");
    let names: Vec<String> = (0..50).map(name).collect();
    let many = |value: &Value| -> Value { (0..64).map(|n| (name(n), value.clone())).collect::<Map<_, _>>().into() };
    let cart: Vec<Value> =
        (0..100).map(|n| json!({ "sku": name(n), "quantity": u32::MAX, "price": f64::MAX })).collect();
    let views: Vec<Value> = names.iter().map(|sku| json!({ "sku": sku, "at": 253_402_300_799_999_i64 })).collect();
    let update = merge(
        253_402_300_799_999,
        json!({
            "recent_views": views, "cart": cart, "segments": names, "affinity": many(&json!(f64::MIN_POSITIVE)),
            "attributes": many(&json!("x".repeat(1022))),
        }),
    );
    let mut stored = Stored::default();
    stored.apply(&update, &limits);
    let bytes = stored.to_bytes();
    println!("{} of {} bytes", bytes.len(), limits.stored_bytes());
    assert!(bytes.len() <= limits.stored_bytes());
    assert_eq!(Stored::parse(&bytes, &limits), Ok(stored));
}
