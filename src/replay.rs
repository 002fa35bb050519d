//! Yesterday's requests, decided again: a line of `decisions` by the rules that it says, and by others.
//!
//! Nothing here decides: both rule sets go through [`consider_gathered`] and [`sketch`], as the service and its shadow do. A line
//! doesn't say everything. What it doesn't say is tried in every way that it can have been ([`worlds`]): the ways in which the old rules
//! would have done something else than the line says were not what happened. Where all others come out alike, the line is determined; else
//! it is named on which attribute it depends.

mod known;
pub mod shown_path;
pub mod worlds;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use http::{HeaderMap, Method};
use serde::Serialize;
use serde_json::Value as Json;
use time::OffsetDateTime;

use crate::admit::{self, RequestHead};
use crate::condition::Oracle;
use crate::context::replayed::{Known, marked};
use crate::context::{Context, Needs};
use crate::decide::variations::ShownSource;
use crate::decide::{Considered, Trace, consider_gathered};
use crate::growthbook::Source;
use crate::plan::sketch::{Judged, NONE, ShadowDifference, Sketch, sketch};
use crate::platform::ClientRequest;
use crate::rules::RuleSet;
use crate::rules::settings::RegionOverride;
use crate::wire::url::AbsoluteUrl;
pub use known::Line;
use shown_path::ShownPath;
use worlds::{Asking, Choice, Shared, Worlds, matter};

/// Most ways to try for one line: beyond them it counts as undetermined.
const MOST_RUNS: usize = 2_000;
/// The host where nothing names one.
const ANY_HOST: &str = "host.invalid";
/// What a definition that isn't in the dictionaries depends on.
const PAYLOAD: &str = "settings.growthbook";

/// How a line comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The old rules don't do what the line says, in no way: in words, what they do.
    NotReproduced(Vec<String>),
    /// The new rules do the same.
    Unchanged,
    /// They do otherwise.
    Changed(Box<Changed>),
    /// It depends on these attributes, which the line doesn't say.
    Undetermined(BTreeSet<String>),
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// As a line of the shadow would have it, but for its revision.
    pub difference: ShadowDifference,
    /// The same of both sides, names in place of what the path captured.
    pub from: Part,
    /// With the new rules.
    pub to: Part,
}

/// What differs. `none` is a word of its own: no route, no request to a backend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Part {
    /// The route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Features and experiments; `null` where there is no value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<String, Option<String>>,
    /// The path that the backend is asked for, with `{path}` and `{path.name}` in place of what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// A line decided again by the rules that it names: one of the ways in which it can have been.
#[derive(Debug)]
pub struct Again {
    /// The request.
    pub head: RequestHead,
    /// The rules as they are on its host.
    pub rules: RuleSet,
    /// What was considered.
    pub considered: Considered,
    /// What becomes of it.
    pub sketch: Sketch,
    /// What was looked at.
    pub trace: Trace,
    /// What was assumed, for the line doesn't say it.
    pub assumed: Vec<Choice>,
    /// Where it isn't what the line says.
    pub differences: Vec<String>,
}

/// How the new rules come out in one way that agrees with the line.
#[derive(Debug, PartialEq)]
enum Outcome {
    Same,
    Differs(Box<Changed>),
    /// It takes the value of an attribute.
    Unknown(String),
}

/// Two rule sets: the one that decided the lines, and another.
#[derive(Debug)]
pub struct Pair<'r> {
    from: &'r RuleSet,
    to: &'r RuleSet,
    shared: Shared,
    hosts: Vec<String>,
}

impl<'r> Pair<'r> {
    /// Lines are decided by `from`, and again by `to`. `same_groups`: whether their segments are the same.
    #[must_use]
    pub fn new(from: &'r RuleSet, to: &'r RuleSet, same_groups: bool) -> Self {
        let shared = Shared { apart: known::apart(from, to), groups: same_groups };
        let hosts: BTreeSet<String> = [ANY_HOST.to_owned()].into_iter().chain(hosts(from)).chain(hosts(to)).collect();
        Self { from, to, shared, hosts: hosts.into_iter().collect() }
    }

