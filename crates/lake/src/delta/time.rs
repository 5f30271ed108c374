//! Times as the log writes them: days `2026-01-31`, moments `2026-01-31T12:00:00.123456Z`.

use bartizan_model::Micros;
use jiff::{Timestamp, civil::Date, tz::Offset};

/// A day, if it lies in the years that a date can hold (-9999 to 9999).
pub(crate) fn day_text(day: i64) -> Option<String> {
    let at = Timestamp::from_second(day.checked_mul(86_400)?).ok()?;
    Some(Offset::UTC.to_datetime(at).date().to_string())
}

/// Days since 1970 of a text.
pub(crate) fn day_of(text: &str) -> Option<i64> {
    let date: Date = text.parse().ok()?;
    let at = Offset::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight())).ok()?;
    Some(at.as_second().div_euclid(86_400))
}

/// A moment, if it lies in the years 0000 to 9999, which all readers of statistics understand.
pub(crate) fn moment_text(at: Micros) -> Option<String> {
    let civil = Offset::UTC.to_datetime(Timestamp::from_microsecond(at.0).ok()?);
    (civil.year() >= 0).then(|| format!("{civil:.6}Z"))
}

/// The moment of a text. Statistics may be cut to milliseconds; `round_up` gives the last microsecond that
/// such a text can stand for.
pub(crate) fn moment_of(text: &str, round_up: bool) -> Option<Micros> {
    let at: Timestamp = text.parse().ok()?;
    let cut = text.rsplit_once('.').map_or(0, |(_, f)| f.bytes().take_while(u8::is_ascii_digit).count()) <= 3;
    Some(Micros(at.as_microsecond().saturating_add(if cut && round_up { 999 } else { 0 })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_moments_print_and_parse() {
        assert_eq!(day_text(20_780).as_deref(), Some("2026-11-23"));
        assert_eq!(day_of("2026-11-23"), Some(20_780));
        assert_eq!(day_text(-1).as_deref(), Some("1969-12-31"));
        assert_eq!(day_of("1969-12-31"), Some(-1));
        assert_eq!(day_text(i64::MAX), None);
        assert_eq!(day_of("__HIVE_DEFAULT_PARTITION__"), None);
        let at = Micros(1_795_000_000_000_001);
        let text = moment_text(at).unwrap();
        assert_eq!(text, "2026-11-18T11:06:40.000001Z");
        assert_eq!(moment_of(&text, true), Some(at));
        assert_eq!(moment_of("2026-11-18T11:06:40.000Z", true), Some(Micros(1_795_000_000_000_999)));
        assert_eq!(moment_of("2026-11-18T11:06:40.000Z", false), Some(Micros(1_795_000_000_000_000)));
        assert_eq!(moment_text(Micros(i64::MAX)), None);
        assert_eq!(moment_text(Micros(i64::MIN)), None);
    }
}
