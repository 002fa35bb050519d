//! Version numbers made comparable as text (specification: `paddedVersionString`).

use super::javascript::{Actual, number_to_string};

/// Numbers are padded to this width, so that "9" comes before "10".
const WIDTH: usize = 5;

/// The comparable form of a version. Anything that isn't a version is version 0.
pub(super) fn padded(value: Actual<'_>) -> String {
    match value {
        Actual::String(text) if !text.is_empty() => pad(text),
        Actual::Number(number) => pad(&number_to_string(number)),
        _ => pad("0"),
    }
}

fn pad(version: &str) -> String {
    let version = version.strip_prefix('v').unwrap_or(version);
    // Build metadata doesn't count (Semantic Versioning 2.0.0, section 10).
    let version = version.split_once('+').map_or(version, |(version, _build)| version);
    let mut padded = String::with_capacity(version.len() + 4 * WIDTH);
    let mut parts = 0;
    for part in version.split(['-', '.']) {
        if parts > 0 {
            padded.push('-');
        }
        if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
            padded.extend(std::iter::repeat_n(' ', WIDTH.saturating_sub(part.len())));
        }
        padded.push_str(part);
        parts += 1;
    }
    // A release comes after its own pre-releases: `~` is greater than anything that may follow the third number.
    if parts == 3 {
        padded.push_str("-~");
    }
    padded
}