    /// Decides a line again by both.
    #[must_use]
    pub fn replay(&self, line: &Line<'_>) -> Verdict {
        let path = ShownPath::read(line.path);
        if path.is_cut || path.may_be_anothers(self.from) || path.may_be_anothers(self.to) {
            return Verdict::Undetermined(BTreeSet::from(["path".to_owned()]));
        }
        let worlds = Rc::new(Worlds::new(self.shared.clone(), line.has_slot));
        let (mut runs, mut why_not) = (Vec::new(), None);
        for run in 0.. {
            let outcome = self.run(line, &path, &worlds);
            if run == MOST_RUNS {
                return Verdict::Undetermined(worlds.trail().into_iter().map(|choice| choice.about).collect());
            }
            match outcome {
                Ok(outcome) => runs.push((worlds.trail(), outcome)),
                Err(differences) => drop(why_not.get_or_insert(differences)),
            }
            if !worlds.next() {
                break;
            }
        }
        let mut attributes = matter(&runs);
        attributes.extend(runs.iter().filter_map(|(_, outcome)| match outcome {
            Outcome::Unknown(name) => Some(name.clone()),
            _ => None,
        }));
        match runs.into_iter().next() {
            None => Verdict::NotReproduced(why_not.unwrap_or_default()),
            Some(_) if !attributes.is_empty() => Verdict::Undetermined(attributes),
            Some((_, Outcome::Differs(changed))) => Verdict::Changed(changed),
            Some(_) => Verdict::Unchanged,
        }
    }

    /// One way in which it can have been.
    fn run(&self, line: &Line<'_>, path: &ShownPath, worlds: &Rc<Worlds>) -> Result<Outcome, Vec<String>> {
        let again = self.again(line, path, worlds, None)?;
        if !again.differences.is_empty() {
            return Err(again.differences);
        }
        worlds.ask_for(Asking::To);
        let rules = self.to.on_host(again.head.host());
        let mut head = again.head.clone();
        head.claims.region = self.overridden(&rules, worlds);
        let was_asked = again.considered.context.as_ref().is_some_and(|context| context.needs.person);
        let known = |_| {
            let mut known = known(line, path, &again.rules, was_asked);
            known.retain(|name, _| !self.shared.apart.contains(name));
            known
        };
        let considered = consider(&rules, &head, time(line), None, known, worlds);
        let ours = sketch(&head, &rules, &considered);
        Ok(outcome(&again, &rules, (&considered, &ours), line.has_fallen_back))
    }

    /// The line decided again by the rules that it names, in one of the ways that it can have been; where none agrees with the line, in one
    /// that doesn't.
    ///
    /// # Errors
    ///
    /// Why it can't have been a request at all.
    pub fn explain(&self, line: &Line<'_>) -> Result<Again, Vec<String>> {
        let path = ShownPath::read(line.path);
        let worlds = Rc::new(Worlds::new(self.shared.clone(), line.has_slot));
        let mut closest: Option<Again> = None;
        for _ in 0..MOST_RUNS {
            let again = self.again(line, &path, &worlds, Some(Trace::default()))?;
            if again.differences.is_empty() {
                return Ok(again);
            }
            if closest.as_ref().is_none_or(|closest| again.differences.len() < closest.differences.len()) {
                closest = Some(again);
            }
            if !worlds.next() {
                break;
            }
        }
        closest.ok_or_else(Vec::new)
    }

