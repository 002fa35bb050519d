//! Countries and their continents: ISO 3166-1 alpha-2 and Kosovo's XK, under the continents that Fastly's geolocation knows.
//!
//! Databases disagree on a few that lie between two (CY, GE, RU, TL, TR): `--continent` says otherwise where it matters.

pub use edge_personalizer::platform::geo::{COUNTRIES as CONTINENTS, continent_of, countries as all};

/// What people write for countries instead of their codes or their official names.
const OTHER_NAMES: [(&str, &str); 16] = [
    ("uk", "GB"),
    ("england", "GB"),
    ("scotland", "GB"),
    ("great britain", "GB"),
    ("united kingdom", "GB"),
    ("america", "US"),
    ("united states", "US"),
    ("holland", "NL"),
    ("south korea", "KR"),
    ("north korea", "KP"),
    ("russia", "RU"),
    ("czech republic", "CZ"),
    ("turkey", "TR"),
    ("taiwan", "TW"),
    ("vietnam", "VN"),
    ("kosovo", "XK"),
];

/// The same where all databases agree.
pub fn certain_continent_of(country: &str) -> Option<&'static str> {
    const BETWEEN: &str = "AM AQ AZ BV CY EG GE GS HM KZ RU TF TL TR UM";
    continent_of(country).filter(|_| !BETWEEN.split(' ').any(|other| other == country))
}

/// Whether a text is the code of a country, in capitals.
pub fn is_country(code: &str) -> bool {
    continent_of(code).is_some()
}

/// The code of a country that somebody meant: by its code in small letters, its three letters, or its English name.
pub fn meant(text: &str) -> Option<&'static str> {
    let lower = text.trim().to_lowercase();
    let other = OTHER_NAMES.iter().find(|(name, _)| *name == lower).map(|(_, code)| *code);
    let code = || all().map(|(code, _)| code).find(|code| code.eq_ignore_ascii_case(&lower));
    let official = || {
        let countries = rust_iso3166::ALL.iter();
        let is_it = |country: &&rust_iso3166::CountryCode| {
            let name = country.name.to_lowercase();
            country.alpha3.eq_ignore_ascii_case(&lower)
                || name == lower
                // `Korea (Republic of)`, and also `Iran (Islamic Republic of)`.
                || name.split(" (").next() == Some(&lower)
        };
        countries.clone().find(is_it).map(|country| country.alpha2)
    };
    let spelt = || {
        let names = rust_iso3166::ALL.iter().map(|country| country.name);
        let name = crate::check::nearest(&lower, names).filter(|_| lower.len() > 3)?;
        rust_iso3166::ALL.iter().find(|country| country.name == name).map(|country| country.alpha2)
    };
    other.or_else(code).or_else(official).or_else(spelt)
}

/// The code of a country, in capitals.
///
/// # Errors
///
/// It is none; with the code that was probably meant.
pub fn country(text: &str) -> Result<&'static str, String> {
    let code = text.to_ascii_uppercase();
    all().map(|(known, _)| known).find(|known| *known == code).ok_or_else(|| {
        let hint = meant(text).map(|code| format!(": did you mean {code}?")).unwrap_or_default();
        format!("expected the code of a country (two letters, ISO 3166-1), but found '{text}'{hint}")
    })
}

/// The code of a continent, in capitals.
///
/// # Errors
///
/// It is none.
pub fn continent(text: &str) -> Result<&'static str, String> {
    let codes = CONTINENTS.map(|(code, _)| code);
    let code = text.to_ascii_uppercase();
    codes
        .into_iter()
        .find(|known| *known == code)
        .ok_or_else(|| format!("expected one of {}, but found '{text}'", codes.join(", ")))
}

/// The code of a country's subdivision, without the country, in capitals: `CA` of `US`.
///
/// # Errors
///
/// The country has none of that code; with the one that was probably meant.
pub fn subdivision(country: &str, text: &str) -> Result<String, String> {
    let code = text.to_ascii_uppercase();
    let prefix = format!("{country}-");
    let code = code.strip_prefix(&prefix).unwrap_or(&code).to_owned();
    let known: Vec<(&str, &str)> = rust_iso3166::from_alpha2(country)
        .and_then(|country| {
            let code = |code: &'static str| code.strip_prefix(&prefix).unwrap_or(code);
            Some(country.subdivisions()?.iter().map(|one| (code(one.code), one.name)).collect())
        })
        .unwrap_or_default();
    // Nothing is known of Kosovo's.
    if known.is_empty() || known.iter().any(|(one, _)| *one == code) {
        return Ok(code);
    }
    let name = crate::check::nearest(text, known.iter().map(|(_, name)| *name));
    let meant = name.and_then(|name| known.iter().find(|(_, known)| *known == name));
    let hint = meant.map(|(code, name)| format!(": did you mean {code} ({name})?")).unwrap_or_default();
    Err(format!(
        "expected the code of a subdivision of {country} (ISO 3166-2 without the country), but found '{text}'{hint}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_named() {
        for (text, code) in [
            ("Germany", "DE"),
            ("fr", "FR"),
            ("France", "FR"),
            ("Frnace", "FR"),
            ("USA", "US"),
            ("UK", "GB"),
            ("South Korea", "KR"),
            ("Iran", "IR"),
        ] {
            assert_eq!(meant(text), Some(code), "{text}");
        }
        assert_eq!(meant("xq"), None);
        assert_eq!(country("de"), Ok("DE"));
        assert!(country("Germany").unwrap_err().ends_with("but found 'Germany': did you mean DE?"));
        assert_eq!(subdivision("US", "us-ca").as_deref(), Ok("CA"));
        assert_eq!(subdivision("XK", "01").as_deref(), Ok("01"));
        assert!(subdivision("US", "California").unwrap_err().ends_with("did you mean CA (California)?"));
        assert!(continent("Europe").unwrap_err().starts_with("expected one of AF,"));
    }

    #[test]
    fn the_standard_and_the_continents_have_the_same_countries() {
        for country in rust_iso3166::ALL {
            assert!(is_country(country.alpha2), "{}", country.alpha2);
        }
    }

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
