//! How fast the visitor's connection is, in three classes: raw figures never go further.

use http::{HeaderMap, HeaderName};

pub use crate::attributes::NetworkClass;
use crate::platform::Geo;
use crate::wire::hints;

/// The facts about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkFacts {
    /// Its class.
    pub class: NetworkClass,
    /// Whether the visitor asked for less data (`Save-Data: on`).
    pub save_data: bool,
}

/// Below this many Mbit/s a connection is slow, the most that a `3g` counts as (Network Information API, table of effective types).
const SLOW_MBPS: f64 = 0.7;
/// Below this many Mbit/s it is medium: a product page's images take more than a second.
const MEDIUM_MBPS: f64 = 5.0;
/// From this many milliseconds of round trip on it is slow (`2g` in the same table).
const SLOW_MS: f64 = 1400.0;
/// From this many milliseconds on it is medium (`3g` in the same table).
const MEDIUM_MS: f64 = 270.0;

/// Gathers the facts about a connection: of all that hints say the worst counts; where they say nothing, the
/// connection type that geolocation knows.
pub fn detect(headers: &HeaderMap, geo: Option<&Geo>) -> NetworkFacts {
    let save_data = hints::value(headers, const { HeaderName::from_static("save-data") })
        .is_some_and(|value| value.eq_ignore_ascii_case("on"));
    let effective = match hints::value(headers, const { HeaderName::from_static("ect") }) {
        Some("slow-2g" | "2g") => Some(NetworkClass::Slow),
        Some("3g") => Some(NetworkClass::Medium),
        Some("4g") => Some(NetworkClass::Fast),
        _ => None,
    };
    let downlink = hints::number(headers, const { HeaderName::from_static("downlink") })
        .map(|mbps| graded(mbps < SLOW_MBPS, mbps < MEDIUM_MBPS));
    let round_trip = hints::number(headers, const { HeaderName::from_static("rtt") })
        .map(|ms| graded(ms >= SLOW_MS, ms >= MEDIUM_MS));
    let said = [effective, downlink, round_trip].into_iter().flatten().min();

    let class = if save_data {
        NetworkClass::Slow
    } else {
        said.or_else(|| geo.and_then(by_connection)).unwrap_or(NetworkClass::Fast)
    };
    NetworkFacts { class, save_data }
}

fn graded(is_slow: bool, is_medium: bool) -> NetworkClass {
    match (is_slow, is_medium) {
        (true, _) => NetworkClass::Slow,
        (false, true) => NetworkClass::Medium,
        (false, false) => NetworkClass::Fast,
    }
}

fn by_connection(geo: &Geo) -> Option<NetworkClass> {
    match geo.connection_type? {
        "dialup" | "satellite" => Some(NetworkClass::Slow),
        "mobile" => Some(NetworkClass::Medium),
        "wired" | "wifi" => Some(NetworkClass::Fast),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn class(pairs: &[(&'static str, &'static str)], connection_type: Option<&'static str>) -> &'static str {
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let geo = Geo { connection_type, ..Geo::default() };
        detect(&headers, Some(&geo)).class.as_str()
    }

    #[test]
    fn the_worst_hint_counts() {
        assert_eq!(class(&[("ect", "4g")], None), "fast");
        assert_eq!(class(&[("ect", "3g")], None), "medium");
        assert_eq!(class(&[("ect", "slow-2g")], None), "slow");
        assert_eq!(class(&[("ect", "4g"), ("downlink", "1.5")], None), "medium");
        assert_eq!(class(&[("ect", "4g"), ("downlink", "10"), ("rtt", "50")], None), "fast");
        assert_eq!(class(&[("downlink", "0.4")], None), "slow");
        assert_eq!(class(&[("rtt", "2000")], Some("wifi")), "slow");
        assert_eq!(class(&[("rtt", "300")], None), "medium");
    }

    #[test]
    fn save_data_is_slow_whatever_else_is_said() {
        assert_eq!(class(&[("save-data", "on"), ("ect", "4g")], Some("wired")), "slow");
        assert_eq!(class(&[("save-data", "off"), ("ect", "4g")], None), "fast");
    }

    #[test]
    fn without_hints_geolocation_says() {
        assert_eq!(class(&[], Some("satellite")), "slow");
        assert_eq!(class(&[], Some("mobile")), "medium");
        assert_eq!(class(&[], Some("wired")), "fast");
        assert_eq!(class(&[], Some("?")), "fast");
        assert_eq!(class(&[], None), "fast");
        // A hint outranks it.
        assert_eq!(class(&[("ect", "4g")], Some("satellite")), "fast");
    }

    #[test]
    fn malformed_hints_are_ignored() {
        for value in ["", "x", "-1", "1e400", "NaN", "5g", "\"4g\""] {
            assert_eq!(
                class(&[("ect", value), ("downlink", value), ("rtt", value)], Some("mobile")),
                "medium",
                "{value}"
            );
        }
    }
}
