//! The User-Agent as a last resort: a few tokens, looked for in order. Each look is linear, and none is a pattern.

use super::DeviceClass;

/// Tokens of crawlers, link previews, monitors and command-line clients. `bot`, `crawler` and `spider` cover most.
const BOTS: [&str; 36] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "bingpreview",
    "facebookexternalhit",
    "meta-externalagent",
    "mediapartners-google",
    "google-inspectiontool",
    "googleother",
    "google-read-aloud",
    "storebot",
    "apis-google",
    "feedfetcher",
    "lighthouse",
    "pagespeed",
    "headlesschrome",
    "phantomjs",
    "pingdom",
    "uptimerobot",
    "statuscake",
    "datadog",
    "whatsapp/",
    "embedly",
    "quora link preview",
    "ia_archiver",
    "archive.org",
    "gptbot",
    "chatgpt-user",
    "claude-",
    "perplexity",
    "bytespider",
    "curl/",
    "wget/",
    "python-",
    "go-http-client",
];

/// Devices and browsers whose name holds a bot's token.
const NOT_BOTS: [&str; 1] = ["cubot"];

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

/// All functions take the User-Agent in lower case.
pub(super) fn is_bot(agent: &str) -> bool {
    // A browser always names itself.
    agent.is_empty() || (contains_any(agent, &BOTS) && !contains_any(agent, &NOT_BOTS))
}

pub(super) fn is_tv(agent: &str) -> bool {
    contains_any(agent, &TVS)
}

pub(super) fn class(agent: &str) -> DeviceClass {
    if is_tv(agent) {
        DeviceClass::Tv
    } else if contains_any(agent, &TABLETS) || (agent.contains("android") && !agent.contains("mobile")) {
        DeviceClass::Tablet
    } else if contains_any(agent, &PHONES) {
        DeviceClass::Mobile
    } else {
        DeviceClass::Desktop
    }
}

pub(super) fn browser(agent: &str) -> &'static str {
    first(agent, &BROWSERS).unwrap_or("other")
}

pub(super) fn os(agent: &str) -> &'static str {
    first(agent, &SYSTEMS).unwrap_or("other")
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

fn contains_any(text: &str, tokens: &[&str]) -> bool {
    tokens.iter().any(|token| text.contains(token))
}
