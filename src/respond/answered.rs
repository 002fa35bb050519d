//! One request answered: the plan is carried out, its answer's head finished, its body sent.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::body::{self, BodyFault};
use super::events::{self, Event};
use super::{ask_for_hints, conditional, error_page, finish_head};
use crate::admit::{Arrival, RequestHead, X_REQUEST_ID, microseconds};
use crate::code::Code;
use crate::decide::Considered;
use crate::fetch::{self, Asking, FallbackReason, Fetched};
use crate::plan::answer::StoredPlan;
use crate::plan::fallback::FallbackPlan;
use crate::plan::variant::Variant;
use crate::plan::{Action, AnswerBody, AnswerPlan, Exchange, FetchPlan, Plan, Privacy, Terms};
use crate::platform::{Caching, Kv, Platform, Response};
use crate::rules::settings::Limits;
use crate::rules::{Fault, RuleSet};
use crate::transform::body::{BodyMode, BodyPlan, Way};
use crate::transform::headers::fit_version;

/// What was sent, for the record.
#[derive(Debug)]
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// The body's length, where it is known.
    pub bytes: Option<u64>,
    /// The route.
    pub route: Option<String>,
    /// The request that was answered by a backend.
    pub exchange: Option<Exchange>,
    /// The variant of an answer that the edge made itself.
    variant: Option<Variant>,
    /// Why the fallback was taken, if so.
    pub fallback: Option<FallbackReason>,
    /// Why the visitor didn't get the answer as it was decided, if so.
    pub not_shown: Option<String>,
    /// The shield that answered, by its code.
    pub shield: Option<String>,
    /// From the first request to a backend to the head of its answer.
    pub origin: Option<Duration>,
    /// From the request to the answer's head.
    pub head_after: Duration,
    /// What the origin says has happened.
    pub events: Vec<Event>,
    /// Codes of what went wrong.
    pub codes: Vec<Code>,
}

impl Answered {
    /// Whether the answer is a failure, or stands for one: the visitor didn't get what was decided.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.fallback.is_some() || self.not_shown.is_some() || self.status.is_server_error()
    }

    /// The variant of the answer.
    #[must_use]
    pub fn variant(&self) -> Option<&Variant> {
        self.exchange.as_ref().map(|exchange| &exchange.variant).or(self.variant.as_ref())
    }
}

/// Carries out a plan, and sends the answer. `decided`: the rules and what was considered by them, where rules serve; `rules_took` is for
/// `Server-Timing`. `body` is the client's.
pub fn respond<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    head: &RequestHead,
    decided: Option<(&RuleSet, &Considered)>,
    plan: Plan,
    rules_took: Duration,
    body: P::Body,
) -> Answered {
    let Plan { action, terms, codes } = plan;
    let responding = Responding { platform, arrival, head, decided, terms: &terms, rules_took };
    match action {
        Action::Fetch(plan) => responding.exchange(*plan, codes, body),
        Action::Answer(plan) => responding.answer(plan, codes, body),
    }
}

/// What carrying out a plan looks at.
struct Responding<'a, P: Platform> {
    platform: &'a P,
    arrival: &'a Arrival,
    head: &'a RequestHead,
    decided: Option<(&'a RuleSet, &'a Considered)>,
    terms: &'a Terms,
    rules_took: Duration,
}

