//! Rows as the lines that other tools read: ulogd2's LOGEMU and JSON, and the kernel's LOG in a syslog header.
//!
//! They are what ulogd 2.0.8 and nf_log_syslog write for the same packet, as far as the columns of events go. What
//! no column holds is missing or 0: URGP and FLOWLBL are 0; there is no SPI, no echo's ID and SEQ, no MTU and
//! gateway, no RES other than 0x00; UDP's LEN is what the packet's length leaves without options; a hardware header
//! is shown when both of its addresses are known. The JSON has no `raw.*`, checksums and header lengths.
//!
//! Bytes that would break a line or move a terminal's cursor become `?`; in JSON they are escaped.

use super::json::string;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use bartizan_model::{Micros, addr_to_ip};
use std::fmt::Write as _;
use std::net::IpAddr;

mod kernel;
mod logemu;
mod ulogd_json;

pub use kernel::write_kernel;
pub use logemu::write_logemu;
pub use ulogd_json::write_json;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The events of a batch in the wire's types, or in a table's, one after the other.
#[derive(Debug)]
pub struct Events<'a> {
    batch: &'a RecordBatch,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    batch: &'a RecordBatch,
    row: usize,
}

impl<'a> Events<'a> {
    /// The events of a batch. A column that it lacks, or that has another type, is absent from every event.
    #[must_use]
    pub const fn new(batch: &'a RecordBatch) -> Self {
        Self { batch }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Event<'a>> + use<'a> {
        let batch = self.batch;
        (0..batch.num_rows()).map(move |row| Event { batch, row })
    }
}

impl<'a> Event<'a> {
    fn column(&self, name: &str) -> Option<&'a dyn Array> {
        let column = self.batch.column_by_name(name)?.as_ref();
        column.is_valid(self.row).then_some(column)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        let column = self.column(name)?;
        if let Some(column) = column.as_string_view_opt() {
            return Some(column.value(self.row));
        }
        let column = column.as_dictionary_opt::<Int32Type>()?;
        let key = usize::try_from(column.keys().value(self.row)).ok()?;
        let values = column.values().as_string_opt::<i32>()?;
        (key < values.len()).then(|| values.value(key))
    }

    fn number(&self, name: &str) -> Option<i64> {
        let column = self.column(name)?;
        if let Some(column) = column.as_primitive_opt::<Int32Type>() {
            return Some(column.value(self.row).into());
        }
        if let Some(column) = column.as_primitive_opt::<Int16Type>() {
            return Some(column.value(self.row).into());
        }
        column.as_primitive_opt::<Int64Type>().map(|column| column.value(self.row))
    }

    fn address(&self, name: &str) -> Option<IpAddr> {
        let column = self.column(name)?.as_fixed_size_binary_opt()?;
        Some(addr_to_ip(column.value(self.row).try_into().ok()?))
    }

    /// When it was logged.
    #[must_use]
    pub fn time(&self) -> Micros {
        let column = self.column("time").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        column.map_or(Micros(0), |column| Micros(column.value(self.row)))
    }

