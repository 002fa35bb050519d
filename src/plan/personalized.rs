//! The request of a personalized route: path, query, headers, and what its answer says of itself.

use http::{HeaderName, header};

use super::body;
use super::exchange::{Sharing, Target};
use super::fallback::FallbackPlan;
use super::values::{PlanValues, Redacted};
use super::variant::Variant;
use super::{FetchPlan, Privacy, insert_filled, named_passthrough, own_target, personal};
use crate::adapt::accept_ch;
use crate::admit::{MAX_URL, RequestHead};
use crate::attributes::DeviceClass;
use crate::platform::Caching;
use crate::rules::RuleSet;
use crate::rules::route::{Cache, Personalize};
use crate::rules::routes::Candidate;
use crate::rules::stored::{Downstream, QueryPolicy};
use crate::rules::template::Place;
use crate::wire::headers::remove_spellings;
use crate::wire::query;

/// A request that a route personalizes.
pub(super) struct PersonalizedRequest<'a> {
    pub head: &'a RequestHead,
    pub rules: &'a RuleSet,
    pub candidate: &'a Candidate,
    pub personalize: &'a Personalize,
    pub values: &'a PlanValues<'a>,
}

impl PersonalizedRequest<'_> {
    pub(super) fn plan(&self) -> FetchPlan {
        let &Self { head, rules, personalize, values, .. } = self;
        let (route, context) = (&*self.candidate.route, values.context);
        let templates = route.templates();
        let session_sent = route.session.as_ref().is_some_and(|session| session.is_sent());
        let identifies = session_sent || values.identify(templates.iter().copied());
        let arm = values.decision.redirect.as_ref().and_then(|(key, target)| Some((key, own_target(head, target)?)));
        let path = match (&arm, &personalize.path) {
            (Some((_, (path, _))), _) => Some((*path).to_owned()),
            (None, None) => Some(head.path.clone()),
            (None, Some(template)) => template.fill(values, Place::Path),
        };
        let Some(path) = path else { return self.without_path() };
        let mut variant = Variant::default();
        values.add_dimensions(templates.iter().copied(), &mut variant);
        values.add_arms(&mut variant);
        let client_query = match (&arm, personalize.query) {
            (Some((key, (target_path, query))), _) => {
                variant.add_arm(key, target_path);
                query.as_deref()
            }
            (None, QueryPolicy::Keep) => head.query.as_deref(),
            (None, QueryPolicy::Drop) => None,
        };
        let mut codes = Vec::new();
        let query = self.query(client_query, &path, &mut codes);

        // What identifies a visitor is never shared, whatever the route says.
        let shared = personalize.cache.as_ref().filter(|_| !identifies && head.is_safe());
        let sharing = Sharing { head, rules, context, route, cache: shared };
        let mut headers = sharing.headers();
        for name in &personalize.remove_headers {
            remove_spellings(&mut headers, name);
        }
        for (name, template) in &personalize.set_headers {
            remove_spellings(&mut headers, name);
            if !insert_filled(&mut headers, name, template, values) {
                codes.push("template-absent");
            }
        }
        let data = route.session.as_ref().and_then(|session| personal::header_value(context, &session.header));
        headers.extend(data.map(|data| (personal::SESSION_DATA, data)));
        let asked = [personalize.backend.as_str(), &path, query.as_deref().unwrap_or_default()];
        let body = body::plan(rules, route, context, values.decision, &variant, asked).plan;
        if let Some(body) = &body {
            body.prepare(&mut headers);
        }
        let mut primary = sharing.exchange(Target { backend: &personalize.backend, path, query }, headers, variant);
        if body.is_none() {
            primary.compare_versions(head);
        }
        // The request names the visitor in its path; the log must not.
        if let Some(template) =
            personalize.path.as_ref().filter(|path| arm.is_none() && values.identify([*path].into_iter()))
        {
            primary.path = template.fill(&Redacted(values), Place::Path).unwrap_or_default();
        }
        FetchPlan {
            route: Some(route.id.clone()),
            fallback: FallbackPlan::after(&primary, head, &self.candidate.route, personalize, shared.is_some()),
            primary,
            privacy: match shared {
                _ if identifies || (body.is_some() && route.shows_session()) => Privacy::NoStore,
                // A cache below can't tell visitors apart by `Edge-Variant`: they don't send it.
                Some(cache) if cache.stored.downstream == Downstream::Origin && self.is_same_for_all() => {
                    Privacy::Origin
                }
                _ => Privacy::Private,
            },
            body,
            vary: shared.map(vary).unwrap_or_default(),
            hints: route.adapt.as_ref().map(accept_ch).unwrap_or_default(),
            codes,
        }
    }

    /// Without its path the personalized answer can't be asked for: the client's own is, untouched.
    fn without_path(&self) -> FetchPlan {
        let mut plan = named_passthrough(self.head, self.rules, &self.candidate.route);
        plan.primary.caching = Caching::Pass;
        plan.primary.backend.clone_from(&self.personalize.fallback.backend);
        plan.privacy = Privacy::Private;
        plan.codes.push("template-absent");
        plan
    }

    /// The client's query, as far as it is kept, with what the rules set and the session's lists.
    fn query(&self, client_query: Option<&str>, path: &str, codes: &mut Vec<&'static str>) -> Option<String> {
        let &Self { head, personalize, values, .. } = self;
        let (route, context) = (&*self.candidate.route, values.context);
        let mut set = Vec::with_capacity(personalize.set_query.len());
        for (name, template) in &personalize.set_query {
            match template.fill(values, Place::Query) {
                Some(value) => set.push((name.clone(), value)),
                None => codes.push("template-absent"),
            }
        }
        if let Some(adapt) = &route.adapt {
            let device = context.device.as_ref().map_or(DeviceClass::Desktop, |device| device.class);
            let parameters = adapt.parameters(&head.headers, device, context.network.class);
            set.extend(parameters.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        let mut removed = personalize.remove_query.clone();
        let mut length = head.scheme.len() + 3 + head.authority.len() + path.len() + 1;
        length += client_query.map_or(0, str::len);
        length += set.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
        // A list that would make the URL longer than the platform takes is left out; what the client sent in its place goes too.
        for (name, part) in route.session.iter().flat_map(|session| &session.query) {
            let Some(value) = personal::query_value(context, *part) else { continue };
            // The value is encoded already; of the name, three bytes may be written for one.
            let longest = length + name.len() * 3 + value.len() + 2;
            if longest > MAX_URL {
                codes.push("session-list-too-long");
                removed.push(name.clone());
            } else {
                length = longest;
                set.push((name.clone(), value));
            }
        }
        query::edit(client_query, &removed, &set)
    }

    /// Whether everybody who asks for this URL, with the headers of [`vary`], gets the same answer.
    fn is_same_for_all(&self) -> bool {
        let url = self.values.context.url.as_str();
        let leads_away = || self.rules.definitions.experiments.iter().any(|(_, of)| of.redirects_from(url));
        self.candidate.route.is_same_for_all() && !self.values.decision.by_visitor && !leads_away()
    }
}

/// What of the client's headers goes into a shared request by the route's own words.
fn vary(cache: &Cache) -> Vec<HeaderName> {
    let cookie = (!cache.key_cookies.is_empty()).then_some(header::COOKIE);
    cache.key_headers.iter().cloned().chain(cookie).collect()
}
