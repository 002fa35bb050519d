//! Language negotiation: `Accept-Language` (RFC 9110 section 12.5.4) against the languages that the site speaks.

use http::{HeaderMap, header};

/// Most ranges of a header that are looked at: what comes after is noise, or an attack on our time.
const MAX_RANGES: usize = 16;

/// The best of `offered` for the client: highest quality first, then the order of the header; a range is shortened from the right
/// until it fits (RFC 4647 section 3.4, Lookup), and an offered tag that begins with it fits too. Where nothing fits, the first
/// offered; where nothing is offered, `None`.
pub fn negotiate<'o>(headers: &HeaderMap, offered: &'o [String]) -> Option<&'o str> {
    let default = offered.first()?;
    let mut ranges: Vec<(&str, u16)> = headers
        .get_all(header::ACCEPT_LANGUAGE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .take(MAX_RANGES)
        .filter_map(range)
        .collect();
    // A stable sort keeps the client's order among equals.
    ranges.sort_by_key(|(_, quality)| std::cmp::Reverse(*quality));
    let refused = |tag: &str| ranges.iter().any(|(range, quality)| *quality == 0 && range.eq_ignore_ascii_case(tag));
    ranges
        .iter()
        .filter(|(_, quality)| *quality > 0)
        .find_map(|(range, _)| match *range {
            "*" => offered.iter().find(|tag| !refused(tag)),
            range => offered_for(range, offered),
        })
        .or(Some(default))
        .map(String::as_str)
}

fn offered_for<'o>(range: &str, offered: &'o [String]) -> Option<&'o String> {
    let mut shortened = range;
    loop {
        let extends = |tag: &str| {
            let head = tag.get(..shortened.len()).is_some_and(|head| head.eq_ignore_ascii_case(shortened));
            head && matches!(tag.as_bytes().get(shortened.len()), None | Some(b'-'))
        };
        let exact = offered.iter().find(|tag| tag.eq_ignore_ascii_case(shortened));
        if let Some(tag) = exact.or_else(|| offered.iter().find(|tag| extends(tag))) {
            return Some(tag);
        }
        shortened = shortened.rsplit_once('-')?.0;
    }
}

/// A language range and its quality in thousandths.
fn range(member: &str) -> Option<(&str, u16)> {
    let (tag, parameters) = member.split_once(';').unwrap_or((member, ""));
    let tag = tag.trim();
    let plain = tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'*'));
    if tag.is_empty() || !plain {
        return None;
    }
    let parameters = parameters.trim();
    let quality = match parameters.strip_prefix("q=").or_else(|| parameters.strip_prefix("Q=")) {
        None => 1.0,
        Some(text) => text.parse::<f32>().ok().filter(|quality| (0.0..=1.0).contains(quality))?,
    };
    // Within 0 to 1,000 by the line above.
    Some((tag, (quality * 1_000.0) as u16))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(header: &str, offered: &[&str]) -> Option<String> {
        let offered: Vec<String> = offered.iter().map(|tag| (*tag).to_owned()).collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, header.parse().unwrap());
        negotiate(&headers, &offered).map(str::to_owned)
    }

    #[test]
    fn the_highest_quality_wins_then_the_clients_order() {
        let offered = ["en", "fr", "de"];
        assert_eq!(negotiated("de;q=0.5, fr;q=0.9, en;q=0.1", &offered).as_deref(), Some("fr"));
        assert_eq!(negotiated("de, fr", &offered).as_deref(), Some("de"));
    }

    #[test]
    fn a_range_is_shortened_until_it_fits() {
        assert_eq!(negotiated("fr-CH, en;q=0.9", &["en", "fr"]).as_deref(), Some("fr"));
        assert_eq!(negotiated("pt", &["en", "pt-BR"]).as_deref(), Some("pt-BR"));
        assert_eq!(negotiated("f", &["en", "fr"]).as_deref(), Some("en"));
    }

    #[test]
    fn what_is_refused_or_malformed_is_not_chosen() {
        assert_eq!(negotiated("en;q=0, *", &["en", "fr"]).as_deref(), Some("fr"));
        assert_eq!(negotiated("fr;q=2, <x>, ;;;", &["en", "fr"]).as_deref(), Some("en"));
        assert_eq!(negotiated("fr", &[]), None);
    }
}
