//! Who the browser is to be, as its user picked on the page `/.local/`: kept in a cookie that nobody else sees.

use edge_personalizer::platform::Geo;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::form_urlencoded;

use crate::countries;

/// The cookie.
pub const COOKIE: &str = "local-edge";
/// Global Privacy Control: a refusal.
const GPC: HeaderName = HeaderName::from_static("sec-gpc");

/// Devices, each with a User-Agent that is one.
pub const DEVICES: [(&str, &str); 5] = [
    (
        "mobile",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
    ),
    (
        "tablet",
        "Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/604.1",
    ),
    ("desktop", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
    ("tv", "Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36 (KHTML, like Gecko) TV Safari/537.36"),
    ("bot", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
];

/// What was picked; nothing changes what the browser is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picked {
    /// Two letters.
    pub country: Option<&'static str>,
    /// Without the country.
    pub subdivision: Option<String>,
    /// A device of [`DEVICES`].
    pub device: Option<&'static str>,
    /// The language that the browser asks for.
    pub language: Option<String>,
    /// Whether the visitor refuses.
    pub refuses: bool,
}

impl Picked {
    /// Reads a form: the page's, and the cookie's. What isn't known counts for nothing.
    pub fn read(form: &str) -> Self {
        let mut picked = Self::default();
        let mut subdivision = None;
        for (key, value) in form_urlencoded::parse(form.as_bytes()) {
            match &*key {
                "country" => picked.country = countries::country(&value).ok(),
                "subdivision" => subdivision = Some(value.into_owned()),
                "device" => picked.device = DEVICES.iter().map(|(name, _)| *name).find(|name| *name == value),
                "language" => picked.language = Some(value.into_owned()).filter(|language| is_language(language)),
                "consent" => picked.refuses = value == "refused",
                _ => {}
            }
        }
        let known = |country: &'static str| countries::subdivision(country, &subdivision?).ok();
        picked.subdivision = picked.country.and_then(known);
        picked
    }

    /// The cookie's value; empty where nothing was picked.
    pub fn form(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let parts = [
            ("country", self.country),
            ("subdivision", self.subdivision.as_deref()),
            ("device", self.device),
            ("language", self.language.as_deref()),
            ("consent", self.refuses.then_some("refused")),
        ];
        for (key, value) in parts {
            if let Some(value) = value {
                form.append_pair(key, value);
            }
        }
        form.finish()
    }

    /// Takes the cookie out of a request, and makes its headers those of whom it describes.
    pub fn take(headers: &mut HeaderMap) -> Self {
        let mut picked = Self::default();
        let lines: Vec<HeaderValue> = headers.get_all(header::COOKIE).iter().cloned().collect();
        if lines.iter().any(|line| line.as_bytes().windows(COOKIE.len()).any(|bytes| bytes == COOKIE.as_bytes())) {
            headers.remove(header::COOKIE);
            for line in lines {
                let Ok(text) = std::str::from_utf8(line.as_bytes()) else {
                    headers.append(header::COOKIE, line);
                    continue;
                };
                let mut kept = Vec::new();
                for pair in text.split(';') {
                    match pair.trim().strip_prefix(COOKIE).and_then(|rest| rest.strip_prefix('=')) {
                        Some(form) => picked = Self::read(form),
                        None => kept.push(pair.trim()),
                    }
                }
                if let Some(line) = HeaderValue::from_str(&kept.join("; ")).ok().filter(|line| !line.is_empty()) {
                    headers.append(header::COOKIE, line);
                }
            }
        }
        if let Some((_, agent)) = DEVICES.iter().find(|(name, _)| Some(*name) == picked.device) {
            headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
            // They would say otherwise.
            for hint in ["sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform"] {
                headers.remove(hint);
            }
        }
        if let Some(language) = picked.language.as_deref().and_then(|language| HeaderValue::from_str(language).ok()) {
            headers.insert(header::ACCEPT_LANGUAGE, language);
        }
        if picked.refuses {
            headers.insert(GPC, HeaderValue::from_static("1"));
        }
        picked
    }

    /// Where the visitor is, if that was picked.
    pub fn place(&self) -> Option<Geo> {
        self.country.map(|country| place(country, self.subdivision.clone()))
    }
}

/// Whether a text looks like a language (RFC 5646): `fr`, `pt-BR`.
fn is_language(text: &str) -> bool {
    text.len() <= 35
        && text.split('-').all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// A place of which the country is known.
fn place(country: &str, subdivision: Option<String>) -> Geo {
    Geo {
        country: Some(country.to_owned()),
        subdivision,
        continent: countries::continent_of(country),
        city: None,
        connection_type: None,
    }
}

/// `FR` or `US-CA`, as `--country` has it.
///
/// # Errors
///
/// There is no such place; with the one that was probably meant.
pub fn parse_place(text: &str) -> Result<Geo, String> {
    let (country, subdivision) = text.split_once('-').map_or((text, None), |(country, part)| (country, Some(part)));
    let country = countries::country(country)?;
    let subdivision = subdivision.map(|part| countries::subdivision(country, part)).transpose()?;
    Ok(place(country, subdivision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_picked_comes_back_from_its_cookie() {
        let picked = Picked::read("country=us&subdivision=ca&device=mobile&language=pt-BR&consent=refused&to=%2F");
        assert_eq!((picked.country, picked.subdivision.as_deref()), (Some("US"), Some("CA")));
        assert_eq!(Picked::read(&picked.form()), picked);
        assert_eq!(picked.place().unwrap().continent, Some("NA"));
    }

    #[test]
    fn what_is_not_known_counts_for_nothing() {
        let picked = Picked::read("country=XX&subdivision=CA&device=toaster&language=a,b&consent=maybe&x=%ff");
        assert_eq!(picked, Picked::default());
        assert_eq!(picked.form(), "");
        assert_eq!(Picked::read("country=FR&subdivision=CA").subdivision, None, "no part of that country");
    }

    #[test]
    fn nobody_else_sees_the_cookie() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; local-edge=device=mobile; b=local-edge"));
        headers.append(header::COOKIE, HeaderValue::from_static("local-edge=device=tv&language=ja&consent=refused"));
        let picked = Picked::take(&mut headers);
        assert_eq!((picked.device, picked.refuses), (Some("tv"), true));
        assert_eq!(headers.get_all(header::COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=local-edge"]);
        assert!(headers[header::USER_AGENT].to_str().unwrap().contains("SMART-TV"));
        assert_eq!((&headers["accept-language"], &headers["sec-gpc"]), (&"ja".parse().unwrap(), &"1".parse().unwrap()));
    }

    #[test]
    fn a_place_is_a_country_or_a_part_of_one() {
        assert_eq!(parse_place("us-ca").unwrap().subdivision.as_deref(), Some("CA"));
        assert_eq!(parse_place("FR").unwrap().continent, Some("EU"));
        assert!(parse_place("France").unwrap_err().contains("did you mean FR?"));
    }
}
