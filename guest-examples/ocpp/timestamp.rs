//! The time as OCPP writes it: RFC 3339, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the current time, such as `2026-03-01T12:00:00Z`.
pub(crate) fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    at(seconds)
}

/// Returns the time that is this many seconds after the beginning of 1970.
fn at(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Returns year, month and day of a day after 1970-01-01. Years begin in March here, so that a leap
/// day is the last day of its year.
fn date(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01. The calendar repeats every 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // March, April, … have 31, 30, 31, 30, 31 days, which repeat after 153 days.
    let months = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months + 2) / 5 + 1;
    let (month, next_year) = if months < 10 { (months + 3, 0) } else { (months - 9, 1) };
    (era * 400 + year_of_era + next_year, month, day)
}
