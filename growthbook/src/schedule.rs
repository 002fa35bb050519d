//! When a rule or a route holds.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::stored;
use crate::condition::Fault;

/// A span of time, closed at its start and open at its end. The default one is always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Schedule {
    from: Option<OffsetDateTime>,
    until: Option<OffsetDateTime>,
}

/// Where a moment stands to a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Not started yet.
    Before,
    /// Within.
    During,
    /// Over.
    After,
}

impl Schedule {
    /// Parses the two times (RFC 3339).
    ///
    /// # Errors
    ///
    /// One of them is no time; the fault's place is `/from` or `/until`.
    pub fn compile(stored: &stored::Schedule) -> Result<Self, Fault> {
        Ok(Self { from: parse("from", stored.from.as_deref())?, until: parse("until", stored.until.as_deref())? })
    }

    /// The first moment; always by default.
    #[must_use]
    pub fn from(&self) -> Option<OffsetDateTime> {
        self.from
    }

    /// The first moment after; never by default.
    #[must_use]
    pub fn until(&self) -> Option<OffsetDateTime> {
        self.until
    }

    /// Whether `now` is within.
    #[must_use]
    pub fn holds(&self, now: OffsetDateTime) -> bool {
        self.at(now) == Moment::During
    }

    /// Whether it holds at no time at all: its end isn't after its start.
    #[must_use]
    pub fn never_holds(&self) -> bool {
        matches!((self.from, self.until), (Some(from), Some(until)) if until <= from)
    }

    /// Where `now` stands.
    #[must_use]
    pub fn at(&self, now: OffsetDateTime) -> Moment {
        if self.from.is_some_and(|from| now < from) {
            Moment::Before
        } else if self.until.is_some_and(|until| now >= until) {
            Moment::After
        } else {
            Moment::During
        }
    }
}

fn parse(name: &str, text: Option<&str>) -> Result<Option<OffsetDateTime>, Fault> {
    let parsed = text.map(|text| {
        OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
            let message = format!("expected a time as 2026-11-27T00:00:00Z (RFC 3339), but found '{text}'");
            Fault::new(message).under(name)
        })
    });
    parsed.transpose()
}
