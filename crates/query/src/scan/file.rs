//! One file: which of its rows a question needs, and those rows.

use super::known::{GroupKnown, PagesKnown, bounds, leaf, pages};
use super::prune::{Singles, each_term, may_match};
use super::ranges::Ranges;
use crate::files::{FileReader, Footer, Readers, Texts};
use crate::source::{DataFile, Window};
use bartizan_filter::Expr;
use bartizan_model::{Kind, Micros};
use parquet::arrow::ProjectionMask;
use parquet::arrow::async_reader::{ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder};
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use std::collections::HashMap;
use std::sync::Arc;

use super::prune::Bounds;

/// A file whose footer is here.
pub(crate) struct Opened {
    readers: Arc<Readers>,
    pub(crate) file: DataFile,
    footer: Arc<Footer>,
}

impl Opened {
    pub(crate) async fn new(readers: &Arc<Readers>, file: DataFile) -> Result<Self, ParquetError> {
        let mut reader = FileReader::new(readers, &file.path, file.size, file.crc32c);
        let footer = reader.footer().await?;
        Ok(Self { readers: Arc::clone(readers), file, footer })
    }

    pub(crate) fn groups(&self) -> usize {
        self.footer.parquet.num_row_groups()
    }

    fn reader(&self) -> FileReader {
        FileReader::new(&self.readers, &self.file.path, self.file.size, self.file.crc32c)
    }

    /// The bounds of a row group's times.
    pub(crate) fn times(&self, group: usize) -> Option<(Micros, Micros)> {
        let footer = &self.footer.parquet;
        let group = footer.row_group(group);
        let rows = usize::try_from(group.num_rows()).ok()?;
        match bounds(group.column(leaf(footer, "time")?).statistics(), rows) {
            Bounds::Numbers(min, max) => Some((Micros(min), Micros(max))),
            _ => None,
        }
    }

    /// The rows of a row group that may match and be inside the window.
    pub(crate) async fn may_match(
        &self,
        kind: Kind,
        filter: &Expr,
        window: Window,
        group: usize,
    ) -> Result<Ranges, ParquetError> {
        let footer = &*self.footer.parquet;
        if !window.touches(self.times(group)) {
            return Ok(Ranges::default());
        }
        let mut blooms = HashMap::new();
        if may_match(kind, filter, &GroupKnown { footer, group, blooms: &blooms }).is_empty() {
            return Ok(Ranges::default());
        }
        let rows = may_match(kind, filter, &PagesKnown { footer, group });
        let rows = rows.and(&self.inside(group, |time| window.touches(Some(time))));
        if rows.is_empty() {
            return Ok(rows);
        }
        let mut wanted = Vec::new();
        each_term(kind, filter, &mut |column, values| {
            if Singles::of(values).is_some()
                && let Some(leaf) = leaf(footer, column.name)
            {
                wanted.push(leaf);
            }
        });
        for leaf in wanted {
            if let Some(bloom) = self.bloom(group, leaf).await? {
                blooms.insert(leaf, bloom);
            }
        }
        let ruled_out = !blooms.is_empty()
            && may_match(kind, filter, &GroupKnown { footer, group, blooms: &blooms }).is_empty();
        Ok(if ruled_out { Ranges::default() } else { rows })
    }

    /// The rows of the pages whose times pass.
    pub(crate) fn inside(&self, group: usize, pass: impl Fn((Micros, Micros)) -> bool) -> Ranges {
        let footer = &*self.footer.parquet;
        match leaf(footer, "time") {
            None => Ranges::default(),
            Some(leaf) => pages(footer, group, leaf, |bounds| match bounds {
                Bounds::Numbers(min, max) => pass((Micros(min), Micros(max))),
                _ => true,
            }),
        }
    }

    async fn bloom(&self, group: usize, leaf: usize) -> Result<Option<Arc<Sbbf>>, ParquetError> {
        let column = self.footer.parquet.row_group(group).column(leaf);
        if column.bloom_filter_offset().is_none() {
            return Ok(None);
        }
        let blooms = &self.readers.files.blooms;
        if let Some(bloom) = blooms.find(&self.file.path, group, leaf) {
            return Ok(Some(bloom));
        }
        let arrow = self.footer.arrow(Texts::Views)?;
        let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(self.reader(), arrow);
        let Some(bloom) = builder.get_row_group_column_bloom_filter(group, leaf).await? else {
            return Ok(None);
        };
        let bloom = Arc::new(bloom);
        blooms.keep(&self.file.path, group, leaf, &bloom);
        Ok(Some(bloom))
    }

    /// Those of some columns of which a row group holds any value, as far as its statistics tell. To read one that holds
    /// none is not free: each column that is read makes a decompressor.
    pub(crate) fn with_values<'a>(&self, group: usize, columns: &[&'a str]) -> Vec<&'a str> {
        let footer = &*self.footer.parquet;
        let holds = |name: &&&str| {
            let chunk = leaf(footer, name).map(|leaf| footer.row_group(group).column(leaf));
            let nulls = chunk.and_then(|chunk| chunk.statistics()?.null_count_opt());
            nulls.is_none() || nulls != chunk.and_then(|chunk| u64::try_from(chunk.num_values()).ok())
        };
        columns.iter().filter(holds).copied().collect()
    }

    /// These columns, as far as the file has them, of these rows, in the file's order.
    pub(crate) fn read(
        &self,
        group: usize,
        rows: &Ranges,
        columns: &[&str],
        texts: Texts,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchStream<FileReader>, ParquetError> {
        let footer = &*self.footer.parquet;
        let leaves: Vec<_> = columns.iter().filter_map(|name| leaf(footer, name)).collect();
        let all = usize::try_from(footer.row_group(group).num_rows()).unwrap_or(0);
        let mask = ProjectionMask::leaves(footer.file_metadata().schema_descr(), leaves);
        let arrow = self.footer.arrow(texts)?;
        ParquetRecordBatchStreamBuilder::new_with_metadata(self.reader(), arrow)
            .with_row_groups(vec![group])
            .with_row_selection(rows.selection(all))
            .with_projection(mask)
            .with_batch_size(batch_rows)
            .build()
    }
}
