//! Who asks, as far as they may be known: consent and policy first, then the proven user and the visitor's cookie.

use http::HeaderMap;
use time::OffsetDateTime;

use super::Context;
use super::consent::{Consent, ConsentRules, Jurisdiction, global_privacy_control};
use super::device::DeviceClass;
use super::identity::{Identity, IdentityKeys, UserId, identify};
use super::policy::{Permissions, PolicyInputs, permissions};
use super::visitor::VisitorId;
use crate::admit::{Claims, RequestHead};
use crate::rules::settings::Settings;
use crate::rules::settings::sticky::StickySettings;
use crate::wire::cookies::Cookies;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Person {
    /// What the policy looked at.
    pub inputs: PolicyInputs,
    /// What it permits.
    pub permissions: Permissions,
    /// The user, proven or not; anonymous where nobody may be identified.
    pub identity: Identity,
    /// The visitor's id, from the cookie or made here; only where permitted.
    pub visitor: Option<VisitorId>,
    /// Whether the id was made here and must be kept.
    pub visitor_is_new: bool,
    /// The edge's cookies that the client sent and that are to be removed: the visitor refused, or has not agreed where consent
    /// comes first.
    pub forget: Vec<OwnCookie>,
    /// The id in the visitor cookie that is removed: its session record is to be deleted, too, after the answer. Nobody proves whose the
    /// cookie is, and nobody needs to: who knows 128 random bits holds the session already, and could read it without the refusal; who
    /// guesses meets no record. Another site can make a browser send neither the cookie nor the refusal.
    pub erase: Option<VisitorId>,
}

/// A cookie of the edge's own that holds a visitor's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OwnCookie {
    /// The visitor's id.
    Visitor,
    /// The remembered variations, by ids.
    Sticky,
    /// An id that another program made, and the edge uses.
    Adopted,
}

/// What [`Person::of`] reads beside the settings.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The client's headers, claims taken out.
    pub headers: &'a HeaderMap,
    /// The claims.
    pub claims: &'a Claims,
    /// Where the visitor is.
    pub country: Option<&'a str>,
    /// Whether this is a crawler.
    pub bot: bool,
    /// Whether a signed preview is on.
    pub preview: bool,
    /// What the visitor said about consent, where somebody else says so.
    pub consent: Option<Consent>,
    /// When.
    pub now: OffsetDateTime,
    /// The bits of a new visitor id.
    pub random: u128,
    /// Claims of a proven token that somebody asks for.
    pub wanted: &'a [String],
}

impl<'a> Evidence<'a> {
    /// What the request and the facts about it say. `random`: bits of a new visitor's id, 0 where none may be made.
    /// `wanted`: claims of the token that somebody asks for.
    pub fn of(head: &'a RequestHead, context: &'a Context, random: u128, wanted: &'a [String]) -> Self {
        Self {
            headers: &head.headers,
            claims: &head.claims,
            country: context.country(),
            bot: context.device.as_ref().is_some_and(|device| device.class == DeviceClass::Bot),
            preview: context.preview.is_some(),
            consent: None,
            now: context.now,
            random,
            wanted,
        }
    }
}

impl Person {
    /// Nobody in particular: for routes that ask for nobody.
    pub fn nobody() -> Self {
        Self {
            inputs: PolicyInputs {
                jurisdiction: Jurisdiction::Unknown,
                consent: Consent::Silent,
                global_privacy_control: false,
                bot: false,
                preview: false,
            },
            permissions: Permissions::NONE,
            identity: Identity::Anonymous,
            visitor: None,
            visitor_is_new: false,
            forget: Vec::new(),
            erase: None,
        }
    }

