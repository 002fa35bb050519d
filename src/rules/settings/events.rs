//! `settings.events`: measures that browsers send, where a site wants them.

use serde::{Deserialize, Serialize};

use super::super::events::{expected_name, is_name};
use super::super::fault::Fault;

/// What events are named that count where settings name none: as npm `web-vitals` names its measures.
const NAMES: [&str; 5] = ["CLS", "FCP", "INP", "LCP", "TTFB"];
/// Requests a minute that one sandbox takes where settings don't say.
const PER_MINUTE: u32 = 600;
/// Most names.
const MOST_NAMES: usize = 32;

/// Where browsers send events to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventSettings {
    /// The path that they are sent to, by POST. Block lists know words like `collect`.
    pub path: String,
    /// What events may be called; others are left out.
    #[serde(default = "names")]
    pub names: Vec<String>,
    /// Requests a minute that one sandbox looks at.
    #[serde(default = "per_minute")]
    pub per_minute: u32,
}

fn names() -> Vec<String> {
    NAMES.map(str::to_owned).to_vec()
}

fn per_minute() -> u32 {
    PER_MINUTE
}

impl EventSettings {
    /// Leaves out and names what can't be used: a path takes all of it away, for the site's own must not be taken.
    pub(super) fn within_bounds(events: &mut Option<Self>, faults: &mut Vec<Fault>) {
        let Some(settings) = events else { return };
        let path = &settings.path;
        let is_usable = path.starts_with('/')
            && path.len() > 1
            && !path.starts_with("/.edge")
            && path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
        if !is_usable {
            let message = format!("expected a path such as '/m', but found '{path}'; no browser's events are taken");
            faults.push(Fault::new("settings", "/events/path", message));
            *events = None;
            return;
        }
        if settings.names.len() > MOST_NAMES {
            let message = format!("expected at most {MOST_NAMES} names, but found {}", settings.names.len());
            faults.push(Fault::new("settings", "/events/names", message));
            settings.names.truncate(MOST_NAMES);
        }
        for (index, name) in settings.names.iter().enumerate().filter(|(_, name)| !is_name(name)) {
            faults.push(Fault::new("settings", format!("/events/names/{index}"), expected_name(name)));
        }
        settings.names.retain(|name| is_name(name));
    }
}
