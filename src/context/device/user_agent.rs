//! The User-Agent as a last resort: a few tokens, all looked for in one pass, then asked in order. None is a pattern.

use std::sync::LazyLock;

use super::DeviceClass;

/// Amazon's televisions call themselves `AFT` and a model.
const TVS: [&str; 13] = [
    "smart-tv",
    "smarttv",
    "googletv",
    "google tv",
    "android tv",
    "appletv",
    "apple tv",
    "hbbtv",
    "webos.tv",
    "web0s",
    "; aft",
    "bravia",
    "roku",
];

const TABLETS: [&str; 5] = ["ipad", "tablet", "playbook", "silk/", "kindle"];
const PHONES: [&str; 6] = ["iphone", "ipod", "windows phone", "mobile", "blackberry", "opera mini"];

/// Tokens in the order in which they tell browsers apart: everybody claims to be Chrome, Chrome claims to be Safari.
const BROWSERS: [(&str, &str); 16] = [
    ("edg/", "edge"),
    ("edga/", "edge"),
    ("edgios/", "edge"),
    ("edge/", "edge"),
    ("opr/", "opera"),
    ("opt/", "opera"),
    ("opera", "opera"),
    ("samsungbrowser", "samsung"),
    ("fxios/", "firefox"),
    ("firefox/", "firefox"),
    ("crios/", "chrome"),
    ("chrome/", "chrome"),
    ("chromium/", "chrome"),
    ("trident/", "ie"),
    ("msie ", "ie"),
    ("safari/", "safari"),
];

/// The same for systems: Android says Linux, Windows Phone says Android, iPhones say `like Mac OS X`.
const SYSTEMS: [(&str, &str); 9] = [
    ("windows phone", "windows"),
    ("android", "android"),
    ("iphone", "ios"),
    ("ipad", "ios"),
    ("ipod", "ios"),
    ("windows nt", "windows"),
    ("cros ", "chromeos"),
    ("mac os x", "macos"),
    ("linux", "linux"),
];

/// Names that records and hints use, lower case. The longer comes first where one holds another.
const BROWSER_NAMES: [(&str, &str); 8] = [
    ("edge", "edge"),
    ("opera", "opera"),
    ("samsung", "samsung"),
    ("firefox", "firefox"),
    ("chrome", "chrome"),
    ("internet explorer", "ie"),
    ("safari", "safari"),
    ("chromium", "chrome"),
];

const SYSTEM_NAMES: [(&str, &str); 10] = [
    ("windows", "windows"),
    ("android", "android"),
    ("ipados", "ios"),
    ("iphone", "ios"),
    ("macos", "macos"),
    ("mac os", "macos"),
    ("os x", "macos"),
    ("ios", "ios"),
    ("chrome", "chromeos"),
    ("linux", "linux"),
];

/// The lists in one row, a bit for each token. Here a list begins, there the next.
const TABLETS_AT: usize = TVS.len();
const PHONES_AT: usize = TABLETS_AT + TABLETS.len();
const BROWSERS_AT: usize = PHONES_AT + PHONES.len();
const SYSTEMS_AT: usize = BROWSERS_AT + BROWSERS.len();
const TOKENS: usize = SYSTEMS_AT + SYSTEMS.len();
const _: () = assert!(TOKENS <= u64::BITS as usize, "a token without a bit");

/// The row, and by byte the tokens that begin with it.
struct Index {
    tokens: Vec<&'static str>,
    beginning: [u64; 256],
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let classes = TVS.iter().chain(&TABLETS).chain(&PHONES).copied();
    let tokens: Vec<_> = classes.chain(BROWSERS.iter().chain(&SYSTEMS).map(|(token, _)| *token)).collect();
    let mut beginning = [0; 256];
    for (bit, token) in tokens.iter().enumerate() {
        let first = token.bytes().next().map(usize::from);
        if let Some(mask) = first.and_then(|first| beginning.get_mut(first)) {
            *mask |= 1 << bit;
        }
    }
    Index { tokens, beginning }
});

/// What a User-Agent holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agent {
    found: u64,
}

impl Agent {
    /// Reads a User-Agent in lower case.
    pub fn read(agent: &str) -> Self {
        let index = &*INDEX;
        let mut found = 0;
        let mut rest = agent.as_bytes();
        while let [first, after @ ..] = rest {
            let mut possible = index.beginning.get(usize::from(*first)).map_or(0, |mask| mask & !found);
            while possible != 0 {
                let token = possible.trailing_zeros();
                possible &= possible - 1;
                if index.tokens.get(token as usize).is_some_and(|token| rest.starts_with(token.as_bytes())) {
                    found |= 1 << token;
                }
            }
            rest = after;
        }
        Self { found }
    }

    /// The tokens of one list that were found.
    fn of(self, at: usize, next: usize) -> u64 {
        (self.found >> at) & ((1 << (next - at)) - 1)
    }

    pub fn is_tv(self) -> bool {
        self.of(0, TABLETS_AT) != 0
    }

    pub fn class(self) -> DeviceClass {
        if self.is_tv() {
            DeviceClass::Tv
        } else if self.of(TABLETS_AT, PHONES_AT) != 0 || (self.has("android") && !self.has("mobile")) {
            DeviceClass::Tablet
        } else if self.of(PHONES_AT, BROWSERS_AT) != 0 {
            DeviceClass::Mobile
        } else {
            DeviceClass::Desktop
        }
    }

    pub fn browser(self) -> &'static str {
        named(&BROWSERS, self.of(BROWSERS_AT, SYSTEMS_AT))
    }

    pub fn os(self) -> &'static str {
        named(&SYSTEMS, self.of(SYSTEMS_AT, TOKENS))
    }

    fn has(self, token: &str) -> bool {
        INDEX.tokens.iter().position(|known| *known == token).is_some_and(|bit| self.found >> bit & 1 == 1)
    }
}

/// The name of the first token that was found.
fn named(tokens: &[(&str, &'static str)], found: u64) -> &'static str {
    tokens.get(found.trailing_zeros() as usize).map_or("other", |(_, name)| name)
}

/// A browser by the name that a record or a hint gives it.
pub(super) fn browser_named(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    // The brand of the engine, beside the browser's own.
    if name == "chromium" { None } else { first(&name, &BROWSER_NAMES) }
}

/// A system by the name that a record or a hint gives it.
pub(super) fn os_named(name: &str) -> Option<&'static str> {
    first(&name.to_ascii_lowercase(), &SYSTEM_NAMES)
}

fn first(text: &str, tokens: &[(&str, &'static str)]) -> Option<&'static str> {
    tokens.iter().find(|(token, _)| text.contains(token)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_found_wherever_it_stands_and_nothing_else_is() {
        for (bit, token) in INDEX.tokens.iter().enumerate() {
            for text in [(*token).to_owned(), format!("x{token}"), format!("{token}{token}x"), format!("äx {token}")] {
                let found = Agent::read(&text).found;
                assert_eq!(found >> bit & 1, 1, "{token} in {text}");
                for (other, known) in INDEX.tokens.iter().enumerate() {
                    assert_eq!(found >> other & 1 == 1, text.contains(known), "{known} in {text}");
                }
            }
            let cut: String = token.chars().take(token.chars().count() - 1).collect();
            assert_eq!(Agent::read(&cut).found >> bit & 1, 0, "{token} in {cut}");
        }
        assert_eq!(INDEX.tokens.len(), TOKENS);
    }
}
