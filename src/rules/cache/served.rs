//! What serves a request.

use std::rc::Rc;

use serde::Serialize;

use crate::rules::canary::Side;
use crate::rules::set::RuleSet;

/// The role of the revision that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// `revision`, or the entries at their bare names.
    Active,
    /// The canary's: the visitor is within its share.
    Canary,
    /// `previous`: `revision` can't serve (yet).
    Previous,
    /// What served last in this sandbox: nothing that the pointer names can serve.
    Last,
}

/// A rule set, and why it is this one.
#[derive(Debug, Clone)]
pub struct Served {
    /// The rules.
    pub set: Rc<RuleSet>,
    /// Which they are.
    pub role: Role,
    /// Rules to decide by as well, for the log alone.
    pub shadow: Option<Rc<RuleSet>>,
    /// The side of a canary that the visitor is on, where there is one with two sides: an id that is made now must be on it, too.
    pub side: Option<Side>,
}

/// What serves a request.
#[derive(Debug, Clone)]
pub enum Rules {
    /// A rule set.
    Set(Served),
    /// The kill switch is on.
    Off,
    /// Nothing is usable: the request passes through.
    Unusable,
}
