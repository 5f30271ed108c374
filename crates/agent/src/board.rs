//! The board: what every part of the agent says of itself, for `status`, for systemd, and for whether there is
//! progress.
//!
//! Progress (the health rule): a part is well when its position moved or when it had nothing to do. So the capture
//! of a source is heard of several times a second even when nothing comes, the recorder says that it goes round,
//! and a connection that has batches to send gets some of them acknowledged. A server that is away is no fault of
//! this process.

use bartizan_model::{Kind, Loss, Micros, Reason, Stage};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A part that says nothing for so long stands still.
const SILENCE: Duration = Duration::from_secs(30);
/// A server that takes batches and acknowledges none for so long is not well.
const UNANSWERED: Duration = Duration::from_secs(120);
/// Rates are of this time at least.
const RATE_OVER: Duration = Duration::from_secs(1);

/// Shared by all parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    sources: BTreeMap<Place, Source>,
    losses: BTreeMap<(Stage, Reason, Kind), u64>,
    recorder: Option<Instant>,
    connection: Connection,
    configuration: Configuration,
    sandbox: Sandbox,
}

/// A source by the namespace's name and its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) netns: String,
    pub(crate) source: String,
}

#[derive(Debug)]
struct Source {
    heard: Instant,
    last_row: Option<Micros>,
    rows: u64,
    lost: u64,
    rate: f64,
    rated: (Instant, u64),
}

#[derive(Debug, Default)]
struct Connection {
    server: String,
    connected: Option<(Instant, Micros)>,
    error: Option<String>,
    host: String,
    not_after: Option<Micros>,
    /// What was waiting and acknowledged when it was last looked at, and since when it is so.
    position: Option<(u64, Instant)>,
}

#[derive(Debug, Default)]
struct Configuration {
    loaded: Option<Micros>,
    reloads: u64,
    refused: u64,
    error: Option<String>,
    after_restart: Vec<String>,
}

#[derive(Debug, Default)]
struct Sandbox {
    uid: u32,
    landlock: u32,
    gaps: Vec<String>,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // every method leaves it consistent
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A source said something: so many rows, or that there is nothing.
    pub(crate) fn heard(&self, place: Place, rows: u64) {
        let (now, mut inner) = (Instant::now(), self.lock());
        let source = inner.sources.entry(place).or_insert_with(|| Source::new(now));
        source.heard = now;
        source.rows += rows;
        if rows > 0 {
            source.last_row = Some(bartizan_clock::now());
        }
        source.take_rate(now);
    }

    /// A source is no more.
    pub(crate) fn gone(&self, mut is_gone: impl FnMut(&Place) -> bool) {
        self.lock().sources.retain(|place, _| !is_gone(place));
    }

    /// A loss of a namespace as it is recorded; a source's own has the source's name as its detail.
    pub(crate) fn lost(&self, netns: &str, loss: &Loss) {
        let mut inner = self.lock();
        *inner.losses.entry((loss.stage, loss.reason, loss.kind)).or_default() += loss.count;
        let place = Place { netns: netns.to_owned(), source: loss.detail.clone() };
        if let Some(source) = inner.sources.get_mut(&place) {
            source.lost += loss.count;
        }
    }

    /// The recorder goes round.
    pub(crate) fn recorder_turns(&self) {
        self.lock().recorder = Some(Instant::now());
    }

    /// A connection is there.
    pub(crate) fn connected(&self, server: &str, host: &str, not_after: Micros) {
        let mut inner = self.lock();
        inner.connection = Connection {
            server: server.to_owned(),
            connected: Some((Instant::now(), bartizan_clock::now())),
            error: None,
            host: host.to_owned(),
            not_after: Some(not_after),
            position: None,
        };
    }

    /// There is none, and why.
    pub(crate) fn disconnected(&self, error: Option<String>) {
        let connection = &mut self.lock().connection;
        connection.connected = None;
        connection.position = None;
        connection.error = error;
    }

    /// A configuration counts from now on; `after_restart` names what of it does not.
    pub(crate) fn configured(&self, reloaded: bool, after_restart: Vec<String>) {
        let configuration = &mut self.lock().configuration;
        configuration.loaded = Some(bartizan_clock::now());
        configuration.reloads += u64::from(reloaded);
        configuration.error = None;
        configuration.after_restart = after_restart;
    }

