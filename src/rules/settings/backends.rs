//! `settings.backends`: how a backend wants to be asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::fault::{self, Fault};
use crate::wire::authority;

/// How one backend wants to be asked; a member of `settings.backends`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct BackendSettings {
    /// The host that it is asked by (`Host`), with a port where it isn't the scheme's own. Without it, the one that the visitor asked for.
    pub host: Option<String>,
    /// The code of the shield in front of it, such as `iad-va-us`: what can be cached is asked for there.
    pub shield: Option<String>,
}

/// Bytes of the longest shield's code; Fastly's own have fewer than 20.
const LONGEST_CODE: usize = 64;

fn is_shield(code: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    code.len() <= LONGEST_CODE && code.split('-').all(is_word)
}

impl BackendSettings {
    /// Leaves out and names what can't be used; hosts become lower case.
    pub(super) fn within_bounds(backends: &mut BTreeMap<String, Self>, faults: &mut Vec<Fault>) {
        for (name, backend) in backends {
            let place = format!("/backends/{}", fault::escape(name));
            if let Some(host) = backend.host.take() {
                if authority::split(&host).is_some() {
                    backend.host = Some(host.to_ascii_lowercase());
                } else {
                    let message = format!(
                        "expected a host such as 'shop.internal' or 'shop.internal:8443', but found '{host}'; the visitor's own is sent"
                    );
                    faults.push(Fault::new("settings", format!("{place}/host"), message));
                }
            }
            if let Some(code) = backend.shield.take_if(|code| !is_shield(code)) {
                let message = format!(
                    "expected a shield's code such as 'iad-va-us', but found '{code}'; the backend is asked directly"
                );
                faults.push(Fault::new("settings", format!("{place}/shield"), message));
            }
        }
    }
}
