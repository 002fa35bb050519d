//! `settings.log`: what is logged, and what of a path never is.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::rules::fault::Fault;
use crate::rules::path::Pattern;
use crate::wire::path::normal_form;

/// Most patterns of paths to redact: each is tried on every path that is logged.
const MOST_PATTERNS: usize = 64;
/// The pattern of every path: what counts where the patterns can't be read.
pub const EVERY_PATH: &str = "/*";
/// What stands for a redacted segment of a path that a rule made.
const REDACTED: &str = "redacted";

/// What is logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct LogSettings {
    /// The share of requests with a line in `decisions`, 0 to 1.
    pub sample: f64,
    /// Whether answers carry `Server-Timing`.
    pub server_timing: bool,
    /// Whether answers of personalized routes carry the request's id, in `X-Request-ID`.
    pub request_id: bool,
    /// Attributes that a line of `exposures` or `conversions` may carry: `country`, `deviceType`, ….
    pub exposure_attributes: Vec<String>,
    /// Attributes that a line of `decisions` may carry, so that the request can be decided again.
    pub facts: Vec<String>,
    /// Patterns of paths (`/reset/{token}`) whose named segments, and what `*` stands for, are in no line.
    pub redact: Vec<String>,
    /// The patterns, ready to use.
    #[serde(skip)]
    pub redaction: Redaction,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            sample: 1.0,
            server_timing: false,
            request_id: true,
            exposure_attributes: Vec::new(),
            facts: Vec::new(),
            redact: Vec::new(),
            redaction: Redaction::default(),
        }
    }
}

impl LogSettings {
    /// What counts where it can't be read: no line has a path.
    #[must_use]
    pub fn strictest() -> Self {
        let mut settings = Self { redact: vec![EVERY_PATH.to_owned()], ..Self::default() };
        settings.compile(&mut Vec::new());
        settings
    }

    /// Prepares the patterns. Where one can't be used, no line has a path.
    pub(super) fn compile(&mut self, faults: &mut Vec<Fault>) {
        let before = faults.len();
        if self.redact.len() > MOST_PATTERNS {
            let message = format!("expected at most {MOST_PATTERNS} patterns, but found {}", self.redact.len());
            faults.push(Fault::new("settings", "/log/redact", format!("{message}; no path is logged")));
        }
        let mut patterns = Vec::new();
        for (index, text) in self.redact.iter().take(MOST_PATTERNS).enumerate() {
            match Pattern::compile(text) {
                Ok(pattern) => patterns.push(pattern),
                Err(message) => {
                    let pointer = format!("/log/redact/{index}");
                    faults.push(Fault::new("settings", pointer, format!("{message}; no path is logged")));
                }
            }
        }
        if faults.len() > before {
            patterns = Pattern::compile(EVERY_PATH).into_iter().collect();
        }
        self.redaction = Redaction { patterns };
    }
}

/// What is kept out of paths in log lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Redaction {
    patterns: Vec<Pattern>,
}

/// A path as a line may have it, and what was taken out, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redacted<'a> {
    /// The path.
    pub path: Cow<'a, str>,
    taken: Vec<String>,
}

