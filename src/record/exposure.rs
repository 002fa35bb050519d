//! Exposures: which variations a visitor was assigned, under a pseudonym.

use super::{ExposureLine, SCHEMA, allowed_attributes, exposure};
use crate::admit::RequestHead;
use crate::context::Context;
use crate::context::identity::{LogKey, pseudonym};
use crate::decide::variations::Exposed;
use crate::platform::Platform;
use crate::respond::events::Source;
use crate::rules::RuleSet;

/// Writes one line for each variation that the visitor was assigned; with `not_shown`, why the answer isn't the one that was decided. `HEAD`
/// shows nobody anything.
pub fn exposures<P: Platform>(
    platform: &P,
    (head, time): (&RequestHead, &str),
    (rules, context): (&RuleSet, &Context),
    key: &LogKey,
    (exposed, not_shown): (&[Exposed], Option<&str>),
    source: Source,
) {
    if head.method == http::Method::HEAD {
        return;
    }
    let log = &rules.settings.log;
    for exposed in exposed {
        let mut attributes = allowed_attributes(context, &rules.own, log, &log.exposure_attributes);
        if source == Source::Browser {
            // It is the path that events are sent to.
            attributes.remove("path");
        }
        exposure(
            platform,
            &ExposureLine {
                v: SCHEMA,
                timestamp: time,
                request_id: &head.request_id,
                revision: rules.revision.as_deref(),
                experiment_id: &exposed.experiment,
                variation_id: &exposed.variation_key,
                variation: exposed.variation,
                feature_id: exposed.feature.as_deref(),
                unit_type: &exposed.unit_type,
                unit_id: pseudonym(&key.key, &exposed.unit_type, &exposed.unit),
                key: &key.id,
                sticky: exposed.sticky,
                shown: not_shown.is_none(),
                fallback: not_shown,
                attributes,
            },
        );
    }
}
