//! Threads that stand back behind those that take rows in: a runtime of its own for work that may be late.

use std::io;
use thread_priority::{
    NormalThreadSchedulePolicy::Idle, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};
use tokio::runtime::{Builder, Handle, Runtime};

/// Expressions are evaluated by recursion, and SQL may write deep ones. It is reserved, not used.
const STACK: usize = 8 << 20;
/// Threads that may wait for a disk.
const BLOCKING: usize = 16;

/// How far threads stand back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// They have a smaller share of the processors than others: by such a niceness, 0 to 19.
    Behind(i32),
    /// They have what nobody else wants, and give it back at once (`SCHED_IDLE`).
    Last,
}

impl Rank {
    /// Gives it to this thread.
    fn take(self) -> Result<(), Box<dyn std::error::Error>> {
        match self {
            // Of the calling thread alone, on Linux.
            Self::Behind(nice) => Ok(rustix::process::setpriority_process(None, nice)?),
            Self::Last => Ok(set_thread_priority_and_policy(
                thread_native_id(),
                ThreadPriority::Min,
                ThreadSchedulePolicy::Normal(Idle),
            )?),
        }
    }
}

/// A runtime whose threads stand back. What is being done there when it is dropped breaks off.
#[derive(Debug)]
pub struct Background(Option<Runtime>);

impl Background {
    /// So many threads of a name.
    ///
    /// # Errors
    /// If there can be no threads.
    pub fn new(name: &str, threads: usize, rank: Rank) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(BLOCKING)
            .thread_name(name)
            .thread_stack_size(STACK)
            .enable_all()
            .on_thread_start(move || {
                // Without the right to it nothing is lost but the order.
                if let Err(error) = rank.take() {
                    tracing::debug!(%error, "background threads keep their priority");
                }
            })
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Where tasks are begun.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        self.0.as_ref().expect("it is taken by drop alone").handle()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // May happen on a thread that must not wait.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
