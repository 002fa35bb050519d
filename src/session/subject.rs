//! Whose session: a user or a visitor.

use std::fmt;

use crate::rules::settings::session::Which;

/// Bytes of a user id; longer ones are somebody's mistake, and a KV key holds 1,024.
pub const LONGEST_USER_ID: usize = 128;

/// Hexadecimal digits of a visitor id.
const DIGITS: usize = 32;

/// A user's id: 1 to 128 bytes of `A–Z a–z 0–9 . _ @ : + - |`, and not dots alone.
///
/// The alphabet holds UUIDs, numbers, e-mail addresses, telephone numbers and the ids of identity providers
/// (`auth0|507f`), and nothing that could end a path segment, a header, a parameter or a line. Whether the id is
/// *proven* is for `context::identity` to say.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(String);

impl UserId {
    /// The id with this text; `None` where it breaks the rules above.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let sound = (1..=LONGEST_USER_ID).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@:+-|".contains(&byte))
            && text.bytes().any(|byte| byte != b'.');
        sound.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Debug output ends up in logs, where an id must not.
impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserId(…)")
    }
}

/// 128 random bits, written as 32 lower-case hexadecimal digits; or a UUID that another program made (RFC 9562, in small letters), which
/// keeps its spelling: whoever hashes it gets what that program gets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VisitorId {
    bits: u128,
    is_uuid: bool,
}

/// The places of the hyphens in a UUID.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl VisitorId {
    /// The id made of these bits, which must be unpredictable.
    #[must_use]
    pub fn from_random(bits: u128) -> Self {
        Self { bits, is_uuid: false }
    }

    /// The id of exactly 32 lower-case hexadecimal digits, or of a UUID; `None` for any other text. One id has one spelling, so
    /// that it can't be two visitors.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_uuid = text.len() == DIGITS + HYPHENS.len();
        let is_hyphen = |at: usize| is_uuid && HYPHENS.contains(&at);
        let fits = |(at, byte): (usize, u8)| match is_hyphen(at) {
            true => byte == b'-',
            false => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        };
        if !(is_uuid || text.len() == DIGITS) || !text.bytes().enumerate().all(fits) {
            return None;
        }
        let bits = u128::from_str_radix(&text.replace('-', ""), 16).ok()?;
        Some(Self { bits, is_uuid })
    }
}

impl fmt::Display for VisitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bits, is_uuid: true } = *self else { return write!(f, "{:032x}", self.bits) };
        let part = |from: u32, digits: u32| bits >> (4 * (32 - from - digits)) & ((1 << (4 * digits)) - 1);
        let [a, b, c, d, e] = [part(0, 8), part(8, 4), part(12, 4), part(16, 4), part(20, 12)];
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
    }
}

/// Debug output ends up in logs, where an id must not.
impl fmt::Debug for VisitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VisitorId(…)")
    }
}

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

/// Whose records a request may read, in the order of their weight: none where nobody may be identified (`identify`), else the one
/// that `which` names if it is there, else the other; or both.
#[must_use]
pub fn subjects(identify: bool, which: Which, user: Option<&UserId>, visitor: Option<VisitorId>) -> Vec<Subject> {
    if !identify {
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
        let keys = |identify, which, user: Option<&UserId>, visitor| {
            subjects(identify, which, user, visitor).iter().map(Subject::kv_key).collect::<Vec<_>>()
        };
        let (all, u, v) = (true, "user/auth0%7C1", "visitor/00000000000000000000000000000001");
        assert_eq!(keys(all, Which::User, Some(&user), Some(visitor)), [u]);
        assert_eq!(keys(all, Which::User, None, Some(visitor)), [v]);
        assert_eq!(keys(all, Which::Visitor, Some(&user), Some(visitor)), [v]);
        assert_eq!(keys(all, Which::Visitor, Some(&user), None), [u]);
        assert_eq!(keys(all, Which::Merged, Some(&user), Some(visitor)), [u, v]);
        assert!(keys(all, Which::Merged, None, None).is_empty());
        assert!(keys(false, Which::Merged, Some(&user), Some(visitor)).is_empty());
    }
}
