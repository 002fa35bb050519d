//! Media that fit the visitor's device and network: query parameters for Fastly's Image Optimizer or any origin, and HLS
//! playlists without what can't be played.
//!
//! Only listed values come out, whatever a client sends: they shape the backend request and with it the cache key.

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attributes::DeviceClass;
use crate::attributes::NetworkClass;
use crate::transform::{Fault, fault, misread};

pub mod hls;
mod image;

pub use hls::{HlsLimits, StoredHls};
pub use image::StoredImage;

/// A value for each network class; an absent one adds no parameter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ByNetwork {
    /// For slow connections, and visitors who asked for less data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow: Option<u32>,
    /// In between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<u32>,
    /// For fast connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fast: Option<u32>,
}

impl ByNetwork {
    fn get(&self, network: NetworkClass) -> Option<u32> {
        match network {
            NetworkClass::Slow => self.slow,
            NetworkClass::Medium => self.medium,
            NetworkClass::Fast => self.fast,
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A value for each device class; an absent one sets no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ByDevice {
    /// For phones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mobile: Option<u32>,
    /// For tablets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tablet: Option<u32>,
    /// For computers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desktop: Option<u32>,
    /// For televisions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tv: Option<u32>,
    /// For crawlers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot: Option<u32>,
}

impl ByDevice {
    fn get(&self, device: DeviceClass) -> Option<u32> {
        match device {
            DeviceClass::Mobile => self.mobile,
            DeviceClass::Tablet => self.tablet,
            DeviceClass::Desktop => self.desktop,
            DeviceClass::Tv => self.tv,
            DeviceClass::Bot => self.bot,
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn values(&self) -> impl Iterator<Item = u32> {
        [self.mobile, self.tablet, self.desktop, self.tv, self.bot].into_iter().flatten()
    }
}

/// A route's `adapt`, as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StoredAdapt {
    /// Images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<StoredImage>,
    /// Videos.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<StoredVideo>,
    /// HLS master playlists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hls: Option<StoredHls>,
}

/// Videos: the highest bit-rate, as a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StoredVideo {
    /// In whatever unit the origin takes.
    pub bitrates: ByNetwork,
    /// The parameter's name.
    #[serde(default = "StoredVideo::default_param")]
    pub param: String,
}

impl StoredVideo {
    fn default_param() -> String {
        "max_bitrate".to_owned()
    }
}

/// A route's `adapt`, compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adapt {
    image: Option<StoredImage>,
    video: Option<StoredVideo>,
    hls: Option<StoredHls>,
}

impl Adapt {
    /// Compiles a route's `adapt`, which stands at `pointer`. A part that can't be used is left out and named.
    pub fn compile(stored: &Value, pointer: &str, faults: &mut Vec<Fault>) -> Self {
        let Some(members) = stored.as_object() else {
            faults.push(fault(pointer, "expected an object with `image`, `video` or `hls`, but found something else"));
            return Self::default();
        };
        let mut part = Part { members, pointer, faults };
        Self {
            image: part.read("image", StoredImage::check),
            video: part.read("video", |video: StoredVideo| match video.bitrates.is_empty() {
                _ if !is_parameter(&video.param) => {
                    Err(("/param", format!("expected a parameter's name, but found `{}`", video.param)))
                }
                true => Err(("/bitrates", "expected `slow`, `medium` or `fast`, but found none".to_owned())),
                false => Ok(video),
            }),
            hls: part.read("hls", StoredHls::check),
        }
    }

    /// The query parameters that fit the visitor, in a fixed order. Names and values need no encoding.
    pub fn parameters(&self, headers: &HeaderMap, device: DeviceClass, network: NetworkClass) -> Vec<(&str, String)> {
        let mut parameters = Vec::new();
        if let Some(image) = &self.image {
            image.parameters(headers, device, network, &mut parameters);
        }
        if let Some(video) = &self.video {
            parameters.extend(video.bitrates.get(network).map(|rate| (video.param.as_str(), rate.to_string())));
        }
        parameters
    }

    /// Whether playlists are rewritten.
    pub fn rewrites_playlists(&self) -> bool {
        self.hls.is_some()
    }

    /// What of an HLS master playlist the visitor can play; `None` where playlists aren't to be touched.
    pub fn hls_limits(&self, device: DeviceClass, network: NetworkClass) -> Option<HlsLimits> {
        self.hls.as_ref().map(|hls| hls.limits(device, network))
    }

    /// What HLS master playlists are filtered by; `None` where they aren't to be touched.
    pub fn playlists(&self) -> Option<StoredHls> {
        self.hls
    }

    /// Whether the device class shapes what comes out: then it belongs to the variant.
    pub fn uses_device(&self) -> bool {
        self.image.as_ref().is_some_and(StoredImage::uses_device)
            || self.hls.as_ref().is_some_and(StoredHls::uses_device)
    }

    /// Whether the network class does.
    pub fn uses_network(&self) -> bool {
        self.image.as_ref().is_some_and(StoredImage::uses_network)
            || self.hls.as_ref().is_some_and(StoredHls::uses_network)
            || self.video.is_some()
    }
}

/// The hints that a route's rules can use: the value of `Accept-CH`, as a list. Browsers send them on later requests,
/// to a page's own subresources from the same page on.
pub fn accept_ch(adapt: &Adapt) -> Vec<&'static str> {
    let mut hints = Vec::new();
    if adapt.image.as_ref().is_some_and(StoredImage::uses_width) {
        hints.extend(image::WIDTH_HINTS);
    }
    if adapt.uses_network() {
        hints.extend(["Save-Data", "ECT", "Downlink", "RTT"]);
    }
    hints
}

/// Reads one part of the stored object at a time, so that one at fault doesn't take the others with it.
struct Part<'a> {
    members: &'a serde_json::Map<String, Value>,
    pointer: &'a str,
    faults: &'a mut Vec<Fault>,
}

impl Part<'_> {
    fn read<T: serde::de::DeserializeOwned>(
        &mut self,
        name: &str,
        check: impl FnOnce(T) -> Result<T, (&'static str, String)>,
    ) -> Option<T> {
        let value = self.members.get(name).filter(|value| !value.is_null())?;
        match T::deserialize(value).map_err(|error| ("", misread(&error))).and_then(check) {
            Ok(part) => Some(part),
            Err((field, message)) => {
                self.faults.push(fault(format!("{}/{name}{field}", self.pointer), message));
                None
            }
        }
    }
}

/// A parameter's name that needs no encoding.
fn is_parameter(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests;
