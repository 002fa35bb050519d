//! Names that one dictionary takes from another, and times that leave nothing to hold.

use edge_personalizer::growthbook::{Schedule, stored};
use serde::Deserialize as _;
use serde_json::Value;
use time::OffsetDateTime;

use super::Checked;
use super::compile::nearest;

impl Checked<'_> {
    /// Features and experiments that a route asks for and nobody defines. A GrowthBook payload may define any.
    pub(super) fn references(&mut self) {
        if self.rules.settings.growthbook.is_some() || self.is_broken("settings") {
            return;
        }
        let definitions = std::rc::Rc::clone(&self.rules.definitions);
        let features: Vec<&str> = definitions.features.keys().collect();
        let experiments: Vec<&str> = definitions.experiments.keys().collect();
        self.offered(&features);
        for (route, pointer) in self.routes() {
            let asked =
                [("feature", &features, &route.feature_keys), ("experiment", &experiments, &route.experiment_keys)];
            for (kind, known, keys) in asked {
                if self.is_broken(&format!("{kind}s")) {
                    continue;
                }
                for key in keys.iter().filter(|key| !known.contains(&key.as_str())) {
                    let is_named = format!("found {kind}['{key}']");
                    if self.findings.iter().any(|finding| finding.message.contains(&is_named))
                        || known.iter().any(|known| is_path_of(known, key) || is_path_of(key, known))
                    {
                        continue;
                    }
                    let article = if kind.starts_with('e') { "an" } else { "a" };
                    let hint = nearest(key, known.iter().copied()).map(|name| format!(": is it '{name}'?"));
                    let message = format!(
                        "expected {article} {kind} of {kind}s.json, but found '{key}', which is always null{}",
                        hint.unwrap_or_default()
                    );
                    // Where the list has it, there; a template names it otherwise.
                    let listed =
                        self.json("routes").and_then(|json| json.pointer(&format!("{pointer}/{kind}s"))?.as_array());
                    let index = listed.and_then(|listed| listed.iter().position(|listed| listed == key));
                    let place =
                        index.map(|index| format!("{pointer}/{kind}s/{index}")).unwrap_or_else(|| pointer.clone());
                    self.warn("routes", place, message);
                }
            }
        }
    }

    /// Features that browsers may ask for, and nobody defines.
    fn offered(&mut self, features: &[&str]) {
        if features.is_empty() || self.is_broken("features") {
            return;
        }
        let named = self.json("settings").and_then(|json| json.pointer("/ofrep/features")?.as_array());
        for (index, name) in named.into_iter().flatten().enumerate() {
            let Some(name) = name.as_str() else { continue };
            let message = match name.strip_suffix('*') {
                // Everything, and there may be nothing yet.
                Some("") => continue,
                Some(beginning) if features.iter().any(|key| key.starts_with(beginning)) => continue,
                None if features.contains(&name) => continue,
                Some(beginning) => {
                    format!(
                        "expected the beginning of a feature's key, but found '{beginning}', with which none begins"
                    )
                }
                None => {
                    let hint = nearest(name, features.iter().copied()).map(|name| format!(": is it '{name}'?"));
                    let hint = hint.unwrap_or_default();
                    format!("expected a feature of features.json, but found '{name}', which it doesn't have{hint}")
                }
            };
            self.warn("settings", format!("/ofrep/features/{index}"), message);
        }
    }

    /// Schedules of features and experiments that never hold, or never again.
    pub(super) fn schedules(&mut self) {
        let now = OffsetDateTime::now_utc();
        let mut rules: Vec<(&str, String, &Value)> = Vec::new();
        for (key, feature) in
            self.json("features").and_then(|json| json.get("features")?.as_object()).into_iter().flatten()
        {
            for (index, rule) in feature.get("rules").and_then(Value::as_array).into_iter().flatten().enumerate() {
                rules.push(("features", format!("/features/{}/rules/{index}", super::escape(key)), rule));
            }
        }
        for (index, experiment) in self.rules_of("experiments", "experiments").into_iter().enumerate() {
            rules.push(("experiments", format!("/experiments/{index}"), experiment));
        }
        for (dictionary, pointer, rule) in rules {
            // One that can't be read is a fault already.
            let stored = rule.get("schedule").and_then(|stored| stored::Schedule::deserialize(stored).ok());
            let Some(schedule) = stored.and_then(|stored| Schedule::compile(&stored).ok()) else { continue };
            let place = format!("{pointer}/schedule/until");
            if schedule.never_holds() {
                self.fault(dictionary, place, "expected a time after 'from', but found an earlier one");
            } else if schedule.until().is_some_and(|until| until <= now) {
                let message = "expected a time in the future, but found one in the past: this rule never applies again";
                self.warn(dictionary, place, message);
            }
        }
    }
}

/// Whether `path` may be what is in the value of `key`: an operation's condition on `feature.a.b` means the feature `a.b`, or `b` in the
/// value of `a`.
fn is_path_of(key: &str, path: &str) -> bool {
    path.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'))
}
