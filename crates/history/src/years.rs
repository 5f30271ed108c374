//! The years that stamps such as `Jan  8 03:37:09` leave out.
//!
//! A log is written in order. So a stamp that is more than a month before the one above it is of the next year
//! (December, then January; November, then March), and one that is a little before it was written late. A file is
//! read to its end once before it is imported ([`scan`]): its last stamp was written before the file was last
//! changed, and before the first one of the next newer file of its set; going back from there gives the year of its
//! first stamp ([`first_year`]).

use bartizan_decode::text::{Local, Stamp};
use bartizan_model::Micros;

/// How far a stamp may be before the one above it within a year.
const LATE: i64 = 31 * Micros::DAY;
/// How far a clock may be ahead of the file system's.
const AHEAD: i64 = Micros::DAY;
/// Longest `<PRI>`.
const PRIORITY: usize = 5;
/// A leap year, so that every day exists, to count from.
const BASE: u16 = 2000;

/// The year of each stamp, by the one before it.
#[derive(Clone, Copy, Debug)]
pub struct Years {
    year: u16,
    /// The stamp before, as its clock showed it.
    last: Option<i64>,
}

impl Years {
    /// The first stamp is of this year.
    #[must_use]
    pub const fn starting(year: u16) -> Self {
        Self { year, last: None }
    }

    /// The year of the next stamp.
    pub fn next(&mut self, local: &Local) -> u16 {
        let Some(last) = self.last else {
            self.last = Some(local.at(self.year, 0).0);
            return self.year;
        };
        let earliest = last - LATE;
        let before = self.year.saturating_sub(1);
        let year = [before, self.year].into_iter().find(|y| local.at(*y, 0).0 >= earliest);
        let year = year.unwrap_or(self.year + 1);
        self.year = year;
        self.last = Some(local.at(year, 0).0);
        year
    }
}

/// The stamps without a year of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first one.
    pub first: Local,
    /// The last one.
    pub last: Local,
    /// How many years the last one is after the first one.
    pub years: u16,
}

/// Collects the [`Span`] of a file from its lines.
#[derive(Debug, Default)]
pub struct Scan {
    span: Option<(Span, Years)>,
    /// The date of the last stamp as it was written, by which lines of the same day are known.
    day: [u8; 6],
}

impl Scan {
    /// Takes the next line.
    #[inline]
    pub fn line(&mut self, line: &[u8]) {
        let text = without_priority(line);
        if text.get(..6) == Some(&self.day) {
            return;
        }
        let Some((Stamp::Local(local @ Local { year: None, .. }), _)) = Stamp::parse(text) else { return };
        self.day.copy_from_slice(&text[..6]);
        match &mut self.span {
            None => {
                let mut years = Years::starting(BASE);
                years.next(&local);
                self.span = Some((Span { first: local, last: local, years: 0 }, years));
            }
            Some((span, years)) => {
                span.last = local;
                span.years = years.next(&local).saturating_sub(BASE);
            }
        }
    }

    /// Whether there was a stamp without a year.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.span.is_some()
    }

    /// What was seen; `None` if every stamp has its year, or there is none.
    #[must_use]
    pub fn finish(self) -> Option<Span> {
        self.span.map(|(span, _)| span)
    }
}

/// The stamp at the front of a line, if it has no year.
pub(crate) fn stamp(line: &[u8]) -> Option<Local> {
    match Stamp::parse(without_priority(line)) {
        Some((Stamp::Local(local @ Local { year: None, .. }), _)) => Some(local),
        _ => None,
    }
}

fn without_priority(line: &[u8]) -> &[u8] {
    if line.first() != Some(&b'<') {
        return line;
    }
    let end = line.iter().take(PRIORITY).position(|b| *b == b'>');
    end.map_or(line, |end| &line[end + 1..])
}

