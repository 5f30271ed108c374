//! The invariants of ARCHITECTURE.md that `cargo metadata` can see.
//!
//! - Every crate of ours uses only crates above it in [`ORDER`].
//! - The agent's tree holds no query engine, no Parquet, no SQL, no Flight SQL and no web server ([`NOT_IN_AGENT`]).
//! - DataFusion and databases are used by two crates each, and one holds `unsafe` ([`ONLY`], [`UNSAFE`]).
//! - One version of each of [`ONCE`], one TLS provider.

use crate::shell;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

/// Ours, lowest first.
const ORDER: &[&str] = &[
    // pure: no I/O, no async, no clock
    "bartizan-model",
    "bartizan-schema",
    "bartizan-decode",
    "bartizan-filter",
    "bartizan-prefix",
    "bartizan-ruleset",
    "bartizan-intake",
    // mechanisms
    "bartizan-clock",
    "bartizan-notify",
    "bartizan-config",
    "bartizan-settings",
    "bartizan-sandbox",
    "bartizan-netfilter",
    "bartizan-spool",
    "bartizan-pki",
    "bartizan-outgoing",
    "bartizan-oidc",
    "bartizan-catalog",
    "bartizan-people",
    "bartizan-enrich",
    "bartizan-lake",
    "bartizan-unify",
    "bartizan-query",
    "bartizan-sql",
    "bartizan-wire",
    "bartizan-history",
    "bartizan-ulogdb",
    // services
    "bartizan-ingest",
    "bartizan-collect",
    "bartizan-api",
    "bartizan-page",
    "bartizan-agent",
    "bartizan-server",
    "bartizan",
    // beside them
    "bartizan-e2e",
    "bartizan-bench",
    "xtask",
];

/// The pure crates: the first of [`ORDER`].
const PURE: usize = 7;
/// What would bring I/O, async or a clock into a pure crate.
const NOT_IN_PURE: &[&str] = &["tokio", "mio", "hyper", "rustls", "object_store", "bartizan-clock", "jiff"];
/// axum is missing here because arrow-flight asks tonic for its router, which is axum's; [`Graph::faults`] sees
/// to it that nothing else in the agent's tree uses it.
const NOT_IN_AGENT: &[&str] =
    &["datafusion", "parquet", "sqlx", "sqlx-core", "object_store", "deltalake-core", "libsqlite3-sys"];
/// A dependency and the crates of ours that may name it.
const ONLY: &[(&str, &[&str])] = &[
    ("datafusion", &["bartizan-query", "bartizan-sql"]),
    ("sqlx", &["bartizan-catalog", "bartizan-ulogdb"]),
];
/// The one crate that may hold `unsafe`.
const UNSAFE: &str = "bartizan-netfilter";
const ONCE: &[&str] =
    &["arrow-array", "arrow-schema", "parquet", "object_store", "rustls", "datafusion", "tokio"];
const PLATFORM: &str = "x86_64-unknown-linux-gnu";
const NEVER: &[&str] = &["aws-lc-rs", "aws-lc-sys", "openssl-sys", "native-tls"];

/// Fails with every violation, one per line.
pub(crate) fn check() -> Result<()> {
    // One platform: without it, offline, the packages of the others would have to be here.
    let metadata = ["metadata", "--offline", "--format-version", "1", "--filter-platform", PLATFORM];
    let graph = Graph::read(&serde_json::from_str(&cargo(&metadata, &[])?)?)?;
    let mut faults = graph.faults(|manifest| std::fs::read_to_string(manifest).unwrap_or_default());
    // The graph is that of all packages together, and does not say which of them asks for a feature.
    let agent = features(&["-p", "bartizan-agent"])?;
    let flight = agent.iter().filter(|(package, _)| package.starts_with("arrow-flight "));
    if flight.flat_map(|(_, features)| features).any(|features| features.contains("flight-sql")) {
        faults.push("bartizan-agent has Flight SQL in its tree".to_owned());
    }
    // Slow, not wrong: no reason to fail.
    for line in graph.uneven_features()? {
        shell::step(&format!("some builds compile DataFusion again: {line}"));
    }
    if !faults.is_empty() {
        bail!("ARCHITECTURE.md does not hold:\n  {}", faults.join("\n  "));
    }
    Ok(())
}

