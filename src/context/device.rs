//! What the visitor holds: the platform's device record where there is one, else client hints, else the User-Agent.

use http::{HeaderMap, HeaderName, header};

pub use crate::attributes::DeviceClass;
use crate::platform::Device;
use crate::rules::settings::bots::BotSettings;
use crate::wire::hints;

mod bots;
mod user_agent;

use user_agent::Agent;

/// The facts about a device. Names are lower case and from a short list, so that they can shape a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Its class.
    pub class: DeviceClass,
    /// `chrome`, `safari`, `firefox`, `edge`, `opera`, `samsung`, `ie`, `other`.
    pub browser: &'static str,
    /// `windows`, `macos`, `ios`, `android`, `chromeos`, `linux`, `other`.
    pub os: &'static str,
}

/// Gathers the facts about a device.
///
/// Who is a bot is asked first, as [`is_bot`] has it, but after the platform's record; for the rest the record outranks hints, and hints the
/// User-Agent.
pub fn detect(headers: &HeaderMap, record: Option<&Device>, bots: &BotSettings) -> DeviceFacts {
    let text = headers.get(header::USER_AGENT).map(|value| lower(value.as_bytes())).unwrap_or_default();
    let agent = Agent::read(&text);
    let (browser, os) = (browser(headers, record, agent), os(headers, record, agent));
    let said = record.is_some_and(|record| record.is_bot == Some(true));
    let bot = if said { !bots.excepts(&text) } else { is_lower_bot(&text, bots) };
    let class = if bot { DeviceClass::Bot } else { class(headers, record, agent, os) };
    DeviceFacts { class, browser, os }
}

/// Whether a `User-Agent` is a bot's: a crawler's, a link preview's, a monitor's, a program's. An empty one is, for a browser always names
/// itself. `bots` adds some, and excepts some from all that says so.
#[must_use]
pub fn is_bot(agent: &str, bots: &BotSettings) -> bool {
    is_lower_bot(&lower(agent.as_bytes()), bots)
}

fn is_lower_bot(agent: &str, bots: &BotSettings) -> bool {
    agent.is_empty() || (!bots.excepts(agent) && (bots.adds(agent) || bots::is_bot(agent)))
}

fn lower(agent: &[u8]) -> String {
    String::from_utf8_lossy(agent).to_ascii_lowercase()
}

fn class(headers: &HeaderMap, record: Option<&Device>, agent: Agent, os: &str) -> DeviceClass {
    record
        .and_then(recorded)
        .or_else(|| match hints::boolean(headers, const { HeaderName::from_static("sec-ch-ua-mobile") }) {
            Some(true) => Some(DeviceClass::Mobile),
            // `?0` is said by desktops, tablets and televisions alike.
            Some(false) if matches!(os, "windows" | "macos" | "linux" | "chromeos") => Some(DeviceClass::Desktop),
            Some(false) if os == "android" && !agent.is_tv() => Some(DeviceClass::Tablet),
            _ => None,
        })
        .unwrap_or_else(|| agent.class())
}

/// The record's own class. It may name several: the more particular one counts.
fn recorded(record: &Device) -> Option<DeviceClass> {
    let classes = [
        (record.is_tv, DeviceClass::Tv),
        (record.is_tablet, DeviceClass::Tablet),
        (record.is_mobile, DeviceClass::Mobile),
        (record.is_desktop, DeviceClass::Desktop),
    ];
    classes.into_iter().find(|(is, _)| *is == Some(true)).map(|(_, class)| class)
}

fn browser(headers: &HeaderMap, record: Option<&Device>, agent: Agent) -> &'static str {
    let recorded = record.and_then(|record| record.browser.as_deref()).and_then(user_agent::browser_named);
    recorded
        .or_else(|| {
            let brands = hints::strings(headers, const { HeaderName::from_static("sec-ch-ua") });
            // `Chromium` stands beside the browser's own brand.
            let own = brands.iter().find_map(|brand| user_agent::browser_named(brand));
            own.or_else(|| brands.contains(&"Chromium").then_some("chrome"))
        })
        .unwrap_or_else(|| agent.browser())
}

fn os(headers: &HeaderMap, record: Option<&Device>, agent: Agent) -> &'static str {
    let recorded = record.and_then(|record| record.os.as_deref()).and_then(user_agent::os_named);
    recorded
        .or_else(|| {
            hints::string(headers, const { HeaderName::from_static("sec-ch-ua-platform") })
                .and_then(user_agent::os_named)
        })
        .unwrap_or_else(|| agent.os())
}

#[cfg(test)]
mod tests;
