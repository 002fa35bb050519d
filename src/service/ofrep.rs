//! Flags for OpenFeature's providers (`settings.ofrep`): OFREP, the OpenFeature Remote Evaluation Protocol, version 0.3.0. A browser is the
//! visitor that its cookie and its address say; a server shows a key, and says whom it asks for.

use std::io::Read as _;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value as Json, json};

use super::{Resolved, events, previewed};
use crate::admit::{Arrival, RequestHead};
use crate::code::Code;
use crate::context::preview::{Preview, PreviewClaims};
use crate::context::{Context, Kept, Live};
use crate::decide::flags::{self, By, Described, Flag, Flags, Visitor};
use crate::growthbook::Source;
use crate::plan::key::digest;
use crate::plan::personal;
use crate::platform::{Platform, Response};
use crate::record;
use crate::respond::conditional;
use crate::rules::canary::Side;
use crate::rules::settings::Settings;
use crate::rules::settings::ofrep::OfrepSettings;
use crate::rules::{RuleCache, RuleSet, Rules};
use crate::session::WriteBack;
use crate::wire::headers::bearer_token;

/// Everything below is the protocol's: a request there may hold a server's key, and none of it goes to an origin.
const ROOT: &str = "/ofrep/v1/";
/// The path of all flags below it; one flag's key follows.
const FLAGS: &str = "evaluate/flags";
/// The header of a key, beside `Authorization: Bearer`.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Bytes of the longest body.
const LONGEST: u64 = 16 * 1024;
/// Seconds after which a provider may ask again while nothing is personalized.
const LATER: HeaderValue = HeaderValue::from_static("30");

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All flags.
    All,
    /// The flag of this key.
    One(String),
    /// Something that the protocol doesn't have.
    Nothing,
}

/// Whether a request is one of the protocol's, on a site that speaks it.
pub(super) fn is_for<'s>(settings: &'s Settings, head: &RequestHead) -> Option<(&'s OfrepSettings, Asked)> {
    let ofrep = settings.ofrep.as_ref()?;
    // A provider's base URL may have a slash at its end.
    let path = head.path.strip_prefix('/').filter(|path| path.starts_with('/')).unwrap_or(&head.path);
    let rest = path.strip_prefix(ROOT)?.strip_prefix(FLAGS);
    let asked = match rest.map(|rest| rest.strip_prefix('/').unwrap_or(rest)) {
        Some("") => Asked::All,
        Some(key) if rest != Some(key) => Asked::One(percent_decode_str(key).decode_utf8_lossy().into_owned()),
        _ => Asked::Nothing,
    };
    Some((ofrep, asked))
}

/// An answer.
struct Answer {
    status: StatusCode,
    headers: Box<HeaderMap>,
    body: Json,
}

impl Answer {
    fn new(status: StatusCode, body: Json) -> Self {
        Self { status, headers: Box::default(), body }
    }

    /// An error of the protocol. `asked` gives the key of an error about one flag.
    fn error(status: StatusCode, asked: &Asked, code: &str, details: &str) -> Self {
        let mut body = json!({ "errorCode": code, "errorDetails": details });
        if let Asked::One(key) = asked {
            insert(&mut body, "key", key.as_str().into());
        }
        Self::new(status, body)
    }

