//! Whose session, on the command line.

use std::str::FromStr;

use anyhow::bail;
use edge_personalizer::context::identity::UserId;
use edge_personalizer::context::visitor::VisitorId;
use edge_personalizer::session::Subject;

/// `USER`, `user/USER` or `visitor/ID`. No user's id holds a slash.
#[derive(Debug, Clone)]
pub struct Whose(pub Subject);

impl FromStr for Whose {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (kind, id) = text.split_once('/').unwrap_or(("user", text));
        let subject = match kind {
            "user" => UserId::parse(id).map(Subject::User),
            "visitor" => VisitorId::parse(id).map(Subject::Visitor),
            _ => None,
        };
        match subject {
            Some(subject) => Ok(Self(subject)),
            None => bail!(
                "expected a user's id (1 to 128 characters of A-Z a-z 0-9 . _ @ : + - |), or visitor/ and 32 lower-case hexadecimal \
                 digits, but found '{text}'"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_visitors_are_told_apart() {
        for (text, key) in [
            ("alice", "user/alice"),
            ("user/auth0|1", "user/auth0%7C1"),
            ("visitor/00000000000000000000000000000abc", "visitor/00000000000000000000000000000abc"),
        ] {
            assert_eq!(text.parse::<Whose>().unwrap().0.kv_key(), key);
        }
        for bad in ["", "visitor/abc", "visitor/", "group/x", "a/b/c", "user/", "a b"] {
            assert!(bad.parse::<Whose>().is_err(), "{bad}");
        }
    }
}
