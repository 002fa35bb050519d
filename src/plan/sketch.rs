//! A plan, as far as a log line tells of it: for those who compare two rule sets and carry nothing out.

use std::collections::BTreeMap;

use serde::Serialize;

use super::personalized::PersonalizedRequest;
use super::variant::Variant;
use super::{Planner, Way};
use crate::admit::RequestHead;
use crate::decide::Considered;
use crate::rules::RuleSet;
use crate::rules::route::Route;

/// The word for "none" where the other has one.
pub const NONE: &str = "none";

/// What a log line tells of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch {
    /// The route, where one matched.
    pub route: Option<String>,
    /// The path that a backend is asked for, what is one visitor's own left out; `None` where the edge answers.
    pub path: Option<String>,
    /// What shapes the request or the answer.
    pub variant: Variant,
}

/// The sketch of what [`plan`](super::plan()) makes of the same request, without its headers, its query, its body, its keys.
#[must_use]
pub fn sketch(head: &RequestHead, rules: &RuleSet, considered: &Considered) -> Sketch {
    let untouched = |route: Option<&Route>| Sketch {
        route: route.map(|route| route.id.clone()),
        path: Some(head.path.clone()),
        variant: Variant::default(),
    };
    let Considered { context: Some(context), decision } = considered else { return untouched(None) };
    let planner = Planner { head, rules, context, decision };
    let way = planner.way();
    let Some(values) = planner.values() else { return untouched(None) };
    match way {
        Way::Untouched(route, _) => untouched(route),
        Way::Respond(route, ..) | Way::Redirect(route, ..) => {
            Sketch { route: Some(route.id.clone()), path: None, variant: values.variant(rules) }
        }
        Way::Personalize(candidate, personalize) => {
            let request = PersonalizedRequest { head, rules, candidate, personalize, values: &values };
            match request.path() {
                Some(path) => Sketch {
                    route: Some(candidate.route.id.clone()),
                    path: Some(request.logged_path(path)),
                    variant: request.variant(),
                },
                None => untouched(Some(&candidate.route)),
            }
        }
    }
}

/// Where a shadow's plan differs from the one that served: each as what the shadow has instead.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ShadowDifference {
    /// The shadow's revision.
    pub revision: String,
    /// The route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Features with another value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<String, Option<String>>,
    /// The path asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// A request as it was considered by one rule set, and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// What was considered.
    pub considered: &'a Considered,
    /// The route.
    pub route: Option<&'a str>,
    /// The path that a backend is asked for.
    pub path: Option<&'a str>,
}

impl Judged<'_> {
    /// Where another rule set, whose revision is `revision`, does otherwise. After a fallback nobody knows which path was asked for:
    /// `compares_paths` is false then.
    #[must_use]
    pub fn difference(&self, revision: &str, other: &Judged<'_>, compares_paths: bool) -> Option<ShadowDifference> {
        let region = |judged: &Judged<'_>| judged.considered.context.as_ref().map(|context| context.region.id.clone());
        let (theirs, ours) = (region(other), region(self));
        let decision = &other.considered.decision;
        let mut difference = ShadowDifference {
            revision: revision.to_owned(),
            route: (other.route != self.route).then(|| other.route.unwrap_or(NONE).to_owned()),
            region: if decision.route.is_some() && ours.is_some() && theirs != ours { theirs } else { None },
            features: BTreeMap::new(),
            path: (compares_paths && other.path != self.path).then(|| other.path.unwrap_or(NONE).to_owned()),
        };
        for shown in &decision.shown {
            let mut real = self.considered.decision.shown.iter();
            let same_kind = real.find(|real| real.key == shown.key && real.is_feature() == shown.is_feature());
            if same_kind.is_none_or(|real| real.text != shown.text) {
                difference.features.insert(shown.key.clone(), shown.text.clone());
            }
        }
        let same = difference.route.is_none()
            && difference.region.is_none()
            && difference.features.is_empty()
            && difference.path.is_none();
        (!same).then_some(difference)
    }
}
