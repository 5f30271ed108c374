//! Waiting for something that takes a while.

use anyhow::{Result, ensure};
use std::{
    thread,
    time::{Duration, Instant},
};

/// Tries `done` every few milliseconds until it gives something.
///
/// # Errors
/// At the deadline, with `what` was waited for; earlier with the error of `done`.
pub fn wait_until<T>(
    what: &str,
    patience: Duration,
    mut done: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(value) = done()? {
            return Ok(value);
        }
        ensure!(start.elapsed() < patience, "waited {:.0?} in vain for {what}", start.elapsed());
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::PATIENCE;
    use anyhow::bail;

    #[test]
    fn waiting_ends_with_the_value_the_error_or_the_deadline() {
        let mut tries = 0;
        let third = wait_until("it", PATIENCE, || {
            tries += 1;
            Ok((tries == 3).then_some(tries))
        });
        assert_eq!(third.unwrap(), 3);
        assert!(
            wait_until::<()>("it", PATIENCE, || bail!("broken")).unwrap_err().to_string().contains("broken")
        );
        let late = wait_until::<()>("a train", Duration::ZERO, || Ok(None)).unwrap_err();
        assert!(late.to_string().contains("a train"), "{late}");
    }
}