/// Package with version, and its features, of a selection of packages.
fn features(selection: &[&str]) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let text =
        cargo(&["tree", "--offline", "--quiet", "--prefix", "none", "--format", "{p}|{f}"], selection)?;
    let line = |line: &str| {
        let (package, features) = line.trim_end_matches(" (*)").split_once('|')?;
        Some((package.split(" (").next()?.to_owned(), features.to_owned()))
    };
    // A package may be there more than once: for build scripts, for macros and for the program.
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (package, features) in text.lines().filter_map(line) {
        found.entry(package).or_default().insert(features);
    }
    Ok(found)
}

fn cargo(first: &[&str], then: &[&str]) -> Result<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo).args(first).args(then).current_dir(shell::root()).output();
    let output = output.context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo {}: {}", first.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).context("cargo does not print text")
}

struct Package {
    name: String,
    version: String,
    manifest: String,
    /// Normal and build dependencies, as ids.
    uses: Vec<String>,
}

/// The resolved packages by id, and which are ours.
struct Graph {
    packages: BTreeMap<String, Package>,
    ours: BTreeSet<String>,
}

impl Graph {
    fn read(metadata: &Value) -> Result<Self> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned).context("metadata is not as expected");
        let mut packages = BTreeMap::new();
        for package in list(&metadata["packages"]) {
            let (name, version) = (text(&package["name"])?, text(&package["version"])?);
            let manifest = text(&package["manifest_path"])?;
            packages.insert(text(&package["id"])?, Package { name, version, manifest, uses: Vec::new() });
        }
        for node in list(&metadata["resolve"]["nodes"]) {
            let id = text(&node["id"])?;
            for dep in list(&node["deps"]) {
                // A development dependency is nobody's concern but the tests'.
                if list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev") {
                    let target = text(&dep["pkg"])?;
                    packages.get_mut(&id).context("a node without its package")?.uses.push(target);
                }
            }
        }
        let ours = list(&metadata["workspace_members"]).iter().map(text).collect::<Result<_>>()?;
        Ok(Self { packages, ours })
    }

    fn faults(&self, manifest_text: impl Fn(&Path) -> String) -> Vec<String> {
        let mut faults = Vec::new();
        let ours: Vec<_> = self.ours.iter().map(|id| (id, &self.packages[id])).collect();
        for (id, package) in &ours {
            let name = package.name.as_str();
            let Some(place) = ORDER.iter().position(|n| *n == name) else {
                faults.push(format!("{name} has no place in the order of layers (xtask/src/layers.rs)"));
                continue;
            };
            for used in package.uses.iter().map(|id| &self.packages[id]) {
                if ORDER.iter().position(|n| *n == used.name).is_some_and(|p| p >= place) {
                    faults.push(format!("{name} uses {}, which is not below it", used.name));
                }
                if ONLY.iter().any(|(dep, ours)| *dep == used.name && !ours.contains(&name)) {
                    faults.push(format!("{name} uses {}, which is another crate's alone", used.name));
                }
            }
            if place < PURE {
                faults.extend(
                    self.in_tree(id, NOT_IN_PURE).map(|dep| format!("{name} is pure, its tree holds {dep}")),
                );
            }
            if name == "bartizan-agent" {
                faults.extend(
                    self.in_tree(id, NOT_IN_AGENT).map(|dep| format!("the agent's tree holds {dep}")),
                );
                let web = |p: &&Package| {
                    p.name != "tonic" && p.uses.iter().any(|id| self.packages[id].name == "axum")
                };
                let users = self.tree(id).into_iter().map(|id| &self.packages[id]).filter(web);
                faults.extend(users.map(|p| format!("the agent's tree holds {}, which uses axum", p.name)));
            }
            let text = manifest_text(Path::new(&package.manifest));
            if name != UNSAFE && !text.replace(' ', "").contains("[lints]\nworkspace=true") {
                faults.push(format!("{name} does not take the workspace's lints, which forbid unsafe"));
            }
        }
        for name in ONCE {
            let versions: BTreeSet<_> =
                self.packages.values().filter(|p| p.name == *name).map(|p| p.version.as_str()).collect();
            if versions.len() > 1 {
                faults.push(format!("{name} is in the tree {} times: {versions:?}", versions.len()));
            }
        }
        let all: BTreeSet<_> = ours.iter().flat_map(|(id, _)| self.tree(id)).collect();
        for name in NEVER {
            if all.iter().any(|id| self.packages[*id].name == *name) {
                faults.push(format!("{name} is in the tree; the one TLS provider is ring"));
            }
        }
        faults
    }

    /// What DataFusion uses and what has other features when only the query crate is built than when everything
    /// is: each such difference compiles DataFusion once more. `bartizan-unify` is where they are made even.
    fn uneven_features(&self) -> Result<Vec<String>> {
        let Some(engine) = self.packages.iter().find(|(_, p)| p.name == "datafusion").map(|(id, _)| id)
        else {
            return Ok(Vec::new());
        };
        let names: BTreeSet<_> =
            self.tree(engine).into_iter().map(|id| self.packages[id].name.as_str()).collect();
        let alone = features(&["-p", "bartizan-query", "-e", "normal,build"])?;
        let together = features(&["--workspace", "-e", "normal,build,dev"])?;
        let uneven = |(package, sets): (&String, &BTreeSet<String>)| {
            let other = together.get(package).filter(|other| !sets.is_subset(other))?;
            let name = package.split(' ').next().unwrap_or_default();
            names.contains(name).then(|| {
                format!("{package} has the features {sets:?} alone, {other:?} in the workspace: see bartizan-unify")
            })
        };
        Ok(alone.iter().filter_map(uneven).collect())
    }

    /// The names that stand somewhere in a package's tree.
    fn in_tree<'a>(&self, id: &str, names: &'a [&'a str]) -> impl Iterator<Item = &'a str> + use<'a> {
        let tree: BTreeSet<_> = self.tree(id).into_iter().map(|id| self.packages[id].name.clone()).collect();
        names.iter().copied().filter(move |name| tree.contains(*name))
    }

    fn tree<'a>(&'a self, id: &'a str) -> BTreeSet<&'a str> {
        let mut seen = BTreeSet::new();
        let mut next = vec![id];
        while let Some(id) = next.pop() {
            if seen.insert(id) {
                next.extend(self.packages[id].uses.iter().map(String::as_str));
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_holds_its_architecture() {
        check().unwrap();
    }

    /// A metadata document with these packages of ours and their uses; everything else is a leaf of others.
    fn graph(uses: &[(&str, &[&str])], versions: &[(&str, &str)]) -> Graph {
        let mut packages = BTreeMap::new();
        for (name, deps) in uses {
            for name in std::iter::once(name).chain(*deps) {
                let uses = uses.iter().find(|(n, _)| n == name).map_or(&[][..], |(_, deps)| deps);
                let uses = uses.iter().map(|d| (*d).to_owned()).collect();
                let package =
                    Package { name: (*name).into(), version: "1".into(), manifest: (*name).into(), uses };
                packages.insert((*name).to_owned(), package);
            }
        }
        for (name, version) in versions {
            let package = Package {
                name: (*name).into(),
                version: (*version).into(),
                manifest: String::new(),
                uses: Vec::new(),
            };
            packages.insert(format!("{name} {version}"), package);
        }
        Graph {
            ours: uses
                .iter()
                .map(|(n, _)| (*n).to_owned())
                .filter(|n| ORDER.contains(&n.as_str()) || n == "stranger")
                .collect(),
            packages,
        }
    }

    fn faults(uses: &[(&str, &[&str])], versions: &[(&str, &str)]) -> Vec<String> {
        graph(uses, versions).faults(|_| "[lints]\nworkspace = true\n".into())
    }

    #[test]
    fn each_violation_is_seen() {
        assert_eq!(faults(&[("bartizan-schema", &["bartizan-model"])], &[]), Vec::<String>::new());
        for (uses, expected) in [
            (("bartizan-model", &["bartizan-schema"] as &[&str]), "not below it"),
            (("bartizan-lake", &["datafusion"]), "another crate's alone"),
            (("bartizan-filter", &["tokio"]), "is pure"),
            (("stranger", &[]), "no place in the order"),
            (("bartizan-api", &["aws-lc-rs"]), "the one TLS provider"),
        ] {
            let found = faults(&[uses], &[]);
            assert!(found.iter().any(|f| f.contains(expected)), "{expected}: {found:?}");
        }
        let deep: &[(&str, &[&str])] = &[("bartizan-agent", &["between"]), ("between", &["parquet"])];
        assert_eq!(faults(deep, &[]), ["the agent's tree holds parquet"]);
        let web: &[(&str, &[&str])] =
            &[("bartizan-agent", &["tonic", "page"]), ("tonic", &["axum"]), ("page", &["axum"])];
        assert_eq!(faults(web, &[]), ["the agent's tree holds page, which uses axum"]);
        assert!(faults(&[], &[("rustls", "0.23.1"), ("rustls", "0.24.0")])[0].contains("2 times"));
        let lax =
            graph(&[("bartizan-lake", &[]), ("bartizan-netfilter", &[])], &[]).faults(|_| String::new());
        assert_eq!(lax.len(), 1, "{lax:?}");
    }
}
