use crate::fleet::{Batching, Fleet, Plan, Senders, table_rows};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_select::concat::concat_batches;

/// Batches that are made to rows at once, so that columns without a value never exist for all rows.
const AT_ONCE: usize = 4096;

/// Rows of `events` in the order of time, without the columns that have no value in any.
#[derive(Debug)]
pub(super) struct Rows(RecordBatch);

impl Rows {
    /// The first rows of a fleet.
    pub(super) fn of_fleet(plan: Plan, count: usize, batching: Batching) -> Self {
        let fleet = Fleet::new(plan);
        let mut senders = Senders::new(batching);
        let (mut parts, mut rows) = (Vec::new(), 0);
        for hour in 0..fleet.hours() {
            for sent in senders.cut(&fleet.hour(hour)).chunks(AT_ONCE) {
                let part = table_rows(&fleet, sent);
                rows += part.num_rows();
                parts.push(part);
            }
            if rows >= count {
                break;
            }
        }
        let schema = parts[0].schema();
        let used = |index: &usize| parts.iter().any(|p| p.column(*index).null_count() < p.num_rows());
        let used: Vec<usize> = (0..schema.fields().len()).filter(used).collect();
        let parts: Vec<RecordBatch> =
            parts.iter().map(|p| p.project(&used).expect("the columns are there")).collect();
        let rows = concat_batches(&parts[0].schema(), &parts).expect("all have one schema");
        Self(rows.slice(0, count.min(rows.num_rows())))
    }

    /// The first ones of them.
    pub(super) fn first(&self, count: usize) -> Self {
        Self(self.0.slice(0, count))
    }

    pub(super) fn len(&self) -> usize {
        self.0.num_rows()
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = (&str, &ArrayRef)> {
        self.0.schema_ref().fields().iter().map(|f| f.name().as_str()).zip(self.0.columns())
    }

    pub(super) fn column(&self, name: &str) -> &ArrayRef {
        self.0.column_by_name(name).expect("every row has it")
    }
}