    fn again(
        &self,
        line: &Line<'_>,
        path: &ShownPath,
        worlds: &Rc<Worlds>,
        mut trace: Option<Trace>,
    ) -> Result<Again, Vec<String>> {
        worlds.ask_for(Asking::From);
        let host = line.facts.get("host").and_then(Json::as_str).unwrap_or_else(|| {
            let place = if self.hosts.len() < 2 { 0 } else { worlds.answer("host", "which", self.hosts.len()) };
            self.hosts.get(place).map_or(ANY_HOST, String::as_str)
        });
        let mut head = head(line, &path.path, host)
            .ok_or_else(|| vec![format!("path: expected one that can be asked for, but found '{}'", line.path)])?;
        let rules = self.from.on_host(head.host()).into_owned();
        head.claims.region = self.overridden(&rules, worlds);
        let known = |needs: Needs| known(line, path, &rules, needs.person);
        let considered = consider(&rules, &head, time(line), trace.as_mut(), known, worlds);
        let sketch = sketch(&head, &rules, &considered);
        let differences = differences(line, &rules, &considered, &sketch);
        let (trace, assumed) = (trace.unwrap_or_default(), worlds.trail());
        Ok(Again { head, rules, considered, sketch, trace, assumed, differences })
    }

    /// The region that a client chose, where settings let it.
    fn overridden(&self, rules: &RuleSet, worlds: &Worlds) -> Option<String> {
        if rules.settings.region_override != RegionOverride::Any {
            return None;
        }
        let ids: BTreeSet<&str> =
            self.from.regions.all().chain(self.to.regions.all()).map(|region| region.id.as_str()).collect();
        let chosen = worlds.answer("X-Geo-Region", "which", ids.len() + 1).checked_sub(1)?;
        ids.into_iter().nth(chosen).map(str::to_owned)
    }
}

fn time(line: &Line<'_>) -> OffsetDateTime {
    line.time.unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// What a line says. That nobody is logged in is known only where the rules looked (`was_asked`).
fn known(line: &Line<'_>, path: &ShownPath, rules: &RuleSet, was_asked: bool) -> Known {
    let mut known = line.known(rules, (!path.is_opaque).then_some(&*path.path));
    let is_bot = known.get("deviceType").is_some_and(|class| class == "bot");
    known.retain(|name, value| was_asked || is_bot || name != "loggedIn" || *value != Json::Bool(false));
    known
}

fn consider(
    rules: &RuleSet,
    head: &RequestHead,
    now: OffsetDateTime,
    trace: Option<&mut Trace>,
    known: impl FnOnce(Needs) -> Known,
    worlds: &Rc<Worlds>,
) -> Considered {
    consider_gathered(rules, head, now, trace, |needs, work| {
        let oracle: Rc<dyn Oracle> = Rc::<Worlds>::clone(worlds);
        Context::replayed(head, rules, (needs, work), now, Rc::new(known(needs)), oracle)
    })
}

/// The request that a line tells of; `None` where it is none that is served.
fn head(line: &Line<'_>, path: &str, host: &str) -> Option<RequestHead> {
    let mut request = ClientRequest {
        method: Method::from_bytes(line.method.as_bytes()).ok()?,
        scheme: "https".to_owned(),
        authority: host.to_owned(),
        path: path.to_owned(),
        query: None,
        headers: HeaderMap::new(),
        address: None,
        body: (),
    };
    admit::admit(&mut request, 0).ok().filter(|head| head.reserved.is_none())
}

/// Hosts of which one stands for every host that these rules tell apart.
fn hosts(rules: &RuleSet) -> Vec<String> {
    let mut hosts: Vec<String> =
        rules.routes.all().filter_map(|(route, _)| Some(route.host.as_ref()?.example())).collect();
    hosts.extend(rules.settings.hosts.iter().map(|host| host.example()));
    for (_, experiment) in rules.definitions.experiments.iter() {
        let targets = experiment.variations().iter().filter_map(|variation| variation.get("urlRedirect")?.as_str());
        let urls = targets.filter_map(AbsoluteUrl::split);
        hosts.extend(urls.map(|url| url.authority.to_ascii_lowercase()).filter(|host| !host.is_empty()));
    }
    hosts
}

/// Where what was decided isn't what the line says.
fn differences(line: &Line<'_>, rules: &RuleSet, considered: &Considered, sketch: &Sketch) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, logged: Option<&str>, now: Option<&str>| {
        if logged != now {
            let (logged, now) = (logged.unwrap_or(NONE), now.unwrap_or(NONE));
            found.push(format!("{what}: expected {logged} as logged, but found {now}"));
        }
    };
    compare("route", line.route, sketch.route.as_deref());
    compare("region", line.region, considered.context.as_ref().map(|context| context.region.id.as_str()));
    if line.has_fallen_back {
        // The line has the fallback's path, and what shaped that: nothing.
        return found;
    }
    let path = sketch.path.as_deref().map(|path| shown_path::shown(path, rules));
    let is_marked = path.as_deref().is_some_and(|path| marked(path).is_some());
    if !is_marked || line.backend_path.is_none() {
        compare("path", line.backend_path, path.as_deref());
    }
    let logged = |dimension: &str| line.variant.get(dimension).and_then(Json::as_str);
    for (dimension, value) in sketch.variant.iter() {
        if logged(dimension).is_none() || marked(value).is_none() {
            compare(dimension, logged(dimension), Some(value));
        }
    }
    let dimensions: BTreeSet<&str> = sketch.variant.iter().map(|(dimension, _)| dimension).collect();
    for dimension in line.variant.keys().filter(|dimension| !dimensions.contains(dimension.as_str())) {
        compare(dimension, logged(dimension), None);
    }
    found
}

