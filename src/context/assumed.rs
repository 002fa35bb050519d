//! What somebody says of a visitor in place of what the request says: a signed preview, or whoever asks for an explanation.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::consent::Consent;
use super::device::DeviceFacts;
use super::identity::UserId;
use crate::attributes::DeviceClass;
use crate::platform::Geo;
use crate::platform::geo::continent_of;

/// Facts that are taken for granted. What isn't said follows from the request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Assumed {
    /// The country, ISO 3166-1 alpha-2 in capitals. Nothing else is known of the place then, but the continent and what follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The country's subdivision, ISO 3166-2 without the country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subdivision: Option<String>,
    /// The class of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceClass>,
    /// When, in seconds since 1970: schedules and `now` go by it. Proofs of users don't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
    /// A test user, whose session is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What the visitor said about consent; no preview says so for somebody else.
    #[serde(skip)]
    pub consent: Option<Consent>,
}

impl Assumed {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// What a preview says, and beside it what the source of the facts says.
    #[must_use]
    pub fn of(preview: Option<&Self>, source: Option<&Self>) -> Self {
        let (Some(one), Some(other)) = (preview, source) else {
            return preview.or(source).cloned().unwrap_or_default();
        };
        let place = if one.country.is_some() { one } else { other };
        Self {
            country: place.country.clone(),
            subdivision: place.subdivision.clone(),
            device: one.device.or(other.device),
            at: one.at.or(other.at),
            user: one.user.clone(),
            consent: other.consent,
        }
    }

    /// The moment.
    #[must_use]
    pub fn moment(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp(self.at?).ok()
    }

    /// The place.
    #[must_use]
    pub fn geo(&self) -> Option<Geo> {
        let country = self.country.as_deref()?;
        Some(Geo {
            country: Some(country.to_owned()),
            subdivision: self.subdivision.clone(),
            continent: continent_of(country),
            ..Geo::default()
        })
    }

    /// The test user.
    pub(super) fn test_user(&self) -> Option<UserId> {
        UserId::parse(self.user.as_deref()?)
    }

    /// The device, as far as it is said.
    pub(super) fn over(&self, device: DeviceFacts) -> DeviceFacts {
        DeviceFacts { class: self.device.unwrap_or(device.class), ..device }
    }
}
