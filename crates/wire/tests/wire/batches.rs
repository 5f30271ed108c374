//! Bytes of batches: F32, bombs, garbage, wrong columns. No network.

use crate::support::*;
use arrow_array::{
    Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, cast::AsArray, types::Int32Type,
};
use arrow_schema::{DataType, Field, Schema};
use bartizan_model::{Kind, Seq};
use bartizan_wire::*;
use bytes::Bytes;
use std::sync::Arc;

fn read(kind: Kind, ipc: &Bytes) -> Result<RecordBatch, String> {
    let messages = messages(ipc).map_err(|e| e.to_string())?;
    decode(kind, &messages, &Limits::default()).map_err(|e| e.to_string())
}

fn written(batch: &RecordBatch, compression: Compression) -> Bytes {
    encode(batch, compression).unwrap().into()
}

#[test]
fn every_compression_reads_back_the_same() {
    for n in [1, 7, 1000] {
        let mut expected = rows(n);
        expected.remove_column(7); // `mark` has no value
        if n == 1 {
            expected.remove_column(6); // nor has `dport`
        }
        for compression in [Compression::Zstd, Compression::Lz4, Compression::None] {
            let batch = read(Kind::Events, &written(&rows(n), compression)).unwrap();
            assert_eq!(batch, expected, "{compression:?}");
        }
    }
}

#[test]
fn f32_parts_are_small_and_hold_all_rows_in_order() {
    let whole = rows(10_000);
    let parts = split(&whole, 64 << 10);
    assert!(parts.len() > 10);
    for part in &parts {
        let size = written(part, Compression::None).len();
        assert!(size <= 70 << 10, "{size}: dictionaries are cut down to what is used");
    }
    let text = |batch: &RecordBatch| -> Vec<String> {
        let prefixes = batch.column_by_name("prefix").unwrap().as_dictionary::<Int32Type>();
        prefixes.downcast_dict::<StringArray>().unwrap().into_iter().map(|t| t.unwrap().to_owned()).collect()
    };
    assert_eq!(parts.iter().flat_map(text).collect::<Vec<_>>(), text(&whole));
    assert_eq!(split(&whole, 0).len(), 10_000, "down to single rows");
    assert_eq!(split(&whole, usize::MAX), [whole]);
    assert!(split(&rows(1).slice(0, 0), 10).is_empty());
}

#[tokio::test]
async fn f32_what_is_above_the_limits_is_not_sent_or_refused_for_good() {
    let small = Limits { message_bytes: 20_000, batch_bytes: 40_000, ..Limits::default() };
    let mut server = server_with(small, ListenSettings::default()).await;
    let tls = server.host();
    let big = written(&rows(5000), Compression::None);

    server.settings.limits = small;
    let client = server.connect(&tls).await;
    let (sender, mut acks, _) = client.put(LANE, EPOCH, &t()).await.unwrap();
    let error = sender.send(Kind::Events, Seq(1), 1, &big, now()).await.unwrap_err();
    assert!(matches!(error, WireError::TooLarge { .. }), "{error}");
    sender.send(Kind::Events, Seq(1), 1, &ipc(10), now()).await.unwrap();
    assert_eq!(acks.next().await.unwrap(), Some(Ack::Committed(Seq(1))), "the stream goes on");

    // a client that does not know the server's limits: messages above it, many messages above it
    server.settings.limits = Limits::default();
    for rows_of in [5000, 600] {
        let client = server.connect(&tls).await;
        let (sender, mut acks, _) = client.put(LANE, EPOCH, &t()).await.unwrap();
        drop(sender.send(Kind::Events, Seq(2), 1, &written(&rows(rows_of), Compression::None), now()).await);
        let refused = acks.next().await.unwrap();
        assert!(
            matches!(&refused, Some(Ack::Refused { seq: Seq(2), permanent: true, reason }) if reason.contains("above the limit")),
            "{refused:?}"
        );
    }
    assert_eq!(server.sink.seqs(), [1]);
}