    /// An error that is not about flags.
    fn refusal(status: StatusCode, details: &str) -> Self {
        Self::new(status, json!({ "errorCode": "GENERAL", "errorDetails": details }))
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// What is left to do after the answer.
#[derive(Default)]
struct After {
    codes: Vec<Code>,
    writes: Vec<WriteBack>,
}

/// Answers, and names what went wrong.
pub(super) fn answer<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    (kept, cache): (&mut Kept, &mut RuleCache),
    mut head: RequestHead,
    (rules, settings, asked): (Rules, &OfrepSettings, &Asked),
    mut resolved: Resolved,
    body: P::Body,
) {
    let mut after = After::default();
    let mut served = match rules {
        Rules::Set(served) => Some(served),
        Rules::Off | Rules::Unusable => None,
    };
    let preview = served
        .as_mut()
        .map(|served| previewed(platform, arrival, (&mut *kept, cache), &mut head, served, &mut resolved.notes));
    resolved.notes.codes.extend(preview.iter().flat_map(Preview::codes));
    let on_host = served.as_ref().map(|served| served.set.on_host(head.host()));
    let side = served.as_ref().and_then(|served| served.side.as_ref());
    let asking =
        Asking { platform, arrival, settings, asked, claims: preview.and_then(|preview| preview.claims), side };
    let mut answer = match asking.answer(kept, &mut head, on_host.as_deref(), &mut after, body) {
        Ok(answer) | Err(answer) => answer,
    };
    answer.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    let body = if answer.status == StatusCode::NOT_MODIFIED {
        Vec::new()
    } else {
        answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer.headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer.body.to_string().into_bytes()
    };
    platform.respond(Response { status: answer.status, headers: *answer.headers, body: body.into() });

    let mut codes = resolved.notes.codes;
    codes.append(&mut after.codes);
    let mut faults = resolved.notes.faults;
    if let Some(rules) = on_host.as_deref() {
        faults.extend(rules.take_faults());
        for write in after.writes {
            codes.extend(write.perform(platform, &rules.settings.session).is_err().then_some(Code::SessionWriteBack));
        }
    }
    codes.extend(kept.keys.take_code());
    faults.extend(kept.keys.take_faults());
    let revision = on_host.as_deref().and_then(|rules| rules.revision.as_deref());
    record::errors(platform, &record::timestamp(arrival.now), &head.request_id, revision, &faults, &codes);
}

/// One request of the protocol.
struct Asking<'a, P> {
    platform: &'a P,
    arrival: &'a Arrival,
    settings: &'a OfrepSettings,
    asked: &'a Asked,
    /// What a preview chose.
    claims: Option<PreviewClaims>,
    /// Of the canary, on which a new visitor's id will be.
    side: Option<&'a Side>,
}

/// Who asks.
enum Asker {
    /// A visitor's browser, or an app in its place.
    Visitor,
    /// A server, which showed a key.
    Server,
}

