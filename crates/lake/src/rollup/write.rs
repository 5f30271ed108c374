//! A file's groups as the files of the rollups, sorted for reading.

use super::groups::Sums;
use super::tally::{Packed, Tally, start_of};
use super::texts::{ABSENT, Texts};
use super::tiers::{Tiers, by_weight};
use crate::delta::stats;
use crate::encode::Encoded;
use crate::error::LakeError;
use arrow_array::builder::{BinaryBuilder, FixedSizeBinaryBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Int16Array, Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
};
use arrow_schema::{ArrowError, Field, Schema};
use bartizan_schema::{ColumnKind, Rollup};
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::sync::Arc;

const ZSTD_LEVEL: i32 = 3;
const PAGE_ROWS: usize = 4096;

/// One file of a rollup.
#[derive(Debug)]
pub(crate) struct Made {
    pub rollup: Rollup,
    pub encoded: Encoded,
    pub tiers: Option<Tiers>,
}

/// The files of some rollups. There is at least one row.
pub(crate) fn write(tally: &Tally, rollups: &[Rollup], path: &Path) -> Result<Vec<Made>, LakeError> {
    rollups.iter().map(|rollup| write_one(tally, *rollup, path)).collect()
}

fn write_one(tally: &Tally, rollup: Rollup, path: &Path) -> Result<Made, LakeError> {
    let failed = |source| LakeError::Parquet { path: path.clone(), source };
    let (columns, tiers) = match rollup {
        Rollup::Activity1m => (activity_1m(tally), None),
        Rollup::Events1m => (by_labels(tally, rollup, &tally.events_1m.groups), None),
        Rollup::Activity1h => (activity_1h(tally), None),
        Rollup::Events1h => (by_labels(tally, rollup, &tally.events_1h.groups), None),
        Rollup::Origins1h => (origins_1h(tally), None),
        Rollup::Sources => sources(tally),
    };
    let columns = columns.map_err(|e| failed(e.into()))?;
    let cuts: Vec<usize> = tiers.iter().flat_map(Tiers::ends).collect();
    let (bytes, meta) = parquet(rollup, columns, &cuts).map_err(failed)?;
    let (bounds, stats) = stats::of_file(rollup.into(), &meta);
    Ok(Made { rollup, encoded: Encoded { bytes: bytes.into(), bounds, stats }, tiers })
}

/// Writes rows, a row group up to each of some places.
fn parquet(
    rollup: Rollup,
    columns: Vec<ArrayRef>,
    cuts: &[usize],
) -> Result<(Vec<u8>, ParquetMetaData), ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_created_by(crate::ENGINE.to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        // A tier is one row group, however long it is.
        .set_max_row_group_row_count(None)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Page);
    for column in rollup.columns().iter().filter(|c| matches!(c.kind, ColumnKind::Bytes | ColumnKind::Addr)) {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column.name), false);
        if column.kind == ColumnKind::Bytes {
            let none = EnabledStatistics::None;
            properties = properties.set_column_statistics_enabled(ColumnPath::from(column.name), none);
        }
    }
    // As of every file of the lake: without Arrow's own schema, the dictionaries here are plain text.
    let options =
        ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
    let fields = rollup.columns().iter().zip(&columns);
    let fields = fields.map(|(c, array)| Field::new(c.name, array.data_type().clone(), c.nullable));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new_with_options(&mut file, schema, options)?;
    let mut from = 0;
    for end in cuts.iter().copied().filter(|end| *end < batch.num_rows()).chain([batch.num_rows()]) {
        if end > from {
            writer.write(&batch.slice(from, end - from))?;
            writer.flush()?;
        }
        from = end.max(from);
    }
    let meta = writer.close()?;
    Ok((file, meta))
}

type Columns = Result<Vec<ArrayRef>, ArrowError>;

fn activity_1m(tally: &Tally) -> Columns {
    let mut groups: Vec<_> = tally.activity_1m.groups.iter().collect();
    let ranks = tally.texts.action.ranks();
    groups.sort_unstable_by_key(|(key, _)| (key.bucket(), rank(&ranks, key.kind())));
    let mut sketches = BinaryBuilder::new();
    for (_, (_, sketch)) in &groups {
        sketches.append_option(sketch.as_ref().map(|sketch| sketch.serialize()));
    }
    let mut columns = vec![
        times(groups.iter().map(|(key, _)| start_of(Rollup::Activity1m, key.bucket()))),
        texts(&tally.texts.action, groups.iter().map(|(key, _)| key.kind()))?,
    ];
    columns.extend(sums(groups.iter().map(|(_, (sums, _))| sums)));
    columns.push(Arc::new(sketches.finish()));
    Ok(columns)
}

/// The places of a tally's labels in the order of prefix, rule, action and host: what a question most often
/// names comes first.
fn label_ranks(tally: &Tally) -> Vec<u32> {
    let texts = &tally.texts;
    let ranks = [texts.host.ranks(), texts.action.ranks(), texts.rule.ranks(), texts.prefix.ranks()];
    let mut order: Vec<(usize, [u32; 4])> = tally
        .labels
        .groups
        .iter()
        .map(|([host, action, rule, prefix], _)| {
            let of = |column: usize, number: &u32| rank(&ranks[column], *number);
            [of(3, prefix), of(2, rule), of(1, action), of(0, host)]
        })
        .enumerate()
        .collect();
    order.sort_unstable_by_key(|(_, key)| *key);
    let mut places = vec![0; order.len()];
    for (place, (kind, _)) in (0..).zip(order) {
        places[kind] = place;
    }
    places
}

