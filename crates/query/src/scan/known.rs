//! What a file's footer, page index and bloom filters say of a row group.

use super::prune::{Bounds, Known, Singles};
use super::ranges::Ranges;
use bartizan_filter::Values;
use bartizan_schema::{Column, ColumnKind};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::page_index::column_index::{ByteArrayColumnIndex, ColumnIndexMetaData};
use parquet::file::statistics::Statistics;
use std::collections::HashMap;
use std::sync::Arc;

/// Its bounds as a whole, and its bloom filters.
pub(crate) struct GroupKnown<'a> {
    pub(crate) footer: &'a ParquetMetaData,
    pub(crate) group: usize,
    pub(crate) blooms: &'a HashMap<usize, Arc<Sbbf>>,
}

/// Its bounds page by page.
pub(crate) struct PagesKnown<'a> {
    pub(crate) footer: &'a ParquetMetaData,
    pub(crate) group: usize,
}

/// The place of a column in a file; an older file may lack it.
pub(crate) fn leaf(footer: &ParquetMetaData, name: &str) -> Option<usize> {
    footer.file_metadata().schema_descr().columns().iter().position(|c| c.name() == name)
}

impl Known for GroupKnown<'_> {
    fn rows(&self) -> usize {
        rows(self.footer, self.group)
    }

    fn may_have(&self, column: &'static Column, values: &Values) -> Ranges {
        let may = leaf(self.footer, column.name).is_some_and(|leaf| {
            let statistics = self.footer.row_group(self.group).column(leaf).statistics();
            bounds(statistics, self.rows()).may_have(values)
                && self.blooms.get(&leaf).is_none_or(|bloom| in_bloom(bloom, column, values))
        });
        if may { Ranges::all(self.rows()) } else { Ranges::default() }
    }
}

impl Known for PagesKnown<'_> {
    fn rows(&self) -> usize {
        rows(self.footer, self.group)
    }

    fn may_have(&self, column: &'static Column, values: &Values) -> Ranges {
        match leaf(self.footer, column.name) {
            None => Ranges::default(),
            Some(leaf) => pages(self.footer, self.group, leaf, |bounds| bounds.may_have(values)),
        }
    }
}

fn rows(footer: &ParquetMetaData, group: usize) -> usize {
    usize::try_from(footer.row_group(group).num_rows()).unwrap_or(0)
}

/// The rows of the pages of a column whose bounds pass.
pub(crate) fn pages(
    footer: &ParquetMetaData,
    group: usize,
    leaf: usize,
    pass: impl Fn(Bounds) -> bool,
) -> Ranges {
    let all = rows(footer, group);
    let index = footer.column_index().and_then(|index| index.get(group)?.get(leaf));
    let places = footer.offset_index().and_then(|index| index.get(group)?.get(leaf));
    let (Some(index), Some(places)) = (index, places) else { return Ranges::all(all) };
    let places = places.page_locations();
    let mut passed = Ranges::default();
    for (page, place) in places.iter().enumerate() {
        let end =
            places.get(page + 1).map_or(all, |next| usize::try_from(next.first_row_index).unwrap_or(all));
        if pass(page_bounds(index, page)) {
            passed.push(usize::try_from(place.first_row_index).unwrap_or(0)..end);
        }
    }
    passed
}

fn page_bounds(index: &ColumnIndexMetaData, page: usize) -> Bounds {
    if matches!(index, ColumnIndexMetaData::NONE) {
        return Bounds::Unknown;
    }
    if index.is_null_page(page) {
        return Bounds::NoValue;
    }
    let addrs = |index: &ByteArrayColumnIndex| {
        let addr = |value: Option<&[u8]>| <[u8; 16]>::try_from(value?).ok();
        Some(Bounds::Addrs(addr(index.min_value(page))?, addr(index.max_value(page))?))
    };
    let known = match index {
        ColumnIndexMetaData::INT32(index) => index
            .min_value(page)
            .zip(index.max_value(page))
            .map(|(min, max)| Bounds::Numbers(i64::from(*min), i64::from(*max))),
        ColumnIndexMetaData::INT64(index) => {
            index.min_value(page).zip(index.max_value(page)).map(|(min, max)| Bounds::Numbers(*min, *max))
        }
        ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(index) => addrs(index),
        _ => None,
    };
    known.unwrap_or(Bounds::Unknown)
}

/// The bounds of a column in a row group.
pub(crate) fn bounds(statistics: Option<&Statistics>, rows: usize) -> Bounds {
    let Some(statistics) = statistics else { return Bounds::Unknown };
    if rows > 0 && statistics.null_count_opt() == Some(rows as u64) {
        return Bounds::NoValue;
    }
    let known = match statistics {
        Statistics::Int32(s) => {
            s.min_opt().zip(s.max_opt()).map(|(min, max)| Bounds::Numbers(i64::from(*min), i64::from(*max)))
        }
        Statistics::Int64(s) => s.min_opt().zip(s.max_opt()).map(|(min, max)| Bounds::Numbers(*min, *max)),
        Statistics::FixedLenByteArray(s) => s.min_opt().zip(s.max_opt()).and_then(|(min, max)| {
            Some(Bounds::Addrs(min.data().try_into().ok()?, max.data().try_into().ok()?))
        }),
        _ => None,
    };
    known.unwrap_or(Bounds::Unknown)
}

fn in_bloom(bloom: &Sbbf, column: &Column, values: &Values) -> bool {
    match Singles::of(values) {
        None => true,
        Some(Singles::Addrs(addrs)) => addrs.iter().any(|addr| bloom.check(&addr[..])),
        Some(Singles::Numbers(numbers)) => numbers.iter().any(|n| match column.kind {
            // As the file has them.
            ColumnKind::I16 | ColumnKind::I32 => i32::try_from(*n).is_ok_and(|n| bloom.check(&n)),
            _ => bloom.check(n),
        }),
    }
}
