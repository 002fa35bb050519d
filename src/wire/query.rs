//! Queries: their parameters read, and edited so that they keep their order, their spelling and their repetitions.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// All but the unreserved characters (RFC 3986, section 2.3): whoever looks a name up as it stands finds it.
pub const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The query after the removals (`utm_*` removes all that start so) and the settings (name and encoded value; what stood
/// under that name goes). `None` where nothing is left.
pub fn edit(query: Option<&str>, remove: &[String], set: &[(String, String)]) -> Option<String> {
    if remove.is_empty() && set.is_empty() {
        return query.filter(|query| !query.is_empty()).map(str::to_owned);
    }
    let kept = query.unwrap_or_default().split('&').filter(|pair| {
        let name = decoded_name(pair);
        let removed = remove.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == *pattern,
        });
        !pair.is_empty() && !removed && !set.iter().any(|(known, _)| name == *known)
    });
    let added = set.iter().map(|(name, value)| {
        let name = utf8_percent_encode(name, RESERVED);
        format!("{name}={value}")
    });
    let kept_and_added: Vec<Cow<'_, str>> = kept.map(Cow::Borrowed).chain(added.map(Cow::Owned)).collect();
    (!kept_and_added.is_empty()).then(|| kept_and_added.join("&"))
}

/// The parameters of a query, decoded (WHATWG URL, application/x-www-form-urlencoded).
pub fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded_name(pair: &str) -> Cow<'_, str> {
    let name = pair.split('=').next().unwrap_or_default();
    if name.contains('+') {
        let spaced = name.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(name).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_as_people_look_it_up() {
        let set = |name: &str| edit(None, &[], &[(name.to_owned(), "1".to_owned())]);
        for name in ["max_bitrate", "sort.by", "x-y", "a~b", "plain"] {
            assert_eq!(set(name).as_deref(), Some(format!("{name}=1").as_str()));
        }
        assert_eq!(set("a b&c=d").as_deref(), Some("a%20b%26c%3Dd=1"));
    }

    fn edited(query: &str, remove: &[&str], set: &[(&str, &str)]) -> Option<String> {
        let remove: Vec<String> = remove.iter().map(|name| (*name).to_owned()).collect();
        let set: Vec<_> = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        edit(Some(query), &remove, &set)
    }

    #[test]
    fn duplicate_keys_stay_in_their_order() {
        assert_eq!(edited("a=1&b=2&a=3&&c", &["x"], &[]).as_deref(), Some("a=1&b=2&a=3&c"));
    }

    #[test]
    fn every_spelling_of_a_name_is_removed_or_replaced() {
        assert_eq!(edited("utm_source=1&%75tm_x=2&q=3", &["utm_*"], &[]).as_deref(), Some("q=3"));
        assert_eq!(edited("lang=de&l%61ng=fr&q=3", &[], &[("lang", "en")]).as_deref(), Some("q=3&lang=en"));
    }

    #[test]
    fn nothing_left_is_no_query() {
        assert_eq!(edited("utm_a=1", &["utm_*"], &[]), None);
        assert_eq!(edit(Some(""), &[], &[]), None);
    }
}
