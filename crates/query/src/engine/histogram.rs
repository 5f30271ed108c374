//! How many over time.

use super::Engine;
use super::columns::group_columns;
use super::groups::Grouped;
use crate::QueryError;
use crate::rollup::Bucket;
use crate::source::Window;
use crate::stream::RowStream;
use bartizan_filter::Filter;
use bartizan_model::Kind;

/// A question about how many there are in each piece of time.
#[derive(Clone, Debug)]
pub struct Histogram<'a> {
    /// In which table.
    pub kind: Kind,
    /// Which rows.
    pub filter: &'a Filter,
    /// From when to when.
    pub window: Window,
    /// The pieces of time.
    pub bucket: Bucket,
    /// Apart by these, as in [`Engine::top`]; may be none.
    pub by: Vec<String>,
    /// At most so many rows of the answer, the earliest.
    pub limit: Option<usize>,
}

impl Engine {
    /// For each piece of time (`time`, its first moment) and combination of values the sums of the table's measures
    /// and the rows, in the order of time and of the values. Where nothing is there is no row.
    ///
    /// # Errors
    /// As [`Engine::top`].
    pub async fn histogram(&self, question: Histogram<'_>) -> Result<RowStream, QueryError> {
        let Histogram { kind, filter, window, bucket, by, limit } = question;
        let by = if by.is_empty() { Vec::new() } else { group_columns(kind, &by, self.asked().sight())? };
        if by.contains(&"time") {
            return Err(QueryError::NoColumn { table: kind.as_str(), column: "time".to_owned() });
        }
        let grouped = Grouped { kind, filter, window, by, bucket: Some(bucket), n: limit, last: false };
        self.grouped(&grouped).await
    }
}
