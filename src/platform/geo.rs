//! What a look-up of an address says, in the terms of this service. The edge and the command line both come here, so that an
//! explanation can't place anybody elsewhere than the edge does.

use super::Geo;

/// Fastly's continents.
pub const CONTINENTS: [&str; 7] = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];
/// The continents, each with its countries: ISO 3166-1 alpha-2 and Kosovo's XK.
pub const COUNTRIES: [(&str, &str); 7] = [
    (
        "AF",
        "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG RE RW SC SD \
         SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW",
    ),
    ("AN", "AQ BV GS HM TF"),
    (
        "AS",
        "AE AF AM AZ BD BH BN BT CC CN CX GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY NP OM PH PK PS QA SA \
         SG SY TH TJ TL TM TR TW UZ VN YE",
    ),
    (
        "EU",
        "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT NL NO PL PT \
         RO RS RU SE SI SJ SK SM UA VA XK",
    ),
    (
        "NA",
        "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT US VC VG VI",
    ),
    ("OC", "AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TO TV UM VU WF WS"),
    ("SA", "AR BO BR CL CO EC FK GF GY PE PY SR UY VE"),
];
/// Fastly's connection types; `?` and any later one are unknown here.
const CONNECTION_TYPES: [&str; 5] = ["wired", "wifi", "mobile", "dialup", "satellite"];

/// Every country with its continent.
pub fn countries() -> impl Iterator<Item = (&'static str, &'static str)> {
    COUNTRIES
        .iter()
        .flat_map(|(continent, countries)| countries.split_ascii_whitespace().map(move |country| (country, *continent)))
}

/// The continent of a country (in capitals); `None` for a code that is none.
#[must_use]
pub fn continent_of(country: &str) -> Option<&'static str> {
    countries().find(|(known, _)| *known == country).map(|(_, continent)| continent)
}

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
