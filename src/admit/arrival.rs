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

/// A time in milliseconds.
#[must_use]
pub fn milliseconds(duration: Duration) -> f64 {
    // Exact up to some three centuries.
    #[allow(clippy::cast_precision_loss)]
    let micros = microseconds(duration) as f64;
    micros / 1_000.0
}

/// Microseconds, as fine as anybody needs. `Duration::as_micros` has 128 bits, for which WebAssembly has no instructions.
#[must_use]
pub fn microseconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000).saturating_add(duration.subsec_micros().into())
}
