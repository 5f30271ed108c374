//! Which listing, and its text.

use crate::exact;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use bartizan_filter::Filter;
use bartizan_model::{Kind, Micros};
use bartizan_query::{Engine, QueryError, Search, Window};
use futures::StreamExt;
use std::collections::BTreeMap;

/// Most parts of one listing: rows of up to 256 KiB each.
const MOST_PARTS: usize = 2_000;

/// A host's namespace; the host's own where `netns` is empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) host: &'a str,
    pub(crate) netns: &'a str,
}

/// One listing, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) time: Micros,
    pub(crate) host: String,
    pub(crate) netns: String,
    pub(crate) generation: String,
    pub(crate) kernel_generation: Option<i64>,
    pub(crate) pid: Option<i64>,
    pub(crate) process: Option<String>,
    pub(crate) notes: Vec<String>,
}

/// The texts of a listing by their form, and what is wrong with them.
pub(crate) type Texts = (Vec<(String, String)>, Vec<String>);

/// Finds listings.
pub(crate) struct Listings<'a> {
    engine: &'a Engine,
}

impl<'a> Listings<'a> {
    pub(crate) const fn new(engine: &'a Engine) -> Self {
        Self { engine }
    }

    /// The listing that was active at a moment.
    pub(crate) async fn active(
        &self,
        place: Place<'_>,
        at: Option<Micros>,
    ) -> Result<Option<Found>, QueryError> {
        let until = at.map(|at| Micros(at.0.saturating_add(1)));
        self.first(place.filter(), Window { since: None, until }).await
    }

    /// The newest listing of a generation.
    pub(crate) async fn of_generation(
        &self,
        place: Place<'_>,
        generation: &str,
    ) -> Result<Option<Found>, QueryError> {
        self.first(place.filter().and(exact::is("generation", generation)), Window::ALL).await
    }

    async fn first(&self, filter: Filter, window: Window) -> Result<Option<Found>, QueryError> {
        Ok(self.found(&filter, window, 1).await?.pop())
    }

    /// Listings, newest first.
    pub(crate) async fn history(
        &self,
        host: &str,
        netns: Option<&str>,
        window: Window,
        limit: usize,
    ) -> Result<Vec<Found>, QueryError> {
        let mut filter = exact::is("host", host);
        if let Some(netns) = netns {
            filter = filter.and(exact::in_netns(netns));
        }
        self.found(&filter, window, limit).await
    }

    async fn found(&self, filter: &Filter, window: Window, limit: usize) -> Result<Vec<Found>, QueryError> {
        const COLUMNS: [&str; 8] =
            ["time", "host", "netns", "generation", "kernel_generation", "pid", "process", "note"];
        let columns = Some(COLUMNS.map(str::to_owned).to_vec());
        let search = Search { window, columns, ..Search::new(Kind::Rulesets, filter) };
        let mut rows = self.engine.search(search).await?;
        let mut found: Vec<Found> = Vec::new();
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                let next = read(&batch, row);
                // The rows of a listing have one time; several namespaces may have it at the same moment.
                let same = |f: &Found| {
                    (f.time, &f.netns, &f.generation) == (next.time, &next.netns, &next.generation)
                };
                let at_once = found.iter().rev().take_while(|f| f.time == next.time).count();
                let begun = (found.len() - at_once..found.len()).find(|at| same(&found[*at]));
                match begun {
                    Some(at) => found[at].notes.extend(next.notes),
                    None if found.len() == limit => return Ok(found),
                    None => found.push(next),
                }
            }
        }
        Ok(found)
    }

    /// The text of a generation.
    pub(crate) async fn text(&self, place: Place<'_>, generation: &str) -> Result<Option<Texts>, QueryError> {
        let of = exact::is("generation", generation).and(exact::with_content());
        // Handles and set elements may differ between hosts: the place's own text goes before others'.
        let own = of.clone().and(place.filter());
        let host = of.clone().and(exact::is("host", place.host));
        for filter in [own, host, of] {
            if let Some(listing) = self.first(filter.clone(), Window::ALL).await? {
                let there = Place { host: &listing.host, netns: &listing.netns };
                return self.parts(there, generation, listing.time).await.map(Some);
            }
        }
        Ok(None)
    }

    async fn parts(&self, place: Place<'_>, generation: &str, time: Micros) -> Result<Texts, QueryError> {
        let filter = place.filter().and(exact::is("generation", generation)).and(exact::with_content());
        let window = Window { since: Some(time), until: Some(Micros(time.0.saturating_add(1))) };
        let columns = Some(["form", "part", "parts", "content"].map(str::to_owned).to_vec());
        let search =
            Search { window, columns, limit: Some(MOST_PARTS), ..Search::new(Kind::Rulesets, &filter) };
        let mut rows = self.engine.search(search).await?;
        let mut forms: BTreeMap<String, Form> = BTreeMap::new();
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let number = |name: &str, row: usize| {
                let column = batch.column_by_name(name)?.as_primitive_opt::<Int32Type>()?;
                column.is_valid(row).then(|| column.value(row))
            };
            for row in 0..batch.num_rows() {
                let form = forms.entry(text(&batch, "form", row).unwrap_or_default()).or_default();
                form.parts = form.parts.max(number("parts", row).unwrap_or(1));
                let part = number("part", row).unwrap_or(0);
                form.texts.entry(part).or_insert_with(|| text(&batch, "content", row).unwrap_or_default());
            }
        }
        let mut notes = Vec::new();
        let texts = forms.into_iter().map(|(name, form)| {
            let missing = i64::from(form.parts) - form.texts.len() as i64;
            if missing > 0 {
                notes.push(format!("{missing} of {} parts of {name} are missing", form.parts));
            }
            (name, form.texts.into_values().collect())
        });
        Ok((texts.collect(), notes))
    }
}

impl Place<'_> {
    fn filter(self) -> Filter {
        exact::is("host", self.host).and(exact::in_netns(self.netns))
    }
}

#[derive(Default)]
struct Form {
    parts: i32,
    texts: BTreeMap<i32, String>,
}

fn read(batch: &RecordBatch, row: usize) -> Found {
    let number = |name: &str| {
        let column = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let time = batch.column_by_name("time").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    Found {
        time: Micros(time.map_or(0, |time| time.value(row))),
        host: text(batch, "host", row).unwrap_or_default(),
        netns: text(batch, "netns", row).unwrap_or_default(),
        generation: text(batch, "generation", row).unwrap_or_default(),
        kernel_generation: number("kernel_generation"),
        pid: number("pid"),
        process: text(batch, "process", row),
        notes: text(batch, "note", row).into_iter().collect(),
    }
}

/// The text of a cell.
pub(crate) fn text(batch: &RecordBatch, name: &str, row: usize) -> Option<String> {
    let column = batch.column_by_name(name)?.as_string_view_opt()?;
    column.is_valid(row).then(|| column.value(row).to_owned())
}
