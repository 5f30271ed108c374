//! Licences of what is linked into a program: their texts have to come along.

use super::{Package, SERVER, sbom};
use anyhow::Result;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// What is not ours in a program.
pub(super) struct ThirdParty {
    /// Every expression that occurs.
    expressions: Vec<String>,
    /// A list of names and licences, and each text once with the names that it is of.
    pub(super) texts: String,
}

/// Collects them.
pub(super) fn of(package: &Package) -> Result<ThirdParty> {
    let (crates, _) = sbom::crates(package.name)?;
    let mut expressions = BTreeMap::<String, u32>::new();
    let mut list = String::new();
    let mut texts = BTreeMap::<String, Vec<String>>::new();
    let mut add = |name: String, licence: &str, folder: &Path| -> Result<()> {
        *expressions.entry(licence.to_owned()).or_default() += 1;
        let _ = writeln!(list, "{name}: {licence}");
        for text in found_in(folder)? {
            texts.entry(text).or_default().push(name.clone());
        }
        Ok(())
    };
    for one in crates.iter().filter(|one| one.foreign) {
        add(format!("{} {}", one.name, one.version), &one.licence, &one.folder)?;
    }
    if package.name == SERVER.name {
        for name in ["svelte", "uplot"] {
            let folder = Path::new("web/node_modules").join(name);
            add(format!("{name} (npm)"), "MIT", &folder)?;
        }
    }
    let mut whole = format!("What {} is made of besides its own sources.\n\n{list}", package.name);
    for (text, names) in texts {
        let _ = write!(whole, "\n{}\n{}\n\n{}\n", "-".repeat(80), names.join(", "), text.trim_end());
    }
    Ok(ThirdParty { expressions: expressions.into_keys().collect(), texts: whole })
}

/// Texts of licences and notices in a crate's folder, in order.
fn found_in(folder: &Path) -> Result<Vec<String>> {
    const BEGINNINGS: &[&str] = &["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"];
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if BEGINNINGS.iter().any(|b| name.starts_with(b)) && entry.path().is_file() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    // some are in Latin 1
    Ok(paths
        .iter()
        .flat_map(fs::read)
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\r', ""))
        .collect())
}

/// Debian's file of that name.
pub(super) fn copyright(third: &ThirdParty) -> String {
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: bartizan\n\
         Source: https://github.com/bartizan/bartizan\n\
         \n\
         Files: *\n\
         Copyright: 2026 the authors of Bartizan\n\
         License: Apache-2.0\n\
         Comment: The program contains libraries under these licences:\n{}\
         \x20Which ones, and the texts: third-party.gz, beside this file.\n\
         \n\
         License: Apache-2.0\n\
         \x20On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.\n",
        third.expressions.iter().map(|e| format!(" {e}\n")).collect::<String>()
    )
}
