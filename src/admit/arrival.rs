//! When a request came, by each of the platform's clocks. They are read once a request.

use std::time::Duration;

use time::OffsetDateTime;

use crate::platform::Platform;

/// When a request came.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The wall clock.
    pub now: OffsetDateTime,
    /// The sandbox's age.
    pub uptime: Duration,
    /// Milliseconds of vCPU that the sandbox had used, where the platform says.
    vcpu_ms: Option<u64>,
    /// Whether it is the sandbox's first request.
    pub is_cold: bool,
}

impl Arrival {
    /// Now.
    pub fn now<P: Platform>(platform: &P, is_cold: bool) -> Self {
        Self { now: platform.now(), uptime: platform.uptime(), vcpu_ms: platform.vcpu_ms(), is_cold }
    }

    /// How long ago that was.
    pub fn elapsed<P: Platform>(&self, platform: &P) -> Duration {
        platform.uptime().saturating_sub(self.uptime)
    }

    /// Milliseconds of vCPU that the request has used, where the platform says.
    pub fn vcpu_used<P: Platform>(&self, platform: &P) -> Option<u64> {
        platform.vcpu_ms().zip(self.vcpu_ms).map(|(now, then)| now.saturating_sub(then))
    }
}
