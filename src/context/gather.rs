//! Gathering: the host calls of the context step, each made only where a route that may match asks for it.

use super::keys::Keys;
use super::person::{Evidence, Person};
use super::preview::{self, PreviewClaims};
use super::{Context, Platformed};
use crate::admit::RequestHead;
use crate::context::cookies::Cookies;
use crate::context::device::DeviceClass;
use crate::platform::Platform;
use crate::rules::route::Needs;
use crate::rules::settings::PreviewMode;
use crate::rules::{RuleSet, settings::Settings};
use crate::session::{self, Breaker, OnMiss};

/// What a sandbox keeps for gathering. Nothing of it is a visitor's.
#[derive(Debug, Default)]
pub struct Kept {
    /// Secrets.
    pub keys: Keys,
    /// Whether the session API may be asked.
    pub breaker: Breaker,
}

/// A preview as the request brought it.
#[derive(Debug, Default)]
pub struct Preview {
    /// What it forces, where it is valid.
    pub claims: Option<PreviewClaims>,
    /// The token, where the query brought it: it becomes a cookie.
    pub token: Option<String>,
    /// The visitor ends it.
    pub ends: bool,
    /// Why it shows nothing.
    pub code: Option<&'static str>,
}

/// Takes the preview's parameter out of the query, where the settings allow previews; the origin never sees it, whatever it says.
pub fn take_preview_parameter(head: &mut RequestHead, settings: &Settings) -> Option<String> {
    if settings.preview != PreviewMode::Signed {
        return None;
    }
    let (_, asked) = super::query_pairs(head.query.as_deref()?).find(|(name, _)| name == preview::PARAMETER)?;
    head.query = crate::plan::query::edit(head.query.as_deref(), &[preview::PARAMETER.to_owned()], &[]);
    Some(asked)
}

/// Takes the preview out of the request: from its query, which is clean afterwards, or from its cookie.
pub fn take_preview<P: Platform>(
    platform: &P,
    head: &mut RequestHead,
    settings: &Settings,
    kept: &mut Kept,
) -> Preview {
    let mut preview = Preview::default();
    if settings.preview != PreviewMode::Signed {
        return preview;
    }
    let asked = take_preview_parameter(head, settings);
    if asked.as_deref() == Some(preview::OFF) {
        preview.ends = true;
        return preview;
    }
    let token = asked.clone().or_else(|| Cookies::of(&head.headers).get(preview::COOKIE).map(str::to_owned));
    let Some(token) = token.filter(|token| !token.is_empty()) else { return preview };
    match preview::verify(&token, &kept.keys.preview(platform), platform.now()) {
        Ok(claims) => {
            preview.claims = Some(claims);
            preview.token = asked;
        }
        Err(error) => preview.code = Some(error.code()),
    }
    preview
}

/// Gathers the facts that the routes which may match need.
pub fn gather<P: Platform>(
    platform: &P,
    head: &RequestHead,
    rules: &RuleSet,
    needs: Needs,
    preview: Option<PreviewClaims>,
    kept: &mut Kept,
) -> Context {
    let now = platform.now();
    let device = needs.device.then(|| {
        let agent = head.headers.get(http::header::USER_AGENT)?.to_str().ok()?;
        platform.device(agent)
    });
    let platformed = Platformed { geo: head.address.and_then(|address| platform.geo(address)), device };
    let has_preview = preview.is_some();
    let context = Context::from_facts(head, rules, now, platformed, preview);
    if !needs.person {
        return context;
    }
    let evidence = Evidence {
        headers: &head.headers,
        claims: &head.claims,
        country: context.country(),
        bot: context.device.as_ref().is_some_and(|device| device.class == DeviceClass::Bot),
        preview: has_preview,
        now,
        random: if needs.keeps { platform.random() } else { 0 },
    };
    let mut keys = || kept.keys.identity(platform);
    let person = Person::of(&evidence, &rules.settings, &rules.consent, &mut keys);
    if !needs.session {
        return context.with_person(person);
    }
    let settings = &rules.settings.session;
    // A new visitor has no session yet: nobody is asked for it.
    let visitor = person.visitor.filter(|_| !person.visitor_is_new);
    let subjects = session::subjects(person.permissions, settings.which, person.user(), visitor);
    let started = session::start(platform, subjects);
    let on_miss = if needs.origin_on_miss { OnMiss::Origin } else { OnMiss::Ask };
    let context = context.with_person(person);
    let outcome = session::finish(platform, started, settings, on_miss, &mut kept.breaker);
    context.with_session(outcome)
}
