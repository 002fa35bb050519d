//! What the inspector's page can choose from: the names that the rules have.

use serde_json::{Value as Json, json};

use super::{Refused, Said, known, rules};
use crate::admit::{Arrival, RequestHead};
use crate::context::inspect::InspectClaims;
use crate::platform::Platform;
use crate::record;
use crate::rules::RuleSet;
use crate::rules::settings::PreviewMode;
use crate::service::Sandbox;
use crate::wire::query::pairs;

/// Features, and experiments, that the page lists: more fill no list that a person reads.
const MOST_NAMES: usize = 500;
/// Values of one feature.
const MOST_VALUES: usize = 12;
/// Characters of a value that is offered.
const LONGEST_VALUE: usize = 200;

/// The names, for who may look.
pub(super) fn answer<P: Platform>(
    platform: &P,
    arrival: &Arrival,
    sandbox: &mut Sandbox,
    head: &RequestHead,
) -> Result<Said, Refused> {
    let claims = known(platform, arrival, sandbox, head)?;
    let query = head.query.as_deref().unwrap_or_default();
    let revision = pairs(query).find(|(name, _)| name == "revision").map(|(_, value)| value);
    let rules = rules(platform, arrival, sandbox, head, revision.as_deref().filter(|name| !name.is_empty()))?;
    let has_key = !sandbox.kept.keys.preview(platform).is_empty();
    let can_preview = has_key && rules.settings.preview == PreviewMode::Signed;
    let revisions: Vec<&str> = sandbox.rules.revisions().collect();
    Ok(Said::ok(names(&rules, &claims, &revisions, can_preview)))
}

fn names(rules: &RuleSet, claims: &InspectClaims, revisions: &[&str], can_preview: bool) -> Json {
    let expires = time::OffsetDateTime::from_unix_timestamp(claims.exp).map(record::timestamp).ok();
    let definitions = &rules.definitions;
    let features = definitions.features.iter().take(MOST_NAMES).map(|(key, feature)| {
        let mut values: Vec<&Json> = Vec::new();
        for value in feature.values().filter(|value| value.to_string().len() <= LONGEST_VALUE) {
            if values.len() < MOST_VALUES && !values.contains(&value) {
                values.push(value);
            }
        }
        json!({ "key": key, "values": values })
    });
    let experiments = definitions.experiments.iter().take(MOST_NAMES).map(|(key, experiment)| {
        let keys = (0..experiment.variations().len()).map(|index| experiment.variation_key(index));
        json!({ "key": key, "variations": keys.collect::<Vec<_>>() })
    });
    json!({
        "host": claims.host,
        "users": claims.users,
        "expires": expires,
        "revision": rules.revision,
        "revisions": revisions,
        "can_preview": can_preview,
        "languages": rules.settings.languages,
        "regions": rules.regions.all().map(|region| &region.id).collect::<Vec<_>>(),
        "features": features.collect::<Vec<_>>(),
        "experiments": experiments.collect::<Vec<_>>(),
    })
}
