//! Several files to one, column by column, in a new order.
//!
//! Memory holds one column of all rows twice, once as it was and once in order, and the new file so far; not the rows.

use super::order;
use super::plan::Shape;
use crate::delta::stats;
use crate::encode::{Encoded, Form, options};
use crate::error::LakeError;
use arrow_array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow_cast::cast;
use arrow_schema::{Field, SchemaRef};
use arrow_select::concat::concat;
use arrow_select::take::take;
use bartizan_schema::Relation;
use bytes::Bytes;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use std::sync::Arc;

/// A file that is read.
#[derive(Debug)]
struct Input<'a> {
    path: &'a Path,
    bytes: &'a Bytes,
    meta: ArrowReaderMetadata,
    rows: usize,
}

/// Writes the rows of some files as one, whose name is for errors only.
pub(super) fn arrange(
    relation: Relation,
    files: &[(Path, Bytes)],
    shape: Shape,
    target: &Path,
) -> Result<Encoded, LakeError> {
    let schema = relation.schema();
    let inputs = files.iter().map(|(path, bytes)| Input::open(&schema, path, bytes));
    let inputs = inputs.collect::<Result<Vec<_>, LakeError>>()?;
    let keys = order::keys(shape).iter().map(|name| {
        let field = schema.field_with_name(name)?;
        column(&inputs, field)
    });
    let order = order::order(&keys.collect::<Result<Vec<_>, LakeError>>()?)?;
    let form = match shape {
        Shape::ByTime => Form::Merged,
        Shape::Sorted => Form::Sorted,
    };
    let failed = |source| LakeError::Parquet { path: target.clone(), source };
    let (bytes, meta) = write(relation, &inputs, &order, form, failed)?;
    let (bounds, stats) = stats::of_file(relation, &meta);
    Ok(Encoded { bytes: bytes.into(), bounds, stats })
}

fn write(
    relation: Relation,
    inputs: &[Input<'_>],
    order: &UInt32Array,
    form: Form,
    failed: impl Fn(ParquetError) -> LakeError + Copy,
) -> Result<(Vec<u8>, ParquetMetaData), LakeError> {
    let (schema, rows) = (relation.schema(), order.len());
    let group_rows = form.group_rows();
    let starts: Vec<usize> = (0..rows).step_by(group_rows).collect();
    let options = options(relation, form).map_err(failed)?;
    let mut bytes = Vec::new();
    let writer = ArrowWriter::try_new_with_options(&mut bytes, Arc::clone(&schema), options);
    let (mut file, factory) = writer.and_then(ArrowWriter::into_serialized_writer).map_err(failed)?;
    let mut writers = Vec::with_capacity(starts.len());
    for group in 0..starts.len() {
        writers.push(factory.create_column_writers(group).map_err(failed)?.into_iter());
    }
    let mut chunks: Vec<Vec<ArrowColumnChunk>> = starts.iter().map(|_| Vec::new()).collect();
    for field in schema.fields() {
        let ordered = in_order(inputs, field, order)?;
        for ((start, writers), chunks) in starts.iter().zip(&mut writers).zip(&mut chunks) {
            let part = ordered.slice(*start, group_rows.min(rows - start));
            let writer = writers.next().ok_or_else(|| failed(ParquetError::EOF("a column".into())))?;
            chunks.push(chunk(writer, field, &part).map_err(failed)?);
        }
    }
    for columns in chunks {
        let mut group = file.next_row_group().map_err(failed)?;
        for column in columns {
            column.append_to_row_group(&mut group).map_err(failed)?;
        }
        group.close().map_err(failed)?;
    }
    let meta = file.close().map_err(failed)?;
    Ok((bytes, meta))
}

fn chunk(
    mut writer: ArrowColumnWriter,
    field: &Field,
    part: &ArrayRef,
) -> Result<ArrowColumnChunk, ParquetError> {
    for leaf in compute_leaves(field, part)? {
        writer.write(&leaf)?;
    }
    writer.close()
}

/// A column of all files in the new order.
fn in_order(inputs: &[Input<'_>], field: &Field, order: &UInt32Array) -> Result<ArrayRef, LakeError> {
    let all = column(inputs, field)?;
    if all.null_count() == all.len() {
        return Ok(all);
    }
    Ok(take(&all, order, None)?)
}

/// A column of all files, one after the other.
fn column(inputs: &[Input<'_>], field: &Field) -> Result<ArrayRef, LakeError> {
    let parts = inputs.iter().map(|input| input.column(field)).collect::<Result<Vec<_>, _>>()?;
    let rows = parts.iter().map(|p| p.len()).sum();
    if parts.iter().all(|p| p.null_count() == p.len()) {
        return Ok(new_null_array(field.data_type(), rows));
    }
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    Ok(concat(&parts)?)
}

impl<'a> Input<'a> {
    fn open(schema: &SchemaRef, path: &'a Path, bytes: &'a Bytes) -> Result<Self, LakeError> {
        let failed = |source| LakeError::Parquet { path: path.clone(), source };
        let meta = ArrowReaderMetadata::load(bytes, ArrowReaderOptions::new()).map_err(failed)?;
        let rows = usize::try_from(meta.metadata().file_metadata().num_rows()).unwrap_or(0);
        // A newer version wrote it: what this one does not know must not be lost.
        let unknown = meta.schema().fields().iter().find(|f| schema.field_with_name(f.name()).is_err());
        if let Some(unknown) = unknown {
            let source = ParquetError::NYI(format!("a column `{}` of a newer version", unknown.name()));
            return Err(failed(source));
        }
        Ok(Self { path, bytes, meta, rows })
    }

    fn column(&self, field: &Field) -> Result<ArrayRef, LakeError> {
        let Ok(index) = self.meta.schema().index_of(field.name()) else {
            return Ok(new_null_array(field.data_type(), self.rows));
        };
        let failed = |source| LakeError::Parquet { path: self.path.clone(), source };
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.meta.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), [index]);
        let reader = builder.with_projection(mask).with_batch_size(self.rows.max(1)).build();
        let mut parts = Vec::new();
        for batch in reader.map_err(failed)? {
            parts.push(cast(batch.map_err(|e| failed(e.into()))?.column(0), field.data_type())?);
        }
        match parts.as_slice() {
            [] => Ok(new_null_array(field.data_type(), 0)),
            [one] => Ok(Arc::clone(one)),
            several => Ok(concat(&several.iter().map(AsRef::as_ref).collect::<Vec<_>>())?),
        }
    }
}
