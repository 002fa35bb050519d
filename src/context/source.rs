//! Where facts come from: the platform for requests, a description for explanations. Each is asked only for what the rules read.

use std::net::IpAddr;
use std::rc::Rc;

use super::assumed::Assumed;
use super::identity::IdentityKeys;
use super::keys::Keys;
use crate::platform::{Device, Geo, Platform};
use crate::rules::canary::Side;
use crate::rules::stored::OnMiss;
use crate::session::{self, Breaker, Outcome, SessionSettings, Subject, UserId, VisitorId};
use crate::transform::html::Pages;

/// Gives the facts about a request that its head doesn't say.
pub trait FactSource {
    /// Where the address is.
    fn geo(&mut self, address: Option<IpAddr>) -> Option<Geo>;
    /// What a `User-Agent` is; `None` where the platform doesn't know it.
    fn device(&mut self, agent: &str) -> Option<Device>;
    /// The keys that a user's proof is checked with.
    fn identity_keys(&mut self) -> Rc<IdentityKeys>;
    /// A user whose proof is taken for granted.
    fn proven(&self) -> Option<UserId> {
        None
    }
    /// What is said of the visitor in place of what the request says.
    fn assumed(&self) -> Option<&Assumed> {
        None
    }
    /// The bits of a new visitor's id, the same each time; 0 where none may be made.
    fn visitor_bits(&mut self) -> u128;
    /// The session of these users and visitors.
    fn session(&mut self, subjects: Vec<Subject>, settings: &SessionSettings, on_miss: OnMiss) -> Outcome;
}

/// What a sandbox keeps beside its rules. Nothing of it is a visitor's.
#[derive(Debug, Default)]
pub struct Kept {
    /// Secrets.
    pub keys: Keys,
    /// Whether the session API may be asked.
    pub breaker: Breaker,
    /// Pages of origins, parsed.
    pub pages: Pages,
}

/// The platform, for one request. What was asked once isn't asked again: a shadow decides by the same facts.
pub struct Live<'a, P: Platform> {
    platform: &'a P,
    /// What the sandbox keeps.
    pub kept: &'a mut Kept,
    geo: Option<(Option<IpAddr>, Option<Geo>)>,
    device: Option<Option<Device>>,
    bits: Option<u128>,
    side: Option<Side>,
    sessions: Vec<(Vec<Subject>, Outcome)>,
}

impl<'a, P: Platform> Live<'a, P> {
    /// Nothing has been asked yet. A new visitor's id will be on `side` of the canary, where there is one.
    pub fn new(platform: &'a P, kept: &'a mut Kept, side: Option<Side>) -> Self {
        Self { platform, kept, geo: None, device: None, bits: None, side, sessions: Vec::new() }
    }
}

impl<P: Platform> FactSource for Live<'_, P> {
    fn geo(&mut self, address: Option<IpAddr>) -> Option<Geo> {
        if self.geo.as_ref().is_none_or(|(of, _)| *of != address) {
            self.geo = Some((address, address.and_then(|address| self.platform.geo(address))));
        }
        self.geo.as_ref().and_then(|(_, geo)| geo.clone())
    }

    fn device(&mut self, agent: &str) -> Option<Device> {
        self.device.get_or_insert_with(|| self.platform.device(agent)).clone()
    }

    fn identity_keys(&mut self) -> Rc<IdentityKeys> {
        self.kept.keys.identity(self.platform)
    }

    fn visitor_bits(&mut self) -> u128 {
        *self.bits.get_or_insert_with(|| match (self.platform.random(), &self.side) {
            (0, _) => 0,
            (bits, Some(side)) => side.fit(bits, |bits| VisitorId::from_random(bits).to_string()),
            (bits, None) => bits,
        })
    }

    fn session(&mut self, subjects: Vec<Subject>, settings: &SessionSettings, on_miss: OnMiss) -> Outcome {
        if let Some((_, outcome)) = self.sessions.iter().find(|(known, _)| *known == subjects) {
            // It was stored already, or will be: by whoever asked first.
            return Outcome { write_back: Vec::new(), ..outcome.clone() };
        }
        let started = session::start(self.platform, subjects.clone());
        let outcome = session::finish(self.platform, started, settings, on_miss, &mut self.kept.breaker);
        self.sessions.push((subjects, outcome.clone()));
        outcome
    }
}
