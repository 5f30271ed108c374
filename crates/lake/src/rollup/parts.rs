use super::is_history;
use crate::Tables;
use crate::files::{DataFile, tag};
use crate::table::View;
use bartizan_model::{Kind, Micros};
use bartizan_schema::Rollup;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The files of one data file's rollups, by [`Rollup::index`].
pub type Counts = [Option<Arc<DataFile>>; Rollup::ALL.len()];

/// A data file of `events`, and what there is of its rollups.
#[derive(Debug, Clone)]
pub struct Part {
    /// Rows.
    pub rows: Arc<DataFile>,
    /// Their counts.
    pub counts: Counts,
}

/// What is left of a data file that retention took away.
#[derive(Debug, Clone)]
pub struct History {
    /// A time before all of its rows and one after them, both possible times of rows, where that is known.
    pub time: Option<(Micros, Micros)>,
    /// Their counts.
    pub counts: Counts,
}

/// All events that can be read at a moment, and what counts them: each row is in one part, in a hot batch, or
/// counted in history.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Data files, with their rollups.
    pub parts: Vec<Part>,
    /// Counts of rows that retention took away.
    pub history: Vec<History>,
    /// The view of `events`.
    pub events: View,
}

impl Tables {
    /// What there is now of `events` and of the rollups.
    #[must_use]
    pub fn parts(&self) -> Parts {
        // In this order: a data file that retention takes away between the two is seen here as rows or as history.
        let events = self.of(Kind::Events).view();
        let mut counts: HashMap<String, Counts> = HashMap::new();
        for rollup in Rollup::ALL {
            for file in self.rollup(rollup).view().files.iter() {
                let Some(of) = file.tag(tag::OF) else { continue };
                let place = match counts.get_mut(of) {
                    Some(counts) => counts,
                    None => counts.entry(of.to_owned()).or_default(),
                };
                place[rollup.index()].get_or_insert_with(|| Arc::clone(file));
            }
        }
        let parts = events.files.iter().map(|rows| Part {
            rows: Arc::clone(rows),
            counts: counts.remove(&self.name_of(rows)).unwrap_or_default(),
        });
        let parts = parts.collect();
        let mut history = BTreeMap::new();
        for (of, counts) in counts {
            let counts = counts.map(|file| file.filter(|file| is_history(file)));
            if counts.iter().any(Option::is_some) {
                history.insert(of, History { time: span(&counts), counts });
            }
        }
        Parts { parts, history: history.into_values().collect(), events }
    }
}

/// The times between which the rows of a data file were, by the buckets of its rollups.
fn span(counts: &Counts) -> Option<(Micros, Micros)> {
    Rollup::ALL.into_iter().find_map(|rollup| {
        let bucket = rollup.bucket()?;
        let (first, last) = counts[rollup.index()].as_ref()?.time()?;
        Some((first, Micros(last.0.saturating_add(bucket - 1))))
    })
}
