//! `packages-check`: what the packages do on systems.
//!
//! - Packed twice, they are the same bytes.
//! - `lintian` and `rpmlint` find no error; `systemd-analyze` none in the units.
//! - **Debian**: a root by debootstrap, started with its own systemd. From a signed apt repository: install, enrol, an
//!   event, upgrade, remove, purge; what is left behind is looked for in all of the root.
//! - **RPM**: no distribution with RPM packages is reached from everywhere, so the root is the same one, with an empty RPM
//!   database in which a stand-in package ([`STAND_IN`]) owns what glibc, systemd and shadow-utils provide. What is shown
//!   is what packages, scripts, repository and signatures do, not that a certain release has these libraries.

mod machine;

use super::{Job, Options, SERVER, Signer, make, repository, rpm, text};
use crate::shell::{Step, step};
use anyhow::{Context as _, Result, ensure};
use machine::Machine;
use std::fs;
use std::path::{Path, PathBuf};

const PLACE: &str = "target/packages-check";
const RELEASE: &str = "bookworm";
const INCLUDED: &str = "systemd,systemd-sysv,dbus,nftables,iproute2,procps,rpm,gpgv";
/// Of the units' exposure, in tenths.
pub(super) const THRESHOLDS: &[(&str, u32)] = &[("bartizan", 15), ("bartizan-agent", 30)];
/// Who signs here.
const SIGNER: &str = "Bartizan check <check@bartizan.invalid>";
/// What owns the root of the RPM system.
const STAND_IN: &str = "bartizan-check-system";

/// Runs all of it.
pub(super) fn run(bins: &Path, again: bool) -> Result<()> {
    ensure!(crate::shell::is_root(), "packages are tried as root");
    fs::create_dir_all(PLACE)?;
    let place = fs::canonicalize(PLACE)?;
    let packages = Built::in_place(&place)?;
    if !again {
        build(&place, bins, &packages)?;
        step("lintian, rpmlint, units");
        looked_at(&packages.old)?;
    }
    roll_outs(&place)?;
    let system = system(&place)?;
    debian(&place, &system, &packages)?;
    red_hat(&place, &system, &packages)?;
    step("packages: built twice alike, installed, enrolled, upgraded, removed and purged");
    Ok(())
}

/// Two versions, and their repositories.
struct Built {
    old: PathBuf,
    old_version: String,
    new_version: String,
    /// With the old one only, and with both.
    repositories: [PathBuf; 2],
}

impl Built {
    fn in_place(place: &Path) -> Result<Self> {
        let old_version = super::version()?;
        let repositories = ["repository-old", "repository-both"].map(|name| place.join(name));
        Ok(Self {
            old: place.join("old"),
            new_version: format!("{old_version}.1"),
            old_version,
            repositories,
        })
    }
}

fn build(place: &Path, bins: &Path, built: &Built) -> Result<()> {
    let keys = place.join("gnupg");
    let _ = fs::remove_dir_all(&keys);
    fs::create_dir_all(&keys)?;
    Step::new("chmod").args(&["700", text(&keys)?]).run()?;
    let gpg =
        ["--homedir", text(&keys)?, "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", SIGNER];
    Step::new("gpg").args(&gpg).args(&["rsa3072", "sign", "never"]).run()?;
    let signer = Signer { key: SIGNER.to_owned(), home: Some(keys) };
    let pack = |name: &str, version: &str| -> Result<PathBuf> {
        let to = place.join(name);
        let _ = fs::remove_dir_all(&to);
        let options = Options {
            bins: Some(bins.to_owned()),
            version: Some(version.to_owned()),
            to: Some(to.clone()),
            fast: true,
            ..Options::default()
        };
        make(&Job::new(options)?)?;
        Ok(to)
    };
    let (old, again) = (pack("old", &built.old_version)?, pack("again", &built.old_version)?);
    let sums = |folder: &Path| fs::read_to_string(folder.join("SHA256SUMS"));
    ensure!(
        sums(&old)? == sums(&again)?,
        "packed twice, packages differ: see {} and {}",
        old.display(),
        again.display()
    );
    let new = pack("new", &built.new_version)?;
    for folder in [&old, &new] {
        for path in files(folder, "rpm")? {
            rpm::sign(&path, &signer)?;
        }
    }
    for (at, repository) in built.repositories.iter().enumerate() {
        let _ = fs::remove_dir_all(repository);
        for folder in [&old, &new].into_iter().take(at + 1) {
            repository::lay_out(folder, repository, Some(&signer), super::epoch()?)?;
        }
    }
    Ok(())
}

