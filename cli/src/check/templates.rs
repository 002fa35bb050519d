//! Values that templates of pages read and that are always empty, and texts that a value never is.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Checked;
use super::compile::{escape, nearest};
use super::template_reads::{Read, reads};

/// What a template may read: a name, and the members that it has; none where they are the site's own.
const FACTS: [(&str, &[&str]); 11] = [
    ("region", &["id", "slug"]),
    ("country", &[]),
    ("language", &[]),
    ("deviceType", &[]),
    ("network", &[]),
    ("host", &[]),
    ("path", &[]),
    ("loggedIn", &[]),
    ("feature", &[]),
    ("experiment", &[]),
    (
        "session",
        &[
            "recent_views",
            "cart",
            "cart_skus",
            "cart_quantity",
            "cart_value",
            "affinity",
            "top_affinity",
            "segments",
            "attributes",
        ],
    ),
];

impl Checked<'_> {
    /// Names what templates read in vain.
    pub(super) fn template_reads(&mut self) {
        let mut sources: Vec<(&'static str, String, String)> = Vec::new();
        let templates = self.json("templates").and_then(|json| json.get("templates")?.as_object());
        for (name, source) in templates.into_iter().flatten() {
            let source = source.as_str().unwrap_or_default().to_owned();
            sources.push(("templates", format!("/templates/{}", escape(name)), source));
        }
        for (index, route) in self.rules_of("routes", "routes").into_iter().enumerate() {
            let mut inline = Vec::new();
            for (number, operation) in route.get("html").and_then(Value::as_array).into_iter().flatten().enumerate() {
                texts(operation, &format!("/routes/{index}/html/{number}"), &mut inline);
            }
            sources.extend(inline.into_iter().map(|(pointer, text)| ("routes", pointer, text)));
        }
        let known = Known::of(self);
        for (dictionary, pointer, source) in sources {
            for message in reads(&source).iter().flat_map(|read| known.faults(read)) {
                self.warn(dictionary, pointer.clone(), message);
            }
        }
    }
}

/// Names that the rules define; `None` where that can't be known.
struct Known {
    features: Option<Vec<String>>,
    experiments: Option<Vec<String>>,
    regions: Option<[BTreeSet<String>; 2]>,
    languages: Vec<String>,
}

impl Known {
    fn of(checked: &Checked<'_>) -> Self {
        let definitions = &checked.rules.definitions;
        let open = checked.rules.settings.growthbook.is_some() || checked.is_broken("settings");
        let unless = |dictionary: &str, keys: Vec<String>| (!open && !checked.is_broken(dictionary)).then_some(keys);
        let regions = || checked.rules.regions.all();
        Self {
            features: unless("features", definitions.features.keys().map(str::to_owned).collect()),
            experiments: unless("experiments", definitions.experiments.keys().map(str::to_owned).collect()),
            regions: (!checked.is_broken("regions")).then(|| {
                [
                    regions().map(|region| region.id.clone()).collect(),
                    regions().map(|region| region.slug.clone()).collect(),
                ]
            }),
            languages: checked.rules.settings.languages.clone(),
        }
    }

    fn faults(&self, read: &Read) -> Vec<String> {
        let written = read.path.join(".");
        let Some(root) = read.path.first() else { return Vec::new() };
        let Some((_, members)) = FACTS.iter().find(|(name, _)| name == root) else {
            let names = FACTS.iter().map(|(name, _)| *name);
            let hint = nearest(root, names).map(|name| written.replacen(root.as_str(), name, 1));
            return vec![empty("a value that templates have", &written, hint)];
        };
        let Some(second) = read.path.get(1) else { return self.compared(read) };
        let keys = match root.as_str() {
            "feature" => self.features.as_ref(),
            "experiment" => self.experiments.as_ref(),
            _ if members.is_empty() || members.contains(&second.as_str()) => return self.compared(read),
            _ => {
                let hint = nearest(second, members.iter().copied()).map(|name| format!("{root}.{name}"));
                return vec![empty(&format!("a part of {root} ({})", members.join(", ")), &written, hint)];
            }
        };
        let Some(keys) = keys.filter(|keys| !keys.contains(second)) else { return Vec::new() };
        let hint = nearest(second, keys.iter().map(String::as_str)).map(|key| format!("{root}['{key}']"));
        vec![empty(
            &format!("{} that is defined", if root == "feature" { "a feature" } else { "an experiment" }),
            &format!("{root}['{second}']"),
            hint,
        )]
    }

    /// Texts that the value never is.
    fn compared(&self, read: &Read) -> Vec<String> {
        let name = read.path.join(".");
        let empty = BTreeSet::new();
        let [ids, slugs] = self.regions.as_ref().map_or([&empty, &empty], |[ids, slugs]| [ids, slugs]);
        let never = |text: &String| {
            let expected = match name.as_str() {
                "region.id" | "region.slug" => {
                    let (what, known) = if name == "region.id" { ("id", ids) } else { ("slug", slugs) };
                    if known.is_empty() || known.contains(text) {
                        return None;
                    }
                    format!("the {what} of a region ({})", known.iter().cloned().collect::<Vec<_>>().join(", "))
                }
                _ => super::names::closed_value(&name, text, &self.languages)?,
            };
            Some(format!("expected {expected}, but found {name} compared with '{text}', which it never is"))
        };
        read.compared.iter().filter_map(never).collect()
    }
}

fn empty(expected: &str, found: &str, hint: Option<String>) -> String {
    let hint = hint.map(|hint| format!(": is it {hint}?")).unwrap_or_default();
    format!("expected {expected}, but found {found}, which is always empty{hint}")
}

/// Every text below an operation that holds code.
fn texts(value: &Value, pointer: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) if text.contains("{{") || text.contains("{%") => {
            found.push((pointer.to_owned(), text.clone()))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| texts(item, &format!("{pointer}/{index}"), found));
        }
        Value::Object(members) => {
            let inner = members.iter().filter(|(key, _)| *key != "when" && *key != "select");
            inner.for_each(|(key, item)| texts(item, &format!("{pointer}/{}", escape(key)), found));
        }
        _ => {}
    }
}
