//! About how many different sources there were, from the sketches of rollups.
//!
//! A sketch of rows is that of their parts put together, so that whole files, whole minutes and single rows go into
//! one, and a source that is in many of them counts once.

use super::{Engine, column};
use crate::files::LeftOut;
use crate::rollup::{self, Pieces, Want};
use crate::source::Window;
use crate::stream::{Meter, Stats};
use crate::{QueryError, Scoped, lower};
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use bartizan_filter::Filter;
use bartizan_model::Kind;
use bartizan_schema::Rollup;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, lit};
use datasketches::common::NumStdDev;
use datasketches::hash::value::raw_bytes;
use datasketches::hll::{HllSketch, HllUnion};
use futures::StreamExt;
use std::time::Instant;

/// That of the rollups' sketches: 2^11 registers, an error of 2.3 %.
const LG: u8 = 11;

/// About how many different sources there were.
#[derive(Debug)]
pub struct Sources {
    /// About so many.
    pub about: u64,
    /// In 95 of 100 cases not fewer.
    pub least: u64,
    /// In 95 of 100 cases not more.
    pub most: u64,
    /// What the answer took.
    pub stats: Stats,
    /// Files that cannot be read, and whose rows are not counted.
    pub left_out: Vec<LeftOut>,
}

impl Engine {
    /// About how many different sources the events have that match. Without reading them, where the filter names at
    /// most the action; [`Engine::distinct`] is exact.
    ///
    /// # Errors
    /// As [`Engine::search`].
    pub async fn sources(&self, filter: &Filter, window: Window) -> Result<Sources, QueryError> {
        let engine = self.asked();
        let filter = &engine.sight().scoped(Kind::Events, filter)?;
        loop {
            match engine.sources_once(filter, window).await {
                Err(error) => engine.planner.mend(error).await?,
                done => return done,
            }
        }
    }

    async fn sources_once(&self, filter: &Scoped<'_>, window: Window) -> Result<Sources, QueryError> {
        let started = Instant::now();
        let want = Want::new(filter, &[], None, false);
        let pieces = self.pieces(Kind::Events, &want, window)?.filter(|p| p.are_of(Rollup::Activity1m));
        let sketch = match &pieces {
            Some(pieces) => self.sketch(pieces, filter, window).await?,
            None => None,
        };
        let (union, files) = match (sketch, pieces) {
            (Some(union), Some(pieces)) => (union, pieces.files),
            // no rollup can tell, or one of them has no sketch
            _ => {
                let view = self.view(Kind::Events, window)?;
                let (files, pieces) = (view.files.len(), Pieces::of_rows(view));
                (self.sketch(&pieces, filter, window).await?.ok_or_else(no_sketch)?, files)
            }
        };
        let whole = |estimate: f64| estimate.round() as u64;
        let (bytes, (looked_at, opened)) = (self.planner.question.bytes(), self.planner.question.looked_at());
        Ok(Sources {
            about: whole(union.estimate()),
            least: whole(union.lower_bound(NumStdDev::Two)),
            most: whole(union.upper_bound(NumStdDev::Two)),
            stats: Stats { files, bytes, looked_at, opened, took: started.elapsed(), ..Stats::default() },
            left_out: self.planner.question.left_out(),
        })
    }

    /// The sketch of all pieces; nothing if one of them lacks its own.
    async fn sketch(
        &self,
        pieces: &Pieces,
        filter: &Scoped<'_>,
        window: Window,
    ) -> Result<Option<HllUnion>, QueryError> {
        let predicate = lower::filter(Kind::Events, filter);
        let frame = rollup::frame_of(&self.planner, pieces, &columns, &predicate, window)?;
        let mut batches = self.planner.start(frame, &Meter::default()).await?;
        let mut union = HllUnion::new(LG).map_err(|e| DataFusionError::Internal(e.to_string()))?;
        while let Some(batch) = batches.next().await {
            if !add(&mut union, &batch?)? {
                return Ok(None);
            }
        }
        Ok(Some(union))
    }
}

fn no_sketch() -> QueryError {
    DataFusionError::Internal("rows without a sketch".to_owned()).into()
}

/// Of a row its source, of a count its sketch, and which of the two it is.
fn columns(rollup: Option<Rollup>) -> Vec<Expr> {
    let (src, sketch) = match rollup {
        None => (column("src"), lit(ScalarValue::Binary(None))),
        Some(_) => (lit(ScalarValue::FixedSizeBinary(16, None)), column("sketch")),
    };
    vec![src.alias("src"), sketch.alias("sketch"), lit(rollup.is_some()).alias("counts")]
}

/// Adds a batch; false if it has counts without a sketch.
fn add(union: &mut HllUnion, batch: &RecordBatch) -> Result<bool, QueryError> {
    let sources = batch.column(0).as_fixed_size_binary();
    let sketches = batch.column(1).as_binary::<i32>();
    let counts = batch.column(2).as_boolean();
    for row in 0..batch.num_rows() {
        if !counts.value(row) {
            if sources.is_valid(row) {
                union.update_value(raw_bytes::from_slice(sources.value(row)));
            }
            continue;
        }
        if sketches.is_null(row) {
            return Ok(false);
        }
        let sketch = HllSketch::deserialize(sketches.value(row));
        union.update(&sketch.map_err(|e| DataFusionError::Execution(format!("a sketch of a rollup: {e}")))?);
    }
    Ok(true)
}
