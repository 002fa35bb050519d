use serde_json::{Value, json};

use super::{DefinitionSource, Pack, write};

fn dictionaries() -> Value {
    json!({
        "settings": { "languages": ["en"] },
        "routes": { "routes": [
            { "id": "all", "path": "/*" }, { "id": "one", "path": "/p/{sku}" }, { "id": "any", "path": "/p/*" },
            { "id": "exact", "path": "/p/42" } ] },
        "features": { "features": { "hero": { "defaultValue": 1 }, "Ä": { "defaultValue": "ü" }, "a": {} } },
    })
}

fn written() -> Vec<u8> {
    write(dictionaries().as_object().unwrap()).unwrap()
}

fn feature<'p>(pack: &'p Pack, key: &str) -> Option<&'p str> {
    pack.entry(pack.find(key)?).map(|(_, json)| json)
}

fn keys(pack: &Pack) -> Vec<&str> {
    (0..pack.count()).filter_map(|place| pack.entry(place)).map(|(key, _)| key).collect()
}

#[test]
fn what_was_written_is_found() {
    let pack = Pack::read(written()).unwrap();
    assert_eq!(pack.dictionary("settings"), Some(r#"{"languages":["en"]}"#));
    assert_eq!(pack.dictionary("regions"), None);
    assert_eq!(pack.filed_under("/p").collect::<Vec<_>>(), [1, 2]);
    assert_eq!(pack.filed_under("/p/42").collect::<Vec<_>>(), [3]);
    assert_eq!(pack.filed_under("").collect::<Vec<_>>(), [0]);
    assert_eq!(pack.filed_under("/q").count(), 0);
    assert_eq!(pack.route(1), Some((r#"{"id":"one","path":"/p/{sku}"}"#, "/p/{sku}")));
    assert_eq!(pack.route(4), None);
    assert_eq!(feature(&pack, "Ä"), Some(r#"{"defaultValue":"ü"}"#));
    assert_eq!(feature(&pack, "her"), None);
    assert_eq!(keys(&pack), ["a", "hero", "Ä"]);
}

#[test]
fn a_thousand_features_are_all_found() {
    let features: serde_json::Map<String, Value> =
        (0..1_000).map(|n| (format!("feature-{n}"), json!({ "defaultValue": n }))).collect();
    let all = json!({ "features": { "features": features } });
    let pack = Pack::read(write(all.as_object().unwrap()).unwrap()).unwrap();
    for n in 0..1_000 {
        assert_eq!(feature(&pack, &format!("feature-{n}")), Some(format!(r#"{{"defaultValue":{n}}}"#).as_str()));
    }
}

#[test]
fn bytes_that_are_no_pack_are_named() {
    assert_eq!(
        Pack::read(b"{\"a\":1}".to_vec()).unwrap_err(),
        "expected a rule set that starts with EPRULES1, but found '{\\\"a\\\":1}'"
    );
    assert!(Pack::read(b"EPRULES1".to_vec()).unwrap_err().ends_with("found only 8 bytes"));
}

/// Follows every offset there is.
fn look_at_all(bytes: Vec<u8>) {
    let Ok(pack) = Pack::read(bytes) else { return };
    for index in 0..pack.routes().min(64) {
        let _ = pack.route(index);
    }
    for anchor in ["", "/p", "/p/42", "/zzz"] {
        pack.filed_under(anchor)
            .take(64)
            .for_each(|index| assert!(pack.route(index).is_none_or(|(text, _)| text.len() < 1_000)));
    }
    for key in ["a", "hero", "Ä", ""] {
        let _ = feature(&pack, key);
    }
    let _ = keys(&pack);
    let _ = pack.dictionary("settings");
}

#[test]
fn bytes_cut_short_or_changed_anywhere_never_panic() {
    let whole = written();
    for length in 0..whole.len() {
        look_at_all(whole[..length].to_vec());
    }
    for at in 0..whole.len() {
        for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[at] = value;
            look_at_all(changed);
        }
    }
}
