//! The tree of a package: every file where it is to be.

use super::{Job, Package, SERVER, licences, read, text};
use crate::shell::Step;
use anyhow::{Context as _, Result};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Who reads the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Deb,
    Rpm,
}

impl Form {
    const fn name(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Rpm => "rpm",
        }
    }

    /// Debian 12 and older keep units below `/lib`.
    const fn units(self) -> &'static str {
        match self {
            Self::Deb => "lib/systemd/system",
            Self::Rpm => "usr/lib/systemd/system",
        }
    }

    const fn zsh(self) -> &'static str {
        match self {
            Self::Deb => "usr/share/zsh/vendor-completions",
            Self::Rpm => "usr/share/zsh/site-functions",
        }
    }
}

/// A tree that grows.
struct Tree {
    root: PathBuf,
}

impl Tree {
    fn path(&self, to: &str) -> Result<PathBuf> {
        let path = self.root.join(to);
        let folder = path.parent().context("a path without a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(path)
    }

    fn write(&self, to: &str, text: &str) -> Result<()> {
        let path = self.path(to)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn copy(&self, from: &str, to: &str) -> Result<()> {
        self.write(to, &read(from)?)
    }

    /// Packed, and without the time of packing.
    fn packed(&self, to: &str, text: &str) -> Result<()> {
        self.write(to, text)?;
        gzip(&self.root.join(to))
    }

    /// Without symbols: they are three times the program.
    fn program(&self, from: &Path, to: &str) -> Result<()> {
        let path = self.path(to)?;
        fs::copy(from, &path).with_context(|| format!("cannot read {}", from.display()))?;
        Step::new("strip").arg(text(&path)?).run()?;
        Ok(fs::set_permissions(&path, Permissions::from_mode(0o755))?)
    }
}

fn gzip(path: &Path) -> Result<()> {
    Step::new("gzip").args(&["-9", "-n", "-f", text(path)?]).output().map(drop)
}

/// Stages a package for a form; returns where.
pub(super) fn stage(job: &Job, package: &Package, form: Form) -> Result<PathBuf> {
    let name = package.name;
    let tree = Tree { root: job.work.join(form.name()).join(name) };
    tree.program(&job.program(package), &format!("usr/bin/{name}"))?;
    tree.copy(&format!("packaging/systemd/{name}.service"), &format!("{}/{name}.service", form.units()))?;
    tree.copy(&format!("packaging/sysusers/{name}.conf"), &format!("usr/lib/sysusers.d/{name}.conf"))?;
    tree.copy(&format!("packaging/tmpfiles/{name}.conf"), &format!("usr/lib/tmpfiles.d/{name}.conf"))?;
    let config = package.config;
    tree.copy(&format!("packaging/config/{config}.toml"), &format!("etc/bartizan/{config}.toml"))?;
    fs::create_dir_all(tree.root.join(format!("etc/bartizan/{config}.d")))?;
    if form == Form::Rpm {
        for (folder, ..) in package.folders {
            fs::create_dir_all(tree.root.join(folder.trim_start_matches('/')))?;
        }
    }
    completions(job, package, form, &tree)?;
    manual(job, package, &tree)?;
    documents(job, package, form, &tree)?;
    modes(&tree.root)?;
    Ok(tree.root)
}

fn completions(job: &Job, package: &Package, form: Form, tree: &Tree) -> Result<()> {
    let name = package.name;
    let program = job.bins.join(name);
    let of = |shell: &str, file: &str| match name == SERVER.name {
        true => Step::new(text(&program)?).args(&["completion", shell]).output(),
        false => read(&format!("packaging/completions/{file}")),
    };
    tree.write(
        &format!("usr/share/bash-completion/completions/{name}"),
        &of("bash", &format!("{name}.bash"))?,
    )?;
    tree.write(&format!("{}/_{name}", form.zsh()), &of("zsh", &format!("_{name}"))?)?;
    let fish = format!("{name}.fish");
    tree.write(&format!("usr/share/fish/vendor_completions.d/{fish}"), &of("fish", &fish)?)
}

/// Manual pages: the server's program writes its own.
fn manual(job: &Job, package: &Package, tree: &Tree) -> Result<()> {
    let section = package.manual;
    if package.name != SERVER.name {
        let page = format!("{}.{section}", package.name);
        return tree
            .packed(&format!("usr/share/man/man{section}/{page}"), &read(&format!("packaging/man/{page}"))?);
    }
    let pages = job.work.join("man");
    Step::new(text(&job.bins.join(package.name))?).args(&["man", "--to", text(&pages)?]).output()?;
    for entry in fs::read_dir(&pages)? {
        let path = entry?.path();
        let (page, section) = (path.file_name(), path.extension());
        let (Some(page), Some(section)) = (page.and_then(|n| n.to_str()), section.and_then(|e| e.to_str()))
        else {
            continue;
        };
        tree.packed(&format!("usr/share/man/man{section}/{page}"), &fs::read_to_string(&path)?)?;
    }
    Ok(fs::remove_dir_all(&pages)?)
}

fn documents(job: &Job, package: &Package, form: Form, tree: &Tree) -> Result<()> {
    let doc = format!("usr/share/doc/{}", package.name);
    let third = licences::of(package)?;
    let changes = read("CHANGELOG.md")?;
    match form {
        Form::Deb => {
            tree.packed(&format!("{doc}/changelog"), &changes)?;
            let debian = format!(
                "{} ({}-1) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- {}  {}\n",
                package.name,
                job.version,
                super::MAINTAINER,
                job.date("+%a, %d %b %Y %T +0000")?
            );
            tree.packed(&format!("{doc}/changelog.Debian"), &debian)?;
            tree.write(&format!("{doc}/copyright"), &licences::copyright(&third))?;
            tree.packed(&format!("{doc}/third-party"), &third.texts)?;
        }
        Form::Rpm => {
            tree.write(&format!("{doc}/CHANGELOG.md"), &changes)?;
            let licence = format!("usr/share/licenses/{}", package.name);
            tree.copy("LICENSE", &format!("{licence}/LICENSE"))?;
            tree.packed(&format!("{licence}/third-party"), &third.texts)?;
        }
    }
    tree.copy("docs/configuration.md", &format!("{doc}/configuration.md"))?;
    let (drop_ins, more): (&[&str], &[(&str, &str)]) = if package.name == SERVER.name {
        let more = [
            ("packaging/grafana/bartizan.json", "grafana-dashboard.json"),
            ("packaging/prometheus/bartizan.rules.yml", "prometheus-rules.yml"),
        ];
        (&["low-ports"], &more.clone())
    } else {
        (&["kernel-log", "namespaces", "other-places"], &[])
    };
    for name in drop_ins {
        tree.copy(
            &format!("packaging/systemd/examples/{name}.conf"),
            &format!("{doc}/examples/{name}.conf"),
        )?;
    }
    for (from, to) in more {
        tree.copy(from, &format!("{doc}/examples/{to}"))?;
    }
    Ok(())
}

/// Whatever the umask is: files are read by all, folders entered by all.
fn modes(path: &Path) -> Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            modes(&entry?.path())?;
        }
        fs::set_permissions(path, Permissions::from_mode(0o755))?;
    } else if meta.permissions().mode() & 0o111 == 0 {
        fs::set_permissions(path, Permissions::from_mode(0o644))?;
    }
    Ok(())
}

/// Every file and folder below a root, as `/usr/bin/x`, in order.
pub(super) fn list(root: &Path) -> Result<Vec<(String, fs::Metadata)>> {
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let meta = fs::symlink_metadata(&path)?;
            let name = format!("/{}", text(path.strip_prefix(root)?)?);
            if meta.is_dir() {
                left.push(path);
            }
            found.push((name, meta));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}
