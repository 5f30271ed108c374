//! How much room the lake's disk has.

use bartizan_lake::{Space, SpaceLeft};
use std::io;
use std::path::PathBuf;

/// Asks the file system that holds a directory.
#[derive(Debug)]
pub(crate) struct DiskSpace(pub(crate) PathBuf);

impl Space for DiskSpace {
    fn space(&self) -> io::Result<SpaceLeft> {
        let stat = rustix::fs::statvfs(&self.0)?;
        Ok(SpaceLeft {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }
}
