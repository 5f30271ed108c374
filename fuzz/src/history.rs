//! Old files.

use bartizan_history::{Format, HostFrom, Limits, Options, Packing, Tz, open};
use bartizan_intake::{Read, Rows, Source as _, Tally};
use bartizan_model::Micros;
use std::io::Cursor;

/// Reads a file of anything as the format that its first byte chooses; unpacks it if it is packed.
pub fn history_file(data: &[u8]) {
    let Some((choice, content)) = data.split_first() else { return };
    let _ = (Format::of(content), Packing::of(content));
    let format = Format::ALL.get(usize::from(*choice & 7)).copied();
    let options = Options {
        host: (*choice & 8 == 0).then(|| "x".to_owned()),
        host_from: HostFrom::Record,
        sender: String::new(),
        format,
        zone: Tz::utc(),
        year: None,
        keep_other: *choice & 16 == 0,
        limits: Limits { ratio: 10, bytes: 1 << 20 },
        now: Micros(1_795_000_000_000_000),
    };
    let mut opened = open(Vec::new(), Some(Box::new(Cursor::new(content.to_vec()))), &options);
    let Some(source) = opened.sources.first_mut() else { return };
    let (mut rows, mut tally) = (Rows::new(1000), Tally::default());
    let mut position = 0;
    loop {
        let Ok(read) = source.read(u64::MAX, &mut rows, &mut tally) else { return };
        assert!(read.position() >= position);
        assert!(read.position() > position || matches!(read, Read::End(_)) || !rows.is_empty());
        position = read.position();
        let count: usize = rows.finish().iter().map(|(_, batch)| batch.num_rows()).sum();
        assert!(tally.adds_up() && count <= 1000 * 6);
        if matches!(read, Read::End(_)) {
            return;
        }
    }
}