fn files(folder: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let mut found = fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect::<Result<Vec<_>>>()?;
    found.retain(|path| path.extension().is_some_and(|e| e == end));
    found.sort();
    Ok(found)
}

/// By those who look at packages.
fn looked_at(folder: &Path) -> Result<()> {
    for path in files(folder, "deb")? {
        Step::new("lintian").args(&["--fail-on", "error", text(&path)?]).run()?;
    }
    let config = fs::canonicalize("packaging/rpm/rpmlint.toml")?;
    for path in files(folder, "rpm")? {
        Step::new("rpmlint").args(&["--config", text(&config)?, text(&path)?]).run()?;
    }
    for (unit, threshold) in THRESHOLDS {
        let path = format!("packaging/systemd/{unit}.service");
        let threshold = format!("--threshold={threshold}");
        Step::new("systemd-analyze")
            .args(&["security", "--no-pager", "--offline=true", &threshold, &path])
            .output()?;
    }
    Ok(())
}

/// The examples of a roll-out, by the tools that they are for.
fn roll_outs(place: &Path) -> Result<()> {
    step("roll-outs");
    let tools = place.join("tools");
    let required = "packaging/rollout/requirements.txt";
    let stamp = tools.join("requirements.txt");
    if fs::read(&stamp).ok() != fs::read(required).ok() {
        let _ = fs::remove_dir_all(&tools);
        Step::new("python3").args(&["-m", "venv", text(&tools)?]).run()?;
        let pip = tools.join("bin/pip");
        Step::new(text(&pip)?)
            .args(&["install", "--quiet", "--disable-pip-version-check", "-r", required])
            .run()?;
        fs::copy(required, stamp)?;
    }
    Step::new(text(&tools.join("bin/python"))?).arg("packaging/rollout/check.py").output().map(drop)
}

/// A Debian, packed; made once.
fn system(place: &Path) -> Result<PathBuf> {
    let tar = place.join(format!("{RELEASE}.tar"));
    if tar.exists() {
        return Ok(tar);
    }
    step("a Debian (a minute)");
    let root = place.join("debootstrap");
    let _ = fs::remove_dir_all(&root);
    let include = format!("--include={INCLUDED}");
    // From debootstrap's own mirror.
    Step::new("debootstrap").args(&["--variant=minbase", &include, RELEASE, text(&root)?]).output()?;
    let part = place.join("part.tar");
    Step::new("tar").args(&["-C", text(&root)?, "-cf", text(&part)?, "."]).run()?;
    fs::remove_dir_all(&root)?;
    fs::rename(part, &tar)?;
    Ok(tar)
}

/// The root of a system, new.
fn root(place: &Path, tar: &Path, name: &str) -> Result<PathBuf> {
    let root = place.join(name);
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root)?;
    Step::new("tar").args(&["-C", text(&root)?, "-xf", text(tar)?]).run()?;
    fs::copy("packaging/rollout/activate.sh", root.join("srv/activate.sh"))?;
    Ok(root)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(to);
    Step::new("cp").args(&["-a", text(from)?, text(to)?]).run()
}

