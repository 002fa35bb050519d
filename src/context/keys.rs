//! Secrets, read when a proof has to be checked and kept for a while: a rotated key counts within a minute.

use std::rc::Rc;
use std::time::Duration;

use super::identity::{IdentityKeys, KeyFault};
use super::preview;
use crate::code::Code;
use crate::mac::{self, MacKey, Passwords};
use crate::platform::Platform;
use crate::rules::Fault;

/// How long a secret is kept by a sandbox.
const RECHECK: Duration = Duration::from_secs(60);
/// How long until it is asked for again where the store failed.
const RETRY: Duration = Duration::from_secs(2);
/// The keys that a sandbox keeps. They are the service's, no visitor's.
#[derive(Default)]
pub struct Keys {
    identity: Slot<IdentityKeys>,
    preview: Slot<Vec<MacKey>>,
    front: Slot<Passwords>,
    shield: Slot<Vec<MacKey>>,
    ofrep: Slot<Passwords>,
    inspect: Slot<Vec<MacKey>>,
    failed: bool,
    /// Keys of `identity` that were left out when it was read last.
    left_out: Vec<KeyFault>,
    /// Whether a log line has to name them.
    to_name: bool,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// The keys that prove a user; none where there is no secret. Where the store can't answer, those of before.
    pub fn identity<P: Platform>(&mut self, platform: &P) -> Rc<IdentityKeys> {
        let (left_out, to_name) = (&mut self.left_out, &mut self.to_name);
        let parse = |secret: &[u8]| {
            let (keys, faults) = IdentityKeys::parse(secret);
            // The same secret is read every minute: its faults are news once.
            *to_name |= faults != *left_out;
            *left_out = faults;
            keys
        };
        self.identity.get(platform, "identity", parse, &mut self.failed)
    }

    /// The keys that sign previews; none where there is no secret. Where the store can't answer, those of before.
    pub fn preview<P: Platform>(&mut self, platform: &P) -> Rc<Vec<MacKey>> {
        self.preview.get(platform, "preview", preview::keys, &mut self.failed)
    }

    /// What the hop in front proves itself by; none where there is no secret. Where the store can't answer, those of before.
    pub fn front<P: Platform>(&mut self, platform: &P) -> Rc<Passwords> {
        self.front.get(platform, "front", Passwords::parse, &mut self.failed)
    }

    /// The keys by which one pass of the service proves itself to the next; none where there is no secret. Where the store can't answer,
    /// those of before.
    pub fn shield<P: Platform>(&mut self, platform: &P) -> Rc<Vec<MacKey>> {
        self.shield.get(platform, "shield", mac::keys, &mut self.failed)
    }

    /// What servers show who ask for flags; none where there is no secret. Where the store can't answer, those of before.
    pub fn ofrep<P: Platform>(&mut self, platform: &P) -> Rc<Passwords> {
        self.ofrep.get(platform, "ofrep", Passwords::parse, &mut self.failed)
    }

    /// The keys that sign links of the inspector; none where there is no secret. Where the store can't answer, those of before.
    pub fn inspect<P: Platform>(&mut self, platform: &P) -> Rc<Vec<MacKey>> {
        self.inspect.get(platform, "inspect", mac::keys, &mut self.failed)
    }

    /// The keys of `identity` that were left out, once for each sandbox and change: for the log of the request that read them.
    pub fn take_faults(&mut self) -> Vec<Fault> {
        let named = std::mem::take(&mut self.to_name);
        self.left_out.iter().filter(|_| named).map(KeyFault::to_fault).collect()
    }

    /// [`Code::SecretStore`] where the store failed since this was asked last: for the log of the request that met the failure.
    pub fn take_code(&mut self) -> Option<Code> {
        std::mem::take(&mut self.failed).then_some(Code::SecretStore)
    }
}

/// One secret, as it was read last.
struct Slot<T> {
    keys: Rc<T>,
    /// Until when nobody asks again, as the platform's uptime; `None` before the first time.
    until: Option<Duration>,
}

impl<T: Default> Default for Slot<T> {
    fn default() -> Self {
        Self { keys: Rc::default(), until: None }
    }
}

impl<T: Default> Slot<T> {
    fn get<P: Platform>(
        &mut self,
        platform: &P,
        name: &str,
        parse: impl FnOnce(&[u8]) -> T,
        failed: &mut bool,
    ) -> Rc<T> {
        let uptime = platform.uptime();
        if self.until.is_none_or(|until| uptime >= until) {
            let wait = match platform.secret(name) {
                Ok(secret) => {
                    // That there is none is an answer, too.
                    self.keys = Rc::new(secret.map(|secret| parse(&secret)).unwrap_or_default());
                    RECHECK
                }
                Err(_) => {
                    *failed = true;
                    RETRY
                }
            };
            self.until = Some(uptime.saturating_add(wait));
        }
        Rc::clone(&self.keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::StoreError;
    use crate::platform::memory::Memory;

    const KEY: &[u8] = b"a-preview-key-of-32-bytes-or-more";

    fn host() -> Memory {
        let host = Memory::default();
        host.secrets.borrow_mut().insert("preview".to_owned(), KEY.to_vec());
        host
    }

    fn wait(host: &Memory, seconds: u64) {
        host.wait(Duration::from_secs(seconds));
    }

    #[test]
    fn a_failing_store_takes_no_key_away_and_is_told() {
        let host = host();
        let mut keys = Keys::default();
        assert_eq!((keys.preview(&host).len(), keys.take_code()), (1, None));
        wait(&host, 60);
        host.secrets_fail.set(Some(StoreError::Failed));
        assert_eq!((keys.preview(&host).len(), keys.take_code()), (1, Some(Code::SecretStore)));
        assert_eq!((keys.preview(&host).len(), keys.take_code()), (1, None), "nobody asks again at once");
        wait(&host, 2);
        assert_eq!((keys.preview(&host).len(), keys.take_code()), (1, Some(Code::SecretStore)));
        host.secrets_fail.set(None);
        host.secrets.borrow_mut().clear();
        wait(&host, 2);
        assert_eq!(
            (keys.preview(&host).len(), keys.take_code()),
            (0, None),
            "a secret that was removed counts no longer"
        );
    }

    #[test]
    fn a_store_that_failed_at_first_is_asked_again_soon() {
        let host = host();
        host.secrets_fail.set(Some(StoreError::Throttled));
        let mut keys = Keys::default();
        assert_eq!((keys.preview(&host).len(), keys.take_code()), (0, Some(Code::SecretStore)));
        host.secrets_fail.set(None);
        assert_eq!(keys.preview(&host).len(), 0);
        wait(&host, 2);
        assert_eq!(keys.preview(&host).len(), 1);
        assert_eq!(host.looked_up("secret"), 2);
    }
}
