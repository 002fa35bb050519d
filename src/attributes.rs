//! What is known of a visitor and a request: the closed values of some attributes.

/// The class of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceClass {
    /// A phone.
    Mobile,
    /// A tablet.
    Tablet,
    /// A computer, and whatever says nothing of itself.
    Desktop,
    /// A television, a box or stick at one.
    Tv,
    /// A crawler, a monitor, a command-line client.
    Bot,
}

impl DeviceClass {
    /// The attribute's value: `mobile`, `tablet`, `desktop`, `tv`, `bot`.
    pub fn as_str(self) -> &'static str {
        match self {
            DeviceClass::Mobile => "mobile",
            DeviceClass::Tablet => "tablet",
            DeviceClass::Desktop => "desktop",
            DeviceClass::Tv => "tv",
            DeviceClass::Bot => "bot",
        }
    }
}

/// The class of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NetworkClass {
    /// A page has to be small.
    Slow,
    /// In between.
    Medium,
    /// Nothing has to be saved, and whatever says nothing of itself.
    Fast,
}

impl NetworkClass {
    /// The attribute's value: `slow`, `medium`, `fast`.
    pub fn as_str(self) -> &'static str {
        match self {
            NetworkClass::Slow => "slow",
            NetworkClass::Medium => "medium",
            NetworkClass::Fast => "fast",
        }
    }
}
