//! Debian's form, by `dpkg-shlibdeps` and `dpkg-deb`.

use super::tree::{self, Form};
use super::{Job, MAINTAINER, Package, portable, read, text};
use crate::shell::Step;
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// What runs at installation and removal.
pub(super) const SCRIPTS: &[&str] = &["postinst", "prerm", "postrm"];

/// Builds a package; returns the name of its file.
pub(super) fn build(job: &Job, package: &Package) -> Result<String> {
    let root = tree::stage(job, package, Form::Deb)?;
    let machine = Step::new("dpkg").arg("--print-architecture").output()?;
    let machine = machine.trim();
    let control = root.join("DEBIAN");
    let files = tree::list(&root)?;
    // Debian asks for its own glibc where a program names libpthread, as those of old times do.
    let depends = match portable::library(job, package) {
        Some(library) => library,
        None => libraries(job, &root.join("usr/bin").join(package.name))?,
    };
    fs::create_dir(&control)?;
    let write = |name: &str, content: String, mode: u32| -> Result<()> {
        fs::write(control.join(name), content)?;
        Ok(fs::set_permissions(control.join(name), Permissions::from_mode(mode))?)
    };
    let size: u64 =
        files.iter().filter(|(_, meta)| meta.is_file()).map(|(_, meta)| meta.len().div_ceil(1024)).sum();
    write("control", fields(job, package, machine, &depends, size), 0o644)?;
    write("conffiles", format!("/etc/bartizan/{}.toml\n", package.config), 0o644)?;
    let names = files.iter().filter(|(_, meta)| meta.is_file()).map(|(name, _)| name.trim_start_matches('/'));
    let sums = Step::new("md5sum").args(&names.collect::<Vec<_>>()).dir(&root).output()?;
    write("md5sums", sums, 0o644)?;
    for script in SCRIPTS {
        write(script, filled(script, package)?, 0o755)?;
    }
    let name = format!("{}_{}-1_{machine}.deb", package.name, job.version);
    let packing: &[&str] = if job.fast { &["-Zgzip", "-z1"] } else { &["-Zxz", "-z6"] };
    let build = Step::new("dpkg-deb").args(packing).args(&["--root-owner-group", "--build"]);
    build
        .args(&[text(&root)?, text(&job.to.join(&name))?])
        .env("SOURCE_DATE_EPOCH", &job.epoch.to_string())
        .run()?;
    fs::remove_dir_all(&root)?;
    Ok(name)
}

/// A maintainer script of a package.
pub(super) fn filled(script: &str, package: &Package) -> Result<String> {
    let text = read(&format!("packaging/deb/{script}"))?;
    Ok(text
        .replace("@PACKAGE@", package.name)
        .replace("@STATE@", package.state)
        .replace("@CONFIG@", package.config))
}

fn fields(job: &Job, package: &Package, machine: &str, libraries: &str, size: u64) -> String {
    let mut text = format!(
        "Package: {}\nVersion: {}-1\nArchitecture: {machine}\nMaintainer: {MAINTAINER}\nInstalled-Size: {size}\n\
         Depends: {libraries}, passwd, systemd | systemd-standalone-sysusers, \
         systemd | systemd-standalone-tmpfiles\n",
        package.name, job.version
    );
    if !package.recommends.is_empty() {
        let _ = writeln!(text, "Recommends: {}", package.recommends);
    }
    let _ = write!(
        text,
        "Section: net\nPriority: optional\nHomepage: https://github.com/bartizan/bartizan\nDescription: {}\n",
        package.summary
    );
    for line in package.description.lines() {
        let _ = writeln!(text, " {line}");
    }
    text
}

/// The libraries of a program, as packages with the versions that have what it uses.
fn libraries(job: &Job, program: &Path) -> Result<String> {
    let folder = job.work.join("shlibs");
    fs::create_dir_all(folder.join("debian"))?;
    fs::write(folder.join("debian/control"), "Source: bartizan\n\nPackage: bartizan\nArchitecture: any\n")?;
    let found = Step::new("dpkg-shlibdeps").args(&["-O", "-e", text(program)?]).dir(&folder).output()?;
    let list = found.lines().find_map(|line| line.strip_prefix("shlibs:Depends="));
    Ok(list.context("dpkg-shlibdeps found no library")?.to_owned())
}
