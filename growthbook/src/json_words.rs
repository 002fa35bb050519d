//! What is wrong with a JSON text, in words for people who write rules and not Rust.

/// Puts serde's wording ("invalid type: A, expected B at line 1 column 2") into the house's ("expected B, but found A"), and Rust's
/// names of types into words that people have who write JSON.
pub fn house_wording(message: &str) -> String {
    let message = match message.find(" at line ") {
        Some(end) => message.get(..end).unwrap_or(message),
        None => message,
    };
    for prefix in ["invalid type: ", "invalid value: ", "unknown variant ", "invalid length "] {
        if let Some((found, expected)) = message.strip_prefix(prefix).and_then(|rest| rest.split_once(", expected ")) {
            return format!("expected {}, but found {}", expected_words(expected), found_words(found));
        }
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("expected the key {field}, but found none");
    }
    if let Some(field) = message.strip_prefix("duplicate field ") {
        return format!("expected the key {field} once, but found it twice");
    }
    format!("expected JSON, but found a mistake: {message}")
}

/// What serde expected, in plain words.
fn expected_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a borrowed string" => "a string",
        "a map" => "an object",
        // `struct Cache`, `struct Regions with 2 elements`: the name is ours, not the author's.
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

/// What serde found, in plain words.
fn found_words(found: &str) -> String {
    let number = |rest: &str| format!("the number {}", rest.trim_matches('`'));
    match found.split_once(' ') {
        Some(("integer", rest)) => number(rest),
        Some(("floating", rest)) => number(rest.trim_start_matches("point ")),
        Some(("boolean", rest)) => rest.trim_matches('`').to_owned(),
        Some(("string", rest)) => format!("the string {rest}"),
        _ => match found {
            "map" => "an object".to_owned(),
            "sequence" => "a list".to_owned(),
            "unit" | "unit value" => "null".to_owned(),
            other => other.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Rule {
        #[allow(dead_code)]
        ttl: u32,
    }

    #[test]
    fn no_message_needs_a_word_of_rust() {
        let wrong = |text: &str| house_wording(&serde_json::from_str::<Rule>(text).unwrap_err().to_string());
        assert_eq!(wrong(r#"{"ttl":-1}"#), "expected a whole number, 0 or more, but found the number -1");
        assert_eq!(wrong(r#"{"ttl":1.5}"#), "expected a whole number, 0 or more, but found the number 1.5");
        assert_eq!(wrong(r#"{"ttl":true}"#), "expected a whole number, 0 or more, but found true");
        assert_eq!(wrong(r#"{"ttl":null}"#), "expected a whole number, 0 or more, but found null");
        assert_eq!(wrong(r#"{"ttl":[]}"#), "expected a whole number, 0 or more, but found a list");
        assert_eq!(wrong("true"), "expected an object, but found true");
        assert_eq!(wrong(r#"{"ttl":1,"ttl":2}"#), "expected the key `ttl` once, but found it twice");
        assert_eq!(wrong("{"), "expected JSON, but found a mistake: EOF while parsing an object");
    }
}