/// From the first installation to what is left after the last removal.
fn debian(place: &Path, tar: &Path, packages: &Built) -> Result<()> {
    step("Debian: install");
    let root = root(place, tar, "debian")?;
    let repository = root.join("srv/repository");
    copy(&packages.repositories[0], &repository)?;
    for path in ["etc/apt/sources.list", "etc/apt/sources.list.d/debian.sources"] {
        let _ = fs::remove_file(root.join(path));
    }
    fs::create_dir_all(root.join("etc/apt/keyrings"))?;
    fs::copy(repository.join("bartizan.asc"), root.join("etc/apt/keyrings/bartizan.asc"))?;
    let sources = fs::read_to_string(repository.join("bartizan.sources"))?;
    let sources = sources.replace("https://ADDRESS", "file:/srv/repository");
    fs::write(root.join("etc/apt/sources.list.d/bartizan.sources"), sources)?;
    let machine = Machine::boot(&root)?;
    let before = machine.sh(EVERYTHING)?;
    machine.sh("apt-get -qq update && apt-get -qq install bartizan bartizan-agent")?;
    installed(
        &machine,
        "dpkg-query -W -f '${Version}\\n' bartizan bartizan-agent",
        &format!("{}-1", packages.old_version),
    )?;
    works(&machine)?;
    drop_ins(&machine)?;

    step("Debian: upgrade");
    machine.sh("echo 'names = [\"kept.example\"]' >>/etc/bartizan/server.toml")?;
    copy(&packages.repositories[1], &repository)?;
    machine.sh("apt-get -qq update && apt-get -qq upgrade")?;
    installed(
        &machine,
        "dpkg-query -W -f '${Version}\\n' bartizan bartizan-agent",
        &format!("{}-1", packages.new_version),
    )?;
    machine.sh("grep -q kept.example /etc/bartizan/server.toml")?;
    goes_on(&machine)?;

    step("Debian: remove and purge");
    machine.sh("apt-get -qq remove bartizan bartizan-agent")?;
    machine.sh("! pgrep bartizan && ! test -e /usr/bin/bartizan && test -e /etc/bartizan/server.toml")?;
    machine.sh("test -e /var/lib/bartizan/catalog.db && test -e /var/lib/bartizan-agent/identity")?;
    machine.sh("apt-get -qq purge bartizan bartizan-agent")?;
    machine.sh("! getent passwd bartizan && ! getent passwd bartizan-agent && ! getent group bartizan")?;
    let after = machine.sh(EVERYTHING)?;
    let known: Vec<_> = before.lines().collect();
    let left: Vec<_> = after.lines().filter(|path| !known.contains(path)).collect();
    ensure!(left.is_empty(), "a purge left behind:\n{}", left.join("\n"));
    Ok(())
}

/// Everything that is a package's or a program's, but not what others write about it: logs, lists, backups of passwd.
const EVERYTHING: &str = "find / -xdev \\( -path /proc -o -path /sys -o -path /srv -o -path /run -o -path /tmp \
    -o -path /var/log/journal -o -path /var/log/apt -o -path /var/lib/apt -o -path /var/cache -o -path /var/lib/dpkg \
    -o -path /var/lib/systemd -o -path /var/tmp -o -path /root \\) -prune -o -print | \
    grep -vE '^/(dev|etc/(passwd|group|shadow|gshadow|subuid|subgid)-)' | sort; \
    find / -xdev -path /proc -prune -o -path /srv -prune -o -path /var/log -prune -o -path /var/lib/apt -prune -o \
    -path /sys -prune -o -iname '*bartizan*' -print | (grep -v '^/etc/apt' || true) | sort";

fn installed(machine: &Machine, how: &str, version: &str) -> Result<()> {
    let found = machine.sh(how)?;
    ensure!(
        found.lines().count() == 2 && found.lines().all(|line| line == version),
        "{version} is wanted:\n{found}"
    );
    Ok(())
}