impl Redaction {
    /// `path` (as the client sent it) without what the patterns name: each named segment is its name, `/reset/{token}`. Empty segments and
    /// the case of letters are ignored here, for many origins do so.
    #[must_use]
    pub fn of<'a>(&self, path: &'a str) -> Redacted<'a> {
        if self.patterns.is_empty() {
            return Redacted { path: Cow::Borrowed(path), taken: Vec::new() };
        }
        let normal = normal_form(path);
        let segments: Vec<&str> = normal.split('/').filter(|segment| !segment.is_empty()).collect();
        let mut shown: Vec<Option<String>> = vec![None; segments.len()];
        let mut end = None;
        let mut matched = false;
        for masked in self.patterns.iter().filter_map(|pattern| pattern.mask(&segments)) {
            matched = true;
            for (index, name) in masked.named {
                if let Some(slot) = shown.get_mut(index) {
                    *slot = Some(format!("{{{name}}}"));
                }
            }
            end = masked.rest.into_iter().chain(end).min();
        }
        if !matched {
            return Redacted { path: Cow::Borrowed(path), taken: Vec::new() };
        }
        let (mut text, mut taken) = (String::new(), Vec::new());
        for (index, (segment, shown)) in segments.iter().zip(&shown).enumerate() {
            let is_rest = end.is_some_and(|end| index >= end);
            if is_rest || shown.is_some() {
                taken.push(percent_decode_str(segment).decode_utf8_lossy().to_lowercase());
            }
            if !is_rest {
                text.push('/');
                text.push_str(shown.as_deref().unwrap_or(segment));
            }
        }
        if end.is_some() {
            text.push_str(EVERY_PATH);
        }
        Redacted { path: Cow::Owned(text), taken }
    }

    /// A path that a rule made of the request's: what was taken out of `client` isn't in it either, wherever the rule put it.
    #[must_use]
    pub fn of_made<'a>(&self, path: &'a str, client: &Redacted<'_>) -> Cow<'a, str> {
        let own = self.of(path).path;
        if client.taken.is_empty() {
            return own;
        }
        let holds = |segment: &str| {
            let plain = percent_decode_str(segment).decode_utf8_lossy().to_lowercase();
            client.taken.iter().any(|taken| plain.contains(taken.as_str()))
        };
        let segments = own.split('/').map(|segment| if holds(segment) { REDACTED } else { segment });
        Cow::Owned(segments.collect::<Vec<_>>().join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redaction(patterns: &[&str]) -> Redaction {
        let redact = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let mut settings = LogSettings { redact, ..LogSettings::default() };
        let mut faults = Vec::new();
        settings.compile(&mut faults);
        assert_eq!(faults, []);
        settings.redaction
    }

    #[test]
    fn named_segments_and_the_rest_are_taken_out_however_the_path_is_written() {
        let redaction =
            redaction(&["/reset/{token}", "/u/{user}/orders/{order}", "/u/*", "/files/*", "/{lang}/invite/{code}"]);
        for (path, shown) in [
            ("/reset/s3cret", "/reset/{token}"),
            ("/reset/s3cret/", "/reset/{token}"),
            ("//reset//s3cret", "/reset/{token}"),
            ("/Reset/s3cret", "/Reset/{token}"),
            ("/%72eset/s3cret", "/reset/{token}"),
            ("/u/s3cret/orders/s3cret", "/u/*"),
            ("/files/a/s3cret.pdf", "/files/*"),
            ("/files", "/files/*"),
            ("/de/invite/s3cret", "/{lang}/invite/{code}"),
            ("/reset", "/reset"),
            ("/reset/s/other", "/reset/s/other"),
            ("/", "/"),
        ] {
            assert_eq!(redaction.of(path).path, shown, "{path}");
        }
        assert_eq!(Redaction::default().of("//A/%72").path, "//A/%72", "without patterns, a path is what it was");
    }

    #[test]
    fn what_was_taken_out_is_nowhere_in_a_path_that_a_rule_makes_of_it() {
        let redaction = redaction(&["/reset/{token}", "/internal/{id}"]);
        let client = redaction.of("/reset/S3cret%20a");
        for (made, shown) in [
            ("/pw/S3cret%20a", "/pw/redacted"),
            ("/pw/x-S3cret%20a.html", "/pw/redacted"),
            ("/pw/s3cret%20A/go", "/pw/redacted/go"),
            ("/internal/7", "/internal/{id}"),
            ("/pw/other", "/pw/other"),
        ] {
            assert_eq!(redaction.of_made(made, &client), shown, "{made}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_used_takes_every_path_out_and_is_named() {
        for wrong in ["reset", "/a*", "/{}", "/a?b"] {
            let mut settings = LogSettings { redact: vec!["/ok/{x}".into(), wrong.into()], ..LogSettings::default() };
            let mut faults = Vec::new();
            settings.compile(&mut faults);
            assert_eq!(faults.iter().map(|fault| fault.pointer.as_str()).collect::<Vec<_>>(), ["/log/redact/1"]);
            assert_eq!(settings.redaction.of("/any/path").path, "/*", "{wrong}");
        }
        let mut many = LogSettings { redact: vec!["/a/{b}".into(); 65], ..LogSettings::default() };
        let mut faults = Vec::new();
        many.compile(&mut faults);
        assert_eq!((faults.len(), many.redaction.of("/x").path.as_ref()), (1, "/*"));
    }
}
