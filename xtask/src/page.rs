//! The web page: its packages and its build, before cargo embeds it.
//!
//! Both are done when something has changed: a stamp in `target/web` says of what the last ones were made.

use crate::shell::{Step, step};
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

const WEB: &str = "web";
const STAMPS: &str = "target/web";
/// Of Node, what the build of the page needs at least.
const NODE: [u32; 2] = [20, 19];
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
    write(&stamp, &sources)
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

/// Installs what `package-lock.json` lists, and runs nothing of it.
fn install() -> Result<()> {
    let lock = Path::new(WEB).join("package-lock.json");
    let wanted = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let stamp = Path::new(STAMPS).join("installed");
    let is_there = Path::new(WEB).join("node_modules/.package-lock.json").exists();
    if is_there && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    step("installing what the page is built with");
    npm(&["ci", "--ignore-scripts", "--no-audit", "--no-fund"])?;
    write(&stamp, &wanted)
}

fn npm(args: &[&str]) -> Result<()> {
    has_node()?;
    Step::new("npm").args(&["--prefix", WEB]).args(args).run()
}

/// Says what to type where Node is missing or too old.
fn has_node() -> Result<()> {
    let [major, minor] = NODE;
    let how = format!(
        "the page is built with Node {major}.{minor} or newer, and npm.\n\
         Type: sudo apt-get install nodejs npm (Debian 13 or newer), or see https://nodejs.org/en/download"
    );
    let Ok(output) = Command::new("node").arg("--version").output() else { bail!("node is missing; {how}") };
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !is_new_enough(&version) {
        bail!("node is {version:?}; {how}");
    }
    if !Step::new("npm").arg("--version").succeeds() {
        bail!("npm is missing; {how}");
    }
    Ok(())
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if [major, minor] >= NODE)
}

fn write(stamp: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(STAMPS).with_context(|| format!("cannot make {STAMPS}"))?;
    fs::write(stamp, text).with_context(|| format!("cannot write {}", stamp.display()))
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

    #[test]
    fn versions_of_node_are_compared_as_numbers() {
        for (version, enough) in [
            ("v20.19.0", true),
            ("v20.20.2", true),
            ("v100.0.0", true),
            ("v20.9.1", false),
            ("v18.20.0", false),
            ("", false),
            ("v20", false),
        ] {
            assert_eq!(is_new_enough(version), enough, "{version}");
        }
    }
}
