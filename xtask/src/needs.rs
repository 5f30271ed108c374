//! What a machine must have besides the Rust toolchain: installed as root, otherwise said exactly.

use crate::npm;
use crate::shell::{self, Step, step};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::Path;

/// One package of Debian, and how to see that what it brings is there.
#[derive(Clone, Copy)]
pub(crate) struct Need {
    package: &'static str,
    proof: Proof,
}

#[derive(Clone, Copy)]
enum Proof {
    Command(&'static str),
    Module(&'static str),
    Package,
}

const fn command(package: &'static str, command: &'static str) -> Need {
    Need { package, proof: Proof::Command(command) }
}

impl Need {
    /// Namespaces, rules and traffic of the demo.
    pub(crate) const DEMO: &'static [Self] = &[
        command("nftables", "nft"),
        command("iproute2", "ip"),
        command("util-linux", "unshare"),
        command("mount", "mount"),
        command("iputils-ping", "ping"),
    ];

    /// The soak, beside what the demo needs.
    pub(crate) const SOAK: &'static [Self] =
        &[command("rsyslog", "rsyslogd"), Self { package: "rsyslog-relp", proof: Proof::Package }];

    /// The benches, beside what the tests need.
    pub(crate) const BENCH: &'static [Self] = &[
        command("iperf3", "iperf3"),
        Self { package: "ulogd2-pcap", proof: Proof::Package },
        // for the libraries of other stores
        Self { package: "python3-venv", proof: Proof::Module("ensurepip") },
    ];

    /// Packages and repositories, in the forms of Debian and Red Hat.
    pub(crate) const PACKAGES: &'static [Self] = &[
        command("dpkg-dev", "dpkg-shlibdeps"),
        command("binutils", "strip"),
        command("rpm", "rpmbuild"),
        command("apt-utils", "apt-ftparchive"),
        command("createrepo-c", "createrepo_c"),
        command("gnupg", "gpg"),
        command("xz-utils", "xz"),
    ];

    /// Trying them: what looks at them, and what makes systems to install them in.
    pub(crate) const PACKAGES_CHECK: &'static [Self] = &[
        command("lintian", "lintian"),
        command("rpmlint", "rpmlint"),
        command("debootstrap", "debootstrap"),
        command("dnf", "dnf"),
        command("systemd", "systemd-analyze"),
        Self { package: "python3-venv", proof: Proof::Module("ensurepip") },
        command("nftables", "nft"),
        command("iproute2", "ip"),
        command("util-linux", "nsenter"),
    ];

    /// The tests, with the programs that they compare with.
    pub(crate) const TEST: &'static [Self] = &[
        command("nftables", "nft"),
        command("iproute2", "ip"),
        command("util-linux", "unshare"),
        command("mount", "mount"),
        command("iputils-ping", "ping"),
        command("iptables", "iptables"),
        command("tcpdump", "tcpdump"),
        command("tshark", "tshark"),
        command("conntrack", "conntrack"),
        command("ulogd2", "ulogd"),
        command("softflowd", "softflowd"),
        command("python3", "python3"),
        Self { package: "python3-venv", proof: Proof::Module("ensurepip") },
        command("rsyslog", "rsyslogd"),
        command("openssl", "openssl"),
        command("bsdutils", "logger"),
        Self { package: "rsyslog-relp", proof: Proof::Package },
        Self { package: "rsyslog-openssl", proof: Proof::Package },
        command("postgresql", "pg_ctlcluster"),
        command("mariadb-server", "mariadbd"),
        command("sqlite3", "sqlite3"),
        command("prometheus", "promtool"),
        Self { package: "ulogd2-json", proof: Proof::Package },
        Self { package: "ulogd2-mysql", proof: Proof::Package },
        Self { package: "ulogd2-pgsql", proof: Proof::Package },
        Self { package: "ulogd2-sqlite3", proof: Proof::Package },
        // what syslog-ng needs, which the tests unpack because it cannot be installed beside rsyslog
        Self { package: "libivykis0", proof: Proof::Package },
        Self { package: "libnet1", proof: Proof::Package },
        Self { package: "libjson-c5", proof: Proof::Package },
        Self { package: "libpcre3", proof: Proof::Package },
        Self { package: "libwrap0", proof: Proof::Package },
        Self { package: "libglib2.0-0", proof: Proof::Package },
        command("curl", "curl"),
        // units are looked at
        command("systemd", "systemd-analyze"),
        // the web page in a browser
        command("chromium", "chromium"),
        Self { package: "python3-scapy", proof: Proof::Module("scapy") },
    ];

    fn is_met(self) -> bool {
        match self.proof {
            // Not everybody has /usr/sbin in the path; the programs that need these have it.
            Proof::Command(name) => std::env::var("PATH")
                .unwrap_or_default()
                .split(':')
                .chain(["/usr/sbin", "/sbin", "/usr/bin"])
                .any(|folder| Path::new(folder).join(name).exists()),
            Proof::Module(name) => Step::new("python3").args(&["-c", &format!("import {name}")]).succeeds(),
            Proof::Package => Step::new("dpkg-query").args(&["--status", self.package]).succeeds(),
        }
    }
}

