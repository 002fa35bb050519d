//! What rewrites pages and JSON: compiled at the edge when a request first comes near, here at once.

use std::collections::BTreeSet;

use edge_personalizer::decide::arms::VISUAL_PARTS;
use edge_personalizer::plan::body;
use edge_personalizer::transform::html::VisualChanges;
use serde_json::Value;

use super::Checked;
use super::compile::escape;

impl Checked<'_> {
    /// Operations and templates that can't be used, templates that nothing uses, visual changes that a stream can't make.
    pub(super) fn bodies(&mut self) {
        for (route, pointer) in self.routes() {
            for fault in body::lint(self.rules, &route) {
                self.fault("routes", format!("{pointer}{}", fault.pointer), fault.message);
            }
        }
        let mut used = BTreeSet::new();
        self.json("routes").into_iter().for_each(|routes| collect(routes, &mut used));
        let templates = self.json("templates").and_then(|json| json.get("templates")?.as_object());
        for name in templates.into_iter().flat_map(|templates| templates.keys()) {
            if !self.is_broken("routes") && !used.contains(name.as_str()) {
                let message = format!("expected a template that a route uses, but found '{name}', which no route uses");
                self.warn("templates", format!("/templates/{}", escape(name)), message);
            }
        }
        self.visual();
    }

    /// The page's own SDK makes these changes; the edge leaves them out.
    fn visual(&mut self) {
        let mut found = Vec::new();
        for (dictionary, pointer, experiment, _) in self.experiments() {
            let variations = experiment.get("variations").and_then(Value::as_array).into_iter().flatten();
            for (index, variation) in variations.enumerate() {
                if VISUAL_PARTS.iter().any(|part| variation.get(part).is_some()) {
                    let mut faults = Vec::new();
                    VisualChanges::compile(variation, &format!("{pointer}/variations/{index}"), &mut faults);
                    found.extend(faults.into_iter().map(|fault| (dictionary, fault)));
                }
            }
        }
        for (dictionary, fault) in found {
            self.warn(dictionary, fault.pointer, fault.message);
        }
    }
}

/// The names that stand as `template` anywhere.
fn collect<'j>(value: &'j Value, names: &mut BTreeSet<&'j str>) {
    match value {
        Value::Object(members) => {
            names.extend(members.get("template").and_then(Value::as_str));
            members.values().for_each(|value| collect(value, names));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}