    /// Who asks, by `evidence`. `keys` gives the identity keys where a proof has to be checked, and is not asked otherwise.
    pub fn of(
        evidence: &Evidence<'_>,
        settings: &Settings,
        consent: &ConsentRules,
        keys: &mut dyn FnMut() -> std::rc::Rc<IdentityKeys>,
    ) -> Self {
        let cookies = Cookies::of(evidence.headers);
        let inputs = PolicyInputs {
            jurisdiction: consent.jurisdiction(evidence.country),
            consent: evidence.consent.unwrap_or_else(|| consent.consent(&cookies)),
            global_privacy_control: evidence.consent.is_none() && global_privacy_control(evidence.headers),
            bot: evidence.bot,
            preview: evidence.preview,
        };
        let permissions = permissions(inputs);
        let sent = settings.visitor.read(&cookies);
        let identity = if permissions.identify { prove(evidence, settings, keys) } else { Identity::Anonymous };
        let may_have = permissions.identify || permissions.bucket;
        let kept = sent.filter(|_| may_have);
        // All zeros is what broken randomness looks like: everyone would be the same visitor.
        let may_make = permissions.store && !settings.visitor.unusable && evidence.random != 0;
        let made = (kept.is_none() && may_make).then(|| VisitorId::from_random(evidence.random));
        // A preview is a look, maybe as somebody from elsewhere: the next request carries out what the looker really refuses.
        let forgotten = !inputs.preview && is_to_be_forgotten(inputs);
        Self {
            inputs,
            permissions,
            identity,
            visitor: kept.or(made),
            visitor_is_new: made.is_some(),
            forget: if forgotten { own_cookies(settings, &cookies) } else { Vec::new() },
            erase: sent.filter(|_| forgotten),
        }
    }

    /// Makes room for a test user whom a signed preview shows. Who looks is nobody then: neither the looker's id nor the looker's choice about
    /// it says anything of the one who is shown, and nothing is counted or kept.
    pub fn show_another(&mut self) {
        if !self.inputs.bot {
            self.permissions = Permissions { identify: true, bucket: true, expose: false, store: false };
        }
        (self.identity, self.visitor, self.visitor_is_new) = (Identity::Anonymous, None, false);
    }

    /// A claim of the token that proved the user.
    pub fn claim(&self, name: &str) -> Option<&serde_json::Value> {
        self.identity.claim(name)
    }

    /// The user, where proven.
    pub fn user(&self) -> Option<&UserId> {
        self.identity.user()
    }
}

/// Whether what was stored is to be removed: after a refusal, and where the law is known to ask first and nobody has agreed. Where
/// nobody knows where the visitor is, the visitor's silence says nothing, and neither does a string that can't be read: the id isn't used,
/// and stays.
fn is_to_be_forgotten(of: PolicyInputs) -> bool {
    let refused = of.global_privacy_control || of.consent == Consent::Refused;
    let not_agreed = of.consent == Consent::Silent && of.jurisdiction == Jurisdiction::OptIn;
    !of.bot && (refused || not_agreed)
}

/// The cookies that the client sent in which the edge keeps or finds ids.
fn own_cookies(settings: &Settings, cookies: &Cookies<'_>) -> Vec<OwnCookie> {
    // Where nothing is remembered now, a cookie from before still holds the id.
    let sticky = settings.sticky.as_ref().map_or(StickySettings::COOKIE, |sticky| sticky.cookie.as_str());
    let sent = |name: &str| cookies.bytes(name).is_some();
    let own = [(OwnCookie::Visitor, settings.visitor.cookie.as_str()), (OwnCookie::Sticky, sticky)];
    let adopted = settings.visitor.adopt.as_deref().map(|name| (OwnCookie::Adopted, name));
    own.into_iter().chain(adopted).filter(|(_, name)| sent(name)).map(|(cookie, _)| cookie).collect()
}

/// Checks the proofs that the request carries; most carry none, and cost nothing.
fn prove(
    evidence: &Evidence<'_>,
    settings: &Settings,
    keys: &mut dyn FnMut() -> std::rc::Rc<IdentityKeys>,
) -> Identity {
    let identity = &settings.identity;
    let claims = evidence.claims;
    let signed = identity.header && claims.user_id.is_some();
    let token = identity.jwt.as_ref().is_some_and(|jwt| {
        let cookie = jwt.cookie.as_deref().is_some_and(|name| Cookies::of(evidence.headers).get(name).is_some());
        cookie || (jwt.bearer && evidence.headers.contains_key(http::header::AUTHORIZATION))
    });
    if !signed && !token {
        return Identity::Anonymous;
    }
    identify(claims, evidence.headers, identity, evidence.wanted, &keys(), evidence.now)
}
