//! What the programs take, looked at now and then: memory and descriptors, which must not grow for ever.

use anyhow::{Context as _, Result};
use std::{
    fs,
    time::{Duration, Instant},
};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);
/// Fewer looks than these at one process tell nothing of a slope.
const ENOUGH: usize = 40;

/// What one process took at one moment.
#[derive(Clone, Copy, Debug)]
struct Look {
    process: u32,
    at: f64,
    mebibytes: f64,
    descriptors: u64,
}

/// All looks at one program, whose process may be another one after a kill.
#[derive(Debug)]
pub(super) struct Memory {
    started: Instant,
    next: Instant,
    looks: Vec<Look>,
}

/// What there is to say of a program in the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// MiB at most.
    pub(super) peak: f64,
    /// MiB in the last process on average, over the second half of its life.
    pub(super) mean: f64,
    /// What it grew by in an hour in that time; nothing if it was too short to tell.
    pub(super) an_hour: Option<f64>,
    /// Descriptors at the first look and at the last.
    pub(super) descriptors: [u64; 2],
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), next: Instant::now(), looks: Vec::new() }
    }

    /// Looks at a process if it is time. One that is gone is looked at the next time.
    pub(super) fn look(&mut self, process: Option<u32>) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + PAUSE;
        if let Some(process) = process
            && let Ok((mebibytes, descriptors)) = look(process)
        {
            let at = self.started.elapsed().as_secs_f64();
            self.looks.push(Look { process, at, mebibytes, descriptors });
        }
    }

    /// What it takes now, for people.
    pub(super) fn words(&self) -> String {
        self.looks
            .last()
            .map_or_else(String::new, |l| format!("{:.0} MiB {} fds", l.mebibytes, l.descriptors))
    }

    /// What it took.
    pub(super) fn taken(&self) -> Option<Taken> {
        let (first, last) = (self.looks.first()?, self.looks.last()?);
        let peak = self.looks.iter().map(|look| look.mebibytes).fold(0.0, f64::max);
        let life: Vec<&Look> = self.looks.iter().filter(|look| look.process == last.process).collect();
        let half = &life[life.len() / 2..];
        let mean = half.iter().map(|look| look.mebibytes).sum::<f64>() / half.len() as f64;
        let an_hour = (half.len() >= ENOUGH).then(|| slope(half) * 3600.0);
        Some(Taken { peak, mean, an_hour, descriptors: [first.descriptors, last.descriptors] })
    }
}

/// MiB a second: the line with the least squares.
fn slope(looks: &[&Look]) -> f64 {
    let n = looks.len() as f64;
    let mean = |of: fn(&Look) -> f64| looks.iter().map(|look| of(look)).sum::<f64>() / n;
    let (at, mebibytes) = (mean(|look| look.at), mean(|look| look.mebibytes));
    let (mut both, mut square) = (0.0, 0.0);
    for look in looks {
        both += (look.at - at) * (look.mebibytes - mebibytes);
        square += (look.at - at).powi(2);
    }
    if square > 0.0 { both / square } else { 0.0 }
}

/// Resident MiB and open descriptors of a process.
fn look(process: u32) -> Result<(f64, u64)> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("look at a process")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process that has ended")?;
    let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse().context("VmRSS")?;
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).context("look at descriptors")?.count();
    Ok((kibibytes / 1024.0, descriptors as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_is_a_slope_and_a_restart_is_none() {
        let looks = |grows: f64| {
            let old =
                (0..50).map(|n| Look { process: 1, at: f64::from(n), mebibytes: 900.0, descriptors: 9 });
            let new = (50..250).map(move |n| Look {
                process: 2,
                at: f64::from(n),
                mebibytes: 100.0 + grows * f64::from(n) + f64::from(n % 7),
                descriptors: 5,
            });
            Memory { started: Instant::now(), next: Instant::now(), looks: old.chain(new).collect() }
        };
        let flat = looks(0.0).taken().unwrap();
        assert!(flat.an_hour.unwrap().abs() < 60.0, "{flat:?}");
        assert!((flat.peak - 900.0).abs() < 0.1 && (flat.mean - 103.0).abs() < 1.0, "{flat:?}");
        assert_eq!(flat.descriptors, [9, 5]);
        let leak = looks(0.1).taken().unwrap();
        assert!((leak.an_hour.unwrap() - 360.0).abs() < 60.0, "{leak:?}");
        assert!(Memory::new().taken().is_none());
    }

    #[test]
    fn this_process_takes_something() {
        let (mebibytes, descriptors) = look(std::process::id()).unwrap();
        assert!(mebibytes > 1.0 && descriptors > 2);
    }
}
