//! Checks of what is made of lines and prefixes: every line is one thing, every row has its text or its fields, and
//! nothing is unbounded.

use bartizan_decode::text::{Envelope, Message};
use bartizan_intake::Rows;
use bartizan_intake::text::{Fixed, MAX_TEXT, Named, Origin, TextReader, What};
use bartizan_model::{Kind, Micros};
use bartizan_prefix::Dialects;
use std::sync::OnceLock;

/// Lines of one sender, one behind the other.
pub fn text_lines(data: &[u8]) {
    let naming =
        Named { host: "gw", sender: "192.0.2.9", believed: data.first().is_some_and(|b| b & 1 == 0) };
    let origin = Origin {
        source: "syslog",
        naming: &naming,
        zone: &Fixed(3600),
        reference: Micros(1_772_323_200_000_000),
        unstamped: Micros(5),
        lines: true,
    };
    let (mut reader, mut rows) = (TextReader::default(), Rows::new(64));
    let (mut events, mut lines) = (0, 0);
    for line in data.split(|b| *b == b'\n').take(64) {
        let read = reader.read(line, &origin, &mut rows).expect("there is room for 64 rows");
        assert_eq!(read.cut, line.len() > MAX_TEXT);
        match read.what {
            What::Event | What::Unparsed => events += 1,
            What::Other => lines += 1,
            What::Empty => assert!(line.trim_ascii().is_empty()),
        }
    }
    for (kind, batch) in rows.finish() {
        let want = if kind == Kind::Events { &mut events } else { &mut lines };
        assert_eq!(std::mem::take(want), batch.num_rows());
    }
    assert_eq!((events, lines), (0, 0));
}

/// The header of a line: parts of it, in its order, and no more than it has.
pub fn envelope(data: &[u8]) {
    let (envelope, at) = Envelope::parse(data);
    assert!(at <= data.len());
    let parts = [envelope.host, envelope.program, envelope.guest, envelope.chain];
    assert!(parts.iter().flatten().map(|part| part.len()).sum::<usize>() <= data.len());
    let message = Message::parse(data);
    assert!(message.text.len() <= data.len() && message.program.len() <= data.len());
    let _ = message.repeats();
}

/// A prefix, by the built-in table; and as a file of entries.
pub fn prefix(data: &[u8]) {
    static TABLE: OnceLock<Dialects> = OnceLock::new();
    let Ok(text) = std::str::from_utf8(data) else { return };
    let meaning = TABLE.get_or_init(Dialects::built_in).read(text);
    assert!([meaning.zones, meaning.chain, meaning.rule].iter().flatten().all(|part| !part.is_empty()));
    if text.len() < 512
        && let Ok(dialects) = Dialects::with("fuzz", text)
    {
        assert!(dialects.entries().len() >= TABLE.get_or_init(Dialects::built_in).entries().len());
    }
}
