//! The web page: its packages and its build, before cargo embeds it.
//!
//! Both are done when something has changed: a stamp in `target/web` says of what the last ones were made.

use crate::npm;
use crate::shell::step;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

const WEB: &str = "web";
const STAMPS: &str = "target/web";
/// What is made, not written.
const MADE: &[&str] = &["node_modules", "dist"];

/// Builds the page, if its sources have changed since the last time.
pub(crate) fn build() -> Result<()> {
    if !Path::new(WEB).join("package.json").exists() {
        return Ok(());
    }
    install()?;
    let (stamp, sources) = (Path::new(STAMPS).join("built"), digest(Path::new(WEB))?);
    let is_there = Path::new(WEB).join("dist/index.html").exists();
    if is_there && fs::read_to_string(&stamp).is_ok_and(|built| built == sources) {
        return Ok(());
    }
    step("building the page");
    npm(&["run", "--silent", "build"])?;
    npm::note(&stamp, &sources)
}

/// Its types and its tests.
pub(crate) fn test() -> Result<()> {
    if !Path::new(WEB).join("package.json").exists() {
        return Ok(());
    }
    install()?;
    step("types and tests of the page");
    npm(&["run", "--silent", "check"])?;
    npm(&["run", "--silent", "test"])
}

fn install() -> Result<()> {
    npm::install(WEB, STAMPS, "what the page is built with")
}

fn npm(args: &[&str]) -> Result<()> {
    npm::run(WEB, args)
}

/// A digest of every source below a folder: names and contents.
fn digest(folder: &Path) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for path in sources(folder)? {
        path.hash(&mut hasher);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?.hash(&mut hasher);
    }
    Ok(format!("{:016x}\n", hasher.finish()))
}

/// Every source, in an order that is always the same.
fn sources(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let is_made = MADE.iter().any(|name| entry.file_name() == **name);
        if entry.file_type()?.is_dir() {
            if !is_made {
                found.extend(sources(&entry.path())?);
            }
        } else {
            found.insert(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_source_is_seen_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("bartizan-xtask-page-{}", std::process::id()));
        fs::create_dir_all(folder.join("src/lib")).unwrap();
        fs::create_dir_all(folder.join("dist")).unwrap();
        fs::write(folder.join("src/lib/a.ts"), "1").unwrap();
        let of = || digest(&folder).unwrap();
        let before = of();
        fs::write(folder.join("dist/a.js"), "1").unwrap();
        assert_eq!(of(), before);
        fs::write(folder.join("src/lib/a.ts"), "2").unwrap();
        let changed = of();
        assert_ne!(changed, before);
        fs::rename(folder.join("src/lib/a.ts"), folder.join("src/lib/b.ts")).unwrap();
        assert!(of() != changed && of() != before);
        fs::remove_dir_all(&folder).unwrap();
    }
}
