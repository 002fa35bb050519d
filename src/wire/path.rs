//! Paths: their normal form, and what a server behind the edge may make of them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// RFC 3986 section 6.2.2: percent-encoded unreserved characters decoded, hexadecimal digits in upper case, bytes that
/// may not stand in a path encoded. Two spellings of one path match the same route; `%2F` stays what it is.
pub fn normal_form(path: &str) -> Cow<'_, str> {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'/'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b';'
                    | b'='
                    | b':'
                    | b'@'
            )
    };
    if path.bytes().all(plain) {
        return Cow::Borrowed(path);
    }
    let mut normal = String::with_capacity(path.len() + 8);
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let encoded = (byte == b'%').then(|| Some((hex(ahead.next()?)? << 4) | hex(ahead.next()?)?)).flatten();
        match encoded {
            Some(decoded) => {
                bytes = ahead;
                if decoded.is_ascii_alphanumeric() || matches!(decoded, b'-' | b'.' | b'_' | b'~') {
                    normal.push(char::from(decoded));
                } else {
                    push_encoded(&mut normal, decoded);
                }
            }
            None if plain(byte) => normal.push(char::from(byte)),
            None => push_encoded(&mut normal, byte),
        }
    }
    Cow::Owned(normal)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn push_encoded(out: &mut String, byte: u8) {
    out.push_str(percent_encoding::percent_encode_byte(byte));
}

/// Whether a path holds a control character as it is, or NUL, CR or LF percent-encoded: they cut strings short and split lines
/// in what stands behind the edge. A malformed escape (`50%+discount`) is text like any other.
#[must_use]
pub fn has_control(path: &str) -> bool {
    path.bytes().any(|byte| byte.is_ascii_control())
        || percent_decode_str(path).any(|byte| matches!(byte, 0 | b'\r' | b'\n'))
}

/// Whether a server may take a segment of `path` for `.` or `..`, and walk up the tree: percent-encoded (RFC 3986 section
/// 6.2.2.3), behind an encoded slash or a backslash, or with parameters (`..;x`) that servlet containers cut off.
#[must_use]
pub fn has_dot_segment(path: &str) -> bool {
    // The dots of the segment so far; none once it holds anything else.
    let mut dots = Some(0);
    let mut in_parameters = false;
    percent_decode_str(path).chain([b'/']).any(|byte| {
        match byte {
            b'/' | b'\\' => {
                in_parameters = false;
                return matches!(dots.replace(0), Some(1 | 2));
            }
            b';' => in_parameters = true,
            _ if in_parameters => {}
            b'.' => dots = dots.map(|count| count + 1),
            _ => dots = None,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_escapes_of_control_characters_count() {
        for path in ["/a%00b", "/%0d", "/%0A", "/a\tb", "/%250d%0a"] {
            assert!(has_control(path), "{path:?}");
        }
        for path in ["/sale/50%+discount", "/%+a", "/%-d", "/% 0", "/%0", "/%", "/%d0", "/%250a", "/caf\u{e9}"] {
            assert!(!has_control(path), "{path:?}");
        }
    }

    #[test]
    fn a_dot_segment_is_found_however_it_is_written() {
        for path in [
            "..",
            "/a/..",
            "/./a",
            "/%2e%2E/a",
            "/v1/public/..;/admin",
            "/.;/a",
            "/%2e%2e;x/a",
            "/..%3bx/a",
            "/..%2fadmin",
            "/a%2F../b",
            "/..%5cadmin",
            "/a\\..\\b",
            "/;a/../b",
        ] {
            assert!(has_dot_segment(path), "{path}");
        }
        for path in
            ["/", "", "/a;b/c", "/;../a", "/...", "/a..", "/..a/b", "/%252e%252e/", "/a;../b", "/.well-known/x", "//a"]
        {
            assert!(!has_dot_segment(path), "{path}");
        }
    }
}
