//! Questions all the time: whoever asks for a number in four ways gets one number.
//!
//! Rows only ever come, so that of four answers none may be less than the one before. A server that is killed forgets
//! what it had not stored; so what was asked meanwhile says nothing, and may be refused.

use super::weather::Weather;
use crate::process::Server;
use anyhow::{Context as _, Result, anyhow, ensure};
use rand::{SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

const FILTERS: &[&str] = &[
    "",
    "host:steady",
    "host:host-2",
    "host:relp-gw",
    "proto:udp",
    "-proto:udp",
    "dport:9 src:127.0.0.0/8",
    "::1",
    "prefix:\"ping-drop: \"",
    "host:steady OR dport:22",
];
/// A pause between two sets of questions.
const PAUSE: Duration = Duration::from_millis(300);

/// Whoever asks.
#[derive(Debug)]
pub(super) struct Questions {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    thread: JoinHandle<Result<()>>,
}

impl Questions {
    pub(super) fn begin(server: Server, weather: Arc<Weather>, seed: u64) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&asked));
        let thread = thread::spawn(move || {
            let mut random = StdRng::seed_from_u64(seed);
            while !stopped.load(Ordering::SeqCst) {
                let filter = FILTERS.choose(&mut random).copied().unwrap_or_default();
                let then = weather.now();
                let answers = four_ways(&server, filter);
                if weather.was_fine_since(then) {
                    let answers = answers?;
                    ensure!(answers.is_sorted(), "{filter:?}: rows are gone: {answers:?}");
                    count.fetch_add(4, Ordering::SeqCst);
                }
                thread::sleep(PAUSE);
            }
            Ok(())
        });
        Self { stop, asked, thread }
    }

    /// How many were answered.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// Whether something was wrong already.
    pub(super) fn has_failed(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it, and tells what was wrong.
    pub(super) fn end(self) -> Result<u64> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().map_err(|_| anyhow!("whoever asks panicked"))??;
        Ok(self.asked.load(Ordering::SeqCst))
    }
}

/// Packets of a filter: as counted, over time, by host, by protocol, and as counted again.
pub(super) fn four_ways(server: &Server, filter: &str) -> Result<[u64; 5]> {
    Ok([
        server.search_count(filter)?,
        sum(server, &["hist", filter, "--bucket", "1m", "-o", "json"])?,
        sum(server, &["top", "host", filter, "-n", "100", "-o", "json"])?,
        sum(server, &["top", "proto", filter, "-n", "100", "-o", "json"])?,
        server.search_count(filter)?,
    ])
}

fn sum(server: &Server, args: &[&str]) -> Result<u64> {
    let rows: Value = serde_json::from_str(&server.ask(args)?).context("a list")?;
    let rows = rows.as_array().context("a list")?;
    rows.iter().map(|row| row["packets"].as_u64().with_context(|| format!("{row} has no packets"))).sum()
}
