//! Messages of a batch to rows, for bytes that anybody may have made.
//!
//! The order matters: headers are verified flatbuffers; the schema is read field by field against the wire
//! schema (arrow's own reader panics on types that it does not know); every buffer's place and declared size
//! is checked and the sizes summed; only then is anything unpacked, and arrow validates the arrays.

use crate::Message;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_ipc::{self as ipc, MessageHeader, MetadataVersion, reader::RecordBatchDecoder};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bartizan_model::Kind;
use bartizan_schema::{collected_schema, wire_schema};
use std::collections::{BTreeSet, HashMap};
use std::{io::Read, sync::Arc};

/// What a batch may cost before it is looked at any further.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one message, packed.
    pub message_bytes: usize,
    /// Bytes of all messages of a batch, packed.
    pub batch_bytes: usize,
    /// Bytes of a batch, unpacked.
    pub unpacked_bytes: usize,
    /// Unpacked bytes per packed byte, for batches above 16 MiB unpacked. Equal rows pack very well, so a
    /// ratio alone says little about a small batch.
    pub ratio: usize,
    /// Rows.
    pub rows: usize,
    /// Bytes unpacked at one time by all streams together; others wait.
    pub decoding_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 8 << 20,
            batch_bytes: 16 << 20,
            unpacked_bytes: 64 << 20,
            ratio: 1000,
            rows: 1 << 17,
            decoding_bytes: 256 << 20,
        }
    }
}

const RATIO_FLOOR: usize = 16 << 20;

