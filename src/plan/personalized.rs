//! The request of a personalized route: path, query, headers, and what its answer says of itself.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::exchange::{self, Exchange, Sharing, Target};
use super::fallback::FallbackPlan;
use super::values::{PlanValues, Redacted};
use super::variant::Variant;
use super::{Action, FetchPlan, Plan, Privacy, facts, insert_filled, own_target, personal};
use crate::admit::{MAX_URL, RequestHead, X_USER_ID};
use crate::attributes::{DeviceClass, FactSet};
use crate::code::Code;
use crate::growthbook::Experiment;
use crate::rules::RuleSet;
use crate::rules::route::{Cache, Personalize};
use crate::rules::routes::Candidate;
use crate::rules::stored::{Downstream, QueryPolicy};
use crate::rules::template::{Place, Template};
use crate::transform::body::PlannedBody;
use crate::transform::headers::is_read;
use crate::transform::media::{Adapt, accept_ch};
use crate::transform::reads::Reads;
use crate::wire::headers::remove_spellings;
use crate::wire::query;

/// What a browser wants an answer for (Fetch Metadata Request Headers, section 2.1).
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// How paths of videos and sounds end.
const MEDIA: [&str; 14] =
    [".mp4", ".m4v", ".mov", ".webm", ".ogv", ".ogg", ".mp3", ".m4a", ".aac", ".oga", ".opus", ".wav", ".flac", ".ts"];

/// Whether a path ends as those of videos and sounds do.
fn is_called_as_media(path: &str) -> bool {
    let ending = path.rfind('.').and_then(|at| path.get(at..)).unwrap_or_default();
    MEDIA.iter().any(|known| known.eq_ignore_ascii_case(ending))
}

/// A request that a route personalizes.
pub(super) struct PersonalizedRequest<'a> {
    pub head: &'a RequestHead,
    pub rules: &'a RuleSet,
    pub candidate: &'a Candidate,
    pub personalize: &'a Personalize,
    pub values: &'a PlanValues<'a>,
}