/// A batch of one column of equal values, which packs to almost nothing.
fn bomb(compression: Compression, rows: usize) -> Bytes {
    let field = Field::new("mark", DataType::Int64, true);
    let column: ArrayRef = Arc::new(Int64Array::from_value(0, rows));
    written(&RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).unwrap(), compression)
}

pub(crate) fn events_with(name: &str, column: ArrayRef) -> RecordBatch {
    let base = rows(column.len());
    let mut fields: Vec<Field> = base.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let mut columns = base.columns().to_vec();
    fields.retain(|f| f.name() != name);
    columns.truncate(0);
    for f in &fields {
        columns.push(Arc::clone(base.column_by_name(f.name()).unwrap()));
    }
    fields.push(Field::new(name, column.data_type().clone(), true));
    columns.push(column);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

#[test]
fn bombs_are_refused_by_what_they_declare() {
    let rows_limit = Limits { rows: usize::MAX, ..Limits::default() };
    for compression in [Compression::Zstd, Compression::Lz4] {
        let ipc = written(&events_with("mark", Arc::new(Int64Array::from_value(0, 1 << 16))), compression);
        let parts = messages(&ipc).unwrap();
        let limits = Limits { unpacked_bytes: 1 << 20, ..rows_limit };
        let error = decode(Kind::Events, &parts, &limits).unwrap_err();
        assert!(matches!(error, DecodeError::Limit { what: "unpacked size in bytes", .. }), "{error}");
        let limits = Limits { rows: 1000, ..Limits::default() };
        let error = decode(Kind::Events, &parts, &limits).unwrap_err();
        assert!(matches!(error, DecodeError::Limit { what: "number of rows", .. }), "{error}");
    }
    let ipc = bomb(Compression::Zstd, 4 << 20); // 32 MiB in a few KiB
    assert!(ipc.len() < 10_000);
    assert!(messages(&ipc).is_ok());
}

#[test]
fn buffers_that_declare_another_size_than_they_have_are_refused() {
    // 800 bytes of zeros that declare something else: found by the declared size and put in its place
    for compression in [Compression::Zstd, Compression::Lz4] {
        let column = Int64Array::from_value(77, 100);
        let ipc = written(&events_with("mark", Arc::new(column)), compression);
        let found: Vec<usize> =
            ipc.windows(8).enumerate().filter(|(_, w)| *w == 800_i64.to_le_bytes()).map(|(i, _)| i).collect();
        assert!(!found.is_empty());
        for declared in [1_i64, 799, 801, i64::MAX, i64::MIN, -2, 1 << 40] {
            let mut bad = ipc.to_vec();
            let at = *found.last().unwrap();
            bad[at..at + 8].copy_from_slice(&declared.to_le_bytes());
            let error = read(Kind::Events, &bad.into()).unwrap_err();
            if compression == Compression::Lz4 && declared < 800 && declared > 0 {
                // arrow would have unpacked it whole before it looked at the size
                assert!(error.contains("does not have the size that it declares"), "{error}");
            }
        }
    }
}

#[test]
fn only_columns_of_the_wire_schema_pass() {
    let refused = |batch: &RecordBatch| read(Kind::Events, &written(batch, Compression::None)).unwrap_err();
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["web-2"; 3]));
    assert!(
        refused(&events_with("host", Arc::clone(&texts)))
            .contains("`host` is not one that a sender may fill")
    );
    assert!(refused(&events_with("no\x1bsuch", Arc::clone(&texts))).contains("`no\u{fffd}such`"));
    assert!(refused(&events_with("prefix", texts)).contains("`prefix` has another type"));
    assert!(
        refused(&events_with("dport", Arc::new(Int64Array::from_value(1, 3))))
            .contains("`dport` has another type")
    );
    let mut lacking = rows(3);
    lacking.remove_column(0);
    assert!(refused(&lacking).contains("`time` is missing"));
    let holes: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(1)]));
    assert!(refused(&events_with("packets", holes)).contains("`packets` has rows without a value"));
    let double = rows(3);
    let mut fields: Vec<_> = double.schema().fields().iter().cloned().collect();
    fields.push(Arc::clone(&fields[6]));
    let mut columns = double.columns().to_vec();
    columns.push(Arc::clone(&columns[6]));
    let double = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    assert!(refused(&double).contains("`dport` is there twice"));
    assert!(read(Kind::Losses, &ipc(3)).is_err());
}