/// Server up, host in, event through, everybody shut in.
fn works(machine: &Machine) -> Result<()> {
    machine.sh("systemctl is-enabled -q bartizan bartizan-agent && systemctl is-active -q bartizan")?;
    machine.sh("systemd-analyze verify --man=no bartizan.service bartizan-agent.service")?;
    for (unit, threshold) in THRESHOLDS {
        machine.sh(&format!("systemd-analyze security --no-pager --threshold={threshold} {unit}.service"))?;
    }
    machine.sh("for f in /usr/share/bash-completion/completions/bartizan*; do bash -n $f; done")?;
    machine.until("a server that answers", "bartizan hosts")?;
    // nothing says that a host is enrolled but its identity
    machine.sh("! systemctl is-active -q bartizan-agent")?;
    let activate = "sh /srv/activate.sh 127.0.0.1";
    let without = machine.sh(&format!("code=0; {activate} || code=$?; echo $code"))?;
    ensure!(without.trim() == "2", "without a token, activation says {without}");
    machine.sh(
        "bartizan-agent check && bartizan token create | tail -1 >/etc/bartizan/join.token && hostname check",
    )?;
    // twice: a host that has joined stays as it is
    machine.sh(&format!("{activate} && {activate} && ! test -e /etc/bartizan/join.token"))?;
    machine.sh(RULES)?;
    knock(machine, 1)?;
    let (server, opener) = (main_process(machine, SERVER.name)?, main_process(machine, "bartizan-agent")?);
    let worker = machine.sh(&format!("pgrep -P {opener} -x bartizan-agent"))?;
    let user = machine.sh("id -u bartizan-agent")?;
    for (process, expected) in [
        (server.as_str(), vec!["CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]),
        // CAP_NET_ADMIN and CAP_NET_RAW
        (
            opener.as_str(),
            vec!["CapEff:\t0000000000003000", "CapBnd:\t0000000000003000", "NoNewPrivs:\t1", "Seccomp:\t2"],
        ),
        (
            worker.trim(),
            vec!["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"],
        ),
    ] {
        let status = machine.sh(&format!("cat /proc/{process}/status"))?;
        for line in expected {
            ensure!(status.lines().any(|l| l == line), "{line:?} is wanted:\n{status}");
        }
    }
    machine.sh(&format!("grep -q $'^Uid:\\t{}\\t' /proc/{}/status", user.trim(), worker.trim()))?;
    // the program says itself when a wall is missing
    machine.sh(
        "! journalctl -u bartizan-agent -u bartizan | grep -iE 'not shut in|permission|not permitted|denied'",
    )?;
    machine.sh("test \"$(stat -c %a:%U /var/lib/bartizan)\" = 700:bartizan && \
                test \"$(stat -c %a:%U /var/lib/bartizan-agent)\" = 700:bartizan-agent")?;
    machine
        .sh("systemctl reload bartizan bartizan-agent && systemctl is-active -q bartizan bartizan-agent")?;
    knock(machine, 2)
}

/// A rule that logs, and one that counts the same.
const RULES: &str = "nft 'table inet check { chain input { type filter hook input priority 0; \
                     udp dport 9 counter log prefix \"check drop: \" group 5 drop; }; }'";

fn main_process(machine: &Machine, unit: &str) -> Result<String> {
    Ok(machine.sh(&format!("systemctl show -P MainPID {unit}"))?.trim().to_owned())
}

/// Another packet; `all` of them are found.
fn knock(machine: &Machine, all: u32) -> Result<()> {
    machine.sh("echo hello >/dev/udp/127.0.0.1/9")?;
    let found =
        format!("test \"$(bartizan search 'dport:9 host:check' --since 1h -o ndjson | wc -l)\" = {all}");
    machine.until("an event at the server", &found)
}

/// The drop-ins that are shipped as examples do what they are for.
fn drop_ins(machine: &Machine) -> Result<()> {
    let examples = "/usr/share/doc/bartizan-agent/examples";
    let folder = "/etc/systemd/system/bartizan-agent.service.d";
    machine.sh(&format!("mkdir -p {folder} /etc/bartizan/agent.d && cp {examples}/namespaces.conf {examples}/kernel-log.conf {folder} && \
         printf 'netns = \"all\"\\nkernel_log.from = \"kmsg\"\\n' >/etc/bartizan/agent.d/check.toml && \
         ip netns add other && systemctl daemon-reload && systemctl restart bartizan-agent"))?;
    machine.until("a source in another namespace", "bartizan-agent status -o json | grep -q '\"other\"'")?;
    machine.until("the kernel's log", "{ readlink /proc/[0-9]*/fd/* || true; } | grep -x /dev/kmsg")?;
    machine.sh("! journalctl -u bartizan-agent | grep -iE 'not shut in|not permitted|denied'")?;
    machine
        .sh(&format!(
            "rm -r {folder} /etc/bartizan/agent.d/check.toml && ip netns del other && \
                         systemctl daemon-reload && systemctl restart bartizan-agent"
        ))
        .map(drop)
}

/// After an upgrade.
fn goes_on(machine: &Machine) -> Result<()> {
    machine.until("both at work", "systemctl is-active -q bartizan bartizan-agent && bartizan hosts")?;
    knock(machine, 3)
}

fn red_hat(place: &Path, tar: &Path, packages: &Built) -> Result<()> {
    step("RPM: install");
    let root = root(place, tar, "rpm")?;
    let repository = root.join("srv/repository");
    copy(&packages.repositories[1], &repository)?;
    let stand_in = stand_in(place, packages)?;
    fs::copy(&stand_in, root.join("srv/stand-in.rpm"))?;
    let machine_name = std::env::consts::ARCH;
    let repo = fs::read_to_string(repository.join("bartizan.repo"))?;
    let repo = repo.replace(
        "https://ADDRESS/rpm/$basearch",
        &format!("file://{}/rpm/{machine_name}", text(&repository)?),
    );
    let repo = repo.replace("https://ADDRESS", &format!("file://{}", text(&repository)?));
    fs::create_dir_all(root.join("etc/yum.repos.d"))?;
    fs::write(root.join("etc/yum.repos.d/bartizan.repo"), repo)?;
    let inside = |what: &str| format!("rpm --force-debian {what}");
    Step::new("chroot")
        .args(&[text(&root)?, "sh", "-ec", &inside("-i --nosignature --nodeps /srv/stand-in.rpm")])
        .run()?;
    Step::new("dnf")
        .args(&["--assumeyes", "--installroot", text(&root)?, "--releasever", "9"])
        .args(&[
            &format!("--setopt=reposdir={}", text(&root.join("etc/yum.repos.d"))?),
            "--disablerepo=*",
            "--enablerepo=bartizan",
        ])
        .args(&["--setopt=install_weak_deps=False", "install"])
        .args(&[
            &format!("bartizan-{}", packages.old_version),
            &format!("bartizan-agent-{}", packages.old_version),
        ])
        .run()?;
    let machine = Machine::boot(&root)?;
    let versions = inside("-q --qf '%{VERSION}\\n' bartizan bartizan-agent");
    installed(&machine, &versions, &packages.old_version)?;
    machine.sh(&inside("-V bartizan bartizan-agent"))?;
    machine.sh("systemctl enable -q --now bartizan && systemctl enable -q bartizan-agent")?;
    works(&machine)?;

    step("RPM: upgrade");
    machine.sh("echo 'names = [\"kept.example\"]' >>/etc/bartizan/server.toml")?;
    let newer = format!("/srv/repository/rpm/{machine_name}/*{}-1*.rpm", packages.new_version);
    // dnf has imported the key
    machine.sh(&format!("rpmkeys --checksig {newer} | grep -c 'digests signatures OK' | grep -qx 2"))?;
    machine.sh(&inside(&format!("-U {newer}")))?;
    installed(&machine, &versions, &packages.new_version)?;
    machine.sh("grep -q kept.example /etc/bartizan/server.toml")?;
    goes_on(&machine)?;

    step("RPM: remove");
    machine.sh(&inside("-e bartizan bartizan-agent"))?;
    machine
        .sh("! pgrep bartizan && ! test -e /usr/bin/bartizan && test -e /etc/bartizan/server.toml.rpmsave")?;
    machine.sh("test -e /var/lib/bartizan/catalog.db && test -e /var/lib/bartizan-agent/identity")?;
    machine.sh("! find /etc/systemd /usr/lib/systemd -iname '*bartizan*' | grep .").map(drop)
}

/// A package that provides what the others require and the root has, and nothing else.
fn stand_in(place: &Path, packages: &Built) -> Result<PathBuf> {
    let mut needed = Vec::new();
    for path in files(&packages.old, "rpm")? {
        let list = Step::new("rpm").args(&["-qp", "--nosignature", "--requires", text(&path)?]).output()?;
        needed.extend(
            list.lines().filter(|line| !line.starts_with("rpmlib(")).map(|line| line.trim().to_owned()),
        );
    }
    needed.sort();
    needed.dedup();
    let provides: String = needed.iter().map(|what| format!("Provides: {what}\n")).collect();
    let spec = place.join("stand-in.spec");
    fs::write(
        &spec,
        format!(
            "Name: {STAND_IN}\nVersion: 1\nRelease: 1\nSummary: What the root has\nLicense: none\nBuildArch: noarch\n\
                 {provides}%description\nStands for glibc, systemd and shadow-utils.\n%files\n"
        ),
    )?;
    let out = place.join("stand-in");
    let define = format!("_rpmdir {}", text(&out)?);
    let top = format!("_topdir {}", text(&place.join("stand-in-build"))?);
    Step::new("rpmbuild")
        .args(&["-bb", "--quiet", "--define", &define, "--define", &top, text(&spec)?])
        .run()?;
    files(&out.join("noarch"), "rpm")?.pop().context("rpmbuild made no stand-in")
}
