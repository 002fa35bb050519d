//! Attributes that the settings declare: those that nothing reads, and those that can't count where they are read. And what a shared
//! route reads of one visitor.

use std::rc::Rc;

use edge_personalizer::attributes::FactSet;
use edge_personalizer::rules::Route;
use edge_personalizer::rules::facts::DefinitionFacts;
use edge_personalizer::rules::settings::attributes::{Origin, OwnAttribute};

use super::Checked;
use super::compile::escape;

impl Checked<'_> {
    /// Names declared attributes that do nothing.
    pub(super) fn declared(&mut self) {
        let own = Rc::clone(&self.rules.own);
        let routes = self.routes();
        let complete = ["routes", "regions", "features", "experiments"].iter().all(|name| !self.is_broken(name));
        // A payload that isn't at hand may read any.
        let complete = complete && self.rules.settings.growthbook.is_none();
        let definitions = Rc::clone(&self.rules.definitions);
        let features = definitions.features.keys().map(|key| self.rules.facts_of_feature(key).all());
        let experiments = definitions.experiments.keys().map(|key| self.rules.facts_of_experiment(key).all());
        let read: FactSet = features.chain(experiments).chain(routes.iter().map(|(route, _)| reads(route))).collect();
        let read = read.and(self.rules.facts_of_regions());
        for attribute in own.iter() {
            let name = attribute.name.as_str();
            if complete && !read.meets(own.facts(name)) {
                let message =
                    format!("expected an attribute that something reads, but found '{name}', which nothing reads");
                self.warn("settings", format!("/attributes/{}", escape(name)), message);
            }
            self.uncounted(attribute, &routes);
        }
    }

    /// Shared routes on which a header that any client can send is read: it doesn't count there unless the cache's key has it.
    fn uncounted(&mut self, attribute: &OwnAttribute, routes: &[(Rc<Route>, String)]) {
        let (Origin::Header(header), false) = (&attribute.origin, attribute.trusted) else { return };
        let name = attribute.name.as_str();
        for (route, pointer) in routes {
            let Some(cache) = route.cache() else { continue };
            if cache.key_headers.contains(header) || !self.all_reads(route).meets(self.rules.own.facts(name)) {
                continue;
            }
            let message = format!(
                "expected '{header}' in cache.key_headers, but found none: '{name}' is read from this header, which any client can send, so it \
                 never counts on this shared route. Name the header there, or declare the attribute \"trusted\" if the hop in front sets it"
            );
            self.warn("routes", format!("{pointer}/cache"), message);
        }
    }

    /// What tells visitors apart on a shared route: no answer is shared for those who are known by it. The key of the route at fault, and
    /// the message.
    pub(super) fn told_apart(&self, route: &Route) -> Vec<(&'static str, String)> {
        let identifying = self.rules.identifying();
        let evaluated = self.of_definitions(route, |facts| facts.looked_at);
        let parts = [
            ("when", route.reads.choice, "this condition looks at"),
            ("cache", evaluated, "a feature or an experiment looks at"),
        ];
        let told = |(key, facts, what): (&'static str, FactSet, &str)| {
            let name = self.first_of(self.rules.followed(facts).shared_with(identifying))?;
            let message = format!(
                "expected an answer for many visitors, but found that {what} '{name}': for those who are known by it no answer is shared, \
                 whatever 'cache' says"
            );
            Some((key, message))
        };
        parts.into_iter().filter_map(told).collect()
    }

    /// The name of an attribute of a set.
    fn first_of(&self, facts: FactSet) -> Option<String> {
        let own = &self.rules.own;
        let mut declared = own.iter().map(|own| own.name.as_str());
        let name = facts.names().next().or_else(|| declared.find(|name| own.facts(name).meets(facts)))?;
        Some(name.to_owned())
    }

    fn all_reads(&self, route: &Route) -> FactSet {
        reads(route).and(self.of_definitions(route, DefinitionFacts::all))
    }

    /// What a route's features and experiments read, as far as they are named.
    fn of_definitions(&self, route: &Route, part: impl Fn(DefinitionFacts) -> FactSet) -> FactSet {
        let features = route.feature_keys.iter().map(|key| self.rules.facts_of_feature(key));
        let experiments = route.experiment_keys.iter().map(|key| self.rules.facts_of_experiment(key));
        features.chain(experiments).map(part).collect()
    }
}

/// All that a route itself reads.
fn reads(route: &Route) -> FactSet {
    route.reads.choice.and(route.reads.request).and(route.reads.body)
}
