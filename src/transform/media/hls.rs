//! HLS master playlists (RFC 8216 section 4.3.4) without the variants that a device or a connection can't play.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{ByDevice, ByNetwork};
use crate::attributes::DeviceClass;
use crate::attributes::NetworkClass;

const VARIANT: &str = "#EXT-X-STREAM-INF:";
/// A variant for fast winding: on one line, with its URI.
const IMAGES: &str = "#EXT-X-I-FRAME-STREAM-INF:";

/// HLS on a route, as stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StoredHls {
    /// The highest `BANDWIDTH` by network, in bits a second.
    pub max_bandwidth: ByNetwork,
    /// The greatest height by device, in pixels.
    pub max_height: ByDevice,
}

impl StoredHls {
    pub(super) fn check(self) -> Result<Self, (&'static str, String)> {
        if self.max_bandwidth.is_empty() && self.max_height.is_empty() {
            return Err(("", "expected `max_bandwidth` or `max_height`, but found none".to_owned()));
        }
        Ok(self)
    }

    pub(in crate::transform) fn limits(&self, device: DeviceClass, network: NetworkClass) -> HlsLimits {
        HlsLimits { bandwidth: self.max_bandwidth.get(network), height: self.max_height.get(device) }
    }

    pub(in crate::transform) fn uses_device(&self) -> bool {
        !self.max_height.is_empty()
    }

    pub(in crate::transform) fn uses_network(&self) -> bool {
        !self.max_bandwidth.is_empty()
    }
}

/// What a visitor can play.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HlsLimits {
    /// Bits a second.
    pub bandwidth: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
}

/// Whether a response may be a playlist, by its content type (RFC 8216 section 4).
pub fn is_playlist(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(
        essence.as_str(),
        "application/vnd.apple.mpegurl" | "application/x-mpegurl" | "audio/mpegurl" | "audio/x-mpegurl"
    )
}

/// A variant's line, with what its attributes say.
struct Variant {
    bandwidth: u64,
    fits: bool,
}

/// The playlist without variants beyond the limits. Of the variants with pictures to play, the lowest (and its
/// equals, which are its replacements) stay whatever the limits say; all other lines keep their order and their bytes.
/// What isn't a master playlist comes back as it is.
pub fn filter(playlist: &str, limits: HlsLimits) -> Cow<'_, str> {
    if !playlist.trim_start_matches('\u{feff}').starts_with("#EXTM3U") || !playlist.contains(VARIANT) {
        return Cow::Borrowed(playlist);
    }
    let variants: Vec<Variant> = playlist
        .lines()
        .filter_map(|line| line.strip_prefix(VARIANT))
        .map(|attributes| limits.judge(attributes))
        .collect();
    let lowest = variants.iter().map(|variant| variant.bandwidth).min();
    let has_fitting = variants.iter().any(|variant| variant.fits);

    let mut out = String::with_capacity(playlist.len());
    let mut variants = variants.iter();
    let mut drops_uri = false;
    for line in playlist.split_inclusive('\n') {
        let keeps = if line.starts_with(VARIANT) {
            let keeps = variants
                .next()
                .is_none_or(|variant| variant.fits || (!has_fitting && Some(variant.bandwidth) == lowest));
            drops_uri = !keeps;
            keeps
        } else if let Some(attributes) = line.strip_prefix(IMAGES) {
            limits.judge(attributes).fits
        } else if line.starts_with('#') || line.trim().is_empty() {
            true
        } else {
            // The URI line of the variant above it.
            !std::mem::take(&mut drops_uri)
        };
        if keeps {
            out.push_str(line);
        }
    }
    if out.len() == playlist.len() { Cow::Borrowed(playlist) } else { Cow::Owned(out) }
}

impl HlsLimits {
    /// A variant that says nothing of itself fits.
    fn judge(self, attributes: &str) -> Variant {
        let bandwidth = attribute(attributes, "BANDWIDTH").and_then(|value| value.parse::<u64>().ok());
        let height =
            attribute(attributes, "RESOLUTION").and_then(|value| value.split_once(['x', 'X'])?.1.parse::<u64>().ok());
        let within = |value: Option<u64>, limit: Option<u32>| {
            value.zip(limit).is_none_or(|(value, limit)| value <= u64::from(limit))
        };
        Variant {
            bandwidth: bandwidth.unwrap_or(u64::MAX),
            fits: within(bandwidth, self.bandwidth) && within(height, self.height),
        }
    }
}

/// An attribute of an attribute list (RFC 8216 section 4.2). Quoted values may hold commas, and names like other attributes'.
fn attribute<'t>(list: &'t str, name: &str) -> Option<&'t str> {
    let mut rest = list.trim_end();
    while let Some((found, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
            Some((value, after)) => (value, after.strip_prefix(',').unwrap_or(after)),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if found.trim() == name {
            return Some(value.trim());
        }
        rest = after;
    }
    None
}