/// Why a batch cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is not what the IPC format says.
    #[error("not an arrow batch: {0}")]
    Format(&'static str),
    /// Arrow says that it is not.
    #[error("not an arrow batch: {0}")]
    Arrow(String),
    /// Above a limit.
    #[error("{what} of {is} is above the limit of {limit}")]
    Limit {
        /// Which.
        what: &'static str,
        /// How much it is.
        is: usize,
        /// How much it may be.
        limit: usize,
    },
    /// A column that is not of the wire schema.
    #[error("column `{column}` {why}")]
    Column {
        /// Its name.
        column: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

use DecodeError::Format;

/// The rows of a batch: a subset of the columns of `wire_schema(kind)`, the ones that are not nullable
/// among them.
///
/// # Errors
/// If it is not a batch of this kind, or above a limit. The same bytes give the same error for ever.
pub fn decode(kind: Kind, messages: &[Message], limits: &Limits) -> Result<RecordBatch, DecodeError> {
    Plan::of(&wire_schema(kind), messages, limits)?.decode()
}

/// As [`decode`], of rows that say themselves whose they are (`collected_schema(kind)`): the server's own
/// collector and imports make such batches, no agent may.
///
/// # Errors
/// As [`decode`].
pub fn decode_collected(
    kind: Kind,
    messages: &[Message],
    limits: &Limits,
) -> Result<RecordBatch, DecodeError> {
    Plan::of(&collected_schema(kind), messages, limits)?.decode()
}

/// How many bytes the batch says it will take unpacked. Checks all that can be checked without unpacking.
///
/// # Errors
/// As [`decode`], apart from what only unpacking shows.
pub fn declared_bytes(kind: Kind, messages: &[Message], limits: &Limits) -> Result<usize, DecodeError> {
    Plan::of(&wire_schema(kind), messages, limits).map(|plan| plan.declared)
}

struct Plan<'a> {
    columns: Schema,
    plain: SchemaRef,
    dictionaries: Vec<(i64, ipc::RecordBatch<'a>, &'a Message, MetadataVersion)>,
    rows: usize,
    batch: ipc::RecordBatch<'a>,
    message: &'a Message,
    version: MetadataVersion,
    declared: usize,
}

impl<'a> Plan<'a> {
    fn of(allowed: &Schema, messages: &'a [Message], limits: &Limits) -> Result<Self, DecodeError> {
        let packed = messages.iter().map(|m| m.header.len() + m.body.len()).sum();
        limit("batch size in bytes", packed, limits.batch_bytes)?;
        let [schema, dictionaries @ .., last] = messages else { return Err(Format("messages are missing")) };
        let (columns, plain) = columns(allowed, schema)?;
        let mut declared = 0;
        let mut seen = BTreeSet::new();
        let mut plans = Vec::new();
        for message in dictionaries {
            let (header, version) = read_header(message)?;
            let dictionary =
                header.header_as_dictionary_batch().ok_or(Format("a dictionary was expected"))?;
            if dictionary.isDelta() || !seen.insert(dictionary.id()) {
                return Err(Format("a dictionary is sent in parts"));
            }
            let batch = dictionary.data().ok_or(Format("a dictionary without data"))?;
            check(batch, message, &[&DataType::Utf8], limits, &mut declared)?;
            plans.push((dictionary.id(), batch, message, version));
        }
        let (header, version) = read_header(last)?;
        let batch = header.header_as_record_batch().ok_or(Format("the last message is no record batch"))?;
        let types: Vec<_> = columns.fields().iter().map(|f| f.data_type()).collect();
        let rows = check(batch, last, &types, limits, &mut declared)?;
        if rows == 0 {
            return Err(Format("there are no rows in it"));
        }
        if declared > RATIO_FLOOR {
            limit("compression ratio", declared / packed.max(1), limits.ratio)?;
        }
        Ok(Self { columns, plain, dictionaries: plans, rows, batch, message: last, version, declared })
    }

    fn decode(self) -> Result<RecordBatch, DecodeError> {
        let values_schema = Arc::new(Schema::new(vec![Field::new("values", DataType::Utf8, true)]));
        let mut dictionaries: HashMap<i64, ArrayRef> = HashMap::new();
        for (id, batch, message, version) in self.dictionaries {
            let values = unpack(batch, message, &values_schema, &HashMap::new(), version)?;
            dictionaries.insert(id, Arc::clone(values.column(0)));
        }
        let batch = unpack(self.batch, self.message, &Arc::new(self.columns), &dictionaries, self.version)?;
        for (field, column) in self.plain.fields().iter().zip(batch.columns()) {
            if !field.is_nullable() && column.logical_null_count() > 0 {
                return Err(column_error(field.name(), "has rows without a value, but may not"));
            }
        }
        for column in batch.columns() {
            // The reader has done so; whoever is trusted with nothing is looked at once more, whatever it does.
            column.to_data().validate_full().map_err(arrow)?;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(self.plain, batch.columns().to_vec(), &options).map_err(arrow)
    }
}

fn unpack(
    batch: ipc::RecordBatch<'_>,
    message: &Message,
    schema: &SchemaRef,
    dictionaries: &HashMap<i64, ArrayRef>,
    version: MetadataVersion,
) -> Result<RecordBatch, DecodeError> {
    let body = Buffer::from(message.body.clone());
    RecordBatchDecoder::try_new(&body, batch, Arc::clone(schema), dictionaries, &version)
        .and_then(RecordBatchDecoder::read_record_batch)
        .map_err(arrow)
}

fn read_header(message: &Message) -> Result<(ipc::Message<'_>, MetadataVersion), DecodeError> {
    let header = ipc::root_as_message(&message.header).map_err(|_| Format("a header cannot be read"))?;
    if header.version() != MetadataVersion::V5 {
        return Err(Format("its format version is not 5"));
    }
    if usize::try_from(header.bodyLength()) != Ok(message.body.len()) {
        return Err(Format("a body is not as long as its header says"));
    }
    Ok((header, MetadataVersion::V5))
}

/// Checks places and sizes of all buffers, adds up what they declare, and gives the number of rows.
fn check(
    batch: ipc::RecordBatch<'_>,
    message: &Message,
    types: &[&DataType],
    limits: &Limits,
    declared: &mut usize,
) -> Result<usize, DecodeError> {
    let rows = usize::try_from(batch.length()).map_err(|_| Format("a negative number of rows"))?;
    limit("number of rows", rows, limits.rows)?;
    let codec = match batch.compression() {
        None => None,
        Some(c) if c.method() == ipc::BodyCompressionMethod::BUFFER => match c.codec() {
            codec @ (ipc::CompressionType::ZSTD | ipc::CompressionType::LZ4_FRAME) => Some(codec),
            _ => return Err(Format("an unknown compression")),
        },
        Some(_) => return Err(Format("an unknown compression")),
    };
    let nodes = batch.nodes().ok_or(Format("no field nodes"))?;
    let mut buffers = batch.buffers().ok_or(Format("no buffers"))?.iter();
    if nodes.len() != types.len() || batch.variadicBufferCounts().is_some_and(|c| !c.is_empty()) {
        return Err(Format("more or fewer columns than its schema has"));
    }
    for (node, kind) in nodes.iter().zip(types) {
        let nulls = usize::try_from(node.null_count()).ok().filter(|n| *n <= rows);
        let (Ok(length), Some(nulls)) = (usize::try_from(node.length()), nulls) else {
            return Err(Format("a column counts wrongly"));
        };
        if length != rows {
            return Err(Format("columns of different lengths"));
        }
        let count = if matches!(kind, DataType::Binary | DataType::Utf8) { 3 } else { 2 };
        for nth in 0..count {
            let buffer = buffers.next().ok_or(Format("a buffer is missing"))?;
            let size = unpacked_size(*buffer, &message.body, codec, limits)?;
            // arrow asserts these two where it returns errors for the others
            if nth == 0 && nulls > 0 && size < rows.div_ceil(8) {
                return Err(Format("a validity bitmap is too short"));
            }
            if nth == 1 && size % width(kind) != 0 {
                return Err(Format("a buffer ends in the middle of a value"));
            }
            *declared = declared.saturating_add(size);
            limit("unpacked size in bytes", *declared, limits.unpacked_bytes)?;
        }
    }
    if buffers.next().is_some() {
        return Err(Format("more buffers than its schema needs"));
    }
    Ok(rows)
}

/// Bytes of one item in a column's second buffer: a value, a dictionary key or an offset.
fn width(kind: &DataType) -> usize {
    match kind {
        DataType::FixedSizeBinary(_) => 1, // has no alignment
        DataType::Int16 => 2,
        DataType::Timestamp(..) | DataType::Int64 => 8,
        _ => 4,
    }
}

fn unpacked_size(
    buffer: ipc::Buffer,
    body: &[u8],
    codec: Option<ipc::CompressionType>,
    limits: &Limits,
) -> Result<usize, DecodeError> {
    const OUTSIDE: DecodeError = Format("a buffer lies outside of its message");
    let start = usize::try_from(buffer.offset()).map_err(|_| OUTSIDE)?;
    let length = usize::try_from(buffer.length()).map_err(|_| OUTSIDE)?;
    let end = start.checked_add(length).ok_or(OUTSIDE)?;
    let bytes = body.get(start..end).ok_or(OUTSIDE)?;
    let Some(codec) = codec.filter(|_| !bytes.is_empty()) else { return Ok(length) };
    let (prefix, packed) = bytes.split_first_chunk::<8>().ok_or(Format("a packed buffer is too short"))?;
    let size = match i64::from_le_bytes(*prefix) {
        -1 => return Ok(packed.len()),
        size => usize::try_from(size).map_err(|_| Format("a packed buffer has a negative size"))?,
    };
    limit("unpacked size in bytes", size, limits.unpacked_bytes)?;
    if codec == ipc::CompressionType::LZ4_FRAME && size > 0 {
        bound_lz4(packed, size)?;
    }
    Ok(size)
}

/// Arrow unpacks LZ4 to its end whatever size was declared, so it is unpacked into nothing first.
/// (zstd is unpacked into a buffer of the declared size, and no further.)
fn bound_lz4(packed: &[u8], declared: usize) -> Result<(), DecodeError> {
    let mut reader = lz4_flex::frame::FrameDecoder::new(packed);
    let mut scratch = vec![0; 64 << 10];
    let mut total = 0_usize;
    loop {
        match reader.read(&mut scratch) {
            Ok(0) if total == declared => return Ok(()),
            Ok(n) if n > 0 && total + n <= declared => total += n,
            Ok(_) => return Err(Format("a packed buffer does not have the size that it declares")),
            Err(_) => return Err(Format("a packed buffer cannot be unpacked")),
        }
    }
}

/// The schema of the batch twice: with the sender's dictionary ids, and as the wire schema has it.
fn columns(allowed: &Schema, message: &Message) -> Result<(Schema, SchemaRef), DecodeError> {
    let (header, _) = read_header(message)?;
    if header.header_type() != MessageHeader::Schema {
        return Err(Format("the first message is no schema"));
    }
    let schema = header.header_as_schema().ok_or(Format("the first message is no schema"))?;
    if schema.endianness() != ipc::Endianness::Little {
        return Err(Format("it is big-endian"));
    }
    let mut names = BTreeSet::new();
    let (mut with_ids, mut plain) = (Vec::new(), Vec::new());
    for field in schema.fields().ok_or(Format("a schema without fields"))? {
        let name = field.name().unwrap_or_default();
        let Ok(target) = allowed.field_with_name(name) else {
            return Err(column_error(name, "is not one that a sender may fill"));
        };
        if !names.insert(name) {
            return Err(column_error(name, "is there twice"));
        }
        if !same_type(field, target.data_type()) {
            return Err(column_error(name, "has another type than it should"));
        }
        with_ids.push(match field.dictionary() {
            // The id ties a column to its dictionary message, and this is arrow's only way to hand it on.
            #[expect(deprecated, reason = "arrow's reader still finds dictionaries by this id")]
            Some(d) => Field::new_dict(name, target.data_type().clone(), true, d.id(), d.isOrdered()),
            None => Field::new(name, target.data_type().clone(), true),
        });
        plain.push(target.clone());
    }
    if let Some(missing) =
        allowed.fields().iter().find(|f| !f.is_nullable() && !names.contains(f.name().as_str()))
    {
        return Err(column_error(missing.name(), "is missing"));
    }
    Ok((Schema::new(with_ids), Arc::new(Schema::new(plain))))
}

/// Whether a field on the wire has exactly this type of the wire schema.
fn same_type(field: ipc::Field<'_>, target: &DataType) -> bool {
    let int = |int: ipc::Int<'_>, bits| int.bitWidth() == bits && int.is_signed();
    if field.children().is_some_and(|c| !c.is_empty()) {
        return false;
    }
    let indexed = field.dictionary().map(|d| d.indexType().is_none_or(|i| int(i, 32)));
    match (target, indexed) {
        (DataType::Dictionary(..), Some(true)) => field.type_type() == ipc::Type::Utf8,
        (DataType::Dictionary(..), _) | (_, Some(_)) => false,
        (DataType::Timestamp(TimeUnit::Microsecond, zone), None) => field
            .type_as_timestamp()
            .is_some_and(|t| t.unit() == ipc::TimeUnit::MICROSECOND && t.timezone() == zone.as_deref()),
        (DataType::Int16, None) => field.type_as_int().is_some_and(|i| int(i, 16)),
        (DataType::Int32, None) => field.type_as_int().is_some_and(|i| int(i, 32)),
        (DataType::Int64, None) => field.type_as_int().is_some_and(|i| int(i, 64)),
        (DataType::FixedSizeBinary(n), None) => {
            field.type_as_fixed_size_binary().is_some_and(|b| b.byteWidth() == *n)
        }
        (DataType::Binary, None) => field.type_type() == ipc::Type::Binary,
        _ => false,
    }
}

fn limit(what: &'static str, is: usize, limit: usize) -> Result<(), DecodeError> {
    if is > limit { Err(DecodeError::Limit { what, is, limit }) } else { Ok(()) }
}

fn column_error(column: &str, why: &'static str) -> DecodeError {
    DecodeError::Column { column: crate::error::printable(column).chars().take(64).collect(), why }
}

fn arrow(error: arrow_schema::ArrowError) -> DecodeError {
    DecodeError::Arrow(crate::error::printable(&error.to_string()))
}
