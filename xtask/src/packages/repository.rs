//! Repositories as apt, dnf and what mirrors them read them.
//!
//! ```text
//! deb/dists/stable/{Release,InRelease,Release.gpg}, main/binary-MACHINE/Packages{,.gz,.xz}
//! deb/pool/main/b/NAME/*.deb
//! rpm/MACHINE/*.rpm, repodata/
//! bartizan.sources, bartizan.repo, bartizan.asc: for the hosts; ADDRESS in them is yours
//! ```
//! What was there stays: a version is added to the earlier ones. Without a key nothing is signed, and the files for the
//! hosts say so.

use super::{Signer, text};
use crate::shell::{Step, step};
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Adds the packages in `from` to the repositories in `to`.
pub(super) fn lay_out(from: &Path, to: &Path, key: Option<&Signer>, epoch: u64) -> Result<()> {
    let packages = packages(from)?;
    if packages.is_empty() {
        bail!("{} has no packages; `make packages` makes them", from.display());
    }
    let (deb, rpm) = (to.join("deb"), to.join("rpm"));
    let mut machines = BTreeSet::new();
    for path in packages {
        let name = path.file_name().and_then(|n| n.to_str()).context("a name that is not UTF-8")?;
        let folder = if let Some((rest, "deb")) = name.rsplit_once('.') {
            let package = rest.split('_').next().unwrap_or(rest);
            deb.join("pool/main/b").join(package)
        } else {
            let machine = name.rsplit('.').nth(1).context("a package without a machine")?;
            machines.insert(machine.to_owned());
            rpm.join(machine)
        };
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::copy(&path, folder.join(name)).with_context(|| format!("cannot copy {}", path.display()))?;
    }
    step("repository for apt");
    apt(&deb, key, epoch)?;
    step("repository for dnf");
    for machine in machines {
        yum(&rpm.join(machine), key, epoch)?;
    }
    for_hosts(to, key)
}

fn packages(from: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    let mut found = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    found.retain(|path| path.extension().is_some_and(|e| e == "deb" || e == "rpm"));
    found.sort();
    Ok(found)
}

fn apt(deb: &Path, key: Option<&Signer>, epoch: u64) -> Result<()> {
    let machine = Step::new("dpkg").arg("--print-architecture").output()?;
    let machine = machine.trim();
    let index = deb.join(format!("dists/stable/main/binary-{machine}"));
    fs::create_dir_all(&index)?;
    let list =
        Step::new("apt-ftparchive").args(&["--arch", machine, "packages", "pool"]).dir(deb).output()?;
    let path = index.join("Packages");
    fs::write(&path, list)?;
    for (packer, args) in [("gzip", &["-9nkf"]), ("xz", &["-9ekf"])] {
        Step::new(packer).args(args).arg(text(&path)?).output()?;
    }
    let stable = deb.join("dists/stable");
    for name in ["Release", "InRelease", "Release.gpg"] {
        let path = stable.join(name);
        if path.exists() {
            fs::remove_file(path)?;
        }
    }
    let said = [
        ("Origin", "Bartizan"),
        ("Label", "Bartizan"),
        ("Suite", "stable"),
        ("Codename", "stable"),
        ("Components", "main"),
        ("Architectures", machine),
    ];
    let mut release = Step::new("apt-ftparchive");
    for (name, value) in said {
        release = release.args(&["-o", &format!("APT::FTPArchive::Release::{name}={value}")]);
    }
    let release =
        release.args(&["release", text(&stable)?]).env("SOURCE_DATE_EPOCH", &epoch.to_string()).output()?;
    let path = stable.join("Release");
    fs::write(&path, release)?;
    let Some(key) = key else { return Ok(()) };
    key.sign(&["--clearsign"], &path, &stable.join("InRelease"))?;
    key.sign(&["--detach-sign"], &path, &stable.join("Release.gpg"))
}

fn yum(folder: &Path, key: Option<&Signer>, epoch: u64) -> Result<()> {
    let stamp = epoch.to_string();
    Step::new("createrepo_c")
        .args(&["--quiet", "--update", "--general-compress-type", "gz", "--revision", &stamp])
        .args(&["--set-timestamp-to-revision", text(folder)?])
        .env("SOURCE_DATE_EPOCH", &stamp)
        .run()?;
    let list = folder.join("repodata/repomd.xml");
    let signature = folder.join("repodata/repomd.xml.asc");
    match key {
        Some(key) => key.sign(&["--detach-sign"], &list, &signature),
        None if signature.exists() => Ok(fs::remove_file(signature)?),
        None => Ok(()),
    }
}

/// What a host is given, so that it finds the repository.
fn for_hosts(to: &Path, key: Option<&Signer>) -> Result<()> {
    let (trust, check) = match key {
        Some(key) => {
            let public = key.tool("gpg")?.args(&["--batch", "--armor", "--export", &key.key]).output()?;
            if public.is_empty() {
                bail!("gpg has no key {:?}", key.key);
            }
            fs::write(to.join("bartizan.asc"), public)?;
            ("Signed-By: /etc/apt/keyrings/bartizan.asc", 1)
        }
        None => ("Trusted: yes", 0),
    };
    let sources =
        format!("Types: deb\nURIs: https://ADDRESS/deb\nSuites: stable\nComponents: main\n{trust}\n");
    fs::write(to.join("bartizan.sources"), sources)?;
    let repo = format!(
        "[bartizan]\nname=Bartizan\nbaseurl=https://ADDRESS/rpm/$basearch\nenabled=1\ngpgcheck={check}\n\
         repo_gpgcheck={check}\ngpgkey=https://ADDRESS/bartizan.asc\n"
    );
    Ok(fs::write(to.join("bartizan.repo"), repo)?)
}
