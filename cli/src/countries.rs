//! Countries and their continents: ISO 3166-1 alpha-2 and Kosovo's XK, under the continents that Fastly's geolocation knows.
//!
//! Databases disagree on a few that lie between two (CY, GE, RU, TL, TR): `--continent` says otherwise where it matters.

/// The continents, each with its countries.
pub const CONTINENTS: [(&str, &str); 7] = [
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

/// Every country with its continent.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    CONTINENTS
        .iter()
        .flat_map(|(continent, countries)| countries.split_ascii_whitespace().map(move |country| (country, *continent)))
}

/// The continent of a country (in capitals); `None` for a code that is none.
pub fn continent_of(country: &str) -> Option<&'static str> {
    all().find(|(known, _)| *known == country).map(|(_, continent)| continent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_is_there_once() {
        let mut countries: Vec<&str> = all().map(|(country, _)| country).collect();
        countries.sort_unstable();
        let count = countries.len();
        countries.dedup();
        // ISO 3166-1 has 249; XK is the 250th.
        assert_eq!((countries.len(), count), (250, 250));
        assert!(
            countries.iter().all(|country| country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase()))
        );
        assert_eq!((continent_of("FR"), continent_of("ZZ")), (Some("EU"), None));
    }
}
