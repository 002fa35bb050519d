//! Sizes, against the platform's limits.

use edge_personalizer::rules::dictionary::MAX_LOOKUPS;
use edge_personalizer::rules::pointer::MAX_REVISION;

use super::Checked;
use edge_personalizer::rules::entries::{self, MAX_CHARACTERS, MAX_ENTRIES, MAX_KEY};

/// Look-ups beside the dictionaries': the pointer (two on a staging deployment) and the manifest.
const BESIDE: usize = 3;
/// Above this `push` takes the KV store, which needs one look-up (design.md section 3.1); in bytes.
const LARGE: usize = 100_000;

impl Checked<'_> {
    /// Names what no store would hold, or no request could read.
    pub(super) fn sizes(&mut self) {
        let values = self.folder.values();
        let bytes: usize = values.values().map(|value| value.to_string().len()).sum();
        if bytes > LARGE {
            return;
        }
        let entries = match entries::entries(&values) {
            Ok(entries) => entries,
            Err((dictionary, message)) => return self.fault(&dictionary, "", message),
        };
        let most = usize::try_from(MAX_LOOKUPS).unwrap_or_default().saturating_sub(BESIDE);
        if entries.len() > most {
            let longest = values.iter().max_by_key(|(_, value)| value.to_string().len());
            let dictionary = longest.map(|(name, _)| name.clone()).unwrap_or_default();
            let message = format!(
                "expected at most {most} entries of {MAX_CHARACTERS} characters, for a request makes {MAX_LOOKUPS} look-ups, but found {}: \
                 `push --store kv` has room",
                entries.len()
            );
            self.fault(&dictionary, "", message);
        }
        if entries.len() > MAX_ENTRIES {
            self.fault("routes", "", format!("expected at most {MAX_ENTRIES} entries, but found {}", entries.len()));
        }
        for key in entries.keys().filter(|key| key.len() + MAX_REVISION + 1 > MAX_KEY) {
            self.findings.push(super::Finding::new(
                self.folder,
                super::Level::Fault,
                key,
                String::new(),
                format!("expected a key of at most {MAX_KEY} characters, but found '{key}'"),
            ));
        }
    }
}
