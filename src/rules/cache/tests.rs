use crate::code::Code;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Notes, Role, RuleCache, Rules};
use crate::platform::StoreError;
use crate::rules::manifest::Manifest;
use crate::rules::{RuleSet, RuleStores, pack};

/// Stores in memory, and a sandbox that reads them.
#[derive(Default)]
struct World {
    stores: Stores,
    cache: RuleCache,
    uptime: Duration,
    staging: bool,
}

#[derive(Default)]
struct Stores {
    config: BTreeMap<String, String>,
    kv: BTreeMap<String, Vec<u8>>,
    down: bool,
    read: Vec<String>,
}

impl RuleStores for Stores {
    fn config(&mut self, key: &str) -> Result<Option<String>, StoreError> {
        self.read.push(key.to_owned());
        if self.down { Err(StoreError::Failed) } else { Ok(self.config.get(key).cloned()) }
    }

    fn kv(&mut self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        if self.down { Err(StoreError::Failed) } else { Ok(self.kv.get(key).cloned()) }
    }

    fn secret(&mut self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }
}

impl Deref for World {
    type Target = Stores;

    fn deref(&self) -> &Stores {
        &self.stores
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Stores {
        &mut self.stores
    }
}

impl World {
    /// A new sandbox over the same stores.
    fn with(other: &Self) -> Self {
        let stores = Stores { config: other.config.clone(), kv: other.kv.clone(), ..Stores::default() };
        Self { stores, ..Self::default() }
    }

    /// A revision of one route whose id is the revision's name, as `push` writes it.
    fn push(&mut self, revision: &str) {
        let entries = entries(revision);
        for (name, text) in &entries {
            self.config.insert(format!("{revision}/{name}"), text.clone());
        }
        let manifest = Manifest::of(entries.iter().map(|(name, text)| (*name, text.as_str())), "");
        self.config.insert(format!("{revision}/manifest"), serde_json::to_string(&manifest).unwrap());
    }

    fn point(&mut self, pointer: &Value) {
        self.config.insert("active".to_owned(), pointer.to_string());
    }

    fn resolve_as(&mut self, unit: Option<&str>) -> (Rules, Notes) {
        let Self { cache, stores, uptime, staging, .. } = self;
        let (rules, notes) = cache.resolve(stores, *staging, *uptime, |_| unit.map(str::to_owned));
        assert!(notes.lookups <= 16, "{} look-ups", notes.lookups);
        (rules, notes)
    }

    /// Who serves: `r42 active`, `off`, `nothing`.
    fn serves_to(&mut self, unit: Option<&str>) -> String {
        describe(&self.resolve_as(unit).0)
    }

    fn serves(&mut self) -> String {
        self.serves_to(None)
    }

