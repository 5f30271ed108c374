//! What a program is made of, as CycloneDX 1.5: the crates that are linked in, and for the server the packages of npm
//! that its page is made of.
//!
//! Made of `cargo tree`, which knows the features of this one program, `cargo metadata` and the two lock files. Nothing
//! in it changes without a change of these.

use super::{Job, Package, SERVER, read};
use crate::shell::Step;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// A crate that is linked in.
pub(super) struct Crate {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) licence: String,
    /// Its folder, where its sources are.
    pub(super) folder: PathBuf,
    id: String,
    description: String,
    repository: String,
    /// Not ours.
    pub(super) foreign: bool,
}

impl Crate {
    fn reference(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }
}

/// The crates of a program, ours among them, by name and version.
pub(super) fn crates(program: &str) -> Result<(Vec<Crate>, Value)> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let tree =
        ["tree", "--locked", "--offline", "--quiet", "--prefix", "none", "--edges", "normal,no-proc-macro"];
    let tree =
        Step::cargo(&tree).args(&["--target", &platform, "--format", "{p}", "-p", program]).output()?;
    // name vVERSION (where from)
    let wanted: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?.strip_prefix('v')?))
        })
        .collect();
    let metadata =
        ["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", &platform];
    let metadata: Value = serde_json::from_str(&Step::cargo(&metadata).output()?)?;
    let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let (name, version) = (text(package, "name"), text(package, "version"));
        if !wanted.contains(&(name.as_str(), version.as_str())) {
            continue;
        }
        let manifest = PathBuf::from(text(package, "manifest_path"));
        found.push(Crate {
            licence: text(package, "license").replace('/', " OR "),
            folder: manifest.parent().context("a manifest without a folder")?.to_owned(),
            id: text(package, "id"),
            description: text(package, "description"),
            repository: text(package, "repository"),
            foreign: !package["source"].is_null(),
            name,
            version,
        });
    }
    found.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok((found, metadata))
}

/// Writes a package's; returns the name of its file.
pub(super) fn write(job: &Job, package: &Package) -> Result<String> {
    let name = format!("{}-{}.cdx.json", package.name, job.version);
    let mut text = serde_json::to_string_pretty(&bill(job, package)?)?;
    text.push('\n');
    fs::write(job.to.join(&name), text)?;
    Ok(name)
}

fn bill(job: &Job, package: &Package) -> Result<Value> {
    let (crates, metadata) = crates(package.name)?;
    let sums = checksums(&read("Cargo.lock")?);
    let component = |one: &Crate| {
        let mut value = json!({
            "type": if one.name == package.name { "application" } else { "library" },
            "bom-ref": one.reference(), "purl": one.reference(), "name": one.name, "version": one.version,
        });
        if !one.description.is_empty() {
            value["description"] = one.description.split_whitespace().collect::<Vec<_>>().join(" ").into();
        }
        if !one.licence.is_empty() {
            value["licenses"] = json!([{ "expression": one.licence }]);
        }
        if !one.repository.is_empty() {
            value["externalReferences"] = json!([{ "type": "vcs", "url": one.repository }]);
        }
        if let Some(sum) = sums.get(&(one.name.clone(), one.version.clone())) {
            value["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
        }
        value
    };
    let (program, libraries): (Vec<_>, Vec<_>) = crates.iter().partition(|one| one.name == package.name);
    let program = program.first().context("the program is not in its own tree")?;
    let mut main = component(program);
    main["version"] = job.version.as_str().into();
    let mut components: Vec<Value> = libraries.into_iter().map(component).collect();
    let mut edges = edges(&crates, &metadata);
    if package.name == SERVER.name {
        let npm = npm(&serde_json::from_str(&read("web/package-lock.json")?)?);
        let page = crates.iter().find(|one| one.name == "bartizan-page").map(Crate::reference);
        let references = npm.iter().filter_map(|one| one["bom-ref"].as_str().map(str::to_owned));
        edges.entry(page.unwrap_or_default()).or_default().extend(references);
        components.extend(npm);
    }
    let edges: Vec<_> = edges.iter().map(|(of, on)| json!({ "ref": of, "dependsOn": on })).collect();
    Ok(json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": { "timestamp": job.date("+%Y-%m-%dT%H:%M:%SZ")?, "component": main },
        "components": components, "dependencies": edges,
    }))
}

