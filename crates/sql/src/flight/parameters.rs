//! One row of parameters, as clients send it: Arrow messages.
//!
//! The bytes are anybody's, so nothing here builds arrays: headers are verified flatbuffers, each field has one of a few
//! types, and values are taken out of the body where the header says that they are, if that is inside. Reading is total,
//! linear, and takes no memory but that of the values. What is packed is not taken, so nothing can unpack to more.

use crate::value::Value;
use arrow_ipc::{
    Buffer, Endianness, Field, Message, MetadataVersion, Precision, RecordBatch, TimeUnit, Type,
};

/// Most parameters of one row.
pub(super) const MAX_COLUMNS: usize = 1000;

/// What is wrong with parameters, in words for who sent them.
pub(super) type Wrong = String;

/// How the values of a parameter are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Null,
    Bool,
    /// Bytes, and whether there are negative ones.
    Int(usize, bool),
    Float(usize),
    /// Bytes of an offset.
    Text(usize),
    /// Days since 1970.
    Day,
    /// Bytes, and how many of them are a second.
    Time(i64),
}

/// The columns that a schema's header announces.
#[derive(Debug)]
pub(super) struct Columns(Vec<Kind>);

impl Columns {
    pub(super) fn read(header: &[u8]) -> Result<Self, Wrong> {
        let message = message(header)?;
        let schema = message.header_as_schema().ok_or("the parameters begin without their schema")?;
        if schema.endianness() != Endianness::Little {
            return Err("the parameters are big endian".to_owned());
        }
        let fields = schema.fields().ok_or("the parameters have no columns")?;
        if fields.len() > MAX_COLUMNS {
            return Err(format!("a question has at most {MAX_COLUMNS} parameters, not {}", fields.len()));
        }
        let kind = |(i, field)| {
            kind(field).ok_or_else(|| {
                let number = i + 1;
                format!(
                    "parameter {number} has a type that is not taken: give a number, a text, a time, true, false or null"
                )
            })
        };
        fields.iter().enumerate().map(kind).collect::<Result<_, _>>().map(Self)
    }

    /// The values of a batch of one row; nothing of an empty one.
    pub(super) fn values(&self, header: &[u8], body: &[u8]) -> Result<Option<Vec<Value>>, Wrong> {
        let message = message(header)?;
        let batch = message.header_as_record_batch().ok_or("the parameters are no rows")?;
        match batch.length() {
            0 => return Ok(None),
            1 => {}
            _ => return Err("a question has one row of parameters: ask once for each".to_owned()),
        }
        if batch.compression().is_some() {
            return Err("the parameters are packed, which is not taken".to_owned());
        }
        let values = self.row(batch, body)?;
        Ok(Some(values))
    }

    fn row(&self, batch: RecordBatch<'_>, body: &[u8]) -> Result<Vec<Value>, Wrong> {
        let broken = || "the parameters are not as their header says".to_owned();
        let nodes = batch.nodes().ok_or_else(broken)?;
        let mut buffers = batch.buffers().into_iter().flatten().map(|buffer| within(*buffer, body));
        if nodes.len() != self.0.len() {
            return Err(broken());
        }
        let mut values = Vec::with_capacity(self.0.len());
        for (i, (kind, node)) in self.0.iter().zip(nodes).enumerate() {
            if node.length() != 1 {
                return Err(broken());
            }
            if *kind == Kind::Null {
                values.push(Value::Null);
                continue;
            }
            let mut next = || buffers.next().flatten().ok_or_else(broken);
            let (valid, first) = (next()?, next()?);
            let second = if matches!(kind, Kind::Text(_)) { next()? } else { &[] };
            let is_null = node.null_count() != 0 && valid.first().is_some_and(|bits| bits & 1 == 0);
            values.push(match is_null {
                true => Value::Null,
                false => value(*kind, first, second).map_err(|why| format!("parameter {}: {why}", i + 1))?,
            });
        }
        if buffers.next().is_some() {
            return Err(broken());
        }
        Ok(values)
    }
}

fn message(header: &[u8]) -> Result<Message<'_>, Wrong> {
    let message =
        arrow_ipc::root_as_message(header).map_err(|_| "a header of the parameters cannot be read")?;
    if message.version() != MetadataVersion::V5 {
        return Err("the parameters have another format than version 5 of Arrow's".to_owned());
    }
    Ok(message)
}