/// What the new rules do otherwise than the old ones, in one way that agrees with the line.
fn outcome(again: &Again, rules: &RuleSet, new: (&Considered, &Sketch), has_fallen_back: bool) -> Outcome {
    let (considered, ours) = new;
    let is_elsewhere = |source| source == ShownSource::Feature(Source::UnknownFeature);
    if rules.settings.growthbook.is_some() && considered.decision.shown.iter().any(|shown| is_elsewhere(shown.source)) {
        return Outcome::Unknown(PAYLOAD.to_owned());
    }
    let (old, new) = (judged(&again.considered, &again.sketch), judged(considered, ours));
    let Some(difference) = old.difference("", &new, !has_fallen_back) else { return Outcome::Same };
    let paths = [&ours.path, &again.sketch.path].into_iter().flatten();
    let unknown = paths.filter(|_| difference.path.is_some()).find_map(|path| marked(path));
    if let Some(name) = unknown {
        return Outcome::Unknown(name.to_owned());
    }
    let part = |judged: &Judged<'_>| Part {
        route: difference.route.as_ref().map(|_| judged.route.unwrap_or(NONE).to_owned()),
        region: difference.region.as_ref().map(|_| {
            let context = judged.considered.context.as_ref();
            context.map_or(NONE, |context| &context.region.id).to_owned()
        }),
        features: difference
            .features
            .keys()
            .map(|key| {
                let shown = judged.considered.decision.shown.iter().find(|shown| shown.key == *key);
                (key.clone(), shown.and_then(|shown| shown.text.clone()))
            })
            .collect(),
        path: difference.path.as_ref().map(|_| templated(judged, &again.head)),
    };
    Outcome::Differs(Box::new(Changed { from: part(&old), to: part(&new), difference }))
}

fn judged<'a>(considered: &'a Considered, sketch: &'a Sketch) -> Judged<'a> {
    Judged { considered, route: sketch.route.as_deref(), path: sketch.path.as_deref() }
}

/// The path that is asked for, with names in place of what the route's pattern captured, so that the same change is the same text.
fn templated(judged: &Judged<'_>, head: &RequestHead) -> String {
    let Some(path) = judged.path else { return NONE.to_owned() };
    if path == head.path {
        return "{path}".to_owned();
    }
    let Some(candidate) = &judged.considered.decision.route else { return path.to_owned() };
    let (path, rest) = match candidate.captures.rest().filter(|rest| !rest.is_empty()) {
        Some(rest) if path.ends_with(rest) => (path.get(..path.len() - rest.len()).unwrap_or_default(), "{path.rest}"),
        _ => (path, ""),
    };
    let named = |segment: &str| {
        let found = candidate.captures.named().find(|(_, value)| *value == segment);
        found.map_or_else(|| segment.to_owned(), |(name, _)| format!("{{path.{name}}}"))
    };
    path.split('/').map(named).collect::<Vec<_>>().join("/") + rest
}