/// The year of the first stamp, when the last one was written before a moment.
#[must_use]
pub fn first_year(span: &Span, before: Micros) -> u16 {
    let limit = before.0.saturating_add(AHEAD);
    let mut year = 1970;
    while year < 9000 && span.last.at(year + 1, 0).0 <= limit {
        year += 1;
    }
    year.saturating_sub(span.years)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn local(text: &str) -> Local {
        stamp(format!("{text} gw").as_bytes()).unwrap()
    }

    fn years(start: u16, stamps: &[&str]) -> Vec<u16> {
        let mut years = Years::starting(start);
        stamps.iter().map(|s| years.next(&local(s))).collect()
    }

    fn span(lines: &[&str]) -> Option<Span> {
        let mut scan = Scan::default();
        for line in lines {
            scan.line(line.as_bytes());
        }
        scan.finish()
    }

    fn at(text: &str) -> Micros {
        Micros(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
    }

    #[test]
    fn a_step_back_is_a_new_year_unless_it_is_small() {
        assert_eq!(
            years(2023, &["Dec 31 23:59:59", "Jan  1 00:00:01", "Jan  2 00:00:00"]),
            [2023, 2024, 2024]
        );
        assert_eq!(
            years(2023, &["Jan  1 00:00:01", "Dec 31 23:59:59", "Jan  1 00:00:02"]),
            [2023, 2022, 2023]
        );
        assert_eq!(years(2023, &["Nov 20 00:00:00", "Mar  1 00:00:00"]), [2023, 2024]);
        assert_eq!(years(2023, &["Mar  1 00:00:00", "Nov 20 00:00:00"]), [2023, 2023]);
        assert_eq!(years(2023, &["Mar 10 00:00:00", "Mar  1 00:00:00", "Feb 20 00:00:00"]), [2023; 3]);
        assert_eq!(years(2024, &["Feb 28 00:00:00", "Feb 29 00:00:00", "Mar  1 00:00:00"]), [2024; 3]);
    }

    #[test]
    fn the_first_year_is_found_from_the_end() {
        let lines = [
            "Nov  1 10:00:00 gw a",
            "Dec 31 10:00:00 gw b",
            "Jan  2 10:00:00 gw c",
            "<4>Feb  3 10:00:00 gw d",
        ];
        let seen = span(&lines).unwrap();
        assert_eq!(seen.years, 1);
        assert_eq!(first_year(&seen, at("2024-02-03T10:00:05Z")), 2023);
        // the machine's clock was a few hours ahead of the file's time
        assert_eq!(first_year(&seen, at("2024-02-02T23:00:00Z")), 2023);
        // it was copied half a year later
        assert_eq!(first_year(&seen, at("2024-09-01T00:00:00Z")), 2023);
        assert_eq!(first_year(&seen, at("2024-02-01T00:00:00Z")), 2022);
        let three = [
            "Jun  1 0:0:0",
            "Jun  1 00:00:00 gw",
            "Jan  1 00:00:00 gw",
            "Jun  1 00:00:00 gw",
            "Jan  1 00:00:00 gw",
        ];
        assert_eq!(span(&three).unwrap().years, 2);
        assert_eq!(span(&["2024-01-01T00:00:00Z gw x", "no stamp", ""]), None);
    }

    proptest! {
        /// Moments in order with no hole of eleven months: each year is found again from the first one.
        #[test]
        fn years_of_a_log_in_order(start in 0_i64..1_000_000_000, steps in prop::collection::vec(0_i64..28_000_000, 0..60)) {
            let mut moment = start;
            let mut moments = vec![start];
            for step in steps {
                moment += step;
                moments.push(moment);
            }
            let civil = |s: i64| jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_second(s).unwrap());
            let lines: Vec<String> = moments.iter().map(|s| civil(*s).strftime("%b %e %H:%M:%S gw kernel: x").to_string()).collect();
            let mut scan = Scan::default();
            lines.iter().for_each(|l| scan.line(l.as_bytes()));
            let span = scan.finish().unwrap();
            let year = first_year(&span, Micros(moment * 1_000_000));
            let mut years = Years::starting(year);
            for (line, moment) in lines.iter().zip(&moments) {
                let local = stamp(line.as_bytes()).unwrap();
                let year = years.next(&local);
                prop_assert_eq!(local.at(year, 0).0 / 1_000_000, *moment);
            }
        }

        #[test]
        fn any_lines(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..9)) {
            let mut scan = Scan::default();
            lines.iter().for_each(|l| scan.line(l));
            if let Some(span) = scan.finish() {
                let _ = first_year(&span, Micros(i64::MAX));
                let _ = first_year(&span, Micros(i64::MIN));
            }
        }
    }
}
