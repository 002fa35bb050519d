//! Definitions from a GrowthBook SDK payload in the KV store `rules`, beside those of the dictionaries, which win.

use std::rc::Rc;
use std::time::Duration;

use super::visit::Visit;
use crate::platform::{Kv, Platform};
use crate::rules::settings::GrowthBookSettings;
use crate::rules::{Fault, RuleSet};

/// How long a payload is trusted before it is read again: GrowthBook's webhook writes it when something is published.
const RECHECK: Duration = Duration::from_secs(30);

/// Rule sets that serve side by side: a pointer names at most so many revisions.
const KEPT: usize = 4;

/// The payloads that a sandbox keeps, one a rule set.
#[derive(Debug, Default)]
pub(super) struct Payloads(Vec<Known>);

#[derive(Debug)]
struct Known {
    base: Rc<RuleSet>,
    extended: Rc<RuleSet>,
    bytes: Vec<u8>,
    read_at: Duration,
}

impl Payloads {
    /// `base` with the payload's definitions, where settings name one. A payload that can't be read leaves what was there.
    pub fn extend<P: Platform>(&mut self, visit: &mut Visit<'_, P>, base: Rc<RuleSet>) -> Rc<RuleSet> {
        let Some(settings) = &base.settings.growthbook else { return base };
        let place = self.0.iter().position(|known| Rc::ptr_eq(&known.base, &base));
        let known = place.and_then(|place| self.0.get(place));
        if let Some(known) = known.filter(|known| visit.started.saturating_sub(known.read_at) < RECHECK) {
            return Rc::clone(&known.extended);
        }
        let found =
            visit.platform.kv_start(Kv::Rules, &settings.kv_key).and_then(|found| visit.platform.kv_wait(found));
        let bytes = match (found, known) {
            (Ok(Some(value)), _) => value.bytes,
            (Ok(None) | Err(_), known) => {
                visit.codes.push("growthbook-payload");
                known.map(|known| known.bytes.clone()).unwrap_or_default()
            }
        };
        let extended = match known.filter(|known| known.bytes == bytes) {
            Some(known) => Rc::clone(&known.extended),
            None => Rc::new(extended(visit, &base, settings, &bytes)),
        };
        match place {
            Some(place) => drop(self.0.remove(place)),
            // The one that was read longest ago belongs to rules that serve no more.
            None if self.0.len() >= KEPT => drop(self.0.remove(0)),
            None => {}
        }
        self.0.push(Known { base, extended: Rc::clone(&extended), bytes, read_at: visit.started });
        extended
    }
}

fn extended<P: Platform>(
    visit: &mut Visit<'_, P>,
    base: &RuleSet,
    settings: &GrowthBookSettings,
    bytes: &[u8],
) -> RuleSet {
    let mut definitions = base.definitions.uncompiled();
    let secret = settings.secret.as_deref().and_then(|name| visit.platform.secret(name).ok().flatten());
    let key = secret.as_deref().and_then(|secret| std::str::from_utf8(secret).ok()).map(str::trim);
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if !text.is_empty()
        && let Err(faults) = definitions.add_payload(text, key)
    {
        let named = |fault: crate::condition::Fault| Fault::new(&settings.kv_key, fault.pointer, fault.message);
        visit.notes.faults.extend(faults.into_iter().map(named));
    }
    RuleSet { definitions: Rc::new(definitions), ..base.clone() }
}