    /// A configuration was refused; the old one counts.
    pub(crate) fn configuration_refused(&self, error: String) {
        let configuration = &mut self.lock().configuration;
        configuration.refused += 1;
        configuration.error = Some(error);
    }

    /// How this process is shut in.
    pub(crate) fn shut_in(&self, uid: u32, landlock: u32, gaps: Vec<String>) {
        self.lock().sandbox = Sandbox { uid, landlock, gaps };
    }

    /// Whether there is progress, or which part stands still. `waiting` is how many records wait to be sent, and
    /// `acknowledged` a number that rises with every acknowledgement.
    pub(crate) fn progress(&self, waiting: u64, acknowledged: u64) -> Result<(), String> {
        self.progress_at(waiting, acknowledged, Instant::now())
    }

    fn progress_at(&self, waiting: u64, acknowledged: u64, now: Instant) -> Result<(), String> {
        let mut inner = self.lock();
        let silent = |since: Instant| now.saturating_duration_since(since) > SILENCE;
        if inner.recorder.is_some_and(silent) {
            return Err("the recorder stands still".into());
        }
        if let Some((place, _)) = inner.sources.iter().find(|(_, source)| silent(source.heard)) {
            return Err(format!("the capture of {place} stands still"));
        }
        let connection = &mut inner.connection;
        if connection.connected.is_none() || waiting == 0 {
            connection.position = None;
            return Ok(());
        }
        match connection.position {
            Some((before, since)) if before == acknowledged => {
                if now.saturating_duration_since(since) > UNANSWERED {
                    return Err("the server takes batches and acknowledges none".into());
                }
            }
            _ => connection.position = Some((acknowledged, now)),
        }
        Ok(())
    }

    /// Everything for people and programs; `spool` is what the lanes say of themselves.
    pub(crate) fn to_json(&self, spool: Value) -> Value {
        let mut inner = self.lock();
        let now = Instant::now();
        inner.sources.values_mut().for_each(|source| source.take_rate(now));
        let sources: Vec<_> =
            inner.sources.iter().map(|(place, source)| source.to_json(place, now)).collect();
        let losses: Vec<_> = inner
            .losses
            .iter()
            .map(|((stage, reason, kind), count)| {
                json!({ "stage": stage.as_str(), "reason": reason.as_str(), "kind": kind.as_str(), "count": count })
            })
            .collect();
        let (connection, configuration, sandbox) = (&inner.connection, &inner.configuration, &inner.sandbox);
        json!({
            "version": crate::identity::VERSION,
            "pid": std::process::id(),
            "time": time(Some(bartizan_clock::now())),
            "sources": sources,
            "losses": losses,
            "spool": spool,
            "connection": {
                "state": if connection.connected.is_some() { "connected" } else { "not connected" },
                "server": connection.server,
                "since": time(connection.connected.map(|(_, at)| at)),
                "error": connection.error,
            },
            "certificate": { "host": connection.host, "not_after": time(connection.not_after) },
            "configuration": {
                "loaded": time(configuration.loaded),
                "reloads": configuration.reloads,
                "refused": configuration.refused,
                "error": configuration.error,
                "after_restart": configuration.after_restart,
            },
            "sandbox": { "uid": sandbox.uid, "landlock": sandbox.landlock, "gaps": sandbox.gaps },
            "process": process(),
        })
    }

    /// One line for systemd.
    pub(crate) fn line(&self) -> String {
        let inner = self.lock();
        let rate: f64 = inner.sources.values().map(|source| source.rate).sum();
        let lost: u64 = inner.losses.values().sum();
        let connection = match &inner.connection.connected {
            Some(_) => format!("connected to {}", inner.connection.server),
            None => "not connected".to_owned(),
        };
        let refused = match &inner.configuration.error {
            Some(error) => format!("; new configuration refused: {error}"),
            None => String::new(),
        };
        format!("{} sources, {rate:.0} events/s, {lost} lost, {connection}{refused}", inner.sources.len())
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source)?;
        if self.netns.is_empty() { Ok(()) } else { write!(f, " in {}", self.netns) }
    }
}