impl PersonalizedRequest<'_> {
    pub(super) fn plan(&self) -> Plan {
        let &Self { head, rules, personalize, values, .. } = self;
        let (route, context) = (&*self.candidate.route, values.context);
        let target = self.experiment_target();
        let Some(path) = self.path() else { return self.without_path() };
        let variant = self.variant();
        let client_query = match (target, personalize.query) {
            (Some((_, _, query)), _) => query,
            (None, QueryPolicy::Keep) => head.query.as_deref(),
            (None, QueryPolicy::Drop) => None,
        };
        let mut codes = Vec::new();
        let query = self.query(client_query, &path, &mut codes);

        // What identifies a visitor is never shared, whatever the route says; nor is what a body may come with.
        let identifies = self.is_one_visitors();
        let shared = personalize.cache.as_ref().filter(|_| !identifies && is_read(&head.method));
        let is_media = self.is_part_of_media();
        let in_parts = is_media || !route.rewrites_bodies();
        let sharing = Sharing { head, rules, context, route, cache: shared, in_parts };
        let mut headers = self.headers(sharing.headers(), &mut codes);
        let asked = [personalize.backend.as_str(), &path, query.as_deref().unwrap_or_default()];
        let PlannedBody { plan, shown } = facts::body(rules, route, values, &variant, asked);
        let body = plan.filter(|_| !is_media);
        if let Some(body) = &body {
            body.prepare(&head.method, &mut headers);
        }
        let mut primary = sharing.exchange(Target { backend: &personalize.backend, path, query }, headers, variant);
        if body.is_none() {
            primary.compare_versions();
        }
        primary.path = self.logged_path(primary.path);
        let privacy = self.privacy(&primary, shared, &shown);
        let plan = FetchPlan {
            instead: None,
            fallback: FallbackPlan::after(
                &primary,
                head,
                &self.candidate.route,
                personalize,
                &rules.settings,
                shared.is_some(),
            ),
            primary,
            body,
            vary: shared.map(vary).unwrap_or_default(),
            hints: route.adapt.as_ref().map(accept_ch).unwrap_or_default(),
        };
        Plan { codes, ..Plan::new(Some(route), Action::Fetch(Box::new(plan)), privacy) }
    }

    /// Whether a player asks for a part of a video or a sound (Fetch Metadata, `Sec-Fetch-Dest`): nothing in it is rewritten, unless it is a
    /// playlist. Anybody can say so: it counts for what is called as they are, which no page is.
    fn is_part_of_media(&self) -> bool {
        let headers = &self.head.headers;
        let adapt = self.candidate.route.adapt.as_ref();
        matches!(headers.get(SEC_FETCH_DEST).map(HeaderValue::as_bytes), Some(b"video" | b"audio"))
            && headers.contains_key(header::RANGE)
            && is_called_as_media(&self.head.normal_path)
            && !adapt.is_some_and(Adapt::rewrites_playlists)
    }

    /// Where a URL experiment leads within this host: its key, and the path and query to ask for.
    fn experiment_target(&self) -> Option<(&str, &str, Option<&str>)> {
        let (key, target) = self.values.decision.redirect.as_ref()?;
        let (path, query) = own_target(self.head, target)?;
        Some((key, path, query))
    }

    /// The path that is asked for; `None` where a value of it is absent.
    pub(super) fn path(&self) -> Option<String> {
        match (self.experiment_target(), &self.personalize.path) {
            (Some((_, path, _)), _) => Some(path.to_owned()),
            (None, None) => Some(self.head.path.clone()),
            (None, Some(template)) => template.fill(self.values, Place::Path),
        }
    }

    /// The path that is asked for as the log has it: the request may name the visitor in it, the log must not.
    pub(super) fn logged_path(&self, path: String) -> String {
        let &Self { rules, personalize, values, .. } = self;
        let names_visitor = |path: &&Template| path.facts(&rules.own).meets(rules.identifying());
        match personalize.path.as_ref().filter(names_visitor) {
            Some(template) if self.experiment_target().is_none() => {
                template.fill(&Redacted(values, &rules.own), Place::Path).unwrap_or_default()
            }
            _ => path,
        }
    }

    pub(super) fn variant(&self) -> Variant {
        let &Self { rules, values, .. } = self;
        let mut variant = values.variant(rules);
        if let Some((key, path, _)) = self.experiment_target() {
            variant.add(&values.dimension(rules, key, false), path);
        }
        variant
    }

    /// Whether the request is one visitor's own: it carries what identifies, or was chosen or shaped by it.
    fn is_one_visitors(&self) -> bool {
        let &Self { rules, values, .. } = self;
        let identifying = rules.identifying();
        let decided_by = values.decision.chosen_by.and(values.decision.evaluated_by);
        rules.followed(self.candidate.route.reads.request).meets(identifying)
            || (decided_by.meets(identifying) && decided_by.meets(values.context.identified_by(rules)))
    }

    /// The headers that go to the origin, as the route edits them.
    fn headers(&self, mut headers: HeaderMap, codes: &mut Vec<Code>) -> HeaderMap {
        let &Self { personalize, values, .. } = self;
        for name in &personalize.remove_headers {
            remove_spellings(&mut headers, name);
        }
        for (name, template) in &personalize.set_headers {
            remove_spellings(&mut headers, name);
            if !insert_filled(&mut headers, name, template, values) {
                codes.push(Code::TemplateAbsent);
            }
        }
        let session = self.candidate.route.session.as_ref();
        let data = session.and_then(|session| personal::header_value(values.context, &session.header));
        headers.extend(data.map(|data| (personal::SESSION_DATA, data)));
        headers
    }

    /// What the answer says of itself: what *is shown* decides. `in_body` is what the operations read that apply to the body, and the
    /// conditions that decided so.
    fn privacy(&self, primary: &Exchange, shared: Option<&Cache>, in_body: &Reads) -> Privacy {
        let &Self { rules, .. } = self;
        let attribute = |path: &str| path.split('.').next().map_or(FactSet::NONE, |name| rules.own.facts(name));
        let in_body: FactSet = in_body.iter().map(attribute).collect();
        let shown = rules.followed(self.candidate.route.reads.request.and(in_body));
        if shown.meets(rules.personal()) || primary.headers.contains_key(X_USER_ID) {
            return Privacy::NoStore;
        }
        match shared {
            // A cache below can't tell visitors apart by `Edge-Variant`: they don't send it.
            Some(cache) if cache.stored.downstream == Downstream::Origin && self.is_same_for_all() => Privacy::Origin,
            _ => Privacy::Private,
        }
    }

    /// Without its path the personalized answer can't be asked for: the client's own is, untouched.
    fn without_path(&self) -> Plan {
        let primary = exchange::instead(self.head, &self.rules.settings, &self.personalize.fallback.backend, None);
        Plan::fetch(Some(&self.candidate.route), primary, Privacy::Private).standing_in(Code::TemplateAbsent)
    }

    /// The client's query, as far as it is kept, with what the rules set and the session's lists.
    fn query(&self, client_query: Option<&str>, path: &str, codes: &mut Vec<Code>) -> Option<String> {
        let &Self { head, personalize, values, .. } = self;
        let (route, context) = (&*self.candidate.route, values.context);
        let mut set = Vec::with_capacity(personalize.set_query.len());
        for (name, template) in &personalize.set_query {
            match template.fill(values, Place::Query) {
                Some(value) => set.push((name.clone(), value)),
                None => codes.push(Code::TemplateAbsent),
            }
        }
        if let Some(adapt) = &route.adapt {
            let device = context.device.as_ref().map_or(DeviceClass::Desktop, |device| device.class);
            let parameters = adapt.parameters(&head.headers, device, context.network.class);
            set.extend(parameters.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        let mut removed = personalize.remove_query.clone();
        let host = self.rules.settings.host_of(&personalize.backend).unwrap_or(&head.authority);
        let mut length = head.scheme.len() + 3 + host.len() + path.len() + 1;
        length += client_query.map_or(0, str::len);
        length += set.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
        // A list that would make the URL longer than the platform takes is left out; what the client sent in its place goes too.
        for (name, part) in route.session.iter().flat_map(|session| &session.query) {
            let Some(value) = personal::query_value(context, *part) else { continue };
            // The value is encoded already; of the name, three bytes may be written for one.
            let longest = length + name.len() * 3 + value.len() + 2;
            if longest > MAX_URL {
                codes.push(Code::SessionListTooLong);
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
        let context = self.values.context;
        let work = &context.pattern_work;
        let leads = |experiment: &Experiment| experiment.redirects_from(&context.url, Some(work));
        let leads_away = || self.rules.definitions.experiments.iter().any(|(_, experiment)| leads(experiment));
        let same = self.candidate.route.is_same_for_all() && !self.values.decision.is_by_visitor() && !leads_away();
        // What couldn't be matched isn't known to be the same.
        same && !work.is_exhausted()
    }
}

/// What of the client's headers goes into a shared request by the route's own words.
fn vary(cache: &Cache) -> Vec<HeaderName> {
    let cookie = (!cache.key_cookies.is_empty()).then_some(header::COOKIE);
    cache.key_headers.iter().cloned().chain(cookie).collect()
}