/// Minutes go last, so that what changes little in a column stands together; hours go first, so that a window
/// finds its rows together.
fn by_labels(tally: &Tally, rollup: Rollup, groups: &[(Packed, Sums)]) -> Columns {
    let ranks = label_ranks(tally);
    let fine = rollup == Rollup::Events1m;
    let mut groups: Vec<_> = groups
        .iter()
        .map(|(key, sums)| {
            let (hour, minute) = if fine { (0, key.bucket()) } else { (key.bucket(), 0) };
            ((hour, rank(&ranks, key.kind()), key.proto(), key.port(), minute), key, sums)
        })
        .collect();
    groups.sort_unstable_by_key(|(order, _, _)| *order);
    let mut columns = vec![times(groups.iter().map(|(_, key, _)| start_of(rollup, key.bucket())))];
    columns.extend(labels(tally, groups.iter().map(|(_, key, _)| key.kind()))?);
    columns.push(Arc::new(Int16Array::from_iter(groups.iter().map(|(_, key, _)| key.proto()))));
    if rollup == Rollup::Events1h {
        columns.push(Arc::new(Int32Array::from_iter(groups.iter().map(|(_, key, _)| key.port()))));
    }
    columns.extend(sums(groups.iter().map(|(_, _, sums)| *sums)));
    Ok(columns)
}

fn activity_1h(tally: &Tally) -> Columns {
    let ranks = label_ranks(tally);
    let mut groups: Vec<_> = tally.activity_1h.groups.iter().collect();
    groups.sort_unstable_by_key(|(key, _)| (key.bucket(), rank(&ranks, key.kind())));
    let mut columns = vec![times(groups.iter().map(|(key, _)| start_of(Rollup::Activity1h, key.bucket())))];
    columns.extend(labels(tally, groups.iter().map(|(key, _)| key.kind()))?);
    columns.extend(sums(groups.iter().map(|(_, (sums, _))| sums)));
    columns.push(times(groups.iter().map(|(_, (_, last))| *last)));
    Ok(columns)
}

fn origins_1h(tally: &Tally) -> Columns {
    let (actions, countries) = (tally.texts.action.ranks(), tally.texts.country.ranks());
    let mut groups: Vec<_> = tally.origins_1h.groups.iter().collect();
    groups.sort_unstable_by_key(|((hour, action, country, asn), _)| {
        (*hour, rank(&actions, *action), rank(&countries, *country), *asn)
    });
    let mut columns = vec![
        times(groups.iter().map(|((hour, ..), _)| start_of(Rollup::Origins1h, *hour))),
        texts(&tally.texts.action, groups.iter().map(|((_, action, ..), _)| *action))?,
        texts(&tally.texts.country, groups.iter().map(|((_, _, country, _), _)| *country))?,
        Arc::new(Int64Array::from_iter(groups.iter().map(|((.., asn), _)| *asn))),
    ];
    columns.extend(sums(groups.iter().map(|(_, sums)| sums)));
    Ok(columns)
}

fn sources(tally: &Tally) -> (Columns, Option<Tiers>) {
    let (order, tiers) = by_weight(&tally.sources.groups);
    let groups: Vec<_> = order.iter().map(|i| &tally.sources.groups[*i as usize]).collect();
    let earliest = tally.earliest.unwrap_or(0);
    let columns = || {
        let mut addresses = FixedSizeBinaryBuilder::with_capacity(groups.len(), 16);
        for ((src, _), _) in &groups {
            match src {
                Some(src) => addresses.append_value(src)?,
                None => addresses.append_null(),
            }
        }
        let mut columns = vec![
            times(groups.iter().map(|_| earliest)),
            texts(&tally.texts.action, groups.iter().map(|((_, action), _)| *action))?,
            Arc::new(addresses.finish()),
        ];
        columns.extend(sums(groups.iter().map(|(_, sums)| sums)));
        Ok(columns)
    };
    (columns(), tiers)
}

fn rank(ranks: &[u32], number: u32) -> u32 {
    ranks.get(number as usize).copied().unwrap_or(u32::MAX)
}

fn times(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
}

fn texts(of: &Texts, numbers: impl Iterator<Item = u32>) -> Result<ArrayRef, ArrowError> {
    let keys: Int32Array =
        numbers.map(|n| (n != ABSENT).then(|| i32::try_from(n - 1).unwrap_or(i32::MAX))).collect();
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(of.values()))?))
}

/// Host, action, rule and prefix.
fn labels(tally: &Tally, kinds: impl Iterator<Item = u32> + Clone) -> Columns {
    let all = &tally.labels.groups;
    let column = |of: &Texts, i: usize| texts(of, kinds.clone().map(|kind| all[kind as usize].0[i]));
    let names = &tally.texts;
    Ok(vec![
        column(&names.host, 0)?,
        column(&names.action, 1)?,
        column(&names.rule, 2)?,
        column(&names.prefix, 3)?,
    ])
}

fn sums<'a>(groups: impl Iterator<Item = &'a Sums> + Clone) -> [ArrayRef; 3] {
    let column =
        |of: fn(&Sums) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(groups.clone().map(of))) };
    [column(|s| s.rows), column(|s| s.packets), column(|s| s.bytes)]
}
