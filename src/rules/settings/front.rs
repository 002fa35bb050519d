//! `settings.front`: the hop before us, where there is one.

use http::HeaderName;
use serde::{Deserialize, Serialize};

use super::super::fault::Fault;

/// What the names of headers begin with that never go to an origin, whatever rules serve.
const OURS: &str = "edge-";
/// The header by which one pass of this service proves itself to the next.
const PASS: &str = "edge-pass";
/// The header in which the hop names the host that the visitor asked for.
pub const HOST: &str = "edge-front-host";

/// How the hop in front proves itself; `settings.front`. Its secrets are in the secret `front` of the secret store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct FrontSettings {
    /// The header that holds the secret. Its name begins with `Edge-`, for those never go to an origin.
    pub header: String,
}

impl Default for FrontSettings {
    fn default() -> Self {
        Self { header: "Edge-Front".to_owned() }
    }
}

impl FrontSettings {
    /// Leaves out and names a header that can't be used; nobody in front is believed then. Names become lower case.
    pub(super) fn within_bounds(front: &mut Option<Self>, faults: &mut Vec<Fault>) {
        let Some(settings) = front else { return };
        let name = settings.header.to_ascii_lowercase();
        let is_usable = name.len() > OURS.len()
            && name.starts_with(OURS)
            && name != PASS
            && name != HOST
            && HeaderName::from_bytes(name.as_bytes()).is_ok();
        if is_usable {
            settings.header = name;
            return;
        }
        let message = format!(
            "expected a header's name that begins with Edge-, such as 'Edge-Front', but found '{}'; no hop in front is believed",
            settings.header
        );
        faults.push(Fault::new("settings", "/front/header", message));
        *front = None;
    }
}