/// Who uses whom, among those that are linked in.
fn edges(crates: &[Crate], metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let by_id: BTreeMap<&str, String> = crates.iter().map(|one| (one.id.as_str(), one.reference())).collect();
    let mut edges: BTreeMap<String, BTreeSet<String>> =
        by_id.values().map(|reference| (reference.clone(), BTreeSet::new())).collect();
    for node in metadata["resolve"]["nodes"].as_array().into_iter().flatten() {
        let Some(of) = node["id"].as_str().and_then(|id| by_id.get(id)) else { continue };
        for dependency in node["deps"].as_array().into_iter().flatten() {
            let kinds = dependency["dep_kinds"].as_array();
            let linked = kinds.into_iter().flatten().any(|kind| kind["kind"].is_null());
            let on = dependency["pkg"].as_str().and_then(|id| by_id.get(id));
            if let (true, Some(on)) = (linked, on) {
                edges.entry(of.clone()).or_default().insert(on.clone());
            }
        }
    }
    edges
}

/// Sums of `Cargo.lock`, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |part: &str, key: &str| {
        let line = part.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let one = |part: &str| Some(((value(part, "name")?, value(part, "version")?), value(part, "checksum")?));
    lock.split("[[package]]").filter_map(one).collect()
}

/// What the page is made of, of `package-lock.json`: not what it is only built or tested with.
fn npm(lock: &Value) -> Vec<Value> {
    let mut found = BTreeMap::new();
    for (path, package) in lock["packages"].as_object().into_iter().flatten() {
        let (Some((_, name)), Some(version)) =
            (path.rsplit_once("node_modules/"), package["version"].as_str())
        else {
            continue;
        };
        if package["dev"] == true || package["devOptional"] == true {
            continue;
        }
        let purl = format!("pkg:npm/{}@{version}", name.replace('@', "%40"));
        let mut value =
            json!({ "type": "library", "bom-ref": purl, "purl": purl, "name": name, "version": version });
        if let Some(licence) = package["license"].as_str() {
            value["licenses"] = json!([{ "expression": licence }]);
        }
        if let Some(sum) =
            package["integrity"].as_str().and_then(|sum| sum.strip_prefix("sha512-")).and_then(hex)
        {
            value["hashes"] = json!([{ "alg": "SHA-512", "content": sum }]);
        }
        found.insert(purl, value);
    }
    found.into_values().collect()
}

/// Base64 as hexadecimal digits.
fn hex(base64: &str) -> Option<String> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut held, mut text) = (0u32, 0, String::new());
    for byte in base64.trim_end_matches('=').bytes() {
        let digit = DIGITS.iter().position(|d| *d == byte)?;
        bits = bits << 6 | u32::try_from(digit).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            text.push_str(&format!("{:02x}", bits >> held & 0xff));
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_both_lock_files() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"x\"\nchecksum = \"00ff\"\n\n\
                    [[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        let sums = checksums(lock);
        assert_eq!(sums.get(&("a".into(), "1.0.0".into())).map(String::as_str), Some("00ff"));
        assert_eq!(sums.len(), 1);
        assert_eq!(hex("AP/+gA==").as_deref(), Some("00fffe80"));
        assert_eq!(hex("A*"), None);
    }

    #[test]
    fn what_the_page_is_only_built_with_is_not_of_it() {
        let lock = json!({ "packages": {
            "": { "version": "0.1.0" },
            "node_modules/svelte": { "version": "5.0.0", "license": "MIT", "integrity": "sha512-AP8=" },
            "node_modules/a/node_modules/@b/c": { "version": "1.0.0" },
            "node_modules/vite": { "version": "8.0.0", "dev": true },
        }});
        let found = npm(&lock);
        let purls: Vec<_> = found.iter().map(|one| one["purl"].as_str().unwrap()).collect();
        assert_eq!(purls, ["pkg:npm/%40b/c@1.0.0", "pkg:npm/svelte@5.0.0"]);
        assert_eq!(found[1]["hashes"][0]["content"], "00ff");
    }
}
