use serde_json::json;

use super::*;

/// A small generator with a fixed seed (xorshift64*), so that a failure comes back.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

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

fn random_update(random: &mut Random) -> Update {
    // Few instants, so that ties happen.
    let ms = i64::try_from(random.below(30)).unwrap();
    let name = |random: &mut Random| format!("n{}", random.below(9));
    let mut fields = Map::new();
    for field in ["cart", "recent_views", "segments"] {
        match random.below(5) {
            0 => drop(fields.insert(field.into(), Value::Null)),
            1 => drop(fields.insert(field.into(), json!([name(random), name(random)]))),
            _ => {}
        }
    }
    for field in ["affinity", "attributes"] {
        if random.below(10) == 0 {
            fields.insert(field.into(), Value::Null);
        } else if random.below(3) > 0 {
            let entries: Map<String, Value> = (0..random.below(5))
                .map(|_| {
                    let value = random.below(6);
                    (name(random), if value == 0 { Value::Null } else { json!(value) })
                })
                .collect();
            fields.insert(field.into(), entries.into());
        }
    }
    match random.below(8) {
        0 => delete(ms),
        1 | 2 => put(ms, fields.into()),
        _ => merge(ms, fields.into()),
    }
}

#[test]
fn random_sequences_of_a_hundred_converge_whatever_is_repeated_or_late() {
    // RecordLimits so tight that entries are let go of all the time.
    let tight = RecordLimits { affinity: 4, attributes: 3, ..RecordLimits::default() };
    let (mut runs, mut diverged) = (0, 0);
    for seed in 1..=40 {
        let mut random = Random(seed);
        let updates: Vec<Update> = (0..100).map(|_| random_update(&mut random)).collect();
        for limits in [RecordLimits::default(), tight] {
            let in_order = {
                let mut sorted: Vec<&Update> = updates.iter().collect();
                sorted.sort_by_key(|update| update.stamp());
                replay(sorted, &limits)
            };
            for _ in 0..10 {
                // Dropped ones are delivered again at the end; some come twice at once.
                let mut delivery: Vec<&Update> = Vec::new();
                let mut dropped: Vec<&Update> = Vec::new();
                for update in &updates {
                    match random.below(10) {
                        0..2 => dropped.push(update),
                        2..4 => delivery.extend([update, update]),
                        _ => delivery.push(update),
                    }
                }
                delivery.extend(dropped);
                for index in (1..delivery.len()).rev() {
                    let other = usize::try_from(random.below(index as u64 + 1)).unwrap();
                    delivery.swap(index, other);
                }
                runs += 1;
                diverged += usize::from(replay(delivery, &limits) != in_order);
            }
        }
    }
    println!("{runs} random deliveries, {diverged} diverged");
    assert_eq!(diverged, 0);
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
