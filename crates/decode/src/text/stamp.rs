//! Time stamps as loggers write them.

use bartizan_model::Micros;

const SECOND: i64 = 1_000_000;
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const DAYS: [&[u8; 3]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

/// When a line says that it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// With an offset from UTC: a moment.
    Moment(Micros),
    /// By a clock whose zone, and mostly year, nobody wrote down.
    Local(Local),
}

/// A date and time without zone, and mostly without year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// Year, where it is there.
    pub year: Option<u16>,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// Microseconds since midnight.
    pub micros: i64,
}

impl Local {
    /// The moment, if the year is this one where none was written and the clock is `offset` seconds ahead of UTC.
    #[must_use]
    pub fn at(&self, year: u16, offset: i32) -> Micros {
        let day = days(i64::from(self.year.unwrap_or(year)), self.month, self.day);
        Micros(day * Micros::DAY + self.micros - i64::from(offset) * SECOND)
    }
}

impl Stamp {
    /// A stamp at the beginning of a text, and its length: RFC 3339, also with a blank in place of the `T` or
    /// without zone; RFC 3164, also with weekday, fraction, or the year before or after; `dmesg -T` in brackets;
    /// `journalctl -o short-full` and `short-unix`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<(Self, usize)> {
        let mut scan = Scan { text, at: 0 };
        let stamp = match text.first()? {
            b'[' => {
                scan.at = 1;
                let stamp = scan.month_first()?;
                scan.byte(b']')?;
                stamp
            }
            // as Cisco's devices mark a clock that is not set
            b'*' | b'.' => {
                scan.at = 1;
                scan.month_first()?
            }
            b'0'..=b'9' => match seconds(text) {
                Some((moment, len)) => {
                    scan.at = len;
                    moment
                }
                None => scan.year_first()?,
            },
            b'A'..=b'Z' => scan.month_first()?,
            _ => return None,
        };
        // a stamp is a word of its own
        let ends = matches!(&text[scan.at..], [] | [b' ' | b'\t', ..] | [b':'] | [b':', b' ' | b'\t', ..]);
        ends.then_some((stamp, scan.at))
    }

    /// `02/Mar/2021:19:40:07 +0100` at the beginning of a text.
    pub(super) fn of_proxmox(text: &[u8]) -> Option<(Self, usize)> {
        let mut scan = Scan { text, at: 0 };
        let day = scan.number(2, 2)?;
        scan.byte(b'/')?;
        let month = u32::try_from(scan.word_of(&MONTHS)? + 1).ok()?;
        scan.byte(b'/')?;
        let year = u16::try_from(scan.number(4, 4)?).ok()?;
        scan.byte(b':')?;
        let local = local(Some(year), month, day, scan.clock()?)?;
        scan.byte(b' ')?;
        let offset = scan.offset()?;
        Some((Self::Moment(local.at(year, offset)), scan.at))
    }
}

