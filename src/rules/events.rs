//! What events that a site counts may be called: by a route, by the origin, by a browser.

/// Bytes of the longest name.
pub const LONGEST_NAME: usize = 64;

/// Whether a text can name an event: 1 to 64 of `A-Z a-z 0-9 . _ : / -`, a letter first.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_in = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
    name.len() <= LONGEST_NAME && name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(is_in)
}

/// What is wrong with a name.
#[must_use]
pub fn expected_name(found: &str) -> String {
    format!("expected 1 to {LONGEST_NAME} of A-Z a-z 0-9 . _ : / -, a letter first, but found '{found}'")
}
