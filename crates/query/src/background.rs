//! Threads that stand back behind those that take rows in: a runtime of its own for work that may be late.

use std::io;
use tokio::runtime::{Builder, Handle, Runtime};

/// Expressions are evaluated by recursion, and SQL may write deep ones. It is reserved, not used.
const STACK: usize = 8 << 20;
/// Threads that may wait for a disk.
const BLOCKING: usize = 16;

/// A runtime whose threads stand back. What is being done there when it is dropped breaks off.
#[derive(Debug)]
pub struct Background(Option<Runtime>);

impl Background {
    /// So many threads of a name, which stand back by `nice` (0 to 19).
    ///
    /// # Errors
    /// If there can be no threads.
    pub fn new(name: &str, threads: usize, nice: i32) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(BLOCKING)
            .thread_name(name)
            .thread_stack_size(STACK)
            .enable_all()
            .on_thread_start(move || {
                // Of the calling thread alone, on Linux. Without the right to it nothing is lost but the order.
                if let Err(error) = rustix::process::setpriority_process(None, nice) {
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
