//! Images: width, quality and format.

use http::{HeaderMap, HeaderName, header};
use serde::{Deserialize, Serialize};

use super::{ByDevice, ByNetwork, is_parameter};
use crate::attributes::DeviceClass;
use crate::attributes::NetworkClass;
use crate::wire::hints;

/// Width hints by their present and their former names (Responsive Image Client Hints).
pub(super) const WIDTH_HINTS: [&str; 6] =
    ["Sec-CH-Width", "Sec-CH-Viewport-Width", "Sec-CH-DPR", "Width", "Viewport-Width", "DPR"];

/// Widths listed on one route: each is a copy in the cache.
const MAX_WIDTHS: usize = 16;
/// Pixels; no screen is wider, and Fastly's Image Optimizer gives no more than 8,192.
const MAX_WIDTH: u32 = 16_384;
/// No screen has more dots a pixel.
const MAX_DPR: f64 = 8.0;

/// Images on a route, as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StoredImage {
    /// Widths in pixels. A hint is rounded up to the next; beyond the largest, the largest.
    pub widths: Vec<u32>,
    /// The width where no hint says it; absent: the image's own.
    pub device_widths: ByDevice,
    /// The parameter's name: `width`.
    pub width_param: String,
    /// Quality by network.
    pub quality: ByNetwork,
    /// The parameter's name: `quality`.
    pub quality_param: String,
    /// Formats, the best first; one is used if `Accept` names it: `avif`, `webp`.
    pub formats: Vec<String>,
    /// The parameter's name: `format`.
    pub format_param: String,
}

impl StoredImage {
    /// Sorts the widths, fills in names; gives the field at fault and the message.
    pub(super) fn check(mut self) -> Result<Self, (&'static str, String)> {
        let names = [
            (&mut self.width_param, "width", "/width_param"),
            (&mut self.quality_param, "quality", "/quality_param"),
            (&mut self.format_param, "format", "/format_param"),
        ];
        for (name, default, field) in names {
            if name.is_empty() {
                default.clone_into(name);
            } else if !is_parameter(name) {
                return Err((field, format!("expected a parameter's name, but found `{name}`")));
            }
        }
        if self.widths.len() > MAX_WIDTHS {
            return Err(("/widths", format!("expected at most {MAX_WIDTHS} widths, but found {}", self.widths.len())));
        }
        if let Some(width) = self
            .widths
            .iter()
            .copied()
            .chain(self.device_widths.values())
            .find(|width| !(1..=MAX_WIDTH).contains(width))
        {
            return Err(("/widths", format!("expected widths of 1 to {MAX_WIDTH} pixels, but found {width}")));
        }
        if let Some(format) = self.formats.iter().find(|format| !is_parameter(format)) {
            return Err(("/formats", format!("expected formats like `avif`, but found `{format}`")));
        }
        self.widths.sort_unstable();
        self.widths.dedup();
        Ok(self)
    }

    pub(super) fn parameters<'a>(
        &'a self,
        headers: &HeaderMap,
        device: DeviceClass,
        network: NetworkClass,
        out: &mut Vec<(&'a str, String)>,
    ) {
        let width = self.width(headers).or_else(|| self.device_widths.get(device));
        out.extend(width.map(|width| (self.width_param.as_str(), width.to_string())));
        out.extend(self.quality.get(network).map(|quality| (self.quality_param.as_str(), quality.to_string())));
        let format = self.formats.iter().find(|format| accepts(headers, format));
        out.extend(format.map(|format| (self.format_param.as_str(), format.clone())));
    }

    pub(super) fn uses_width(&self) -> bool {
        !self.widths.is_empty()
    }

    pub(super) fn uses_device(&self) -> bool {
        !self.device_widths.is_empty()
    }

    pub(super) fn uses_network(&self) -> bool {
        !self.quality.is_empty()
    }

    /// The listed width that holds what the hints ask for.
    fn width(&self, headers: &HeaderMap) -> Option<u32> {
        let largest = *self.widths.last()?;
        let hint = |name| hints::number(headers, HeaderName::from_static(name));
        let either = |new, old| hint(new).or_else(|| hint(old)).filter(|number| *number > 0.0);
        // `Width` counts the screen's dots already, `Viewport-Width` counts CSS pixels.
        let dots = either("sec-ch-width", "width").or_else(|| {
            let dpr = either("sec-ch-dpr", "dpr").map_or(1.0, |dpr| dpr.min(MAX_DPR));
            either("sec-ch-viewport-width", "viewport-width").map(|pixels| pixels * dpr)
        })?;
        Some(self.widths.iter().copied().find(|width| f64::from(*width) >= dots).unwrap_or(largest))
    }
}

/// Whether `Accept` names `image/<format>` (RFC 9110 section 12.5.1). A wildcard isn't enough: every browser sends one.
fn accepts(headers: &HeaderMap, format: &str) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts
            .next()
            .and_then(|name| name.split_once('/'))
            .is_some_and(|(kind, name)| kind.eq_ignore_ascii_case("image") && name.eq_ignore_ascii_case(format));
        is_named && !parts.any(is_zero_weight)
    })
}

/// `q=0`, `q=0.000`: not acceptable.
fn is_zero_weight(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, weight)| {
        name.trim().eq_ignore_ascii_case("q") && weight.trim().bytes().all(|b| matches!(b, b'0' | b'.'))
    })
}