fn kind(field: Field<'_>) -> Option<Kind> {
    if field.dictionary().is_some() || field.children().is_some_and(|children| !children.is_empty()) {
        return None;
    }
    Some(match field.type_type() {
        Type::Null => Kind::Null,
        Type::Bool => Kind::Bool,
        Type::Int => {
            let int = field.type_as_int()?;
            let bits = usize::try_from(int.bitWidth()).ok().filter(|n| matches!(n, 8 | 16 | 32 | 64))?;
            Kind::Int(bits / 8, int.is_signed())
        }
        Type::FloatingPoint => match field.type_as_floating_point()?.precision() {
            Precision::SINGLE => Kind::Float(4),
            Precision::DOUBLE => Kind::Float(8),
            _ => return None,
        },
        Type::Utf8 => Kind::Text(4),
        Type::LargeUtf8 => Kind::Text(8),
        Type::Date if field.type_as_date()?.unit() == arrow_ipc::DateUnit::DAY => Kind::Day,
        Type::Timestamp => Kind::Time(match field.type_as_timestamp()?.unit() {
            TimeUnit::SECOND => 1,
            TimeUnit::MILLISECOND => 1_000,
            TimeUnit::MICROSECOND => 1_000_000,
            TimeUnit::NANOSECOND => 1_000_000_000,
            _ => return None,
        }),
        _ => return None,
    })
}

/// The bytes of a buffer, if all of them are there.
fn within(buffer: Buffer, body: &[u8]) -> Option<&[u8]> {
    let start = usize::try_from(buffer.offset()).ok()?;
    let length = usize::try_from(buffer.length()).ok()?;
    body.get(start..start.checked_add(length)?)
}

fn value(kind: Kind, first: &[u8], second: &[u8]) -> Result<Value, &'static str> {
    const SHORT: &str = "its bytes are missing";
    const TIME: &str = "a time is in microseconds, and between the years -290000 and 290000";
    Ok(match kind {
        Kind::Null => Value::Null,
        Kind::Bool => Value::Bool(first.first().ok_or(SHORT)? & 1 == 1),
        Kind::Int(bytes, signed) => {
            Value::Int(int(first, bytes, signed).ok_or(SHORT)?.try_into().map_err(|_| "it is too large")?)
        }
        Kind::Float(4) => Value::Float(f32::from_le_bytes(*first.first_chunk::<4>().ok_or(SHORT)?).into()),
        Kind::Float(_) => Value::Float(f64::from_le_bytes(*first.first_chunk::<8>().ok_or(SHORT)?)),
        Kind::Text(width) => {
            let offset = |at: usize| {
                let bytes = first.get(at..)?;
                usize::try_from(int(bytes, width, true)?).ok()
            };
            let range = offset(0).ok_or(SHORT)?..offset(width).ok_or(SHORT)?;
            let text = second.get(range).ok_or(SHORT)?;
            Value::Text(std::str::from_utf8(text).map_err(|_| "a text is UTF-8")?.to_owned())
        }
        Kind::Day => {
            let days = int(first, 4, true).ok_or(SHORT)?;
            Value::Time(i64::try_from(days * 86_400_000_000).map_err(|_| TIME)?)
        }
        Kind::Time(a_second) => {
            let micros = int(first, 8, true).ok_or(SHORT)? * 1_000_000;
            if micros % i128::from(a_second) != 0 {
                return Err(TIME);
            }
            Value::Time(i64::try_from(micros / i128::from(a_second)).map_err(|_| TIME)?)
        }
    })
}