impl<P: Platform> Asking<'_, P> {
    /// The answer; an error is one, too.
    fn answer(
        &self,
        kept: &mut Kept,
        head: &mut RequestHead,
        rules: Option<&RuleSet>,
        after: &mut After,
        body: P::Body,
    ) -> Result<Answer, Answer> {
        if *self.asked == Asked::Nothing {
            return Err(Answer::refusal(
                StatusCode::NOT_FOUND,
                "expected /ofrep/v1/evaluate/flags, but found another path",
            ));
        }
        if head.method != Method::POST {
            let refusal = Answer::refusal(StatusCode::METHOD_NOT_ALLOWED, "expected POST, but found another method");
            return Err(refusal.with(header::ALLOW, HeaderValue::from_static("POST")));
        }
        let Some(rules) = rules else {
            let details = "nothing is personalized at the moment: the defaults in the code count";
            return Err(Answer::refusal(StatusCode::SERVICE_UNAVAILABLE, details).with(header::RETRY_AFTER, LATER));
        };
        let asker = self.asker(kept, head, rules, after)?;
        let context = self.context(body)?;
        match asker {
            Asker::Server => self.for_server(head, rules, &context),
            Asker::Visitor => self.for_visitor(kept, head, rules, &context, after),
        }
    }

    /// Who asks. A bearer token that is no key may be the visitor's own proof.
    fn asker(&self, kept: &mut Kept, head: &RequestHead, rules: &RuleSet, after: &mut After) -> Result<Asker, Answer> {
        let key = head.headers.get(API_KEY).map(HeaderValue::as_bytes);
        if let Some(shown) = key.or_else(|| bearer_token(&head.headers)) {
            if kept.keys.ofrep(self.platform).have(shown.trim_ascii()) {
                return Ok(Asker::Server);
            }
            let proves_user = rules.settings.identity.jwt.as_ref().is_some_and(|jwt| jwt.bearer);
            if key.is_some() || !proves_user {
                after.codes.push(Code::OfrepKey);
                let refusal = Answer::refusal(
                    StatusCode::UNAUTHORIZED,
                    "expected a key of the secret 'ofrep', but found another",
                );
                return Err(refusal.with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
            }
        }
        if events::is_foreign(head) {
            return Err(Answer::refusal(
                StatusCode::FORBIDDEN,
                "expected a page of this host, but found another site's",
            ));
        }
        Ok(Asker::Visitor)
    }

    /// The context that the body brings.
    fn context(&self, body: P::Body) -> Result<Map<String, Json>, Answer> {
        let error = |status, code, details: &str| Answer::error(status, self.asked, code, details);
        let mut bytes = Vec::new();
        let read = body.take(LONGEST + 1).read_to_end(&mut bytes);
        if u64::try_from(bytes.len()).is_ok_and(|length| length > LONGEST) {
            let details = format!("expected at most {LONGEST} bytes, but found more");
            return Err(error(StatusCode::PAYLOAD_TOO_LARGE, "GENERAL", &details));
        }
        let parsed = read.ok().and_then(|_| serde_json::from_slice::<Json>(&bytes).ok());
        let Some(Json::Object(mut members)) = parsed else {
            return Err(error(
                StatusCode::BAD_REQUEST,
                "PARSE_ERROR",
                "expected a JSON object, but found something else",
            ));
        };
        match members.remove("context") {
            Some(Json::Object(context)) => Ok(context),
            _ => Err(error(
                StatusCode::BAD_REQUEST,
                "INVALID_CONTEXT",
                "expected an object in 'context', but found none",
            )),
        }
    }

    fn for_server(&self, head: &RequestHead, rules: &RuleSet, said: &Map<String, Json>) -> Result<Answer, Answer> {
        let error = |code, details| Answer::error(StatusCode::BAD_REQUEST, self.asked, code, details);
        let unit = match said.get("targetingKey") {
            Some(Json::String(unit)) => unit,
            None | Some(Json::Null) => {
                return Err(error("TARGETING_KEY_MISSING", "expected 'targetingKey' in the context, but found none"));
            }
            Some(_) => {
                return Err(error("INVALID_CONTEXT", "expected a text as 'targetingKey', but found something else"));
            }
        };
        let described = Described::new(rules, unit, said, self.arrival.now);
        let flags = flags::for_described(rules, &described, self.keys(rules, |_| true)?.iter().map(String::as_str));
        self.flags(head, rules, &flags)
    }

    fn for_visitor(
        &self,
        kept: &mut Kept,
        head: &mut RequestHead,
        rules: &RuleSet,
        said: &Map<String, Json>,
        after: &mut After,
    ) -> Result<Answer, Answer> {
        let keys = self.keys(rules, |key| self.settings.shows(key))?;
        // A question, whatever it comes by: a preview's user counts for it, as on a page.
        head.method = Method::GET;
        let mut facts = Live::new(self.platform, kept, self.side.cloned());
        let needs = flags::needs(rules, keys.iter().map(String::as_str));
        let mut context = Context::gather(&mut facts, head, rules, needs, self.claims.clone(), self.arrival.now);
        let visitor = Visitor { context: &context, said, allowed: &self.settings.context };
        let flags = flags::for_visitor(rules, visitor, keys.iter().map(String::as_str));
        after.codes.extend(context.pattern_work.is_exhausted().then_some(Code::PatternWork));
        let mut answer = self.flags(head, rules, &flags)?;
        // A refusal is answered by a page, which also removes what was stored.
        if context.person.visitor_is_new {
            for cookie in personal::visitor_cookies(&rules.settings, &context, head.host()) {
                answer.headers.append(header::SET_COOKIE, cookie);
            }
        }
        after.writes = std::mem::take(&mut context.session.write_back);
        Ok(answer)
    }

    /// The keys of the flags that are asked for, as far as they are there and may be shown; sorted, so that one answer has one version.
    fn keys(&self, rules: &RuleSet, shows: impl Fn(&str) -> bool) -> Result<Vec<String>, Answer> {
        let features = &rules.definitions.features;
        match self.asked {
            Asked::All | Asked::Nothing => {
                let mut keys: Vec<String> = features.keys().filter(|key| shows(key)).map(str::to_owned).collect();
                keys.sort_unstable();
                Ok(keys)
            }
            Asked::One(key) if shows(key) && features.get(key).is_some() => Ok(vec![key.clone()]),
            Asked::One(key) => {
                let details = format!("expected a feature that is defined, but found '{}'", record::bounded(key));
                Err(Answer::error(StatusCode::NOT_FOUND, self.asked, "FLAG_NOT_FOUND", &details))
            }
        }
    }

    /// The answer with these flags; 304 where the client has it already.
    fn flags(&self, head: &RequestHead, rules: &RuleSet, flags: &Flags) -> Result<Answer, Answer> {
        if let (Asked::One(_), [flag]) = (self.asked, flags.flags.as_slice()) {
            let evaluated = evaluated(flag);
            let is_error = evaluated.get("errorCode").is_some();
            let status = if is_error { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
            return Ok(Answer::new(status, evaluated));
        }
        let revision = rules.revision.as_deref().unwrap_or_default();
        let mut body = json!({ "flags": flags.flags.iter().map(evaluated).collect::<Vec<_>>() });
        if !revision.is_empty() {
            insert(&mut body, "metadata", json!({ "revision": revision }));
        }
        let tag = digest([revision.as_bytes(), body.to_string().as_bytes()]);
        let tag = tag.get(..16).map(base16ct::lower::encode_string).unwrap_or_default();
        let answer = Answer::new(StatusCode::OK, body);
        let Ok(tag) = HeaderValue::from_str(&format!("\"{tag}\"")) else { return Ok(answer) };
        let status = if conditional::has(&head.headers, &tag) { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        Ok(Answer { status, ..answer }.with(header::ETAG, tag))
    }
}

/// A flag as the protocol writes it. Without `value`, the default in the code counts.
fn evaluated(flag: &Flag) -> Json {
    let failed = |details: &str| json!({ "key": flag.key, "errorCode": "GENERAL", "errorDetails": details });
    let reason = match (flag.source, flag.by) {
        (Source::CyclicPrerequisite, _) => return failed("a prerequisite refers back to the feature"),
        (Source::Broken | Source::UnknownFeature, _) => return failed("the feature's definition can't be used"),
        (Source::Override, _) | (Source::DefaultValue, By::NoRules) => "STATIC",
        (Source::Prerequisite, _) | (Source::DefaultValue, By::Off) => "DISABLED",
        (Source::Experiment, _) | (Source::Force, By::Split) => "SPLIT",
        (Source::Force, _) => "TARGETING_MATCH",
        (Source::DefaultValue, _) => "DEFAULT",
    };
    let mut metadata = json!({ "source": flag.source.as_str() });
    if let Some(rule) = &flag.rule {
        insert(&mut metadata, "rule", rule.as_str().into());
    }
    // Some providers take no answer without a variant.
    let variant = match (&flag.variation, &flag.rule, flag.source) {
        (Some((_, key)), _, _) => key,
        (None, Some(rule), _) => rule,
        (None, None, Source::Override) => "preview",
        (None, None, _) => "default",
    };
    let mut json = json!({ "key": flag.key, "reason": reason, "variant": variant });
    if !flag.value.is_null() {
        insert(&mut json, "value", flag.value.clone());
    }
    if let Some((variation, _)) = &flag.variation {
        insert(&mut metadata, "experiment", variation.experiment.as_str().into());
        insert(&mut metadata, "variation", variation.index.into());
    }
    insert(&mut json, "metadata", metadata);
    json
}

/// Adds a member to an object.
fn insert(object: &mut Json, name: &str, value: Json) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}
