use bartizan_intake::text::Zone;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use std::cell::Cell;

/// Shown seconds that share one look into the zone's table: no zone changes its offset more finely.
const SPAN: i64 = 900;

/// A zone that has no such name.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a time zone: write Europe/Berlin, UTC, or +01:00")]
pub struct TimeZoneError(String);

/// A time zone, with its last answer.
#[derive(Clone, Debug)]
pub struct Tz {
    zone: TimeZone,
    last: Cell<(i64, i32)>,
}

impl Tz {
    /// This machine's.
    #[must_use]
    pub fn system() -> Self {
        Self::of(TimeZone::system())
    }

    /// UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self::of(TimeZone::UTC)
    }

    const fn of(zone: TimeZone) -> Self {
        Self { zone, last: Cell::new((i64::MIN, 0)) }
    }

    /// `Europe/Berlin`, `UTC`, `+01:00`, `-0530`.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn named(text: &str) -> Result<Self, TimeZoneError> {
        let wrong = || TimeZoneError(text.to_owned());
        if let Some(sign) = text.strip_prefix(['+', '-']) {
            let digits: String = sign.chars().filter(|c| *c != ':').collect();
            let number =
                |range: std::ops::Range<usize>| digits.get(range).and_then(|d| d.parse::<i32>().ok());
            let (hours, minutes) = match digits.len() {
                1 | 2 => (digits.parse().ok(), Some(0)),
                4 => (number(0..2), number(2..4)),
                _ => (None, None),
            };
            let (Some(hours @ 0..=15), Some(minutes @ 0..=59)) = (hours, minutes) else {
                return Err(wrong());
            };
            let seconds = (hours * 60 + minutes) * 60 * if text.starts_with('-') { -1 } else { 1 };
            return Offset::from_seconds(seconds).map(|o| Self::of(TimeZone::fixed(o))).map_err(|_| wrong());
        }
        TimeZone::get(text).map(Self::of).map_err(|_| wrong())
    }
}

impl Zone for Tz {
    fn offset(&self, shown: i64) -> i32 {
        let span = shown.div_euclid(SPAN);
        let (last, offset) = self.last.get();
        if last == span {
            return offset;
        }
        let civil = Timestamp::from_second(span.saturating_mul(SPAN)).map(|t| Offset::UTC.to_datetime(t));
        let offset = civil.map_or(0, |civil: DateTime| {
            self.zone
                .to_ambiguous_timestamp(civil)
                .compatible()
                .map_or(0, |t| self.zone.to_offset(t).seconds())
        });
        self.last.set((span, offset));
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_by_name_and_by_offset() {
        let shown = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        let berlin = Tz::named("Europe/Berlin").unwrap();
        assert_eq!(berlin.offset(shown("2026-01-08T03:37:09Z")), 3600);
        assert_eq!(berlin.offset(shown("2026-07-08T03:37:09Z")), 7200);
        assert_eq!(berlin.offset(shown("2026-03-29T01:59:59Z")), 3600);
        assert_eq!(berlin.offset(shown("2026-03-29T03:00:00Z")), 7200);
        for (text, seconds) in [("+01:00", 3600), ("-0530", -19_800), ("+5", 18_000), ("UTC", 0)] {
            assert_eq!(Tz::named(text).unwrap().offset(0), seconds, "{text}");
        }
        for text in ["", "Europe/Nowhere", "+", "+99:00", "+1:2:3", "../../etc/passwd", "+é"] {
            assert!(Tz::named(text).is_err(), "{text}");
        }
        assert_eq!(Tz::utc().offset(i64::MAX), 0);
    }
}
