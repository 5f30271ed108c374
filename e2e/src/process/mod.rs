//! The real binaries as handles: start, stop, kill, ask.
//!
//! - [`Server`] and [`Agent`] live in folders that outlast them, so that a killed one can be started again on
//!   what it left. Ports are chosen by the kernel at the first start and kept after it.
//! - Whoever drops a handle kills the program; the kernel does so when the whole test dies (`--pdeathsig`).
//! - Logs are files; the end of them is printed when the handle is dropped in a panic.
//! - Nothing of the environment reaches the programs but `PATH` and what concerns backtraces and logs.

mod agent;
mod built;
mod running;
mod server;
mod system;
mod waiting;

pub use agent::Agent;
pub use built::{binaries, program};
pub use running::Running;
pub use server::Server;
pub use system::{allow_files, family, signal};
pub use waiting::wait_until;

use std::time::Duration;

/// How long a program may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);