#[test]
fn damaged_bytes_are_refused_or_read_but_never_panic() {
    let step = if std::env::var_os("BARTIZAN_SOAK").is_some() { 1 } else { 7 };
    for compression in [Compression::None, Compression::Zstd, Compression::Lz4] {
        let good = written(&rows(20), compression);
        for i in (0..good.len()).step_by(step) {
            for flip in [0x01, 0x80, 0xff] {
                let mut bad = good.to_vec();
                bad[i] ^= flip;
                if let Ok(batch) = read(Kind::Events, &bad.into()) {
                    assert!(batch.num_rows() <= Limits::default().rows);
                    for column in batch.columns() {
                        column.to_data().validate_full().unwrap();
                    }
                }
            }
            // only the mark of the end may be missing
            assert!(read(Kind::Events, &good.slice(..i)).is_err() || i == good.len() - 8);
        }
    }
    for garbage in [&b""[..], b"hello, is this arrow?", &[0xff; 100], &[0; 64]] {
        assert!(read(Kind::Events, &Bytes::from_static(garbage)).is_err());
    }
}

#[test]
fn dictionary_keys_outside_of_the_dictionary_are_refused() {
    let keys = Int32Array::from(vec![0, 1, 2]);
    let values = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let dictionary = arrow_array::DictionaryArray::new(keys, values);
    let mut ipc = written(&events_with("prefix", Arc::new(dictionary)), Compression::None).to_vec();
    let keys: Vec<u8> = [0_i32, 1, 2].iter().flat_map(|k| k.to_le_bytes()).collect();
    let at = ipc.windows(12).rposition(|w| w == keys).unwrap();
    for key in [3_i32, -1, i32::MAX, i32::MIN] {
        ipc[at + 8..at + 12].copy_from_slice(&key.to_le_bytes());
        assert!(read(Kind::Events, &ipc.clone().into()).is_err(), "{key}");
    }
}

/// A ruleset of megabytes is a few rows of long text.
#[test]
fn a_large_ruleset_passes() {
    use arrow_array::{DictionaryArray, TimestampMicrosecondArray};
    let parts: Vec<String> =
        (0..16).map(|part| format!("add rule inet filter input tcp dport {part}\n").repeat(6500)).collect();
    let n = parts.len();
    let same = |text: &str| -> ArrayRef {
        Arc::new(std::iter::repeat_n(Some(text), n).collect::<DictionaryArray<Int32Type>>())
    };
    let content: DictionaryArray<Int32Type> = parts.iter().map(|part| Some(part.as_str())).collect();
    let all = bartizan_schema::wire_schema(Kind::Rulesets);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(TimestampMicrosecondArray::from_value(5, n).with_timezone("UTC"))),
        ("generation", same("00112233445566778899aabbccddeeff")),
        ("form", same("nft")),
        ("content", Arc::new(content)),
    ];
    let fields: Vec<_> = columns.iter().map(|(name, _)| all.field_with_name(name).unwrap().clone()).collect();
    let batch =
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, c)| c).collect());
    let batch = batch.unwrap();
    for compression in [Compression::Zstd, Compression::Lz4, Compression::None] {
        assert_eq!(
            read(Kind::Rulesets, &written(&batch, compression)).as_ref(),
            Ok(&batch),
            "{compression:?}"
        );
    }
}
