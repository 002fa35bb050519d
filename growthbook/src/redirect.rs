//! Experiments that send visitors to another URL.

use super::compiled::Experiment;
use super::evaluate::Evaluator;
use super::result::ExperimentResult;
use super::url::Url;
use crate::condition::PatternWork;

/// What the experiments say about the page that was asked for.
#[derive(Debug, Clone)]
pub struct Redirect<'a> {
    /// Which of them decided.
    pub experiment: &'a Experiment,
    /// With which variation.
    pub result: ExperimentResult<'a>,
    /// Where the visitor is to go; `None` where the variation stays on the page, or where the target is a page the experiment runs on, which would
    /// lead round in a circle.
    pub target: Option<String>,
}

impl<'a> Evaluator<'a, '_> {
    /// Runs the redirecting experiments in their order, up to the first that the visitor takes part in: nobody is in two of them
    /// at once on one page. An experiment with a target that isn't an absolute URL is left out.
    pub fn redirect(&mut self) -> Option<Redirect<'a>> {
        let definitions = self.definitions;
        let mut candidates = definitions.experiments.iter().filter(|(_, experiment)| experiment.can_redirect());
        candidates.find_map(|(_, experiment)| {
            let result = self.experiment(experiment);
            let target = experiment.target(&result, self.context.url, self.context.attributes.pattern_work());
            result.in_experiment.then_some(Redirect { experiment, result, target })
        })
    }
}

impl Experiment {
    fn can_redirect(&self) -> bool {
        let mut targets = self.variations().iter().filter_map(redirect_of);
        self.redirects() && targets.all(|target| target.contains("://") && Url::parse(target, "").is_some())
    }

    fn target(&self, result: &ExperimentResult<'_>, page: &str, work: Option<&PatternWork>) -> Option<String> {
        let target = redirect_of(result.value).filter(|_| result.in_experiment)?;
        let target = match (self.persist_query, Url::parse(target, ""), Url::parse(page, "_")) {
            (true, Some(mut target), Some(page)) => {
                target.add_missing_parameters(&page);
                target.to_text()
            }
            _ => target.to_owned(),
        };
        (!self.has_url_targets() || !self.includes_url(&target, work)).then_some(target)
    }
}

fn redirect_of(variation: &serde_json::Value) -> Option<&str> {
    variation.get("urlRedirect")?.as_str().filter(|target| !target.is_empty())
}
