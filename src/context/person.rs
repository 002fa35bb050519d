//! Who asks, as far as they may be known: consent and policy first, then the proven user and the visitor's cookie.

use http::HeaderMap;
use time::OffsetDateTime;

use super::Context;
use super::consent::{Consent, ConsentRules, Jurisdiction, global_privacy_control};
use super::device::DeviceClass;
use super::identity::{Identity, IdentityKeys, UserId, identify};
use super::policy::{Circumstances, Permissions, permissions};
use super::visitor::VisitorId;
use crate::admit::{Claims, RequestHead};
use crate::rules::settings::Settings;
use crate::wire::cookies::Cookies;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Person {
    /// What the policy looked at.
    pub circumstances: Circumstances,
    /// What it permits.
    pub permissions: Permissions,
    /// The user, proven or not; anonymous where nobody may be identified.
    pub identity: Identity,
    /// The visitor's id, from the cookie or made here; only where permitted.
    pub visitor: Option<VisitorId>,
    /// Whether the id was made here and must be kept.
    pub visitor_is_new: bool,
    /// The visitor refused, and still sends an id: the cookie is to be removed.
    pub forget_visitor: bool,
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
    /// When.
    pub now: OffsetDateTime,
    /// The bits of a new visitor id.
    pub random: u128,
}

impl<'a> Evidence<'a> {
    /// What the request and the facts about it say. `random`: bits of a new visitor's id, 0 where none may be made.
    pub fn of(head: &'a RequestHead, context: &'a Context, random: u128) -> Self {
        Self {
            headers: &head.headers,
            claims: &head.claims,
            country: context.country(),
            bot: context.device.as_ref().is_some_and(|device| device.class == DeviceClass::Bot),
            preview: context.preview.is_some(),
            now: context.now,
            random,
        }
    }
}

impl Person {
    /// Nobody in particular: for routes that ask for nobody.
    pub fn nobody() -> Self {
        Self {
            circumstances: Circumstances {
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
            forget_visitor: false,
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
        let circumstances = Circumstances {
            jurisdiction: consent.jurisdiction(evidence.country),
            consent: consent.consent(&cookies),
            global_privacy_control: global_privacy_control(evidence.headers),
            bot: evidence.bot,
            preview: evidence.preview,
        };
        let permissions = permissions(circumstances);
        let sent = settings.visitor.read(&cookies);
        let identity = if permissions.identify { prove(evidence, settings, keys) } else { Identity::Anonymous };
        let may_have = permissions.identify || permissions.bucket;
        let kept = sent.filter(|_| may_have);
        // All zeros is what broken randomness looks like: everyone would be the same visitor.
        let made = (kept.is_none() && permissions.store && evidence.random != 0)
            .then(|| VisitorId::from_random(evidence.random));
        Self {
            circumstances,
            permissions,
            identity,
            visitor: kept.or(made),
            visitor_is_new: made.is_some(),
            forget_visitor: sent.is_some() && !may_have && !evidence.bot,
        }
    }

    /// A claim of the token that proved the user.
    pub fn claim(&self, _name: &str) -> Option<&serde_json::Value> {
        None
    }

    /// The user, where proven.
    pub fn user(&self) -> Option<&UserId> {
        self.identity.user()
    }
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
    identify(claims, evidence.headers, identity, &keys(), evidence.now)
}