    /// Who logged it, where the batch says.
    #[must_use]
    pub fn host(&self) -> Option<&'a str> {
        self.text("host")
    }

    /// The text that was not fully understood.
    #[must_use]
    pub fn raw(&self) -> Option<&'a str> {
        self.text("raw")
    }

    /// How many packets it stands for.
    #[must_use]
    pub fn packets(&self) -> i64 {
        self.number("packets").unwrap_or(1)
    }

    fn proto(&self) -> Option<i64> {
        self.number("proto")
    }

    fn is_v6(&self) -> bool {
        self.address("src").is_some_and(|a| a.is_ipv6()) || self.text("family") == Some("ip6")
    }

    fn is_arp(&self) -> bool {
        self.text("family") == Some("arp") || matches!(self.number("ether_type"), Some(0x0806 | 0x8035))
    }

    /// The bits of `frag`.
    fn frag(&self) -> i64 {
        self.number("frag").unwrap_or(0)
    }

    /// Destination, source and type, as they stand in an Ethernet header.
    fn mac_header(&self, out: &mut String) {
        let (Some(dst), Some(src)) = (self.text("mac_dst"), self.text("mac_src")) else { return };
        let ether_type = self.number("ether_type").unwrap_or(if self.is_v6() { 0x86dd } else { 0x0800 });
        let _ = write!(out, "{dst}:{src}:{:02x}:{:02x}", ether_type >> 8 & 0xff, ether_type & 0xff);
    }

    /// Length of a UDP datagram, if the packet has no options.
    fn udp_length(&self) -> i64 {
        let header = if self.is_v6() { 40 } else { 20 };
        self.number("length").map_or(0, |length| (length - header).max(0))
    }

    /// Whether it is a fragment without the header of what it carries.
    fn later_fragment(&self) -> bool {
        self.frag() & 0x1fff != 0
    }
}

/// Text of one line: control characters become `?`.
pub fn plain(out: &mut String, text: &str) {
    out.extend(text.chars().map(|c| if c.is_control() { '?' } else { c }));
}

/// `Mon dd hh:mm:ss host `, at so many seconds ahead of UTC.
fn syslog_head(out: &mut String, time: Micros, offset: i32, host: &str) {
    let Civil { month, day, hour, minute, second, .. } = Civil::of(time, offset);
    let month = MONTHS[usize::from(month - 1)];
    let _ = write!(out, "{month} {day:>2} {hour:02}:{minute:02}:{second:02} ");
    plain(out, host.split('.').next().unwrap_or_default());
    out.push(' ');
}

/// `CE DF MF FRAG:n ` of IPv4.
fn fragment_bits(out: &mut String, frag: i64) {
    for (bit, word) in [(0x8000, "CE "), (0x4000, "DF "), (0x2000, "MF ")] {
        out.push_str(if frag & bit == 0 { "" } else { word });
    }
    if frag & 0x1fff != 0 {
        let _ = write!(out, "FRAG:{} ", frag & 0x1fff);
    }
}

/// The words of TCP's flags that are set.
fn flag_words(out: &mut String, flags: i64, words: &[(i64, &str)]) {
    for (bit, word) in words {
        out.push_str(if flags & bit == 0 { "" } else { word });
    }
}

/// A date and a time of day.
struct Civil {
    year: i64,
    month: u8,
    day: u8,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
}

impl Civil {
    fn of(time: Micros, offset: i32) -> Self {
        let local = Micros(time.0.saturating_add(i64::from(offset) * 1_000_000));
        let micros = local.0.rem_euclid(Micros::DAY);
        let seconds = micros / 1_000_000;
        // years that begin with March, counted from the year 0
        let days = local.day() + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = u8::try_from(day_of_year - (153 * shifted + 2) / 5 + 1).unwrap_or(1);
        let month = u8::try_from(if shifted < 10 { shifted + 3 } else { shifted - 9 }).unwrap_or(1);
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            micros: micros % 1_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stamp;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn dates_are_read_as_they_were_written(micros in -62_000_000_000_000_000_i64..200_000_000_000_000_000) {
            let c = Civil::of(Micros(micros), 0);
            let text = format!(
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", c.year, c.month, c.day, c.hour, c.minute, c.second, c.micros
            );
            let read = Stamp::parse(text.as_bytes()).map(|(stamp, _)| stamp);
            prop_assert_eq!(read, Some(Stamp::Moment(Micros(micros))));
        }
    }

    #[test]
    fn the_head_has_a_short_host_and_a_padded_day() {
        let mut out = String::new();
        syslog_head(&mut out, Micros(1_704_685_029_000_000), 3600, "gw\n1.example.net");
        assert_eq!(out, "Jan  8 04:37:09 gw?1 ");
    }
}
