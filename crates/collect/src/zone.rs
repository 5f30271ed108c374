//! The zone of clocks that do not say theirs.

use bartizan_intake::text::Zone;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::sync::atomic::{AtomicI64, Ordering};

/// Seconds for which an offset is asked once: zones change theirs at the turn of a quarter of an hour.
const SPAN: i64 = 900;

/// A place on earth, whose clocks it knows.
#[derive(Debug)]
pub(crate) struct Place {
    zone: TimeZone,
    /// The offset asked last, and for which span, in one number.
    last: AtomicI64,
}

impl Clone for Place {
    fn clone(&self) -> Self {
        Self::new(self.zone.clone())
    }
}

impl Place {
    const fn new(zone: TimeZone) -> Self {
        Self { zone, last: AtomicI64::new(i64::MIN) }
    }

    /// Where this machine is.
    pub(crate) fn here() -> Self {
        Self::new(TimeZone::system())
    }

    /// The zone of a name, such as `Europe/Berlin`, or an offset, such as `+02:00`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let offset = || {
            let sign = match name.as_bytes().first()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let (hours, minutes) = name[1..].split_once(':')?;
            let (hours, minutes) = (hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?);
            let seconds = (i32::from(hours) * 60 + i32::from(minutes)) * 60;
            jiff::tz::Offset::from_seconds(sign * seconds).ok().map(TimeZone::fixed)
        };
        TimeZone::get(name).ok().or_else(offset).map(Self::new)
    }

    fn look_up(&self, shown: i64) -> i32 {
        let civil = |second: i64| {
            let moment = Timestamp::from_second(second).ok()?;
            let shown = TimeZone::UTC.to_datetime(moment);
            self.zone.to_ambiguous_timestamp(shown).compatible().ok()
        };
        civil(shown).map_or(0, |moment| self.zone.to_offset(moment).seconds())
    }
}

impl Zone for Place {
    fn offset(&self, shown: i64) -> i32 {
        // the offset is less than 2^18 either way, and a span of any clock fits above it
        let span = shown.div_euclid(SPAN);
        let last = self.last.load(Ordering::Relaxed);
        if last >> 20 == span {
            return i32::try_from((last & 0xf_ffff) - (1 << 19)).unwrap_or(0);
        }
        let offset = self.look_up(shown);
        self.last.store(span << 20 | (i64::from(offset) + (1 << 19)), Ordering::Relaxed);
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_follow_the_clocks_of_the_place() {
        let berlin = Place::named("Europe/Berlin").unwrap();
        // 2026-01-15T12:00 and 2026-07-15T12:00, as the clock on the wall shows them
        for _ in 0..2 {
            assert_eq!(berlin.offset(1_768_478_400), 3600);
            assert_eq!(berlin.offset(1_784_116_800), 7200);
        }
        // 2026-10-25T03:30 is once, 02:30 twice: then the first time is meant
        assert_eq!((berlin.offset(1_792_899_000), berlin.offset(1_792_895_400)), (3600, 7200));
        assert_eq!(Place::named("-03:30").unwrap().offset(0), -12_600);
        assert_eq!(Place::named("UTC").unwrap().offset(-5), 0);
        assert!(Place::named("Mars").is_none() && Place::named("+99:00").is_none());
        assert_eq!(berlin.offset(i64::MAX / 1_000_000), 0, "no such year");
    }
}
