//! `before 14:30`: a moment to go back to.

use std::fmt;

use anyhow::{Context as _, bail};
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

const CLOCK: &[BorrowedFormatItem<'_>] = format_description!("[hour padding:none]:[minute]");
const CLOCK_WITH_SECONDS: &[BorrowedFormatItem<'_>] = format_description!("[hour padding:none]:[minute]:[second]");

/// A moment that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// The moment.
    pub at: OffsetDateTime,
    /// As it was written.
    said: String,
}

impl fmt::Display for Before {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "before {}", self.said)
    }
}

impl Before {
    /// Reads `before 14:30` (today, by this machine's time zone) or `before 2026-11-27T14:30:00Z`.
    ///
    /// # Errors
    ///
    /// It is neither, or lies after `now`.
    pub fn read(text: &str, now: OffsetDateTime) -> anyhow::Result<Self> {
        Self::with(text, now, UtcOffset::local_offset_at)
    }

    fn with(
        text: &str,
        now: OffsetDateTime,
        offset_at: impl Fn(OffsetDateTime) -> Result<UtcOffset, time::error::IndeterminateOffset>,
    ) -> anyhow::Result<Self> {
        let form = || format!("expected 'before 14:30' or 'before 2026-11-27T14:30:00Z', but found '{text}'");
        let said = text.trim().strip_prefix("before ").map(str::trim).with_context(form)?;
        let clock = Time::parse(said, CLOCK).or_else(|_| Time::parse(said, CLOCK_WITH_SECONDS));
        let at = match (OffsetDateTime::parse(said, &Rfc3339), clock) {
            (Ok(at), _) => at,
            (Err(_), Ok(clock)) => {
                let unknown = "the time zone of this machine isn't known: give the time as 2026-11-27T14:30:00Z";
                let today: Date = now.to_offset(offset_at(now).context(unknown)?).date();
                let local = PrimitiveDateTime::new(today, clock);
                // The clocks may have been changed since midnight: the offset is the one of that moment.
                let near = local.assume_offset(offset_at(now).context(unknown)?);
                local.assume_offset(offset_at(near).context(unknown)?)
            }
            (Err(_), Err(_)) => bail!("{}", form()),
        };
        if at > now {
            bail!(
                "expected a moment that is over, but found '{said}', which is still to come (another day: 2026-11-27T14:30:00Z)"
            );
        }
        Ok(Self { at, said: said.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::{datetime, offset};

    use super::*;

    #[test]
    fn a_clock_is_todays_and_local() {
        let now = datetime!(2026-11-27 23:30 UTC);
        let read = |text: &str| Before::with(text, now, |_| Ok(offset!(+2)));
        assert_eq!(read("before 1:15").unwrap().at, datetime!(2026-11-27 23:15 UTC));
        // It is half past one of the 28th there.
        assert_eq!(read("before 01:15").unwrap().at, datetime!(2026-11-27 23:15 UTC));
        assert_eq!(read("before 00:00:30").unwrap().at, datetime!(2026-11-27 22:00:30 UTC));
        assert_eq!(read("before 2026-11-27T14:30:00+01:00").unwrap().at, datetime!(2026-11-27 13:30 UTC));
        for (text, said) in [
            ("before 14:30", "still to come"),
            ("14:30", "expected 'before 14:30'"),
            ("before noon", "but found 'before noon'"),
            ("before 25:00", "expected 'before"),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn the_night_of_the_change_has_two_offsets() {
        // Central Europe, 25 October 2026: from 01:00 UTC on it is one hour ahead, before it was two.
        let offset_at =
            |at: OffsetDateTime| Ok(if at < datetime!(2026-10-25 01:00 UTC) { offset!(+2) } else { offset!(+1) });
        let now = datetime!(2026-10-25 12:00 UTC);
        assert_eq!(Before::with("before 00:30", now, offset_at).unwrap().at, datetime!(2026-10-24 22:30 UTC));
        assert_eq!(Before::with("before 11:30", now, offset_at).unwrap().at, datetime!(2026-10-25 10:30 UTC));
    }
}
