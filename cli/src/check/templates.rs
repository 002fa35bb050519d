//! Values that templates of pages read and that are always empty, and texts that a value never is.

use std::collections::BTreeSet;

use edge_personalizer::plan::facts::{TEMPLATE_VALUES, TemplateValue};
use edge_personalizer::rules::RuleSet;
use edge_personalizer::transform::template::{Content, Variable, Word};
use serde_json::Value;

use super::Checked;
use super::compile::{escape, nearest};

impl Checked<'_> {
    /// Names what templates read in vain.
    pub(super) fn template_reads(&mut self) {
        let mut sources: Vec<(&'static str, String, Content)> = Vec::new();
        let templates = self.json("templates").and_then(|json| json.get("templates")?.as_object());
        for name in templates.into_iter().flat_map(|templates| templates.keys()) {
            let named = Content::Named { template: name.clone() };
            sources.push(("templates", format!("/templates/{}", escape(name)), named));
        }
        for (index, route) in self.rules_of("routes", "routes").into_iter().enumerate() {
            let mut inline = Vec::new();
            for (number, operation) in route.get("html").and_then(Value::as_array).into_iter().flatten().enumerate() {
                texts(operation, &format!("/routes/{index}/html/{number}"), &mut inline);
            }
            for (number, set) in route.pointer("/json/set").and_then(Value::as_array).into_iter().flatten().enumerate()
            {
                let value = set.get("value").filter(|value| value.is_string());
                value.iter().for_each(|value| {
                    texts(value, &format!("/routes/{index}/json/set/{number}/value"), &mut inline);
                });
            }
            sources.extend(inline.into_iter().map(|(pointer, text)| ("routes", pointer, Content::Inline(text))));
        }
        let known = Known::of(self);
        for (index, route) in self.rules_of("routes", "routes").into_iter().enumerate() {
            let reads = route.pointer("/respond/body/reads").and_then(Value::as_array).into_iter().flatten();
            for (number, path) in reads.enumerate() {
                let Some(message) = path.as_str().and_then(|path| known.fault(&declared(path))) else { continue };
                self.warn("routes", format!("/routes/{index}/respond/body/reads/{number}"), message);
            }
        }
        for (dictionary, pointer, content) in sources {
            for (word, line) in self.rules.templates.borrow().unknown_words(&content) {
                let (kind, name) = match &word {
                    Word::Filter(name) => ("filter", name),
                    Word::Test(name) => ("test", name),
                    Word::Function(name) => ("function", name),
                };
                let message = format!(
                    "expected a {kind} that templates have, but found '{name}' (line {line}): the edge skips it"
                );
                self.fault(dictionary, pointer.clone(), message);
            }
            let variables = self.rules.templates.borrow().variables(&content);
            let spans_lines = variables.iter().any(|variable| variable.line > 1);
            let mut said = Vec::new();
            for variable in &variables {
                let Some(message) = known.fault(variable) else { continue };
                let line = if spans_lines { format!(" (line {})", variable.line) } else { String::new() };
                let message = message + &line;
                if !said.contains(&message) {
                    self.warn(dictionary, pointer.clone(), message.clone());
                    said.push(message);
                }
            }
        }
    }
}

/// Names that the rules define; `None` where that can't be known.
struct Known<'r> {
    rules: &'r RuleSet,
    /// Whether the settings can be read: they declare attributes, and say where more features come from.
    has_settings: bool,
    features: Option<Vec<String>>,
    experiments: Option<Vec<String>>,
    regions: Option<[BTreeSet<String>; 2]>,
}

impl<'r> Known<'r> {
    fn of(checked: &Checked<'r>) -> Self {
        let definitions = &checked.rules.definitions;
        let open = checked.rules.settings.growthbook.is_some() || checked.is_broken("settings");
        let unless = |dictionary: &str, keys: Vec<String>| (!open && !checked.is_broken(dictionary)).then_some(keys);
        let regions = || checked.rules.regions.all();
        Self {
            rules: checked.rules,
            has_settings: !checked.is_broken("settings"),
            features: unless("features", definitions.features.keys().map(str::to_owned).collect()),
            experiments: unless("experiments", definitions.experiments.keys().map(str::to_owned).collect()),
            regions: (!checked.is_broken("regions")).then(|| {
                [
                    regions().map(|region| region.id.clone()).collect(),
                    regions().map(|region| region.slug.clone()).collect(),
                ]
            }),
        }
    }

    fn fault(&self, read: &Variable) -> Option<String> {
        let written = read.path.join(".");
        let root = read.path.first()?;
        if self.rules.own.find(root).is_some() {
            return self.compared(read);
        }
        let Some(TemplateValue { members, .. }) = TEMPLATE_VALUES.iter().find(|value| value.name == root) else {
            let own = self.rules.own.iter().map(|own| own.name.as_str());
            let hint = nearest(root, TEMPLATE_VALUES.iter().map(|value| value.name).chain(own));
            let hint = hint.map(|name| written.replacen(root.as_str(), name, 1));
            return self.has_settings.then(|| empty("a value that templates have", &written, hint));
        };
        let Some(second) = read.path.get(1) else { return self.compared(read) };
        let keys = match root.as_str() {
            "feature" => self.features.as_ref(),
            "experiment" => self.experiments.as_ref(),
            _ if members.is_empty() || members.contains(&second.as_str()) => return self.compared(read),
            _ => {
                let hint = nearest(second, members.iter().copied()).map(|name| format!("{root}.{name}"));
                return Some(empty(&format!("a part of {root} ({})", members.join(", ")), &written, hint));
            }
        };
        let keys = keys.filter(|keys| !keys.contains(second))?;
        let hint = nearest(second, keys.iter().map(String::as_str)).map(|key| format!("{root}['{key}']"));
        Some(empty(
            &format!("{} that is defined", if root == "feature" { "a feature" } else { "an experiment" }),
            &format!("{root}['{second}']"),
            hint,
        ))
    }

    /// A text that the value never is.
    fn compared(&self, read: &Variable) -> Option<String> {
        let name = read.path.join(".");
        let text = read.compared_with.as_ref()?;
        let empty = BTreeSet::new();
        let [ids, slugs] = self.regions.as_ref().map_or([&empty, &empty], |[ids, slugs]| [ids, slugs]);
        let expected = match name.as_str() {
            "region.id" | "region.slug" => {
                let (what, known) = if name == "region.id" { ("id", ids) } else { ("slug", slugs) };
                if known.is_empty() || known.contains(text) {
                    return None;
                }
                format!("the {what} of a region ({})", known.iter().cloned().collect::<Vec<_>>().join(", "))
            }
            _ if !self.has_settings => return None,
            _ => super::names::closed_value(self.rules, &name, text)?,
        };
        Some(format!("expected {expected}, but found {name} compared with '{text}', which it never is"))
    }
}

/// What a path of `reads` names, as a template would.
fn declared(path: &str) -> Variable {
    let steps: Vec<&str> = match path.split_once('.') {
        Some((name @ ("feature" | "experiment"), key)) => vec![name, key],
        _ => path.split('.').collect(),
    };
    Variable { path: steps.into_iter().map(str::to_owned).collect(), line: 1, compared_with: None }
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
