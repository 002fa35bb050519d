//! Secrets, read when a proof has to be checked and kept for a while: a rotated key counts within a minute.

use std::rc::Rc;
use std::time::Duration;

use super::identity::IdentityKeys;
use super::preview;
use crate::mac::MacKey;
use crate::platform::Platform;

/// How long a secret is kept by a sandbox.
const RECHECK: Duration = Duration::from_secs(60);

/// The keys that a sandbox keeps. They are the service's, no visitor's.
#[derive(Default)]
pub struct Keys {
    identity: Option<(Duration, Rc<IdentityKeys>)>,
    preview: Option<(Duration, Rc<Vec<MacKey>>)>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// The keys that prove a user; none where the secret can't be read.
    pub fn identity<P: Platform>(&mut self, platform: &P) -> Rc<IdentityKeys> {
        let read = || {
            let secret = platform.secret("identity").ok().flatten();
            secret.map(|secret| IdentityKeys::parse(&secret).0).unwrap_or_default()
        };
        kept(&mut self.identity, platform.uptime(), read)
    }

    /// The keys that sign previews.
    pub fn preview<P: Platform>(&mut self, platform: &P) -> Rc<Vec<MacKey>> {
        let read = || {
            let secret = platform.secret("preview").ok().flatten();
            secret.map(|secret| preview::keys(&secret)).unwrap_or_default()
        };
        kept(&mut self.preview, platform.uptime(), read)
    }
}

fn kept<T>(slot: &mut Option<(Duration, Rc<T>)>, uptime: Duration, read: impl FnOnce() -> T) -> Rc<T> {
    match slot {
        Some((since, keys)) if uptime.saturating_sub(*since) < RECHECK => Rc::clone(keys),
        _ => {
            let keys = Rc::new(read());
            *slot = Some((uptime, Rc::clone(&keys)));
            keys
        }
    }
}
