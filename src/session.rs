//! What the visitor looked at, what is in the cart: read at the edge, fed by the central backend, never invented
//! here.
//!
//! ```text
//! start → (other work) → finish: fresh? stale? ask session_api within the budget → Outcome
//!                                                       └→ WriteBack, performed after the visitor was answered
//! ```
//!
//! The waiting is bounded by `settings.session.budget_ms`, with two exceptions that the SDK doesn't let us bound: a
//! KV look-up already started (measured as [`Timing::kv_ms`]), and one read from the session API's body, which ends
//! at the latest when the backend's `between_bytes_timeout` does.

pub mod breaker;
pub mod join;
pub mod patch;
pub mod read;
pub mod record;
pub mod settings;
pub mod stamp;
pub mod storage;
pub mod stored;
pub mod write_back;

#[cfg(test)]
pub(crate) mod fake;

pub use breaker::Breaker;
pub use read::{OnMiss, Outcome, SessionFault, Started, State, Timing, finish, start};
pub use record::{CartItem, Record, View};
pub use settings::{Limits, SessionSettings, Which};
pub use write_back::WriteBack;

use crate::context::identity::UserId;
use crate::context::policy::Permissions;
use crate::context::visitor::VisitorId;

/// Whose session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A user, proven.
    User(UserId),
    /// A visitor, by the visitor cookie.
    Visitor(VisitorId),
}

impl Subject {
    /// `user` or `visitor`: the first part of the KV key, `{kind}` of the session API's path.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Visitor(_) => "visitor",
        }
    }

    /// The id as it is: `{id}` of the session API's path, before encoding.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::User(user) => user.as_str().to_owned(),
            Self::Visitor(visitor) => visitor.to_string(),
        }
    }

    /// The key in the KV store `sessions`. `|`, which identity providers use and KV keys may not hold, is written
    /// `%7C`; `%` is in no id, so two ids never share a key.
    #[must_use]
    pub fn kv_key(&self) -> String {
        format!("{}/{}", self.kind(), self.id().replace('|', "%7C"))
    }
}

/// Whose records a request may read, in the order of their weight: none without permission to identify, else the one
/// that `which` names if it is there, else the other; or both.
#[must_use]
pub fn subjects(
    permissions: Permissions,
    which: Which,
    user: Option<&UserId>,
    visitor: Option<VisitorId>,
) -> Vec<Subject> {
    if !permissions.identify {
        return Vec::new();
    }
    let user = user.cloned().map(Subject::User);
    let visitor = visitor.map(Subject::Visitor);
    match which {
        Which::User => user.or(visitor).into_iter().collect(),
        Which::Visitor => visitor.or(user).into_iter().collect(),
        Which::Merged => user.into_iter().chain(visitor).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_says_whose_session_counts() {
        let user = UserId::parse("auth0|1").unwrap();
        let visitor = VisitorId::from_random(1);
        let keys = |permissions, which, user: Option<&UserId>, visitor| {
            subjects(permissions, which, user, visitor).iter().map(Subject::kv_key).collect::<Vec<_>>()
        };
        let (all, u, v) = (Permissions::ALL, "user/auth0%7C1", "visitor/00000000000000000000000000000001");
        assert_eq!(keys(all, Which::User, Some(&user), Some(visitor)), [u]);
        assert_eq!(keys(all, Which::User, None, Some(visitor)), [v]);
        assert_eq!(keys(all, Which::Visitor, Some(&user), Some(visitor)), [v]);
        assert_eq!(keys(all, Which::Visitor, Some(&user), None), [u]);
        assert_eq!(keys(all, Which::Merged, Some(&user), Some(visitor)), [u, v]);
        assert!(keys(all, Which::Merged, None, None).is_empty());
        assert!(keys(Permissions::NONE, Which::Merged, Some(&user), Some(visitor)).is_empty());
    }
}
