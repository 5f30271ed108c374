//! Records of other programs: ulogd's JSON, Elastic's documents, messages of exporters of flows.

use arrow_array::Array as _;
use bartizan_intake::ecs::EcsReader;
use bartizan_intake::ipfix::Exports;
use bartizan_intake::text::{Fixed, Named, Origin};
use bartizan_intake::ulogd::{JsonReader, Piece, Told, What};
use bartizan_intake::{Rows, Whose};
use bartizan_model::{Kind, Micros};

const TOLD: Told<'static> =
    Told { source: "ulogd", whose: Whose { host: "gw", sender: "" }, received: Micros(7), zone: &Fixed(0) };

/// Reads all of a text that comes in pieces; what the pieces were, and how many rows of each kind they made.
fn all(
    data: &[u8],
    size: usize,
    mut read: impl FnMut(&[u8], bool, &mut Rows) -> Piece,
) -> (Vec<What>, Vec<(Kind, usize)>) {
    let (mut rows, mut whats, mut start, mut end) = (Rows::new(1 << 16), Vec::new(), 0, 0);
    loop {
        let last = end == data.len();
        let piece = read(&data[start..end], last, &mut rows);
        start += piece.len;
        if piece.what != What::Nothing {
            whats.push(piece.what);
        }
        if piece.len == 0 {
            if last {
                assert_eq!(start, data.len(), "all is read at the end");
                break;
            }
            end = data.len().min(end + size);
        }
    }
    let batches = rows.finish();
    for (_, batch) in &batches {
        // what is kept beside the columns is JSON
        if let Some(extra) = batch.column_by_name("extra") {
            assert_eq!(extra.len(), batch.num_rows());
        }
    }
    (whats, batches.iter().map(|(kind, batch)| (*kind, batch.num_rows())).collect())
}

/// ulogd's records are the same in whatever pieces they come, and each makes at most one row.
pub fn ulogd_json(data: &[u8]) {
    let read = |size: usize| {
        let mut reader = JsonReader::default();
        all(data, size, |text, last, rows| reader.read(text, last, rows, &TOLD).expect("there is room"))
    };
    let whole = read(data.len().max(1));
    assert_eq!(whole, read(7));
    assert!(whole.1.iter().map(|(_, rows)| rows).sum::<usize>() <= whole.0.len());
}

/// Documents likewise.
pub fn ecs(data: &[u8]) {
    let naming = Named { host: "gw", sender: "", believed: true };
    let from = Origin {
        source: "ecs",
        naming: &naming,
        zone: &Fixed(0),
        reference: Micros(7),
        unstamped: Micros(7),
        lines: false,
    };
    let read = |size: usize| {
        let mut reader = EcsReader::default();
        all(data, size, |text, last, rows| reader.read(text, last, rows, &from).expect("there is room"))
    };
    let whole = read(data.len().max(1));
    assert_eq!(whole, read(7));
    assert_eq!(whole.1.iter().map(|(_, rows)| rows).sum::<usize>(), whole.0.len(), "each is a row");
}

/// Datagrams, each with its length before it, of one exporter: flows are the same in whatever room there is.
pub fn ipfix(data: &[u8]) {
    let read = |room: usize| {
        let (mut exports, mut rows, mut flows, mut said) = (Exports::default(), Rows::new(room), 0, 0);
        let mut rest = data;
        while let Some((length, more)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length)).min(more.len());
            let datagram;
            (datagram, rest) = more.split_at(length);
            let what = loop {
                match exports.read(&[1; 16], datagram, &mut rows, &TOLD) {
                    Ok(what) => break what,
                    Err(_) => flows += rows.finish().iter().map(|(_, batch)| batch.num_rows()).sum::<usize>(),
                }
            };
            said += what.flows as usize;
        }
        flows += rows.finish().iter().map(|(_, batch)| batch.num_rows()).sum::<usize>();
        assert_eq!(flows, said);
        flows
    };
    assert_eq!(read(1 << 16), read(64));
}
