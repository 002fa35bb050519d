//! Which hosts a route or a site's settings are for: `www.example.com`, or `*.example.com` for every host below it.

/// A host, or all hosts below a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern(String);

impl HostPattern {
    /// Reads a pattern, in any case.
    ///
    /// # Errors
    ///
    /// What was expected, where it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        // Hosts are compared without the dot that ends a full name.
        let name = text.strip_prefix('*').unwrap_or(text);
        let pattern = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let wildcard = text.starts_with('*') == pattern.starts_with('.');
        if pattern.is_empty() || !wildcard || !pattern.bytes().all(plain) {
            return Err(format!("expected 'www.example.com' or '*.example.com', but found '{text}'"));
        }
        Ok(Self(pattern))
    }

    /// How closely the pattern is for `host` (lower case, without port): a whole name is closer than any domain, a longer domain closer
    /// than a shorter one. `None` where it isn't for it.
    #[must_use]
    pub fn fits(&self, host: &str) -> Option<usize> {
        match self.0.starts_with('.') {
            true => host.strip_suffix(&*self.0).filter(|label| !label.is_empty()).map(|_| self.0.len()),
            false => (self.0 == host).then_some(usize::MAX),
        }
    }

    /// A host that it fits.
    #[cfg(feature = "tools")]
    #[must_use]
    pub fn example(&self) -> String {
        if self.0.starts_with('.') { format!("any{}", self.0) } else { self.0.clone() }
    }
}

/// The one of `all` that is closest to a host, by what [`HostPattern::fits`] says of each; of equals the last.
pub fn closest<T>(all: &[T], fits: impl Fn(&T) -> Option<usize>) -> Option<&T> {
    all.iter().filter_map(|one| Some((fits(one)?, one))).max_by_key(|(fit, _)| *fit).map(|(_, one)| one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dot_that_ends_a_full_name_is_none_of_it() {
        let fits = |pattern: &str, host: &str| HostPattern::parse(pattern).unwrap().fits(host).is_some();
        assert!(fits("Shop.example.", "shop.example") && fits("*.shop.example.", "a.shop.example"));
        assert!(fits("my_shop.example", "my_shop.example") && !fits("*.shop.example.", "shop.example"));
        for none in ["", ".", "*", "*.", "shop.example:443", "a b", "*shop.example"] {
            assert!(HostPattern::parse(none).is_err(), "{none}");
        }
    }
}
