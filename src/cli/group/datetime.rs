//! Moments as Kafka's tools take them: `YYYY-MM-DDTHH:mm:SS[.sss]`, in UTC or with `Z`, `±HH`,
//! `±HHmm` or `±HH:mm` behind.

use crate::model::Timestamp;

/// Reads a moment.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    read(text).ok_or_else(|| "expected YYYY-MM-DDTHH:mm:SS[.sss][Z|±HH:mm]".to_owned())
}

fn read(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_once('T')?;
    let (time, zone) = rest.split_at(rest.find(['Z', '+', '-']).unwrap_or(rest.len()));
    let (time, millis) = match time.split_once('.') {
        Some((time, millis)) => (time, number(millis, 3, 0, 999)?),
        None => (time, 0),
    };
    let mut date = date.split('-');
    let mut time = time.split(':');
    let year = number(date.next()?, 4, 1, 9999)?;
    let month = number(date.next()?, 2, 1, 12)?;
    let day = number(date.next()?, 2, 1, days_in(month, year))?;
    let hour = number(time.next()?, 2, 0, 23)?;
    let minute = number(time.next()?, 2, 0, 59)?;
    let second = number(time.next()?, 2, 0, 59)?;
    if date.next().is_some() || time.next().is_some() {
        return None;
    }
    let days = days_since_1970(year, month, day);
    let minutes = (days * 24 + hour) * 60 + minute - minutes_ahead(zone)?;
    Some(Timestamp((minutes * 60 + second) * 1000 + millis))
}

/// So many digits, within bounds.
fn number(text: &str, digits: usize, min: i64, max: i64) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| text.parse().ok())??;
    (min..=max).contains(&number).then_some(number)
}

/// How far a zone is ahead of UTC.
fn minutes_ahead(zone: &str) -> Option<i64> {
    let (sign, digits) = match zone.split_at_checked(1) {
        None | Some(("Z", "")) => return Some(0),
        Some(("+", digits)) => (1, digits),
        Some(("-", digits)) => (-1, digits),
        Some(_) => return None,
    };
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes = match minutes.strip_prefix(':').unwrap_or(minutes) {
        "" if minutes.is_empty() => 0,
        minutes => number(minutes, 2, 0, 59)?,
    };
    Some(sign * (number(hours, 2, 0, 18)? * 60 + minutes))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(month: i64, year: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    /// Days from the first day of year 1 to 1970-01-01.
    const TO_1970: i64 = 719_162;
    let years = year - 1;
    let leap_days = years / 4 - years / 100 + years / 400;
    let months: i64 = (1..month).map(|month| days_in(month, year)).sum();
    years * 365 + leap_days + months + day - 1 - TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_every_form_that_kafkas_tools_take() {
        // As `date -u -d … +%s` says.
        for (text, seconds) in [
            ("1970-01-01T00:00:00", 0),
            ("2024-02-29T23:59:59Z", 1_709_251_199),
            ("2000-03-01T00:00:00.000", 951_868_800),
            ("2026-11-21T12:30:00+02:00", 1_795_257_000),
            ("2026-11-21T12:30:00+0200", 1_795_257_000),
            ("2026-11-21T03:30:00.000-07", 1_795_257_000),
            ("1969-12-31T23:59:58", -2),
        ] {
            assert_eq!(parse(text), Ok(Timestamp(seconds * 1000)), "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:01.234"), Ok(Timestamp(1234)));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2024-01-01",
            "2023-02-29T00:00:00",
            "2024-13-01T00:00:00",
            "2024-01-01T24:00:00",
            "2024-01-01T00:00",
            "2024-01-01T00:00:00:00",
            "2024-01-01-01T00:00:00",
            "2024-01-01T00:00:00.1234",
            "2024-01-01T00:00:00Zulu",
            "2024-01-01T00:00:00+2",
            "2024-01-01T00:00:00+02:",
            "2024-01-01T00:00:00é",
            "+024-01-01T00:00:00",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
