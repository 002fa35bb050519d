//! Escaping for each place a value may land in. Every function takes any text and gives text that can't leave its place.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Schemes that a value from a visitor or a session may bring into a link. Everything else (`javascript`, `data`,
/// `vbscript`, `blob`, unknown ones) may run code or reach outside the web.
const SAFE_SCHEMES: [&str; 4] = ["http", "https", "mailto", "tel"];

/// What a link becomes when its value can't be used: it leads nowhere.
pub const NO_URL: &str = "#";

/// Attributes whose value a browser loads or follows (HTML Living Standard, "URLs"; SVG's `xlink:href`).
const URL_ATTRIBUTES: [&str; 17] = [
    "action",
    "archive",
    "background",
    "cite",
    "classid",
    "codebase",
    "data",
    "formaction",
    "href",
    "icon",
    "longdesc",
    "manifest",
    "ping",
    "poster",
    "src",
    "srcset",
    "xlink:href",
];

/// Whether an attribute holds a URL.
pub fn is_url_attribute(name: &str) -> bool {
    URL_ATTRIBUTES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether an attribute holds code, or a whole document: no value may land there.
pub fn is_code_attribute(name: &str) -> bool {
    name.get(..2).is_some_and(|on| on.eq_ignore_ascii_case("on")) || name.eq_ignore_ascii_case("srcdoc")
}

/// Whether HTML and CSS selectors agree that this is an attribute's name (ASCII letters, digits, `:`, `_`, `.`, `-`;
/// not starting with a digit, a dot or a hyphen). Narrower than the HTML syntax, as GrowthBook's is.
pub fn is_attribute_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b':' | b'_'))
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_' | b'.' | b'-'))
}

/// Text for HTML content and for quoted attribute values. NUL becomes U+FFFD, as a parser would make it.
pub fn html(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| matches!(b, b'&' | b'<' | b'>' | b'"' | b'\'' | 0)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + text.len() / 8 + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The text that an attribute's source stands for: character references by number, and by the names of the characters that markup is made
/// of (HTML Living Standard, "Character references"). Any other name stays as it is written.
pub fn unescaped(source: &str) -> Cow<'_, str> {
    if !source.contains('&') {
        return Cow::Borrowed(source);
    }
    let mut pieces = source.split('&');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once(';').and_then(|(reference, rest)| Some((referred(reference)?, rest))) {
            Some((c, rest)) => {
                out.push(c);
                out.push_str(rest);
            }
            None => {
                out.push('&');
                out.push_str(piece);
            }
        }
    }
    Cow::Owned(out)
}

/// The character of a reference, without `&` and `;`.
fn referred(reference: &str) -> Option<char> {
    const NAMED: [(&str, char); 5] = [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\'')];
    let Some(number) = reference.strip_prefix('#') else {
        return NAMED.iter().find(|(name, _)| *name == reference).map(|(_, c)| *c);
    };
    let number = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => number.parse(),
    };
    number.ok().filter(|number| *number != 0).and_then(char::from_u32)
}

/// JSON text for a `<script>` element, and for anything else that may take JSON for markup or code: `<`, `>`, `&`,
/// U+2028 and U+2029 become `\u` escapes. They can only stand inside strings, so the JSON means the same.
pub fn json_in_script(json: &str) -> Cow<'_, str> {
    if !json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + json.len() / 8 + 16);
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a String can't fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A whole URL, or its beginning: what a value gives where a link's scheme is still open. Other schemes than `http`,
/// `https`, `mailto` and `tel` give [`NO_URL`]; the rest is normalised.
pub fn url(value: &str) -> String {
    // A browser drops tab, CR and LF anywhere, and C0 controls and spaces around (URL Standard, "basic URL parser"):
    // look at what it will see.
    let seen: String = value.chars().filter(|c| !c.is_control()).collect();
    let seen = seen.trim();
    let end = seen.find(['/', '?', '#']).unwrap_or(seen.len());
    if let Some((scheme, _)) = seen.get(..end).and_then(|start| start.split_once(':'))
        && !SAFE_SCHEMES.iter().any(|safe| safe.eq_ignore_ascii_case(scheme))
    {
        return NO_URL.to_owned();
    }
    percent_encode(seen, |b| {
        b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'\'')
    })
}

/// A whole link, or its beginning, that stays on the page's own host: one that names a scheme or a host gives [`NO_URL`].
pub fn url_on_host(value: &str) -> String {
    let seen: String = value.chars().filter(|c| !c.is_control()).collect();
    // In a `srcset`, commas at the start count as space.
    let seen = seen.trim().trim_start_matches(|c: char| c == ',' || c.is_whitespace());
    let end = seen.find(['/', '\\', '?', '#']).unwrap_or(seen.len());
    let names_scheme = seen.get(..end).is_some_and(|start| start.contains(':'));
    let names_host = seen.len() > 1 && seen.bytes().take(2).all(|b| matches!(b, b'/' | b'\\'));
    if names_scheme || names_host {
        return NO_URL.to_owned();
    }
    match seen {
        // What follows may begin with a slash.
        "/" | "\\" => "/.".to_owned(),
        seen => url(seen),
    }
}

