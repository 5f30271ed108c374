//! The server's numbers for Prometheus.
//!
//! Every name is in [`FAMILIES`], with what it means; a name that is not there is never written. Names are
//! `bartizan_*`, units are base units, and what only grows ends in `_total`. What grows begins again at 0 with the
//! server, but for losses, which are summed up from the ledger, as far as retention has left it.

use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use async_trait::async_trait;
use bartizan_api::{Feed, HostState, Hosts, Metrics, Queries};
use bartizan_filter::Filter;
use bartizan_ingest::Ingest;
use bartizan_lake::{Space as _, Tables};
use bartizan_model::{Kind, Micros};
use bartizan_query::{Engine, Window};
use bartizan_wire::Arrivals;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::space::DiskSpace;
use crate::walls::Walls;

/// Name, type and meaning of each family.
const FAMILIES: &[(&str, &str, &str)] = &[
    ("bartizan_build_info", "gauge", "the program; always 1"),
    ("bartizan_start_time_seconds", "gauge", "when the server started, in seconds since 1970"),
    ("bartizan_resident_memory_bytes", "gauge", "memory of the server that is in use"),
    ("bartizan_ingest_batches_total", "counter", "new batches that were taken, by table"),
    ("bartizan_ingest_rows_total", "counter", "new rows that were taken, by table"),
    (
        "bartizan_ingest_duplicates_total",
        "counter",
        "batches that came again and were already here, by table",
    ),
    ("bartizan_hot_batches", "gauge", "batches that no file holds yet, by table"),
    ("bartizan_hot_bytes", "gauge", "their bytes"),
    ("bartizan_commit_lag_seconds", "gauge", "for how long the oldest of them has waited for its commit"),
    ("bartizan_lake_files", "gauge", "files of a table"),
    ("bartizan_lake_rows", "gauge", "rows in them"),
    ("bartizan_lake_bytes", "gauge", "their bytes"),
    ("bartizan_lake_version", "gauge", "the newest entry of a table's log"),
    ("bartizan_lake_free_bytes", "gauge", "bytes free on the lake's disk"),
    ("bartizan_lake_damaged_files", "gauge", "files that cannot be read and are left out of answers"),
    ("bartizan_losses_total", "counter", "what was lost on the way, by stage, reason and kind of row"),
    ("bartizan_hosts", "gauge", "hosts by state"),
    ("bartizan_host_contact_age_seconds", "gauge", "for how long nothing was heard of a host"),
    ("bartizan_host_clock_offset_seconds", "gauge", "how far a host's clock is ahead"),
    ("bartizan_host_certificate_seconds", "gauge", "for how long a host's certificate is still good"),
    ("bartizan_host_events_total", "counter", "events that came of a host's agent since the server started"),
    ("bartizan_host_lost_total", "counter", "losses that a host's agent reported since the server started"),
    ("bartizan_host_events_rate", "gauge", "events a second of a host's agent, over the last minute or so"),
    ("bartizan_host_spool_bytes", "gauge", "bytes of an agent's spool, as it said with its latest batch"),
    ("bartizan_host_spool_batches", "gauge", "batches that waited in it behind that one"),
    ("bartizan_host_spool_oldest_seconds", "gauge", "for how long the oldest of them has waited"),
    ("bartizan_host_refused_total", "counter", "what was refused of a host since the server started"),
    (
        "bartizan_refused_total",
        "counter",
        "what was refused of hosts and of who wanted to become one, by reason",
    ),
    ("bartizan_sandbox", "gauge", "whether a part of what shuts the server in holds"),
    ("bartizan_connections", "gauge", "connections that are open, by port"),
    (
        "bartizan_connections_refused_total",
        "counter",
        "connections that were ended before they were of use, by port and reason",
    ),
    ("bartizan_host_losses_day", "gauge", "events that a host lost within the last day"),
    ("bartizan_queries_running", "gauge", "questions that are being answered"),
    ("bartizan_queries_total", "counter", "questions that were answered"),
    ("bartizan_queries_cancelled_total", "counter", "of them, those that were cancelled"),
    ("bartizan_query_seconds_total", "counter", "time from question to the end of its answer"),
    ("bartizan_query_rows_total", "counter", "rows that were looked at for questions"),
    ("bartizan_query_read_bytes_total", "counter", "bytes that were read from files for questions"),
    ("bartizan_tails", "gauge", "who looks on as rows arrive"),
];

