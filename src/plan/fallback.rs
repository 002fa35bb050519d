//! What is asked for when the personalized request fails: planned at once, and written out only then.

use std::rc::Rc;

use http::StatusCode;

use super::exchange::{Exchange, Sharing, Target, url};
use super::variant::Variant;
use crate::admit::RequestHead;
use crate::context::Context;
use crate::rules::RuleSet;
use crate::rules::route::{CompiledAction, Personalize, Route};
use crate::rules::settings::Settings;
use crate::wire::url::path_and_query;

/// The request that follows a failed one. It doesn't depend on the variant.
#[derive(Debug)]
pub struct FallbackPlan {
    route: Rc<Route>,
    is_shared: bool,
    path: String,
    query: Option<String>,
}

impl FallbackPlan {
    /// The route's own fallback, else the client's own path; `None` where that is what was asked for already. A request that may
    /// have done something is not made twice (RFC 9110 section 9.2.2).
    pub(super) fn after(
        primary: &Exchange,
        head: &RequestHead,
        route: &Rc<Route>,
        personalize: &Personalize,
        settings: &Settings,
        is_shared: bool,
    ) -> Option<Self> {
        let planned = &personalize.fallback;
        let (path, query) = match planned.path.as_deref() {
            Some(target) => path_and_query(target),
            None => (head.path.as_str(), head.query.as_deref()),
        };
        let differs =
            planned.backend != primary.backend || url(head, settings, &planned.backend, path, query) != primary.url;
        (differs && head.is_safe()).then(|| Self {
            route: Rc::clone(route),
            is_shared,
            path: path.to_owned(),
            query: query.map(str::to_owned),
        })
    }

    fn personalize(&self) -> Option<&Personalize> {
        match &self.route.action {
            CompiledAction::Personalize(personalize) => Some(personalize),
            _ => None,
        }
    }

    /// Statuses of the first answer that count as failures.
    pub fn statuses(&self) -> &[StatusCode] {
        self.personalize().map_or(&[], |personalize| &personalize.fallback.statuses)
    }

    /// The request, with the facts that the first one was planned with.
    pub fn exchange(&self, head: &RequestHead, rules: &RuleSet, context: &Context) -> Option<Exchange> {
        let personalize = self.personalize()?;
        let cache = personalize.cache.as_ref().filter(|_| self.is_shared);
        let sharing = Sharing { head, rules, context, route: &self.route, cache, in_parts: false };
        let target =
            Target { backend: &personalize.fallback.backend, path: self.path.clone(), query: self.query.clone() };
        let mut exchange = sharing.exchange(target, sharing.headers(), Variant::default());
        exchange.compare_versions();
        Some(exchange)
    }
}
