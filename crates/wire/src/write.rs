//! Arrow IPC streams of one batch, with the buffers packed by [`Packer`].
//!
//! Arrow's own writer packs every buffer with the zstd library, which is most of what a row costs between the
//! kernel and the disk. This one writes the same messages for the column types of the wire schema, and says
//! [`Foreign`] to any other.

use crate::pack::Packer;
use arrow_array::{Array, RecordBatch};
use arrow_buffer::{ArrowNativeType, Buffer, ToByteSlice};
use arrow_data::ArrayData;
use arrow_ipc::{
    BodyCompressionBuilder, BodyCompressionMethod, CompressionType, DictionaryBatchBuilder, FieldNode,
    MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder,
    writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions},
};
use arrow_schema::DataType;
use flatbuffers::FlatBufferBuilder;
use std::io;

/// Buffers and messages begin at multiples of this.
const ALIGNMENT: usize = 8;
/// Begins every message.
const MARK: [u8; 4] = [0xff; 4];

/// Why a batch was not written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// A column whose type is not of the wire schema.
    Foreign,
    /// The zstd library.
    Pack(io::Error),
}

/// Writes batches; what it needs for one is kept for the next.
pub(crate) struct Writer {
    packer: Packer,
    body: Vec<u8>,
    header: FlatBufferBuilder<'static>,
}

impl Writer {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { packer: Packer::new()?, body: Vec::new(), header: FlatBufferBuilder::new() })
    }

    /// The stream of one batch: schema, dictionaries, rows, end.
    pub(crate) fn write(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), WriteError> {
        let columns: Vec<_> = batch.columns().iter().map(|column| column.to_data()).collect();
        let mut ids = DictionaryTracker::new(false);
        let schema = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(
            &batch.schema(),
            &mut ids,
            &IpcWriteOptions::default(),
        );
        message(&schema.ipc_message, &[], out);
        let dictionaries = columns.iter().filter(|c| matches!(c.data_type(), DataType::Dictionary(..)));
        for (column, id) in dictionaries.zip(ids.dict_id()) {
            let values = column.child_data().first().ok_or(WriteError::Foreign)?;
            self.rows(values.len(), std::slice::from_ref(values), Some(*id), out)?;
        }
        self.rows(batch.num_rows(), &columns, None, out)?;
        out.extend_from_slice(&MARK);
        out.extend_from_slice(&[0; 4]);
        Ok(())
    }

    /// A message of rows: of the batch, or of the dictionary with a number.
    fn rows(
        &mut self,
        rows: usize,
        columns: &[ArrayData],
        dictionary: Option<i64>,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        self.body.clear();
        let (mut nodes, mut places) =
            (Vec::with_capacity(columns.len()), Vec::with_capacity(columns.len() * 2));
        for column in columns {
            nodes.push(FieldNode::new(column.len() as i64, column.null_count() as i64));
            let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
            let nulls = nulls.map_or_else(|| Buffer::from(&[]), |nulls| nulls.inner().sliced());
            self.buffer(&nulls, 1, &mut places)?;
            self.values(column, &mut places)?;
        }
        let header = &mut self.header;
        header.reset();
        let mut compression = BodyCompressionBuilder::new(header);
        compression.add_method(BodyCompressionMethod::BUFFER);
        compression.add_codec(CompressionType::ZSTD);
        let compression = compression.finish();
        let (places, nodes) = (header.create_vector(&places), header.create_vector(&nodes));
        let mut batch = RecordBatchBuilder::new(header);
        batch.add_length(rows as i64);
        batch.add_nodes(nodes);
        batch.add_buffers(places);
        batch.add_compression(compression);
        let batch = batch.finish();
        let (kind, content) = match dictionary {
            None => (MessageHeader::RecordBatch, batch.as_union_value()),
            Some(id) => {
                let mut dictionary = DictionaryBatchBuilder::new(header);
                dictionary.add_id(id);
                dictionary.add_data(batch);
                (MessageHeader::DictionaryBatch, dictionary.finish().as_union_value())
            }
        };
        let mut root = MessageBuilder::new(header);
        root.add_version(MetadataVersion::V5);
        root.add_header_type(kind);
        root.add_bodyLength(self.body.len() as i64);
        root.add_header(content);
        let root = root.finish();
        header.finish(root, None);
        message(header.finished_data(), &self.body, out);
        Ok(())
    }

    /// The buffers of a column behind the one that marks its nulls.
    fn values(&mut self, column: &ArrayData, places: &mut Vec<arrow_ipc::Buffer>) -> Result<(), WriteError> {
        let (at, rows) = (column.offset(), column.len());
        let width = match column.data_type() {
            DataType::Int16 => 2,
            DataType::Int32 => 4,
            DataType::Int64 | DataType::Timestamp(..) => 8,
            DataType::FixedSizeBinary(width) => usize::try_from(*width).map_err(|_| WriteError::Foreign)?,
            DataType::Dictionary(key, value) if **key == DataType::Int32 && **value == DataType::Utf8 => 4,
            DataType::Utf8 | DataType::Binary => {
                let [offsets, values] = column.buffers() else { return Err(WriteError::Foreign) };
                let offsets: &[i32] = offsets.typed_data();
                let offsets = if rows == 0 { &[0][..] } else { &offsets[at..=at + rows] };
                let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
                let moved: Vec<i32> = offsets.iter().map(|offset| offset - first).collect();
                self.buffer(moved.to_byte_slice(), 4, places)?;
                return self.buffer(&values[first.as_usize()..last.as_usize()], 1, places);
            }
            _ => return Err(WriteError::Foreign),
        };
        let values = column.buffers().first().ok_or(WriteError::Foreign)?;
        self.buffer(&values[at * width..(at + rows) * width], width, places)
    }

    fn buffer(
        &mut self,
        bytes: &[u8],
        width: usize,
        places: &mut Vec<arrow_ipc::Buffer>,
    ) -> Result<(), WriteError> {
        let start = self.body.len();
        self.packer.pack(bytes, width, &mut self.body).map_err(WriteError::Pack)?;
        places.push(arrow_ipc::Buffer::new(start as i64, (self.body.len() - start) as i64));
        self.body.resize(self.body.len().next_multiple_of(ALIGNMENT), 0);
        Ok(())
    }
}

/// An encapsulated message.
fn message(header: &[u8], body: &[u8], out: &mut Vec<u8>) {
    let padded = header.len().next_multiple_of(ALIGNMENT);
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&(padded as u32).to_le_bytes());
    out.extend_from_slice(header);
    out.resize(out.len() + padded - header.len(), 0);
    out.extend_from_slice(body);
}
