//! A server with the lake that the store's bench has left, 20 million events of a fleet.

use anyhow::{Context as _, Result, ensure};
use bartizan_e2e::process::Server;
use std::fs;
use std::path::Path;

/// A server with that lake, or another of the same fleet. What it writes is not in the original.
pub(crate) fn server(lake: Option<&Path>, settings: &str) -> Result<(tempfile::TempDir, Server)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the folder of the project")?;
    let kept = root.join("target/bench/store-20000000/lake");
    let lake = lake.unwrap_or(&kept);
    ensure!(lake.is_dir(), "there is no lake in {}: `make bench-lake` makes it", lake.display());
    let dir = tempfile::tempdir_in(lake.parent().context("the folder of the lake")?)?;
    link(lake, &dir.path().join("lake"))?;
    let mut server = Server::new(dir.path(), settings)?;
    server.start()?;
    Ok((dir, server))
}

/// The same files under other names.
fn link(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, name) = { entry.map(|e| (e.path(), e.file_name()))? };
        let target = to.join(name);
        if entry.is_dir() {
            link(&entry, &target)?;
        } else {
            fs::hard_link(&entry, &target).with_context(|| format!("link {}", entry.display()))?;
        }
    }
    Ok(())
}
