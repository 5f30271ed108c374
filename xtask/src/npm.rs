//! Packages of npm: what a folder's `package-lock.json` lists, installed in it, and nothing of it run.

use crate::shell::{Step, step};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Of Node, what the build of the page needs at least.
const NODE: [u32; 2] = [20, 19];

/// Installs what the lock file of `folder` lists, if it is not there. A stamp in `stamps` says of which list it is.
pub(crate) fn install(folder: &str, stamps: &str, what: &str) -> Result<()> {
    let lock = Path::new(folder).join("package-lock.json");
    let wanted = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let stamp = Path::new(stamps).join("installed");
    let is_there = Path::new(folder).join("node_modules/.package-lock.json").exists();
    if is_there && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    step(&format!("installing {what}"));
    run(folder, &["ci", "--ignore-scripts", "--no-audit", "--no-fund"])?;
    note(&stamp, &wanted)
}

/// `npm` in a folder.
pub(crate) fn run(folder: &str, args: &[&str]) -> Result<()> {
    has_node()?;
    Step::new("npm").args(&["--prefix", folder]).args(args).run()
}

/// Writes a stamp.
pub(crate) fn note(stamp: &Path, text: &str) -> Result<()> {
    let folder = stamp.parent().context("a stamp is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(stamp, text).with_context(|| format!("cannot write {}", stamp.display()))
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

#[cfg(test)]
mod tests {
    use super::*;

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