/// Installs what is missing, if this is root on a Debian; says what to type, if not.
pub(crate) fn install(needs: &[Need]) -> Result<()> {
    let missing: Vec<_> = needs.iter().filter(|n| !n.is_met()).map(|n| n.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !shell::is_root() || !Path::new("/usr/bin/apt-get").exists() {
        bail!("missing: {list}\nType: sudo apt-get install {list}");
    }
    step(&format!("installing {list}"));
    let apt = |args: &[&str]| Step::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive").run();
    apt(&["update", "-qq"])?;
    let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
    args.extend(&missing);
    apt(&args)
}

/// What tests need of PyPI, by name and version.
const REQUIREMENTS: &str = "e2e/python/requirements.txt";
/// Where that is installed, apart from the system's Python.
const PYTHON: &str = "target/python";

/// Installs the Python packages of the tests into a folder of their own, if they are not there as required.
pub(crate) fn python() -> Result<()> {
    let required = fs::read_to_string(REQUIREMENTS).with_context(|| format!("cannot read {REQUIREMENTS}"))?;
    // Written when everything is there, so that a half of it is done again.
    let stamp = Path::new(PYTHON).join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == required) {
        return Ok(());
    }
    step("installing what tests need of PyPI");
    let _ = fs::remove_dir_all(PYTHON);
    Step::new("python3").args(&["-m", "venv", PYTHON]).run()?;
    let pip = format!("{PYTHON}/bin/pip");
    Step::new(&pip).args(&["install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS]).run()?;
    fs::write(&stamp, required).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Installs the identity provider that the tests sign in by, if it is not there: it runs on Node, as the page's build does.
pub(crate) fn provider() -> Result<()> {
    npm::install("e2e/provider", "target/provider", "an identity provider for tests")
}

/// Arrow's own client of Flight SQL, for which ours is a server like any other. It is not of our tree, whose features it
/// would change.
const CLIENT: &[&str] = &[
    "install",
    "arrow-flight",
    "--version",
    "=59.3.2",
    "--locked",
    "--debug",
    "--quiet",
    "--features",
    "cli,flight-sql,tls-ring,tls-native-roots",
    "--bin",
    "flight_sql_client",
    "--root",
    "target/flight-sql-client",
];

/// Builds the client of Flight SQL that tests use, into a folder of its own, if it is not there.
pub(crate) fn client() -> Result<()> {
    if Path::new("target/flight-sql-client/bin/flight_sql_client").exists() {
        return Ok(());
    }
    step("building a client of Flight SQL (two minutes)");
    Step::cargo(CLIENT).run()
}

/// What looks at the tree of crates.
const DENY: &[&str] = &[
    "install",
    "cargo-deny",
    "--version",
    "=0.20.2",
    "--locked",
    "--debug",
    "--quiet",
    "--root",
    "target/cargo-deny",
];

/// Installs cargo-deny into a folder of its own, if it is not there, and runs its checks.
pub(crate) fn deny(checks: &[&str]) -> Result<()> {
    let program = "target/cargo-deny/bin/cargo-deny";
    if !Path::new(program).exists() {
        step("building cargo-deny (two minutes)");
        Step::cargo(DENY).run()?;
    }
    Step::new(program).args(&["--locked", "check", "--hide-inclusion-graph"]).args(checks).run()
}