/// A value straight behind the slash that a link begins with: it can't begin with another, which would name a host, and it is never empty,
/// for what follows may begin with one. It is a path, as by [`url_path`].
pub fn url_first(value: &str) -> String {
    let value: String = value.chars().filter(|c| !c.is_control()).collect();
    let path = url_path(value.trim().trim_start_matches(['/', '\\']));
    if path.is_empty() { ".".to_owned() } else { path }
}

/// A value that goes on with the beginning of a link: it can neither end a scheme nor begin a host.
pub fn url_more(value: &str) -> String {
    let value: String = value.chars().filter(|c| !c.is_control()).collect();
    // In a `srcset`, commas at the start count as space.
    url_path(value.trim().trim_start_matches(['/', '\\', ','])).replace(':', "%3A")
}

/// A value inside a link's path: it can't start a query or a fragment. Slashes stay.
pub fn url_path(value: &str) -> String {
    percent_encode(value, |b| {
        b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'-' | b'.' | b'_' | b'~' | b'/' | b'!' | b'$' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@' | b'%'
            )
    })
}

/// A value inside a link's query or fragment: it can't end a parameter.
pub fn url_component(value: &str) -> String {
    percent_encode(value, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
}

/// A value inside a `style` attribute: a colour, a length, a name. Anything that could call, import or end a declaration gives nothing.
pub fn css(value: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'#' | b'%' | b'.' | b',' | b' ' | b'-' | b'_' | b'+');
    if value.bytes().all(plain) { value } else { "" }
}

/// The text of a `<style>` element: `</style` can't end it.
pub fn style_text(css: &str) -> Cow<'_, str> {
    escape_end_tag(css, "style")
}

/// The text of a `<script>` element: `</script` can't end it, `<!--` can't change how the rest is read.
pub fn script_text(js: &str) -> Cow<'_, str> {
    match escape_end_tag(js, "script") {
        Cow::Borrowed(js) if !js.contains("<!--") => Cow::Borrowed(js),
        js => Cow::Owned(js.replace("<!--", "\\u003c!--")),
    }
}

/// `</name` → `<\/name`, which strings, regular expressions and CSS escapes read as the same text.
fn escape_end_tag<'t>(text: &'t str, name: &str) -> Cow<'t, str> {
    let ends = |at: usize| text.get(at + 2..at + 2 + name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name));
    if !text.match_indices("</").any(|(at, _)| ends(at)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut from = 0;
    for (at, _) in text.match_indices("</").filter(|(at, _)| ends(*at)) {
        out.push_str(text.get(from..at).unwrap_or_default());
        out.push_str("<\\/");
        from = at + 2;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(out)
}

fn percent_encode(text: &str, keep: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if keep(b) {
            out.push(char::from(b));
        } else {
            out.push_str(percent_encoding::percent_encode_byte(b));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_escaped_comes_back_however_a_page_writes_it() {
        for text in ["a&b<c>\"d'é", "&", "&amp;", "plain", ""] {
            assert_eq!(unescaped(&html(text)), text);
        }
        for source in ["a&amp;b", "a&#38;b", "a&#x26;b", "a&#X0026;b", "a&b"] {
            assert_eq!(unescaped(source), "a&b", "{source}");
        }
        assert_eq!(unescaped("&apos;&#39;&#x27;&quot;&lt;&gt;&#228;"), "'''\"<>ä");
        for source in ["&;", "&#;", "&#x;", "&#0;", "&#xd800;", "&#9999999999;", "&uuml;", "a&", "&amp", "&#-1;"] {
            assert_eq!(unescaped(source), source);
        }
    }

    #[test]
    fn scripts_in_links_lead_nowhere() {
        for value in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            " \t\n javascript:alert(1)",
            "java\nscript:alert(1)",
            "java\0script:alert(1)",
            "\u{1}javascript:alert(1)",
            "vbscript:x",
            "data:text/html,<script>alert(1)</script>",
            "blob:https://example.com/1",
            ":alert(1)",
            "unknown:x",
        ] {
            assert_eq!(url(value), NO_URL, "{value:?}");
        }
    }

    #[test]
    fn ordinary_links_stay() {
        for value in [
            "https://example.com/a?b=c&d#e",
            "/a/b:c",
            "a/b:c",
            "?x=a:b",
            "#a:b",
            "//cdn.example/a",
            "mailto:a@b.example",
            "tel:+1",
            "",
        ] {
            assert_eq!(url(value), value);
        }
        assert_eq!(url("/caf\u{e9} \"x\""), "/caf%C3%A9%20%22x%22");
    }

    #[test]
    fn a_value_cannot_leave_a_script() {
        let json = serde_json::to_string("</script><!-- \u{2028}\u{2029} &").unwrap();
        let safe = json_in_script(&json);
        assert!(!safe.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), "</script><!-- \u{2028}\u{2029} &");
        assert_eq!(script_text("a('</ScRipt>')</scr"), "a('<\\/ScRipt>')</scr");
        assert_eq!(script_text("'<!--'"), "'\\u003c!--'");
        assert_eq!(style_text("a{content:'</style>'}"), "a{content:'<\\/style>'}");
    }

    #[test]
    fn css_takes_plain_values_only() {
        assert_eq!(css("12.5px"), "12.5px");
        for value in ["url(x)", "a;b", "expression(1)", "\\75rl", "/**/", "a:b", "\"x\""] {
            assert_eq!(css(value), "", "{value}");
        }
    }
}
