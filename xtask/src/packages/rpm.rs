//! Red Hat's form, by `rpmbuild`.

use super::tree::{self, Form};
use super::{Job, MAINTAINER, Package, Signer, read, text};
use crate::shell::Step;
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Builds a package; returns the name of its file.
pub(super) fn build(job: &Job, package: &Package) -> Result<String> {
    let root = tree::stage(job, package, Form::Rpm)?;
    let list = job.work.join(format!("{}.files", package.name));
    fs::write(&list, files(package, &root)?)?;
    let spec = job.work.join(format!("{}.spec", package.name));
    fs::write(&spec, filled(job, package, &root, &list)?)?;
    let (top, out) = (job.work.join("rpmbuild"), job.work.join("rpms"));
    let define = |name: &str, value: &Path| Ok::<_, anyhow::Error>(format!("{name} {}", text(value)?));
    Step::new("rpmbuild")
        .args(&[
            "-bb",
            "--quiet",
            "--define",
            &define("_topdir", &top)?,
            "--define",
            &define("_rpmdir", &out)?,
        ])
        .args(&["--define", "source_date_epoch_from_changelog 0", text(&spec)?])
        .env("SOURCE_DATE_EPOCH", &job.epoch.to_string())
        .run()?;
    let machine = std::env::consts::ARCH;
    let name = format!("{}-{}-1.{machine}.rpm", package.name, job.version);
    let built = out.join(machine).join(&name);
    if let Some(key) = &job.key {
        sign(&built, key)?;
    }
    fs::rename(&built, job.to.join(&name))
        .with_context(|| format!("rpmbuild did not make {}", built.display()))?;
    for folder in [&root, &top, &out] {
        fs::remove_dir_all(folder)?;
    }
    Ok(name)
}

/// Signs a package, in itself.
pub(super) fn sign(path: &Path, signer: &Signer) -> Result<()> {
    let key = format!("_gpg_name {}", signer.key);
    signer
        .tool("rpmsign")?
        .args(&["--define", &key, "--define", "__gpg /usr/bin/gpg", "--addsign", text(path)?])
        .run()
}

fn filled(job: &Job, package: &Package, root: &Path, files: &Path) -> Result<String> {
    let recommends = match package.recommends {
        "" => String::new(),
        what => format!("Recommends: {what}"),
    };
    // one begins with a small letter, the other with a large one
    let summary = package.summary.split_at(1);
    let summary = format!("{}{}", summary.0.to_uppercase(), summary.1);
    let payload = if job.fast { "w1.zstdio" } else { "w19.zstdio" };
    let mut spec = read("packaging/rpm/package.spec")?;
    for (mark, value) in [
        ("@PACKAGE@", package.name),
        ("@VERSION@", &job.version),
        ("@SUMMARY@", &summary),
        ("@GECOS@", package.gecos),
        ("@DESCRIPTION@", package.description),
        ("@RECOMMENDS@", &recommends),
        ("@MAINTAINER@", MAINTAINER),
        ("@PAYLOAD@", payload),
        ("@RPMDATE@", &job.date("+%a %b %d %Y")?),
        ("@STAGE@", text(root)?),
        ("@FILES@", text(files)?),
    ] {
        spec = spec.replace(mark, value);
    }
    Ok(spec)
}

/// What belongs to the package: every file, and the folders that are nobody else's.
fn files(package: &Package, root: &Path) -> Result<String> {
    let ours = |name: &str| {
        let end = name.rsplit('/').next().unwrap_or_default();
        name.starts_with("/etc/bartizan") || (end == package.name && name.starts_with("/usr/share/"))
    };
    let mut text = String::from("%defattr(-,root,root,-)\n");
    for (name, meta) in tree::list(root)? {
        let line = match package.folders.iter().find(|(folder, ..)| *folder == name) {
            Some((_, mode, owner)) => format!("%attr({mode},{owner}) %dir {name}"),
            None if meta.is_dir() && (ours(&name) || name.ends_with("/examples")) => format!("%dir {name}"),
            None if meta.is_dir() => continue,
            None if name.starts_with("/etc/") => format!("%config(noreplace) {name}"),
            None if name.starts_with("/usr/share/doc/") => format!("%doc {name}"),
            None if name.starts_with("/usr/share/licenses/") => format!("%license {name}"),
            None => name,
        };
        let _ = writeln!(text, "{line}");
    }
    Ok(text)
}
