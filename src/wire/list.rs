//! Comma-separated lists of header fields (RFC 9110 section 5.6.1), in which quoted strings may hold commas.

/// The members of one field line, trimmed, empty ones left out. A comma within double quotes divides nothing.
pub fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let divides = move |byte: &u8| {
        let was_escaped = std::mem::take(&mut escaped);
        match byte {
            b'\\' if quoted && !was_escaped => escaped = true,
            b'"' if !was_escaped => quoted = !quoted,
            _ => {}
        }
        *byte == b',' && !quoted
    };
    line.split(divides).map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// The name of a directive: what stands before `=` (RFC 9111 section 5.2).
pub fn directive_name(member: &[u8]) -> &[u8] {
    member.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<&str> {
        members(line.as_bytes()).map(|member| std::str::from_utf8(member).unwrap()).collect()
    }

    #[test]
    fn quotes_keep_their_commas() {
        assert_eq!(
            split(r#"private="set-cookie, x", max-age=60,, public"#),
            [r#"private="set-cookie, x""#, "max-age=60", "public"]
        );
        assert_eq!(split(r#"a="x\", y", b"#), [r#"a="x\", y""#, "b"]);
        assert_eq!(split(r#"a="unclosed, b"#), [r#"a="unclosed, b"#]);
        assert!(split(" , ").is_empty());
        assert_eq!(directive_name(b"private=\"a\""), b"private");
    }
}