/// How a fetched answer is sent.
enum Sending<'b, B> {
    /// Its body is another one, or there is none.
    Ready(Response<B>),
    /// Its body goes on as it is.
    PassOn(Response<B>),
    /// Its body is changed while it streams.
    Stream(Response<B>, BodyMode, &'b BodyPlan),
    /// Its body was read whole.
    Whole(Response<()>, body::Whole<B>, BodyMode, &'b BodyPlan),
}

impl<P: Platform> Responding<'_, P> {
    /// Answers without a backend; with one where there is no body.
    fn answer(&self, plan: AnswerPlan, mut codes: Vec<Code>, client_body: P::Body) -> Answered {
        let AnswerPlan { status, mut headers, body, variant } = plan;
        let body = match body {
            AnswerBody::Ready(text) => text.into_bytes(),
            AnswerBody::Stored(stored) => match self.stored_body(&stored, &mut codes) {
                Ok(body) => body,
                Err(code) => {
                    codes.push(code);
                    return self.exchange(FetchPlan { instead: Some(code), ..*stored.otherwise }, codes, client_body);
                }
            },
        };
        finish_head(status, &mut headers, self.terms, &variant, true);
        self.name_request(&mut headers);
        let head_after = self.add_timing(&mut headers, None);
        let body = if self.head.method == Method::HEAD { Vec::new() } else { body };
        let bytes = u64::try_from(body.len()).ok();
        self.platform.respond(Response { status, headers, body: body.into() });
        Answered {
            status,
            bytes,
            route: self.terms.route.clone(),
            exchange: None,
            variant: Some(variant),
            fallback: None,
            not_shown: None,
            shield: None,
            origin: None,
            head_after,
            events: Vec::new(),
            codes,
        }
    }

    /// The body that a value of the KV store makes. What a template in it does wrong is named.
    fn stored_body(&self, stored: &StoredPlan, codes: &mut Vec<Code>) -> Result<Vec<u8>, Code> {
        let pending = self.platform.kv_start(Kv::Rules, &stored.key).map_err(|_| Code::StoredBodyFailed)?;
        let found = self.platform.kv_wait(pending).map_err(|_| Code::StoredBodyFailed)?;
        let value = found.ok_or(Code::StoredBodyMissing)?;
        match stored.make(value.bytes) {
            Ok((body, lacks)) => {
                codes.extend(lacks.then_some(Code::TemplateAbsent));
                Ok(body)
            }
            Err((code, message)) => {
                if let (Some(message), Some((rules, _))) = (message, self.decided) {
                    rules.routes.note([Fault::new(&stored.key, "", message)]);
                }
                Err(code)
            }
        }
    }

    /// Asks the backend, and sends what it answers.
    fn exchange(&self, plan: FetchPlan, mut codes: Vec<Code>, body: P::Body) -> Answered {
        let FetchPlan { primary, fallback, body: mut body_plan, vary, hints, instead } = plan;
        // A body goes with the methods that have one; an empty one on a GET would make it look chunked.
        let body = (!matches!(self.head.method, Method::GET | Method::HEAD)).then_some(body);
        let written_out = |fallback: &FallbackPlan| {
            let (rules, considered) = self.decided?;
            fallback.exchange(self.head, rules, considered.context.as_ref()?)
        };
        let decode = body_plan.is_some();
        let (head, arrival, passing) = (self.head, self.arrival, &self.terms.passing);
        let asking = Asking { head, arrival, passing, written_out: &written_out };
        let mut fetched = fetch::fetch(self.platform, asking, primary, fallback, body, decode);
        let mut whole = None;
        if let (Ok(response), None, Some(body_plan)) = (&mut fetched.response, &fetched.reason, body_plan.as_ref())
            && let Some(read) = self.read_whole(response, body_plan)
        {
            // Nothing was sent yet: a body that breaks off is a failed request.
            match read {
                Ok(read) => whole = Some(read),
                Err(fault) => {
                    codes.push(fault.code());
                    fetched = fetched.fall_back(self.platform, asking, FallbackReason::Body);
                }
            }
        }
        codes.extend(fetched.reason.map(FallbackReason::code_of));
        let Fetched { response, exchange, reason, first_byte, shield, codes: of_shields, .. } = fetched;
        codes.extend(of_shields);
        let mut events = Vec::new();
        let mut not_shown = reason.map(FallbackReason::code).or(instead.map(|code| code.to_string()));
        let mut response = match response {
            Ok(mut response) => {
                let (said, code) = events::take(response.status, &mut response.headers, &exchange.caching);
                events = said;
                codes.extend(code);
                response
            }
            Err(error) => {
                codes.push(fetch::send_code(error));
                not_shown.get_or_insert_with(|| fetch::send_code(error).to_string());
                let status = error_page::status_for(error);
                let (headers, page) = error_page::page(status, &self.head.request_id);
                Response { status, headers, body: P::Body::from(page.into_bytes()) }
            }
        };
        if not_shown.is_none() && response.status.is_server_error() {
            not_shown = Some(FallbackReason::Status(response.status.as_u16()).code());
        }
        if reason.is_some() {
            body_plan = None;
        }
        let (mode, fault) = self.fit_body(body_plan.as_mut(), &exchange, &mut response);
        codes.extend(fault.map(BodyFault::code));
        not_shown = not_shown.or_else(|| fault.and_then(BodyFault::not_shown));
        for name in vary {
            response.headers.append(header::VARY, HeaderValue::from_name(name));
        }
        ask_for_hints(&mut response.headers, &hints);
        finish_head(response.status, &mut response.headers, self.terms, &exchange.variant, not_shown.is_none());
        self.name_request(&mut response.headers);
        let head_after = self.add_timing(&mut response.headers, Some(first_byte));
        let status = response.status;
        let bytes = content_length(&response.headers);
        let sending = match (mode, body_plan.as_ref(), whole) {
            (Some(mode), Some(plan), Some(whole)) => {
                let Response { status, headers, .. } = response;
                Sending::Whole(Response { status, headers, body: () }, whole, mode, plan)
            }
            (Some(mode), Some(plan), None) => Sending::Stream(response, mode, plan),
            _ if self.is_watched(status) => Sending::PassOn(response),
            _ => Sending::Ready(response),
        };
        let fault = self.send(sending).err();
        codes.extend(fault.map(BodyFault::code));
        not_shown = not_shown.or_else(|| fault.and_then(BodyFault::not_shown));
        Answered {
            status,
            bytes,
            route: self.terms.route.clone(),
            exchange: Some(exchange),
            variant: None,
            fallback: reason,
            not_shown,
            shield,
            origin: Some(first_byte),
            head_after,
            events,
            codes,
        }
    }

    /// The body of an answer that is edited whole, read before anything is sent; `None` where it isn't one.
    fn read_whole(
        &self,
        response: &mut Response<P::Body>,
        plan: &BodyPlan,
    ) -> Option<Result<body::Whole<P::Body>, BodyFault>> {
        let answer = body::answer_of(&self.head.method, response);
        let mode = plan.mode(&answer).ok()?;
        if !matches!(plan.way(mode), Some(Way::Whole(_))) || self.head.method == Method::HEAD {
            return None;
        }
        let body = std::mem::replace(&mut response.body, P::Body::from(Vec::new()));
        Some(body::read_whole(body, self.limits().json_bytes))
    }

    /// What becomes of the answer's body, with the headers that must agree with it: its version, its length, and a 304 where the client
    /// has that version.
    fn fit_body(
        &self,
        plan: Option<&mut BodyPlan>,
        exchange: &Exchange,
        response: &mut Response<P::Body>,
    ) -> (Option<BodyMode>, Option<BodyFault>) {
        let head = self.head;
        let (mut mode, mut fault) = (None, None);
        if let Some(plan) = plan {
            (mode, fault) = body::treat(plan, &head.method, &head.headers, response);
        } else if self.terms.privacy != Privacy::Transparent
            && response.headers.contains_key(header::ETAG)
            && let Some(version) = exchange.version()
        {
            fit_version(&mut response.headers, &version);
        }
        if matches!(exchange.caching, Caching::Keyed { .. })
            && conditional::is_not_modified(&head.method, &head.headers, response.status, &response.headers)
        {
            response.status = StatusCode::NOT_MODIFIED;
            conditional::to_not_modified(&mut response.headers);
            response.body = P::Body::from(Vec::new());
            return (None, fault);
        }
        (mode, fault)
    }

    /// Whether a body that goes on as it is is watched: one of a personalized route, where there is one.
    fn is_watched(&self, status: StatusCode) -> bool {
        self.terms.privacy != Privacy::Transparent
            && self.head.method != Method::HEAD
            && !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
    }

    fn send(&self, sending: Sending<'_, P::Body>) -> Result<(), BodyFault> {
        match sending {
            Sending::Ready(response) => {
                self.platform.respond(response);
                Ok(())
            }
            Sending::PassOn(response) => body::pass_on(self.platform, response),
            Sending::Stream(response, mode, plan) => match plan.way(mode) {
                Some(Way::Stream(streams)) => {
                    let budget = self.limits().vcpu_ms;
                    let left = || self.arrival.vcpu_used(self.platform).is_none_or(|used| used < budget);
                    body::send_stream(self.platform, streams, mode, &left, response)
                }
                _ => body::pass_on(self.platform, response),
            },
            Sending::Whole(head, whole, mode, plan) => match plan.way(mode) {
                Some(Way::Whole(edits)) => body::send_whole(self.platform, edits, head, whole),
                // A mode of another plan: never made here.
                _ => Ok(()),
            },
        }
    }

    fn limits(&self) -> Limits {
        self.decided.map(|(rules, _)| rules.settings.limits).unwrap_or_default()
    }

    /// The request's id on the answer of a personalized route, so that a complaint can be matched to its log line. An origin's echo may be
    /// another visitor's, from a cache.
    fn name_request(&self, headers: &mut HeaderMap) {
        let is_wanted = self.decided.is_some_and(|(rules, _)| rules.settings.log.request_id);
        if is_wanted
            && self.terms.privacy != Privacy::Transparent
            && let Ok(id) = HeaderValue::from_str(&self.head.request_id)
        {
            headers.insert(X_REQUEST_ID, id);
        }
    }

    /// `Server-Timing` (W3C) where settings ask for it. Gives the time from the request to now, which is when the head goes out.
    fn add_timing(&self, headers: &mut HeaderMap, origin: Option<Duration>) -> Duration {
        let elapsed = self.arrival.elapsed(self.platform);
        if self.decided.is_some_and(|(rules, _)| rules.settings.log.server_timing) {
            let took = [("edge", Some(elapsed)), ("rules", Some(self.rules_took)), ("origin", origin)];
            let took = took.into_iter().filter_map(|(name, took)| Some((name, microseconds(took?))));
            let metrics: Vec<String> =
                took.map(|(name, micros)| format!("{name};dur={}.{:03}", micros / 1_000, micros % 1_000)).collect();
            if let Ok(value) = HeaderValue::from_str(&metrics.join(", ")) {
                headers.append("server-timing", value);
            }
        }
        elapsed
    }
}

/// `Content-Length`, where there is one.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
