//! What this process may use of the machine: derived from its settings; everything else is taken from it.
//!
//! - **Files**: its directory, read and written; its configuration, what that names, and what every process reads. So a
//!   file that a new configuration names elsewhere is seen after a restart, not after a reload.
//! - **Ports**: it listens on those of its configuration only. What it connects to is not bounded.
//! - **Calls**: it starts no program, and traces, mounts and loads nothing.
//!
//! To be called while there is one thread: before there is a runtime. What this kernel does not know is a warning, or,
//! with `sandbox.required`, an error.

use crate::settings::Written;
use anyhow::{Context as _, bail};
use bartizan_sandbox::{Gaps, Needs, calls, common_reads, landlock, no_new_privileges};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// `[sandbox]` as written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenSandbox {
    /// Whether anything is taken at all.
    pub enabled: bool,
    /// Whether the server starts only if everything was.
    pub required: bool,
    /// Files and folders that it may read besides.
    pub read: Vec<PathBuf>,
    /// Folders that it may write to besides: for backups.
    pub write: Vec<PathBuf>,
}

impl Default for WrittenSandbox {
    fn default() -> Self {
        Self { enabled: true, required: false, read: Vec::new(), write: Vec::new() }
    }
}

/// What is taken, in this order: no right of another program, files and ports, calls.
const PARTS: [&str; 3] = ["no_new_privileges", "landlock", "seccomp"];

/// Certificates of public authorities, for object stores and providers; and how much of the machine is ours.
const READS: &[&str] = &[
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/share/pki",
    "/sys/fs/cgroup",
];

/// What was taken from this process.
#[derive(Clone, Debug, Default)]
pub struct Walls(Vec<(&'static str, bool)>);

impl Walls {
    /// The parts, and whether each holds.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.0.iter().copied()
    }
}

/// Takes from this process what its settings do not need.
///
/// # Errors
/// With `sandbox.required`, what could not be taken.
pub(crate) fn shut_in(written: &Written, config: &Path) -> anyhow::Result<Walls> {
    let sandbox = &written.sandbox;
    if !sandbox.enabled {
        tracing::warn!("not shut in: `sandbox.enabled` is false");
        return Ok(Walls(PARTS.iter().map(|part| (*part, false)).collect()));
    }
    // A folder that is not there yet cannot be opened to this process later.
    std::fs::create_dir_all(&written.dir)
        .with_context(|| format!("cannot make {}", written.dir.display()))?;
    let own_user = !rustix::process::geteuid().is_root();
    let mut version = 0;
    let results = [
        no_new_privileges(),
        landlock(&needs(written, config, own_user)).map(|v| version = v),
        calls::deny(&[calls::NEVER, calls::PROGRAMS]),
    ];
    let walls = Walls(PARTS.iter().zip(&results).map(|(part, result)| (*part, result.is_ok())).collect());
    let mut gaps = Gaps::default();
    for (part, result) in PARTS.iter().zip(results) {
        gaps.add(part, result);
    }
    for gap in &gaps.0 {
        tracing::warn!(gap, "not shut in as well as it could be");
    }
    if sandbox.required && !gaps.0.is_empty() {
        bail!("sandbox.required: {}", gaps.0.join("; "));
    }
    tracing::info!(landlock = version, "shut in");
    Ok(walls)
}

fn needs(written: &Written, config: &Path, own_user: bool) -> Needs {
    let Written { dir, sandbox, .. } = written;
    // What is replaced by another file of its name is read as well: so folders, not files.
    let folder = |path: &Path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let named = |text: &str| text.starts_with('/').then(|| folder(Path::new(text)));
    let mut read = common_reads(own_user);
    read.extend(READS.iter().map(PathBuf::from));
    read.extend([folder(config), config.with_extension("d")]);
    read.extend(written.prefixes.iter().chain(&written.enrich.files).map(|path| folder(path)));
    read.extend(written.sets.values().flatten().filter_map(|member| named(member)));
    read.extend(written.lake.credentials.as_deref().and_then(named));
    read.extend(written.sink.iter().filter_map(|sink| sink.password_file.as_deref()).map(folder));
    let secret = written.oidc.as_ref().and_then(|oidc| oidc.client_secret_file.as_deref());
    read.extend(secret.into_iter().chain(written.outgoing.ca_file.as_deref()).map(folder));
    read.extend(sandbox.read.iter().cloned());
    // The last two may be links to other disks.
    let mut own = vec![dir.clone(), dir.join("lake"), dir.join("spool")];
    own.extend(sandbox.write.iter().cloned());
    let mut addresses = vec![written.listen.as_str(), written.agents_listen.as_str()];
    for listener in &written.collect {
        let files = [&listener.ca, &listener.certificate_file, &listener.key_file];
        read.extend(files.into_iter().flatten().map(|path| folder(path)));
        own.extend(listener.path.as_deref().map(folder));
        addresses.extend(listener.address.as_deref());
    }
    let mut listen: Vec<u16> =
        addresses.iter().filter_map(|text| text.parse::<SocketAddr>().ok()).map(|at| at.port()).collect();
    listen.sort_unstable();
    listen.dedup();
    read.retain(|path| path.exists());
    own.retain(|path| path.exists());
    Needs { own, read, listen }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_settings_name_is_needed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["dir", "etc", "enrich", "sets", "oidc", "ca", "secret", "sockets", "backup", "elsewhere"]
        {
            std::fs::create_dir(at(name)).unwrap();
        }
        let text = format!(
            "dir = {:?}\nlisten = \"127.0.0.1:8443\"\nenrich.files = [{:?}]\nsets.x = [{:?}, \"192.0.2.0/24\"]\n\
             sandbox.write = [{:?}]\n[oidc]\nurl = \"https://a.example\"\nissuer = \"https://b.example\"\nclient_id = \"c\"\n\
             client_secret_file = {:?}\n[outgoing]\nca_file = {:?}\n[[collect]]\nkind = \"syslog-tls\"\naddress = \"127.0.0.1:6514\"\nkey_file = {:?}\n\
             [[collect]]\nkind = \"ulogd-unix\"\npath = {:?}\n",
            at("dir"),
            at("enrich/a.mmdb"),
            at("sets/x.txt"),
            at("backup"),
            at("oidc/secret"),
            at("ca/ca.pem"),
            at("secret/key.pem"),
            at("sockets/u.sock"),
        );
        let source = bartizan_config::Source { name: "it".into(), text };
        let written: Written = bartizan_config::load_from(&[source], &[]).unwrap();
        let needs = needs(&written, &at("etc/server.toml"), false);
        assert_eq!(needs.own, [at("dir"), at("backup"), at("sockets")]);
        assert_eq!(needs.listen, [6514, 8443, 8444]);
        let ours: Vec<_> =
            needs.read.iter().filter(|path| path.starts_with(folder.path())).cloned().collect();
        assert_eq!(ours, [at("etc"), at("enrich"), at("sets"), at("oidc"), at("ca"), at("secret")]);
        assert!(!needs.read.contains(&PathBuf::from("/etc")) && !needs.read.contains(&PathBuf::from("/")));
    }
}
