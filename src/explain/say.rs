//! What may be said of a visitor in one word, in the request's own terms. The command line and `/.edge/explain` both come here.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::context::consent::Consent;

/// What a browser says of its connection.
const HINTS: [HeaderName; 4] = [
    HeaderName::from_static("ect"),
    HeaderName::from_static("downlink"),
    HeaderName::from_static("rtt"),
    HeaderName::from_static("save-data"),
];

/// The network's class, by the effective type that a browser would send: `slow`, `medium`, `fast`.
///
/// # Errors
///
/// It is none of them.
pub fn network(headers: &mut HeaderMap, class: &str) -> Result<(), &'static str> {
    let effective = match class {
        "slow" => "2g",
        "medium" => "3g",
        "fast" => "4g",
        _ => return Err("slow, medium or fast"),
    };
    let [ect, ..] = HINTS;
    HINTS.iter().for_each(|name| {
        headers.remove(name);
    });
    headers.insert(ect, HeaderValue::from_static(effective));
    Ok(())
}

/// The languages, as `Accept-Language` has them.
///
/// # Errors
///
/// They can't stand in a header.
pub fn language(headers: &mut HeaderMap, languages: &str) -> Result<(), &'static str> {
    let value = HeaderValue::from_str(languages).map_err(|_| "a language, such as fr or de-AT")?;
    headers.insert(header::ACCEPT_LANGUAGE, value);
    Ok(())
}

/// What the visitor said about consent: `granted`, `refused`, `silent`.
///
/// # Errors
///
/// It is none of them.
pub fn consent(word: &str) -> Result<Consent, &'static str> {
    match word {
        "granted" => Ok(Consent::Granted),
        "refused" => Ok(Consent::Refused),
        "silent" => Ok(Consent::Silent),
        _ => Err("granted, refused or silent"),
    }
}