/// A number of so many bytes, little endian.
fn int(bytes: &[u8], width: usize, signed: bool) -> Option<i128> {
    let bytes = bytes.get(..width)?;
    let negative = signed && bytes.last()? & 0x80 != 0;
    let mut wide = [if negative { 0xff } else { 0 }; 16];
    wide.get_mut(..width)?.copy_from_slice(bytes);
    Some(i128::from_le_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::Int32Type;
    use arrow_array::*;
    use arrow_ipc::CompressionType;
    use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
    use proptest::prelude::*;
    use std::sync::Arc;

    /// Header and body of the schema and of the rows.
    fn sent(columns: Vec<ArrayRef>, options: &IpcWriteOptions) -> [(Vec<u8>, Vec<u8>); 2] {
        let columns = columns.into_iter().enumerate().map(|(i, array)| (i.to_string(), array, true));
        let batch = arrow_array::RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let mut tracker = DictionaryTracker::new(false);
        let schema = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(
            &batch.schema(),
            &mut tracker,
            options,
        );
        let (_, rows) = IpcDataGenerator::default()
            .encode(&batch, &mut tracker, options, &mut arrow_ipc::writer::IpcWriteContext::default())
            .unwrap();
        [(schema.ipc_message, schema.arrow_data), (rows.ipc_message, rows.arrow_data)]
    }

    fn read(columns: Vec<ArrayRef>) -> Result<Option<Vec<Value>>, Wrong> {
        let [(schema, _), (header, body)] = sent(columns, &IpcWriteOptions::default());
        Columns::read(&schema)?.values(&header, &body)
    }

    fn some() -> Vec<(ArrayRef, Value)> {
        let zone = |array: TimestampNanosecondArray| Arc::new(array.with_timezone("Europe/Berlin"));
        vec![
            (Arc::new(NullArray::new(1)), Value::Null),
            (Arc::new(BooleanArray::from(vec![true])), Value::Bool(true)),
            (Arc::new(BooleanArray::from(vec![false])), Value::Bool(false)),
            (Arc::new(Int8Array::from(vec![-3])), Value::Int(-3)),
            (Arc::new(UInt8Array::from(vec![200])), Value::Int(200)),
            (Arc::new(Int16Array::from(vec![-300])), Value::Int(-300)),
            (Arc::new(UInt32Array::from(vec![u32::MAX])), Value::Int(4_294_967_295)),
            (Arc::new(Int64Array::from(vec![i64::MIN])), Value::Int(i64::MIN)),
            (Arc::new(Int64Array::from(vec![None::<i64>])), Value::Null),
            (Arc::new(Float32Array::from(vec![0.5])), Value::Float(0.5)),
            (Arc::new(Float64Array::from(vec![-1e300])), Value::Float(-1e300)),
            (Arc::new(StringArray::from(vec!["é"])), Value::Text("é".to_owned())),
            (Arc::new(StringArray::from(vec!["no", "yes"]).slice(1, 1)), Value::Text("yes".to_owned())),
            (Arc::new(LargeStringArray::from(vec![""])), Value::Text(String::new())),
            (Arc::new(StringArray::from(vec![None::<&str>])), Value::Null),
            (Arc::new(Date32Array::from(vec![-1])), Value::Time(-86_400_000_000)),
            (Arc::new(TimestampSecondArray::from(vec![7])), Value::Time(7_000_000)),
            (Arc::new(TimestampMicrosecondArray::from(vec![7])), Value::Time(7)),
            (zone(TimestampNanosecondArray::from(vec![-7_000])), Value::Time(-7)),
        ]
    }

    #[test]
    fn values_of_the_usual_types_are_read() {
        let (columns, values): (Vec<_>, Vec<_>) = some().into_iter().unzip();
        assert_eq!(read(columns).unwrap().unwrap(), values);
        assert_eq!(read(vec![Arc::new(Int64Array::from(Vec::<i64>::new()))]).unwrap(), None);
    }

    #[test]
    fn what_is_not_taken_is_told() {
        let dictionary: DictionaryArray<Int32Type> = ["a"].into_iter().collect();
        for (column, told) in [
            (Arc::new(dictionary) as ArrayRef, "type"),
            (Arc::new(BinaryArray::from(vec![&b"x"[..]])), "type"),
            (Arc::new(StringViewArray::from(vec!["x"])), "type"),
            (Arc::new(Decimal128Array::from(vec![1])), "type"),
            (Arc::new(UInt64Array::from(vec![u64::MAX])), "too large"),
            (Arc::new(TimestampSecondArray::from(vec![i64::MAX])), "a time is"),
            (Arc::new(TimestampNanosecondArray::from(vec![7])), "a time is"),
            (Arc::new(Int64Array::from(vec![1, 2])), "one row"),
        ] {
            let said = read(vec![column]).unwrap_err();
            assert!(said.contains(told), "{said}");
        }
        let packed = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
        let [(schema, _), (header, body)] = sent(vec![Arc::new(Int64Array::from(vec![1]))], &packed);
        let said = Columns::read(&schema).unwrap().values(&header, &body).unwrap_err();
        assert!(said.contains("packed"), "{said}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn any_bytes_are_values_or_an_error(
            place in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            which in 0..3_usize,
            cut in 0..40_usize,
        ) {
            let (columns, _): (Vec<_>, Vec<_>) = some().into_iter().unzip();
            let [(mut schema, _), (mut header, mut body)] = sent(columns, &IpcWriteOptions::default());
            let bytes = [&mut schema, &mut header, &mut body].into_iter().nth(which).unwrap();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            if let Ok(columns) = Columns::read(&schema) {
                let _ = columns.values(&header, &body);
                let _ = columns.values(&header, &body[..body.len().saturating_sub(cut)]);
            }
        }
    }
}
