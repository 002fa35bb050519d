//! Paths in their normal form.

use std::borrow::Cow;

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
