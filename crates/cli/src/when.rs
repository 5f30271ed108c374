//! Times as people write them: `15m`, `today`, `07:30`, RFC 3339.

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

/// A text that is no time, or no duration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WhenError {
    #[error("{0:?} is not a time; write 15m, 1h30m, 2d, today, yesterday, 07:30, 2026-01-31 or RFC 3339")]
    Time(String),
    #[error("{0:?} is not a duration; write 30m, 1h or 2d")]
    Duration(String),
}

/// The moment that a text means. A bare duration is that long ago; a date without zone is in `zone`.
pub(crate) fn parse_time(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, WhenError> {
    let word = text.trim().to_ascii_lowercase();
    let midnight = |days: i64| {
        let day = now.to_zoned(zone.clone()).date().checked_sub(jiff::Span::new().days(days)).ok()?;
        Some(day.to_zoned(zone.clone()).ok()?.timestamp())
    };
    let local = |at: civil::DateTime| at.to_zoned(zone.clone()).ok().map(|z| z.timestamp());
    let found = match word.as_str() {
        "now" => Some(now),
        "today" => midnight(0),
        "yesterday" => midnight(1),
        _ => None,
    };
    found
        .or_else(|| duration(word.strip_prefix('-').unwrap_or(&word)).and_then(|d| now.checked_sub(d).ok()))
        .or_else(|| text.trim().parse::<Timestamp>().ok())
        // Without its signs, `15` would be an hour and `20260131` a day: too easily something else was meant.
        .or_else(|| {
            text.contains('-').then(|| text.trim().parse::<civil::DateTime>().ok().and_then(local))?
        })
        .or_else(|| {
            let time = text.contains(':').then(|| text.trim().parse::<civil::Time>().ok())??;
            local(now.to_zoned(zone.clone()).date().to_datetime(time))
        })
        .ok_or_else(|| WhenError::Time(text.into()))
}

/// A duration of whole seconds, more than none: `90s`, `1h30m`, `2d`, `1w`.
pub(crate) fn parse_duration(text: &str) -> Result<SignedDuration, WhenError> {
    duration(&text.trim().to_ascii_lowercase())
        .filter(|d| d.is_positive())
        .ok_or_else(|| WhenError::Duration(text.into()))
}

fn duration(mut text: &str) -> Option<SignedDuration> {
    let mut seconds: i64 = 0;
    if text.is_empty() {
        return None;
    }
    while !text.is_empty() {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = text[..digits].parse().ok()?;
        let unit = match text.as_bytes()[digits] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        seconds = number.checked_mul(unit).and_then(|n| seconds.checked_add(n))?;
        text = &text[digits + 1..];
    }
    Some(SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<String, WhenError> {
        let now = "2026-03-15T10:20:30Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        parse_time(text, now, &zone).map(|t| t.to_string())
    }

    #[test]
    fn times() {
        for (text, expected) in [
            ("now", "2026-03-15T10:20:30Z"),
            ("15m", "2026-03-15T10:05:30Z"),
            ("-15m", "2026-03-15T10:05:30Z"),
            ("1h30m", "2026-03-15T08:50:30Z"),
            ("2D", "2026-03-13T10:20:30Z"),
            ("1w", "2026-03-08T10:20:30Z"),
            ("0s", "2026-03-15T10:20:30Z"),
            ("today", "2026-03-14T22:00:00Z"),
            ("Yesterday", "2026-03-13T22:00:00Z"),
            ("2026-01-31", "2026-01-30T22:00:00Z"),
            ("2026-01-31 07:30", "2026-01-31T05:30:00Z"),
            ("2026-01-31T07:30:01.5", "2026-01-31T05:30:01.5Z"),
            ("2026-01-31T07:30:00Z", "2026-01-31T07:30:00Z"),
            ("2026-01-31T07:30:00+05:30", "2026-01-31T02:00:00Z"),
            ("07:30", "2026-03-15T05:30:00Z"),
        ] {
            assert_eq!(at(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            " ",
            "15",
            "m",
            "1y",
            "1h30",
            "tomorrow",
            "--1h",
            "99999999999999999999h",
            "9223372036854775807w",
            "2026-13-01",
            "25:00",
            "1é",
            "é",
        ] {
            assert_eq!(at(text), Err(WhenError::Time(text.into())), "{text}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("1h30m").unwrap().as_secs(), 5_400);
        for text in ["", "0s", "-1h", "today", "1"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
