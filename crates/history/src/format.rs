//! What is in a file, recognised by its content.

use std::fmt;
use std::str::FromStr;

/// Bytes of a file that are looked at.
pub(crate) const SAMPLE: usize = 64 << 10;

/// A format of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Lines of text with or without the envelope of a logger.
    Syslog,
    /// The journal's export format.
    Journal,
    /// ulogd's JSON, an object per line.
    UlogdJson,
    /// Elastic's documents of firewall events, an object per line.
    Ecs,
    /// A capture: pcap or pcapng.
    Pcap,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Syslog, Self::Journal, Self::UlogdJson, Self::Ecs, Self::Pcap];

    /// As it is written on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syslog => "syslog",
            Self::Journal => "journal",
            Self::UlogdJson => "ulogd-json",
            Self::Ecs => "ecs",
            Self::Pcap => "pcap",
        }
    }

    /// The format of a file that begins like this.
    ///
    /// # Errors
    /// In words, for what is known not to be one of these.
    pub fn of(head: &[u8]) -> Result<Self, &'static str> {
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        match head {
            [0xa1, 0xb2, 0xc3, 0xd4, ..] | [0xd4, 0xc3, 0xb2, 0xa1, ..] => return Ok(Self::Pcap),
            [0xa1, 0xb2, 0x3c, 0x4d, ..] | [0x4d, 0x3c, 0xb2, 0xa1, ..] => return Ok(Self::Pcap),
            [0x0a, 0x0d, 0x0d, 0x0a, ..] => return Ok(Self::Pcap),
            [b'P', b'K', 3, 4, ..] => return Err("it is a zip archive: unpack it first"),
            [b'7', b'z', 0xbc, 0xaf, ..] => return Err("it is a 7z archive: unpack it first"),
            [0x04, 0x22, 0x4d, 0x18, ..] => return Err("it is packed with lz4: unpack it first"),
            [0x1f, 0x9d, ..] => return Err("it is packed with compress: unpack it first"),
            [b'P', b'A', b'R', b'1', ..] => return Err("it is a Parquet file, which is not imported"),
            _ => {}
        }
        if head.starts_with(b"LPKSHHRH") {
            return Err("it is a journal file: `journalctl --file FILE -o export | bartizan import -`");
        }
        if head.starts_with(b"SQLite format 3\0") {
            return Err("it is an SQLite database: write sqlite:FILE");
        }
        if head.get(257..262) == Some(b"ustar") {
            return Err("it is a tar archive: unpack it first");
        }
        let sample = &head[..head.len().min(SAMPLE)];
        if is_export(sample) {
            return Ok(Self::Journal);
        }
        if sample.trim_ascii_start().first() == Some(&b'{')
            && let Some(format) = object(sample.trim_ascii_start())
        {
            return Ok(format);
        }
        let odd = sample.iter().filter(|b| matches!(b, 0..=8 | 14..=26 | 28..=31)).count();
        if odd > sample.len() / 4 + 16 {
            return Err("it is no text and no format that is known (give --format to read it all the same)");
        }
        Ok(Self::Syslog)
    }
}

/// Whether it begins with fields as the journal exports them, its time among them.
fn is_export(sample: &[u8]) -> bool {
    let line = &sample[..memchr::memchr(b'\n', sample).unwrap_or(sample.len())];
    let name = &line[..memchr::memchr(b'=', line).unwrap_or(0)];
    !name.is_empty()
        && name.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
        && memchr::memmem::find(sample, b"__REALTIME_TIMESTAMP=").is_some()
}

/// Of an object per line: whose. What it is by its keys in the first line.
fn object(sample: &[u8]) -> Option<Format> {
    let line = &sample[..memchr::memchr(b'\n', sample).unwrap_or(sample.len())];
    let has = |key: &str| memchr::memmem::find(line, key.as_bytes()).is_some();
    let ulogd = [
        "\"oob.",
        "\"raw.",
        "\"orig.",
        "\"dvc\"",
        "\"sum.name\"",
        "\"src_ip\"",
        "\"ip.protocol\"",
        "\"flow.start",
    ];
    if ulogd.iter().any(|key| has(key)) {
        return Some(Format::UlogdJson);
    }
    let ecs = ["\"_source\"", "\"@timestamp\"", "\"iptables\"", "\"event\"", "\"ecs\""];
    ecs.iter().any(|key| has(key)).then_some(Format::Ecs)
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|f| f.as_str() == text).ok_or_else(|| {
            format!("{text:?} is not a format: auto, {}", Self::ALL.map(Self::as_str).join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formats_by_content() {
        for (head, format) in [
            (&b"Jan  8 03:37:09 gw kernel: DROP IN=eth0 OUT= SRC=1.2.3.4"[..], Some(Format::Syslog)),
            (b"", Some(Format::Syslog)),
            (
                b"__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1700000000000000\nMESSAGE=x\n\n",
                Some(Format::Journal),
            ),
            (b"A=b IN=eth0\n", Some(Format::Syslog)),
            (
                b"{\"timestamp\":\"2026-11-23T05:00:43.684529\",\"dvc\":\"Netfilter\",\"raw.pktlen\":60}\n",
                Some(Format::UlogdJson),
            ),
            (
                b"{\"@timestamp\":\"x\",\"@version\":1,\"dvc\":\"Netfilter\",\"oob.hook\":1}\n",
                Some(Format::UlogdJson),
            ),
            (
                b"{\"@timestamp\":\"2026-01-01T00:00:00Z\",\"event\":{\"action\":\"drop\"}}\n",
                Some(Format::Ecs),
            ),
            (b"\xd4\xc3\xb2\xa1\x02\0\x04\0", Some(Format::Pcap)),
            (b"\x0a\x0d\x0d\x0a\x1c\0\0\0", Some(Format::Pcap)),
            (b"PK\x03\x04", None),
            (b"SQLite format 3\0", None),
            (&[0; 4096], None),
        ] {
            assert_eq!(Format::of(head).ok(), format, "{:?}", String::from_utf8_lossy(head));
        }
        assert_eq!("journal".parse(), Ok(Format::Journal));
        assert!("cvs".parse::<Format>().is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(head in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = Format::of(&head);
        }
    }
}