    fn later(&mut self) {
        self.uptime += Duration::from_secs(2);
    }
}

fn entries(revision: &str) -> Vec<(&'static str, String)> {
    let routes = json!({ "routes": [{ "id": revision, "path": "/*" }] });
    vec![("routes", routes.to_string()), ("settings", "{}".to_owned())]
}

fn describe(rules: &Rules) -> String {
    match rules {
        Rules::Off => "off".to_owned(),
        Rules::Unusable => "nothing".to_owned(),
        Rules::Set(served) => {
            let route = served.set.routes.candidates("/").first().map(|found| found.route.id.clone());
            let name = served.set.revision.clone().unwrap_or_else(|| "bare".to_owned());
            assert!(route.is_none_or(|route| route == name), "a set of one revision only");
            let shadow = served.shadow.as_ref().and_then(|set| set.revision.clone());
            let shadow = shadow.map(|name| format!(" shadow {name}")).unwrap_or_default();
            let role = match served.role {
                Role::Active => "active",
                Role::Canary => "canary",
                Role::Previous => "previous",
                Role::Last => "last",
            };
            format!("{name} {role}{shadow}")
        }
    }
}

#[test]
fn a_pointer_that_is_seen_before_its_entries_serves_the_previous_revision() {
    let mut world = World::default();
    world.push("r1");
    world.point(&json!({ "revision": "r2", "previous": "r1", "manifest": true }));
    assert_eq!(world.serves(), "r1 previous");
    // The entries arrive one by one, the manifest first, then last.
    for order in [["manifest", "routes", "settings"], ["settings", "routes", "manifest"]] {
        let mut source = World::default();
        source.push("r2");
        let mut world = World::default();
        world.push("r1");
        world.point(&json!({ "revision": "r2", "previous": "r1", "manifest": true }));
        for (seen, entry) in order.iter().enumerate() {
            world.later();
            assert_eq!(world.serves(), "r1 previous", "{seen} entries of {order:?}");
            let key = format!("r2/{entry}");
            world.config.insert(key.clone(), source.config[&key].clone());
        }
        world.later();
        assert_eq!(world.serves(), "r2 active", "{order:?}");
    }
}

#[test]
fn what_served_last_goes_on_where_the_pointer_names_nothing_that_is_there() {
    let mut world = World::default();
    world.push("r1");
    world.point(&json!({ "revision": "r1" }));
    assert_eq!(world.serves(), "r1 active");
    world.point(&json!({ "revision": "r2", "previous": "r0" }));
    assert_eq!(world.serves(), "r1 last");
    let mut cold = World::with(&world);
    assert_eq!(cold.serves(), "nothing", "a cold sandbox passes through");
}

#[test]
fn a_push_that_broke_off_has_changed_nothing() {
    let mut source = World::default();
    source.push("r2");
    let keys: Vec<String> = source.config.keys().cloned().collect();
    for written in 0..keys.len() {
        let mut world = World::default();
        world.push("r1");
        world.point(&json!({ "revision": "r1", "manifest": true }));
        for key in &keys[..written] {
            world.config.insert(key.clone(), source.config[key].clone());
        }
        assert_eq!(world.serves(), "r1 active");
    }
}

#[test]
fn an_entry_that_is_not_the_one_of_the_manifest_serves_nobody() {
    let mut world = World::default();
    world.push("r1");
    world.push("r2");
    world.config.insert("r2/routes".to_owned(), r#"{"routes":[]}"#.to_owned());
    world.point(&json!({ "revision": "r2", "previous": "r1" }));
    let (rules, notes) = world.resolve_as(None);
    assert_eq!(describe(&rules), "r1 previous");
    assert!(notes.faults[0].to_string().starts_with("r2/routes: expected the text of digest"), "{notes:?}");
    world.later();
    assert!(world.resolve_as(None).1.faults.is_empty(), "a fault is named once");
}

#[test]
fn a_warm_sandbox_reads_the_pointer_and_nothing_else() {
    let mut world = World::default();
    world.push("r1");
    world.push("r2");
    world.push("r3");
    world.point(&json!({ "revision": "r1", "canary": { "revision": "r2", "percent": 50 }, "shadow": "r3" }));
    for unit in ["a", "b", "c", "d", "e", "f"] {
        world.serves_to(Some(unit));
        world.later();
    }
    world.read.clear();
    for unit in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        world.serves_to(Some(unit));
        world.later();
    }
    assert_eq!(world.read, vec!["active"; 8]);
}

#[test]
fn a_canary_is_sticky_and_takes_none_at_0_and_all_at_100() {
    let mut world = World::default();
    world.push("r1");
    world.push("r2");
    let mut within = Vec::new();
    for percent in [0.0, 1.0, 5.0, 20.0, 100.0] {
        world.point(&json!({ "revision": "r1", "canary": { "revision": "r2", "percent": percent } }));
        let now: Vec<bool> =
            (0..2_000).map(|n| world.serves_to(Some(&format!("visitor-{n}"))) == "r2 canary").collect();
        assert!(within.iter().zip(&now).all(|(before, now)| !before || *now), "{percent} only adds visitors");
        let count = now.iter().filter(|is| **is).count();
        assert!((count as f64 / 20.0 - percent).abs() <= 2.5, "{percent}: {count} of 2,000");
        within = now;
    }
    assert!(within.iter().all(|is| *is));
    assert_eq!(world.serves_to(None), "r2 canary", "100 percent has those, too, who can't be told apart");
    world.point(&json!({ "revision": "r1", "canary": { "revision": "r2", "percent": 99.9999 } }));
    assert_eq!(world.serves_to(None), "r1 active");
}

#[test]
fn a_canary_whose_revision_is_missing_leaves_its_visitors_with_the_others() {
    let mut world = World::default();
    world.push("r1");
    world.point(&json!({ "revision": "r1", "canary": { "revision": "r2", "percent": 100 } }));
    assert_eq!(world.serves(), "r1 active");
}

#[test]
fn the_kill_switch_works_with_everything_else_broken() {
    let mut world = World::default();
    world.point(&json!({ "enabled": false, "revision": 7, "canary": [], "store": "tape" }));
    world.config.insert("routes".to_owned(), "{".to_owned());
    assert_eq!(world.serves(), "off");
    assert_eq!(world.read, ["active"], "it needs nothing but the pointer");
}

#[test]
fn the_kill_switch_keeps_the_definitions_in_place() {
    let mut world = World::default();
    world.push("r1");
    world.point(&json!({ "revision": "r1" }));
    assert_eq!(world.serves(), "r1 active");
    world.point(&json!({ "enabled": false, "revision": "r1" }));
    assert_eq!(world.serves(), "off");
    world.read.clear();
    world.point(&json!({ "enabled": true, "revision": "r1" }));
    assert_eq!(world.serves(), "r1 active");
    assert_eq!(world.read, ["active"], "compiled rules are still there, for the pointer names them");
}

#[test]
fn a_broken_pointer_leaves_the_one_before_it() {
    let mut world = World::default();
    world.push("r1");
    world.point(&json!({ "revision": "r1" }));
    assert_eq!(world.serves(), "r1 active");
    world.config.insert("active".to_owned(), r#"{"revision":"r2""#.to_owned());
    let (rules, notes) = world.resolve_as(None);
    assert_eq!((describe(&rules).as_str(), notes.faults.len()), ("r1 active", 1));
    assert!(world.resolve_as(None).1.faults.is_empty(), "the same text is complained of once");
}

#[test]
fn a_store_that_fails_leaves_what_served() {
    let mut world = World::default();
    world.push("r1");
    world.point(&json!({ "revision": "r1" }));
    assert_eq!(world.serves(), "r1 active");
    world.down = true;
    let (rules, notes) = world.resolve_as(None);
    assert_eq!(describe(&rules), "r1 active");
    assert_eq!(notes.store_error, Some(StoreError::Failed));
}

#[test]
fn staging_has_a_pointer_of_its_own() {
    let mut world = World { staging: true, ..World::default() };
    world.push("r1");
    world.push("r2");
    world.point(&json!({ "revision": "r1" }));
    assert_eq!(world.serves(), "r1 active", "without one, the pointer of all");
    world.config.insert("active_staging".to_owned(), json!({ "revision": "r2" }).to_string());
    assert_eq!(world.serves(), "r2 active");
    world.staging = false;
    assert_eq!(world.serves(), "r1 active");
}

#[test]
fn a_shadow_is_there_beside_what_serves() {
    let mut world = World::default();
    world.push("r1");
    world.push("r2");
    world.point(&json!({ "revision": "r1", "shadow": "r2" }));
    assert_eq!(world.serves(), "r1 active shadow r2");
    world.point(&json!({ "revision": "r2", "shadow": "r2" }));
    assert_eq!(world.serves(), "r2 active", "a set is not its own shadow");
    world.point(&json!({ "revision": "r2", "shadow": "r9" }));
    assert_eq!(world.serves(), "r2 active", "a shadow that isn't there costs nobody anything");
}

#[test]
fn a_revision_written_by_hand_serves_without_manifest_and_follows_edits() {
    let mut world = World::default();
    for (name, text) in entries("r7") {
        world.config.insert(format!("r7/{name}"), text);
    }
    world.point(&json!({ "revision": "r7" }));
    assert_eq!(world.serves(), "r7 active");
    world.config.insert("r7/routes".to_owned(), r#"{"routes":[]}"#.to_owned());
    world.later();
    let Rules::Set(served) = world.resolve_as(None).0 else { panic!("a set") };
    assert!(served.set.routes.is_empty());
    world.config.insert("r7/routes".to_owned(), "{".to_owned());
    world.later();
    assert_eq!(world.serves(), "r7 active", "half an edit leaves what served");
}

#[test]
fn a_previous_one_written_by_hand_serves_the_first_request_where_the_revision_is_absent() {
    let mut world = World::default();
    for (name, text) in entries("r6") {
        world.config.insert(format!("r6/{name}"), text);
    }
    world.point(&json!({ "revision": "r7", "previous": "r6" }));
    let (first, notes) = world.resolve_as(None);
    assert_eq!(describe(&first), "r6 previous");
    assert_eq!(notes.faults.len(), 1, "only what is wrong is named: {:?}", notes.faults);
    assert_eq!(world.serves(), "r6 previous");
    world.later();
    assert_eq!(world.serves(), "r6 previous");
}

#[test]
fn a_revision_written_by_hand_that_alone_needs_too_many_look_ups_is_tried_once_a_second() {
    let mut world = World::default();
    world.config.insert("r7/routes".to_owned(), json!({ "parts": 40, "routes": [] }).to_string());
    for part in 2..=40 {
        world.config.insert(format!("r7/routes.{part}"), json!({ "routes": [] }).to_string());
    }
    world.point(&json!({ "revision": "r7" }));
    world.serves();
    world.read.clear();
    world.serves();
    assert_eq!(world.read, ["active"]);
}

#[test]
fn a_large_revision_comes_from_the_kv_store() {
    for by_manifest in [false, true] {
        let mut world = World::default();
        let routes: Vec<Value> =
            (0..1_000).map(|n| json!({ "id": format!("r-{n}"), "path": format!("/r/{n}") })).collect();
        let dictionaries = json!({ "routes": { "routes": routes }, "settings": { "languages": ["en"] } });
        let bytes = pack::write(dictionaries.as_object().unwrap()).unwrap();
        if by_manifest {
            let manifest = Manifest::of_pack(bytes.len(), "");
            world.config.insert("r8/manifest".to_owned(), serde_json::to_string(&manifest).unwrap());
            world.point(&json!({ "revision": "r8" }));
        } else {
            world.point(&json!({ "revision": "r8", "store": "kv" }));
        }
        assert_eq!(world.serves(), "nothing", "the value has not arrived");
        world.kv.insert("r8".to_owned(), bytes);
        world.later();
        let Rules::Set(served) = world.resolve_as(None).0 else { panic!("a set") };
        assert_eq!(served.set.routes.len(), 1_000);
        assert_eq!(served.set.settings.languages, ["en"]);
        assert_eq!(served.set.routes.candidates("/r/977")[0].route.id, "r-977");
        assert!(served.set.routes.candidates("/r/1000").is_empty());
    }
}

#[test]
fn a_set_of_many_parts_that_falls_back_stays_within_the_look_ups() {
    let mut world = World::default();
    for revision in ["r1", "r2"] {
        let names: Vec<String> = (1..=13).map(|n| crate::rules::dictionary::part_name("routes", n)).collect();
        let text = json!({ "parts": 13, "routes": [] }).to_string();
        for name in &names {
            world.config.insert(format!("{revision}/{name}"), text.clone());
        }
        let manifest = Manifest::of(names.iter().map(|name| (name.as_str(), text.as_str())), "");
        world.config.insert(format!("{revision}/manifest"), serde_json::to_string(&manifest).unwrap());
    }
    world.config.remove("r2/routes.9");
    world.point(&json!({ "revision": "r2", "previous": "r1", "manifest": true }));
    let first = world.serves();
    world.later();
    // The first request may run out of look-ups; what it read is kept, and the next one has all.
    assert_eq!((first.as_str(), world.serves().as_str()), ("nothing", "r1 previous"));
}

const SEVEN: [&str; 7] = crate::rules::dictionary::DICTIONARIES;

/// A revision of all seven dictionaries.
fn seven(revision: &str) -> Vec<(&'static str, String)> {
    SEVEN
        .into_iter()
        .map(|name| match name {
            "routes" => (name, entries(revision)[0].1.clone()),
            _ => (name, "{}".to_owned()),
        })
        .collect()
}

impl World {
    fn push_seven(&mut self, revision: &str) {
        let entries = seven(revision);
        let manifest = Manifest::of(entries.iter().map(|(name, text)| (*name, text.as_str())), "");
        self.write_seven(revision);
        self.config.insert(format!("{revision}/manifest"), serde_json::to_string(&manifest).unwrap());
    }

    fn write_seven(&mut self, revision: &str) {
        for (name, text) in seven(revision) {
            self.config.insert(format!("{revision}/{name}"), text);
        }
    }
}

#[test]
fn a_cold_sandbox_gives_a_canarys_visitor_the_canary() {
    for is_pushed in [true, false] {
        for shadow in [None, Some("r3")] {
            let mut world = World::default();
            for revision in ["r1", "r2", "r3"] {
                if is_pushed { world.push_seven(revision) } else { world.write_seven(revision) }
            }
            let canary = json!({ "revision": "r2", "percent": 99.9999 });
            world.point(&json!({ "revision": "r1", "canary": canary, "shadow": shadow }));
            let served = world.serves_to(Some("somebody"));
            assert!(served.starts_with("r2 canary"), "{served}, pushed: {is_pushed}, shadow {shadow:?}");
            assert!(
                !world.read.contains(&"r1/routes".to_owned()),
                "of the stable one its settings alone: {:?}",
                world.read
            );
            let expected = shadow.map_or("r2 canary".to_owned(), |shadow| format!("r2 canary shadow {shadow}"));
            world.serves_to(Some("somebody"));
            world.later();
            assert_eq!(world.serves_to(Some("somebody")), expected, "the shadow is there from a later request on");
        }
    }
}

#[test]
fn a_canary_asks_the_settings_of_what_serves_where_the_revision_is_absent() {
    let mut world = World::default();
    world.write_seven("r0");
    world.write_seven("r2");
    world.point(&json!({ "revision": "r1", "previous": "r0", "canary": { "revision": "r2", "percent": 99.9999 } }));
    assert_eq!(world.serves_to(Some("somebody")), "r2 canary");
    assert_eq!(World::with(&world).serves_to(None), "r0 previous");
}

#[test]
fn one_broken_entry_of_a_revision_written_by_hand_leaves_the_first_request_the_previous_one() {
    for staging in [false, true] {
        for broken in SEVEN {
            for text in [Some(r#"{"half": ["#), Some("[]"), None] {
                let mut world = World { staging, ..World::default() };
                world.write_seven("r6");
                world.write_seven("r7");
                match text {
                    Some(text) => drop(world.config.insert(format!("r7/{broken}"), text.to_owned())),
                    None => world.config.retain(|key, _| !key.starts_with("r7/")),
                }
                world.point(&json!({ "revision": "r7", "previous": "r6" }));
                if staging && broken == "templates" && text.is_some() {
                    // The second pointer is the one look-up too many: the next request goes on from there.
                    world.serves();
                }
                let (rules, _) = world.resolve_as(None);
                assert_eq!(describe(&rules), "r6 previous", "{broken}: {text:?}, staging: {staging}");
            }
        }
    }
}

#[test]
fn a_previous_one_that_was_pushed_is_found_to_be_that() {
    let mut world = World::default();
    world.push_seven("r6");
    world.write_seven("r7");
    world.config.insert("r7/routes".to_owned(), "{".to_owned());
    world.point(&json!({ "revision": "r7", "previous": "r6" }));
    for _ in 0..5 {
        assert!(world.serves().starts_with("r6 "));
        world.later();
    }
    world.read.clear();
    assert_eq!(world.serves(), "r6 previous");
    assert!(!world.read.iter().any(|key| key.starts_with("r6/")), "it never changes: {:?}", world.read);
}

#[test]
fn half_an_edit_at_bare_names_leaves_the_last_rules_and_is_named_once() {
    let whole = [("routes", r#"{"routes":[{"id":"bare","path":"/*"}]}"#), ("settings", r#"{"languages":["fr"]}"#)];
    let parts = r#"{"parts":2,"routes":[{"id":"bare","path":"/*"}]}"#;
    for (name, text) in [
        ("routes", r#"{"routes":[{"id""#),
        ("routes", r#"{"routes":7}"#),
        ("routes", parts),
        ("settings", r#"{"langu"#),
        ("settings", "[]"),
    ] {
        let mut world = World::default();
        for (name, text) in whole {
            world.config.insert(name.to_owned(), text.to_owned());
        }
        assert_eq!(world.serves(), "bare active");
        world.config.insert(name.to_owned(), text.to_owned());
        for named in [1, 0, 0] {
            world.later();
            let (rules, notes) = world.resolve_as(None);
            let Rules::Set(served) = &rules else { panic!("a set") };
            assert_eq!(served.set.routes.len(), 1, "{name}: {text}");
            assert_eq!(served.set.settings.languages, ["fr"], "{name}: {text}");
            assert_eq!(notes.faults.len(), named, "{name}: {text}: {:?}", notes.faults);
        }
        world.config.insert("routes".to_owned(), r#"{"routes":[]}"#.to_owned());
        world.config.insert("settings".to_owned(), "{}".to_owned());
        world.later();
        let Rules::Set(served) = world.resolve_as(None).0 else { panic!("a set") };
        assert!(served.set.routes.is_empty() && served.set.settings.languages.is_empty(), "mended, it counts");
    }
}

fn payload_world() -> World {
    let mut world = World::default();
    for revision in ["r1", "r2"] {
        world.write_seven(revision);
        let settings = json!({ "growthbook": { "kv_key": "gb" } }).to_string();
        world.config.insert(format!("{revision}/settings"), settings);
    }
    world.kv.insert("gb".to_owned(), br#"{"features":{"hero":{"defaultValue":1}}}"#.to_vec());
    world
}

fn has_hero(set: &RuleSet) -> bool {
    set.definitions.features.json("hero").is_some()
}

#[test]
fn a_payload_is_part_of_every_set() {
    let mut world = payload_world();
    world.point(&json!({ "revision": "r1", "shadow": "r2" }));
    for _ in 0..2 {
        world.serves();
    }
    let Rules::Set(served) = world.resolve_as(None).0 else { panic!("a set") };
    assert!(has_hero(&served.set) && has_hero(&served.shadow.unwrap()));
    world.point(&json!({ "revision": "r9", "previous": "r2" }));
    world.later();
    let Rules::Set(served) = world.resolve_as(None).0 else { panic!("a set") };
    assert!(served.role == Role::Previous && has_hero(&served.set));
    let World { cache, stores, uptime, .. } = &mut world;
    let (set, _) = cache.resolve_named("r1", stores, false, *uptime, 0);
    assert!(has_hero(&set.unwrap()), "also of a revision that the pointer doesn't name");
}

#[test]
fn a_payload_that_can_not_be_read_is_tried_again_soon() {
    let mut world = payload_world();
    world.point(&json!({ "revision": "r1" }));
    let value = world.kv.remove("gb").unwrap();
    assert_eq!(world.resolve_as(None).1.codes, [Code::GrowthBookPayload]);
    world.kv.insert("gb".to_owned(), value);
    world.later();
    let (rules, notes) = world.resolve_as(None);
    let Rules::Set(served) = rules else { panic!("a set") };
    assert!(has_hero(&served.set) && notes.codes.is_empty());
}

#[test]
fn a_payload_that_breaks_keeps_the_last_good_one_and_is_named_once() {
    for broken in [&br#"{"features":{"her"#[..], br#"{"features":[]}"#, br#"{"encryptedFeatures":"x"}"#, b"\xff"] {
        let mut world = payload_world();
        world.point(&json!({ "revision": "r1" }));
        world.serves();
        world.kv.insert("gb".to_owned(), broken.to_vec());
        for named in [true, false] {
            world.uptime += Duration::from_secs(60);
            let (rules, notes) = world.resolve_as(None);
            let Rules::Set(served) = rules else { panic!("a set") };
            assert!(has_hero(&served.set));
            assert_eq!(notes.faults.iter().any(|fault| fault.dictionary == "gb"), named, "{:?}", notes.faults);
        }
    }
}

#[test]
fn a_revision_may_carry_a_payload_in_its_dictionaries() {
    let dictionaries = json!({
        "routes": { "routes": [{ "id": "r1", "path": "/*" }] },
        "features": { "features": { "hero": { "defaultValue": 1 } }, "contextualBandits": { "cb": {} } },
    });
    let mut world = World::default();
    world.kv.insert("r2".to_owned(), pack::write(dictionaries.as_object().unwrap()).unwrap());
    for (name, dictionary) in dictionaries.as_object().unwrap() {
        world.config.insert(format!("r1/{name}"), dictionary.to_string());
    }
    for (revision, store) in [("r1", "config"), ("r2", "kv")] {
        world.point(&json!({ "revision": revision, "store": store }));
        let (rules, notes) = world.resolve_as(None);
        let Rules::Set(served) = rules else { panic!("a set: {:?}", notes.faults) };
        assert!(has_hero(&served.set) && served.set.definitions.bandits.json("cb").is_some(), "{revision}");
    }
}

#[test]
fn a_definition_that_can_not_be_compiled_is_named_once_with_its_place() {
    let mut world = payload_world();
    let features = json!({ "features": { "bad": { "rules": [{ "coverage": "x" }] } } }).to_string();
    world.config.insert("r1/features".to_owned(), features);
    world.kv.insert("gb".to_owned(), br#"{"features":{"worse":{"rules":7}}}"#.to_vec());
    world.point(&json!({ "revision": "r1" }));
    let Rules::Set(served) = world.resolve_as(None).0 else { panic!("a set") };
    assert!(served.set.take_faults().is_empty(), "nothing has been asked for");
    served.set.look_over(7, 64);
    let named: Vec<String> = served.set.take_faults().iter().map(ToString::to_string).collect();
    assert!(named[0].starts_with("features/features/bad/rules/0/coverage: "), "{named:?}");
    assert!(named[1].starts_with("gb/features/worse/rules: "), "{named:?}");
    assert!(served.set.take_faults().is_empty(), "a fault is named once");
}