impl Source {
    fn new(now: Instant) -> Self {
        Self { heard: now, last_row: None, rows: 0, lost: 0, rate: 0.0, rated: (now, 0) }
    }

    fn take_rate(&mut self, now: Instant) {
        let (since, rows) = self.rated;
        let over = now.saturating_duration_since(since);
        if over >= RATE_OVER {
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            let rate = (self.rows - rows) as f64 / over.as_secs_f64();
            self.rate = rate;
            self.rated = (now, self.rows);
        }
    }

    fn to_json(&self, place: &Place, now: Instant) -> Value {
        let standing = now.saturating_duration_since(self.heard) > SILENCE;
        json!({
            "source": place.source,
            "netns": place.netns,
            "state": if standing { "stands still" } else { "capturing" },
            "events": self.rows,
            "lost": self.lost,
            "rate": (self.rate * 10.0).round() / 10.0,
            "last_event": time(self.last_row),
        })
    }
}

/// A moment as in all output; null for none.
pub(crate) fn time(at: Option<Micros>) -> Value {
    at.and_then(|at| jiff::Timestamp::from_microsecond(at.0).ok())
        .map_or(Value::Null, |t| json!(t.to_string()))
}

/// This process's memory and time.
fn process() -> Value {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |key: &str| -> Option<u64> {
        status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
    };
    let usage = cpu_seconds();
    json!({ "rss_bytes": number("VmRSS:").map(|kb| kb * 1024), "threads": number("Threads:"), "cpu_seconds": usage })
}

fn cpu_seconds() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
    let seconds = spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9;
    (seconds * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { netns: String::new(), source: "nflog group 5".into() }
    }

    #[test]
    fn silence_is_no_progress_and_nothing_to_do_is() {
        let board = Board::default();
        let soon = Instant::now() + Duration::from_secs(1);
        let late = Instant::now() + Duration::from_secs(31);
        assert_eq!(board.progress_at(0, 0, late), Ok(()));
        board.recorder_turns();
        assert_eq!(board.progress_at(0, 0, soon), Ok(()));
        assert_eq!(board.progress_at(0, 0, late), Err("the recorder stands still".into()));
        let board = Board::default();
        board.heard(place(), 0);
        assert_eq!(board.progress_at(0, 0, soon), Ok(()));
        assert_eq!(board.progress_at(0, 0, late), Err("the capture of nflog group 5 stands still".into()));
        board.gone(|p| *p == place());
        assert_eq!(board.progress_at(0, 0, late), Ok(()));
    }

    #[test]
    fn a_server_that_is_away_is_no_fault_and_one_that_never_answers_is() {
        let board = Board::default();
        let at = |secs| Instant::now() + Duration::from_secs(secs);
        assert_eq!(board.progress_at(9, 5, at(0)), Ok(()));
        assert_eq!(board.progress_at(9, 5, at(500)), Ok(()), "not connected");
        board.connected("s:1", "web", Micros(0));
        assert_eq!(board.progress_at(9, 5, at(500)), Ok(()));
        assert_eq!(board.progress_at(9, 6, at(600)), Ok(()), "the position moved");
        assert!(board.progress_at(9, 6, at(900)).is_err());
        assert_eq!(board.progress_at(0, 6, at(901)), Ok(()), "nothing to do");
    }

    #[test]
    fn losses_are_summed_by_reason_and_shown() {
        let board = Board::default();
        board.heard(place(), 3);
        let loss = Loss {
            from: Micros(0),
            to: Micros(0),
            stage: Stage::Kernel,
            reason: Reason::SequenceGap,
            kind: Kind::Events,
            count: 4,
            detail: "nflog group 5".into(),
        };
        board.lost("", &loss);
        board.lost("", &Loss { detail: "spool".into(), ..loss.clone() });
        board.configuration_refused("agent.toml:1: no".into());
        let shown = board.to_json(Value::Null);
        assert_eq!(shown["losses"][0]["count"], 8);
        assert_eq!((&shown["sources"][0]["events"], &shown["sources"][0]["lost"]), (&json!(3), &json!(4)));
        assert_eq!(shown["configuration"]["error"], "agent.toml:1: no");
        assert!(
            board.line().contains("8 lost, not connected; new configuration refused"),
            "{}",
            board.line()
        );
    }
}