/// Gathers the numbers.
pub(crate) struct Gauges {
    pub(crate) tables: Tables,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) hosts: Arc<dyn Hosts>,
    pub(crate) queries: Arc<Queries>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) dir: PathBuf,
    pub(crate) walls: Walls,
    pub(crate) started: Micros,
    pub(crate) arrivals: [(&'static str, Arc<Arrivals>); 2],
}

/// The text, family by family.
#[derive(Default)]
struct Page {
    samples: BTreeMap<&'static str, String>,
}

impl Page {
    /// Adds a number.
    fn add(&mut self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        debug_assert!(FAMILIES.iter().any(|(known, ..)| *known == name), "{name}");
        let out = self.samples.entry(name).or_default();
        out.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(out, "{}{label}=\"{escaped}\"", if at == 0 { '{' } else { ',' });
        }
        if !labels.is_empty() {
            out.push('}');
        }
        let _ = writeln!(out, " {value}");
    }

    fn text(&self) -> String {
        let mut out = String::new();
        for (name, kind, help) in FAMILIES {
            if let Some(samples) = self.samples.get(name) {
                let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}");
            }
        }
        out
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
const fn float(n: u64) -> f64 {
    n as f64
}

fn seconds(micros: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a time of some years has its microseconds")]
    let micros = micros as f64;
    micros / 1e6
}

impl Gauges {
    fn of_tables(&self, page: &mut Page, now: Micros) {
        for table in self.tables.all() {
            let name = table.relation().to_string();
            let of = [("table", name.as_str())];
            let view = table.view();
            let rows = view.files.iter().filter_map(|file| file.rows()).sum();
            page.add("bartizan_lake_files", &of, float(view.files.len() as u64));
            page.add("bartizan_lake_rows", &of, float(rows));
            page.add("bartizan_lake_bytes", &of, float(view.files.iter().map(|file| file.size()).sum()));
            page.add("bartizan_lake_version", &of, float(view.version.max(0).cast_unsigned()));
        }
        for kind in Kind::ALL {
            let of = [("table", kind.as_str())];
            let hot = self.tables.of(kind).hot();
            page.add("bartizan_hot_batches", &of, float(hot.batches as u64));
            page.add("bartizan_hot_bytes", &of, float(hot.bytes));
            let waited = hot.oldest.map_or(0, |oldest| now.0.saturating_sub(oldest.0).max(0));
            page.add("bartizan_commit_lag_seconds", &of, seconds(waited));
            let taken = self.ingest.taken(kind);
            page.add("bartizan_ingest_batches_total", &of, float(taken.batches));
            page.add("bartizan_ingest_rows_total", &of, float(taken.rows));
            page.add("bartizan_ingest_duplicates_total", &of, float(taken.duplicates));
        }
        if let Ok(left) = DiskSpace(self.dir.clone()).space() {
            page.add("bartizan_lake_free_bytes", &[], float(left.free));
        }
        page.add("bartizan_lake_damaged_files", &[], float(self.engine.quarantined().len() as u64));
    }

    /// The ledger, summed up. Where it cannot be read there is no number, and not a wrong one.
    async fn of_losses(&self, page: &mut Page) {
        let by = ["stage", "reason", "kind"];
        let Ok(rows) = self.engine.totals(Kind::Losses, &Filter::all(), Window::ALL, &by).await else {
            return;
        };
        let Ok(batches) = rows.collect().await else { return };
        for batch in &batches {
            let word = |name: &str, row: usize| {
                let column = batch.column_by_name(name)?.as_string_view_opt()?;
                column.is_valid(row).then(|| column.value(row).to_owned())
            };
            let counts = batch.column_by_name("count").and_then(|c| c.as_primitive_opt::<Int64Type>());
            for row in 0..batch.num_rows() {
                let kind = word("kind", row).unwrap_or_else(|| Kind::Events.as_str().to_owned());
                let (stage, reason) = (word("stage", row), word("reason", row));
                let labels = [
                    ("stage", stage.as_deref().unwrap_or_default()),
                    ("reason", reason.as_deref().unwrap_or_default()),
                    ("kind", kind.as_str()),
                ];
                let count = counts.map_or(0, |counts| counts.value(row).max(0));
                page.add("bartizan_losses_total", &labels, float(count.cast_unsigned()));
            }
        }
    }

    async fn of_hosts(&self, page: &mut Page, now: Micros) {
        for (of, reason, n) in self.hosts.refusals() {
            page.add("bartizan_refused_total", &[("of", of), ("reason", reason)], float(n));
        }
        let Ok(hosts) = self.hosts.hosts().await else { return };
        let mut states: BTreeMap<&str, u64> =
            ["online", "offline", "waiting", "revoked", "retired", "no agent"].map(|state| (state, 0)).into();
        // Several that had one name after another are one series.
        let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
        for host in &hosts {
            let state = match host.state {
                HostState::Online => "online",
                HostState::Offline => "offline",
                HostState::Waiting => "waiting",
                HostState::Revoked => "revoked",
                HostState::Retired => "retired",
                HostState::NoAgent => "no agent",
            };
            *states.entry(state).or_default() += 1;
            let of = [("host", host.name.as_str())];
            if host.refused > 0 {
                *refused.entry(&host.name).or_default() += host.refused;
            }
            // Of whom nothing is expected, nothing is missed; and another host may have the name.
            if matches!(host.state, HostState::Waiting | HostState::Revoked | HostState::Retired) {
                continue;
            }
            page.add("bartizan_host_losses_day", &of, float(host.lost));
            if let Some(at) = host.last_contact {
                page.add(
                    "bartizan_host_contact_age_seconds",
                    &of,
                    seconds(now.0.saturating_sub(at.0).max(0)),
                );
            }
            if let Some(offset) = host.clock_offset_ms {
                page.add("bartizan_host_clock_offset_seconds", &of, seconds(offset.saturating_mul(1000)));
            }
            if let Some(activity) = host.id.and_then(|id| self.ingest.activity().of(id)) {
                page.add("bartizan_host_events_total", &of, float(activity.events));
                page.add("bartizan_host_lost_total", &of, float(activity.lost));
                page.add("bartizan_host_events_rate", &of, host.rate);
            }
            if let (Some(bytes), Some(batches)) = (host.spool_bytes, host.spool_batches) {
                page.add("bartizan_host_spool_bytes", &of, float(bytes));
                page.add("bartizan_host_spool_batches", &of, float(batches));
                let oldest = host.spool_oldest.map_or(0, |at| now.0.saturating_sub(at.0).max(0));
                page.add("bartizan_host_spool_oldest_seconds", &of, seconds(oldest));
            }
            if let Some(end) = host.cert_not_after {
                page.add("bartizan_host_certificate_seconds", &of, seconds(end.0.saturating_sub(now.0)));
            }
        }
        for (host, n) in refused {
            page.add("bartizan_host_refused_total", &[("host", host)], float(n));
        }
        for (state, n) in states {
            page.add("bartizan_hosts", &[("state", state)], float(n));
        }
    }

    fn of_ports(&self, page: &mut Page) {
        for (port, arrivals) in &self.arrivals {
            page.add("bartizan_connections", &[("port", port)], float(arrivals.open() as u64));
            for (reason, n) in arrivals.turned_away() {
                let of = [("port", *port), ("reason", reason)];
                page.add("bartizan_connections_refused_total", &of, float(n));
            }
        }
    }

    fn of_queries(&self, page: &mut Page) {
        let totals = self.queries.totals();
        page.add("bartizan_queries_running", &[], float(self.queries.running() as u64));
        page.add("bartizan_queries_total", &[], float(totals.ended));
        page.add("bartizan_queries_cancelled_total", &[], float(totals.cancelled));
        page.add("bartizan_query_seconds_total", &[], float(totals.micros) / 1e6);
        page.add("bartizan_query_rows_total", &[], float(totals.rows));
        page.add("bartizan_query_read_bytes_total", &[], float(totals.bytes));
        page.add("bartizan_tails", &[], float(self.feed.watchers() as u64));
    }
}

#[async_trait]
impl Metrics for Gauges {
    async fn text(&self) -> String {
        let mut page = Page::default();
        let now = bartizan_clock::now();
        page.add("bartizan_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        page.add("bartizan_start_time_seconds", &[], seconds(self.started.0));
        if let Some(bytes) = resident() {
            page.add("bartizan_resident_memory_bytes", &[], float(bytes));
        }
        for (part, holds) in self.walls.parts() {
            page.add("bartizan_sandbox", &[("part", part)], f64::from(u8::from(holds)));
        }
        self.of_ports(&mut page);
        self.of_tables(&mut page, now);
        self.of_queries(&mut page);
        self.of_losses(&mut page).await;
        self.of_hosts(&mut page, now).await;
        page.text()
    }
}

/// The memory of this process that is in use.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_text_is_in_the_form_of_prometheus() {
        let mut page = Page::default();
        page.add("bartizan_hosts", &[("state", "a\"b\\c\nd")], 2.0);
        page.add("bartizan_build_info", &[("version", "1"), ("more", "x")], 1.0);
        page.add("bartizan_query_seconds_total", &[], 0.25);
        assert_eq!(
            page.text(),
            "# HELP bartizan_build_info the program; always 1\n# TYPE bartizan_build_info gauge\n\
             bartizan_build_info{version=\"1\",more=\"x\"} 1\n\
             # HELP bartizan_hosts hosts by state\n# TYPE bartizan_hosts gauge\n\
             bartizan_hosts{state=\"a\\\"b\\\\c\\nd\"} 2\n\
             # HELP bartizan_query_seconds_total time from question to the end of its answer\n\
             # TYPE bartizan_query_seconds_total counter\nbartizan_query_seconds_total 0.25\n"
        );
    }

    #[test]
    fn names_say_what_they_are() {
        for (name, kind, _) in FAMILIES {
            assert_eq!(name.ends_with("_total"), *kind == "counter", "{name}");
            assert!(name.starts_with("bartizan_"), "{name}");
        }
    }

    /// The dashboard and the rules ask for nothing that is not there.
    #[test]
    fn what_is_packaged_names_numbers_that_exist() {
        let known: BTreeSet<&str> = FAMILIES.iter().map(|(name, ..)| *name).collect();
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
        for file in ["grafana/bartizan.json", "prometheus/bartizan.rules.yml"] {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let named: BTreeSet<&str> = words.filter(|word| word.starts_with("bartizan_")).collect();
            assert!(named.len() > 5, "{file}");
            let unknown: Vec<_> = named.difference(&known).collect();
            assert!(unknown.is_empty(), "{file}: {unknown:?}");
        }
        let dashboard = std::fs::read_to_string(folder.join("grafana/bartizan.json")).unwrap();
        let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
        assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() >= 8));
    }
}