/// Days since 1970 of a date of the Gregorian calendar.
fn days(year: i64, month: u8, day: u8) -> i64 {
    let month = i64::from(month);
    // years begin with March, so that the leap day is the last
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(day) - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// `1737652941.537693`: seconds since 1970, with or without a fraction.
fn seconds(text: &[u8]) -> Option<(Stamp, usize)> {
    let digits = text.iter().take(20).take_while(|b| b.is_ascii_digit()).count();
    if digits != 10 {
        return None;
    }
    let seconds = super::number::dec::<i64>(&text[..10])?;
    let fraction = match text.get(10) {
        Some(b'.') => text[11..].iter().take(10).take_while(|b| b.is_ascii_digit()).count(),
        _ => return Some((Stamp::Moment(Micros::from_parts(seconds, 0)), 10)),
    };
    if !(1..=9).contains(&fraction) {
        return None;
    }
    let micros = text[11..11 + fraction].iter().take(6).fold(0, |n, b| n * 10 + i64::from(b - b'0'));
    let micros = micros * 10_i64.pow(6 - u32::try_from(fraction.min(6)).ok()?);
    Some((Stamp::Moment(Micros::from_parts(seconds, micros)), 11 + fraction))
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn byte(&mut self, byte: u8) -> Option<()> {
        (self.text.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    /// A number of `least` to `most` digits.
    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let digits = self.text[self.at..].iter().take(most).take_while(|b| b.is_ascii_digit()).count();
        if digits < least {
            return None;
        }
        let text = &self.text[self.at..self.at + digits];
        self.at += digits;
        Some(text.iter().fold(0, |n, b| n * 10 + u32::from(b - b'0')))
    }

    fn word_of(&mut self, words: &[&[u8; 3]]) -> Option<usize> {
        let word = self.text.get(self.at..self.at + 3)?;
        let index = words.iter().position(|w| w.as_slice() == word)?;
        self.at += 3;
        Some(index)
    }

    /// `2025-01-23T12:22:21.537693-05:00`, or `2025 Jan 23 12:22:21`.
    fn year_first(&mut self) -> Option<Stamp> {
        let year = u16::try_from(self.number(4, 4)?).ok()?;
        if self.byte(b' ').is_some() {
            return match self.month_first()? {
                Stamp::Local(local) if local.year.is_none() => {
                    Some(Stamp::Local(Local { year: Some(year), ..local }))
                }
                _ => None,
            };
        }
        let between = if self.byte(b'/').is_some() { b'/' } else { b'-' };
        if between == b'-' {
            self.byte(b'-')?;
        }
        let month = self.number(2, 2)?;
        self.byte(between)?;
        let day = self.number(2, 2)?;
        self.byte(b'T').or_else(|| self.byte(b' ')).or_else(|| self.byte(b't'))?;
        let local = local(Some(year), month, day, self.clock()?)?;
        let after = self.at;
        if matches!(self.text.get(after..after + 4), Some([b' ', b'+' | b'-', b'0'..=b'9', b'0'..=b'9'])) {
            self.at += 1;
        }
        Some(match self.offset() {
            Some(offset) => Stamp::Moment(local.at(year, offset)),
            None => Stamp::Local(local),
        })
    }

    /// `Jan 23 12:22:21`, with a weekday before or a year behind it.
    fn month_first(&mut self) -> Option<Stamp> {
        if self.word_of(&DAYS).is_some() {
            self.byte(b',').or(Some(()))?;
            self.byte(b' ')?;
            if self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
                return self.year_and_zone();
            }
        }
        let month = u32::try_from(self.word_of(&MONTHS)? + 1).ok()?;
        self.byte(b' ')?;
        self.byte(b' ').or(Some(()))?;
        let day = self.number(1, 2)?;
        self.byte(b' ')?;
        let mut year = None;
        if self.text.get(self.at + 4) == Some(&b' ') {
            year = self.number(4, 4).and_then(|y| u16::try_from(y).ok());
            self.byte(b' ')?;
        }
        let micros = self.clock()?;
        let after = self.at;
        if year.is_none() && self.byte(b' ').is_some() {
            // a host may be a number, but none that is a year
            let end = self.text.get(self.at + 4);
            year = self
                .number(4, 4)
                .filter(|y| (1990..2200).contains(y) && matches!(end, None | Some(b' ' | b']' | b':')))
                .and_then(|y| u16::try_from(y).ok());
            if year.is_none() {
                self.at = after;
            }
        }
        let local = local(year, month, day, micros)?;
        // a zone that says nothing new where there is a year, and all but it otherwise
        let utc = [&b" UTC"[..], b" GMT", b" UTC:", b" GMT:"];
        let rest = &self.text[self.at..];
        let zone = utc.iter().find(|zone| {
            rest.strip_prefix(**zone).is_some_and(|after| matches!(after, [] | [b' ' | b'\t' | b']', ..]))
        });
        if let Some(zone) = zone {
            self.at += zone.len();
            if let Some(year) = local.year {
                return Some(Stamp::Moment(local.at(year, 0)));
            }
        }
        Some(Stamp::Local(local))
    }

    /// `2025-01-23 12:22:21 UTC`.
    fn year_and_zone(&mut self) -> Option<Stamp> {
        let stamp = self.year_first()?;
        let zone = self.text[self.at..].strip_prefix(b" ")?;
        let letters = zone.iter().take(6).take_while(|b| b.is_ascii_uppercase()).count();
        if letters < 3 || zone.get(letters) != Some(&b' ') {
            return Some(stamp);
        }
        self.at += 1 + letters;
        match stamp {
            Stamp::Local(local @ Local { year: Some(year), .. })
                if matches!(&zone[..letters], b"UTC" | b"GMT") =>
            {
                Some(Stamp::Moment(local.at(year, 0)))
            }
            other => Some(other),
        }
    }

    /// `12:22:21`, with a fraction; microseconds since midnight.
    fn clock(&mut self) -> Option<i64> {
        let hour = self.number(2, 2)?;
        self.byte(b':')?;
        let minute = self.number(2, 2)?;
        self.byte(b':')?;
        let second = self.number(2, 2)?;
        let mut micros = i64::from(hour * 3600 + minute * 60 + second) * SECOND;
        if self.byte(b'.').or_else(|| self.byte(b',')).is_some() {
            let mut unit = SECOND / 10;
            while let Some(digit) = self.text.get(self.at).filter(|b| b.is_ascii_digit()) {
                micros += i64::from(digit - b'0') * unit;
                unit /= 10;
                self.at += 1;
            }
        }
        (hour < 24 && minute < 60 && second < 61).then_some(micros)
    }

    /// Seconds ahead of UTC: `Z`, `+01:00`, `+0100`.
    fn offset(&mut self) -> Option<i32> {
        if self.byte(b'Z').or_else(|| self.byte(b'z')).is_some() {
            return Some(0);
        }
        let sign = match self.text.get(self.at)? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.at += 1;
        let hours = self.number(2, 2)?;
        self.byte(b':').or(Some(()))?;
        let minutes = self.number(2, 2)?;
        Some(sign * i32::try_from(hours * 3600 + minutes * 60).ok()?)
    }
}

fn local(year: Option<u16>, month: u32, day: u32, micros: i64) -> Option<Local> {
    let (month, day) = (u8::try_from(month).ok()?, u8::try_from(day).ok()?);
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(Local { year, month, day, micros })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(text: &str) -> (Stamp, usize) {
        Stamp::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn moments() {
        let (at, len) = stamp("2025-01-23T12:22:21.537693-05:00 host");
        assert_eq!((at, len), (Stamp::Moment(Micros(1_737_652_941_537_693)), 32));
        assert_eq!(stamp("1737652941.537693 vm").0, Stamp::Moment(Micros(1_737_652_941_537_693)));
        let full = stamp("Thu 2025-01-23 17:22:21 UTC vm kernel:");
        assert_eq!(full, (Stamp::Moment(Micros(1_737_652_941_000_000)), 27));
        assert_eq!(stamp("1970-01-01T00:00:00Z").0, Stamp::Moment(Micros(0)));
        assert_eq!(stamp("2000-02-29 01:00:00+0100").0, Stamp::Moment(Micros(951_782_400_000_000)));
        assert_eq!(stamp("1969-12-31T23:59:59.5+00:00 x").0, Stamp::Moment(Micros(-500_000)));
    }

    #[test]
    fn local_times() {
        let local = |year, month, day, s| Stamp::Local(Local { year, month, day, micros: s * SECOND });
        for (text, want, rest) in [
            ("Jan  8 03:37:09 DENY", local(None, 1, 8, 13029), " DENY"),
            ("Mar 8 22:35:42 linux", local(None, 3, 8, 81342), " linux"),
            ("Thu Jan 18 03:37:09 2024 kern.warn", local(Some(2024), 1, 18, 13029), " kern.warn"),
            ("[Thu Jan 18 03:37:09 2024] IN", local(Some(2024), 1, 18, 13029), " IN"),
            ("Jan 18 2024 03:37:09 gw", local(Some(2024), 1, 18, 13029), " gw"),
            ("2024 Jan 18 03:37:09 gw", local(Some(2024), 1, 18, 13029), " gw"),
            ("Jan 12 00:11:17 103213020 kernel:", local(None, 1, 12, 677), " 103213020 kernel:"),
            ("Jan 12 00:11:17 1032 kernel:", local(None, 1, 12, 677), " 1032 kernel:"),
            ("Thu 2024-01-18 03:37:09 CET gw", local(Some(2024), 1, 18, 13029), " gw"),
            ("2024-01-18 03:37:09 gw", local(Some(2024), 1, 18, 13029), " gw"),
        ] {
            let (got, len) = stamp(text);
            assert_eq!((got, &text[len..]), (want, rest));
        }
        let Stamp::Local(at) = stamp("Dec 31 23:59:59").0 else { panic!() };
        assert_eq!(at.at(2023, 3600), Micros(1_704_063_599_000_000));
    }

    #[test]
    fn what_is_no_stamp() {
        for text in [
            "",
            "Jan",
            "Jan 8",
            "Jan 8 3:37:09",
            "Jan 32 03:37:09",
            "2025-13-01T00:00:00Z",
            "Foo 1 00:00:00",
            "[1234.5] x",
            "Jan 08 03:37:09x",
        ] {
            assert_eq!(Stamp::parse(text.as_bytes()), None, "{text}");
        }
    }
}
