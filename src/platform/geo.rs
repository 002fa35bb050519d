//! What a look-up of an address says, in the terms of this service. The edge and the command line both come here, so that an
//! explanation can't place anybody elsewhere than the edge does.

use super::Geo;

/// Fastly's continents.
pub const CONTINENTS: [&str; 7] = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];
/// Fastly's connection types; `?` and any later one are unknown here.
const CONNECTION_TYPES: [&str; 5] = ["wired", "wifi", "mobile", "dialup", "satellite"];

/// The texts of Fastly's geolocation, as they stand there.
#[derive(Debug, Clone, Copy, Default)]
pub struct GeoTexts<'a> {
    /// `country_code`.
    pub country: &'a str,
    /// `region`.
    pub subdivision: &'a str,
    /// `continent`.
    pub continent: &'a str,
    /// `city`.
    pub city: &'a str,
    /// `conn_type`.
    pub connection_type: &'a str,
}

impl From<GeoTexts<'_>> for Geo {
    /// Fastly has a text for everything that it doesn't know; such a field is absent. Where the country isn't known the continent
    /// isn't believed.
    fn from(texts: GeoTexts<'_>) -> Self {
        let country = texts.country;
        let is_known = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_alphabetic());
        let one_of = |list: &[&'static str], text: &str| list.iter().copied().find(|known| *known == text);
        Self {
            country: is_known.then(|| country.to_ascii_uppercase()),
            subdivision: known(texts.subdivision),
            continent: is_known.then(|| one_of(&CONTINENTS, texts.continent)).flatten(),
            city: known(texts.city),
            connection_type: one_of(&CONNECTION_TYPES, texts.connection_type),
        }
    }
}

fn known(text: &str) -> Option<String> {
    (!matches!(text, "" | "?" | "**" | "NO REGION")).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARIS: GeoTexts<'_> =
        GeoTexts { country: "FR", subdivision: "IDF", continent: "EU", city: "paris", connection_type: "wired" };

    #[test]
    fn a_known_address_has_everything() {
        let geo = Geo::from(PARIS);
        assert_eq!((geo.country.as_deref(), geo.subdivision.as_deref()), (Some("FR"), Some("IDF")));
        assert_eq!((geo.continent, geo.city.as_deref()), (Some("EU"), Some("paris")));
        assert_eq!(geo.connection_type, Some("wired"));
    }

    #[test]
    fn a_continent_without_its_country_is_not_believed() {
        for country in ["**", "", "?", "F", "FRA", "É"] {
            let geo = Geo::from(GeoTexts { country, ..PARIS });
            assert_eq!((geo.country, geo.continent), (None, None), "{country}");
        }
    }

    #[test]
    fn what_fastly_does_not_know_is_absent() {
        for text in ["", "?", "**", "NO REGION"] {
            let geo =
                Geo::from(GeoTexts { subdivision: text, continent: text, city: text, connection_type: text, ..PARIS });
            assert_eq!(geo, Geo { country: Some("FR".to_owned()), ..Geo::default() }, "{text}");
        }
        assert_eq!(
            Geo::from(GeoTexts { continent: "??", ..PARIS }).continent,
            None,
            "the SDK's code of an unknown one"
        );
    }
}
