//! Forcing a variation by the query (`?my-test=1`), for local work (specification: `getQueryStringOverride`).

/// The variation that a URL's query forces for an experiment of so many variations.
#[must_use]
pub fn query_override(key: &str, url: &str, variations: usize) -> Option<usize> {
    let query = url.split('?').nth(1)?;
    let query = query.split('#').next().unwrap_or_default();
    let value = query.split('&').find_map(|pair| {
        let mut parts = pair.split('=');
        (parts.next() == Some(key)).then(|| parts.next().unwrap_or_default())
    });
    parse_int(value?).filter(|variation| *variation < variations)
}

/// JavaScript's `parseInt` as far as the result can be an index: what follows the digits is ignored.
fn parse_int(text: &str) -> Option<usize> {
    let text = text.trim_start();
    let text = text.strip_prefix('+').unwrap_or(text);
    let (text, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let end = text.find(|c: char| !c.is_digit(radix)).unwrap_or(text.len());
    usize::from_str_radix(text.get(..end)?, radix).ok()
}
