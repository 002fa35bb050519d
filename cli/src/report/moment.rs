//! Times of log lines, and lengths of time on the command line.

use anyhow::{Context as _, bail};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Microseconds since 1970-01-01T00:00:00Z.
pub type Micros = i64;

/// One second.
pub const SECOND: Micros = 1_000_000;
/// One minute.
pub const MINUTE: Micros = 60 * SECOND;
/// One hour.
pub const HOUR: Micros = 60 * MINUTE;
/// One day.
pub const DAY: Micros = 24 * HOUR;

/// Reads a time of RFC 3339. What the edge writes (UTC) is read without the help of a date library: there is one in every line.
pub fn read(text: &str) -> Option<Micros> {
    in_utc(text.as_bytes()).or_else(|| {
        let nanos = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos();
        i64::try_from(nanos / 1000).ok()
    })
}

/// `2026-11-24T04:53:30Z`, with or without a fraction.
fn in_utc(text: &[u8]) -> Option<Micros> {
    let (&[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2], rest) =
        text.split_first_chunk::<19>()?
    else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits
            .iter()
            .try_fold(0_i64, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
    };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=12).contains(&month) || !(1..=longest).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let fraction = match rest.split_last()? {
        (b'Z', []) => 0,
        (b'Z', [b'.', digits @ ..]) => {
            let kept = digits.get(..digits.len().min(6))?;
            number(digits.get(kept.len()..)?)?;
            number(kept)? * 10_i64.pow(u32::try_from(6 - kept.len()).ok()?)
        }
        _ => return None,
    };
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 * SECOND + second * SECOND + fraction)
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// A day: `2026-11-24`, UTC.
pub fn day(at: Micros) -> String {
    shown(at, 10)
}

/// RFC 3339 in seconds, UTC.
pub fn second(at: Micros) -> String {
    shown(at, 19) + "Z"
}

fn shown(at: Micros, length: usize) -> String {
    let whole = OffsetDateTime::from_unix_timestamp(at.div_euclid(SECOND)).ok();
    let text = whole.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
    text.get(..length).unwrap_or_default().to_owned()
}

/// A day (its beginning, UTC) or a time.
///
/// # Errors
///
/// It is neither.
pub fn argument(text: &str) -> anyhow::Result<Micros> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    read(&whole)
        .with_context(|| format!("expected a day as 2026-11-27 or a time as 2026-11-27T08:00:00Z, but found '{text}'"))
}

/// A length of time: `72h`, `7d`, `30m`.
///
/// # Errors
///
/// It is none, or none that fits.
pub fn length(text: &str) -> anyhow::Result<Micros> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit {
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        _ => bail!("expected a length as 72h, 7d or 30m, but found '{text}'"),
    };
    let length = number.parse::<i64>().ok().filter(|number| (1..=100_000).contains(number));
    Ok(length.with_context(|| format!("expected a number from 1 to 100000 before the unit, but found '{text}'"))?
        * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_agree_with_the_date_library() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2026-11-24T04:53:30Z",
            "2024-02-29T23:59:59.5Z",
            "2026-11-24T04:53:30.123456789Z",
            "2026-03-01T00:00:00.000001Z",
            "2026-11-24T04:53:30+02:00",
        ] {
            let expected = OffsetDateTime::parse(text, &Rfc3339).unwrap().unix_timestamp_nanos() / 1000;
            assert_eq!(read(text).map(i128::from), Some(expected), "{text}");
        }
        for text in ["", "yesterday", "2026-13-24T04:53:30Z", "2026-11-24T04:53:30.Zz"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn lengths_have_a_unit() {
        assert_eq!(length("72h").unwrap(), 3 * DAY);
        assert_eq!(length("7d").unwrap(), 7 * DAY);
        for text in ["72", "h", "0h", "-1h", "72 hours", "1000000d"] {
            assert!(length(text).is_err(), "{text}");
        }
    }
}
