//! What needs no package to be seen: scripts, units, and what is written about the programs.

use super::check::THRESHOLDS;
use super::*;
use std::process::Command;

fn in_workspace() {
    std::env::set_current_dir(crate::shell::root()).unwrap();
}

fn ends_well(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}");
}

#[test]
fn scripts_are_scripts_and_no_mark_is_left_in_them() {
    in_workspace();
    let folder = std::env::temp_dir().join(format!("bartizan-xtask-scripts-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for package in [&SERVER, &AGENT] {
        for script in deb::SCRIPTS {
            let text = deb::filled(script, package).unwrap();
            assert!(!text.contains('@') && text.contains(package.name), "{text}");
            let path = folder.join(format!("{}.{script}", package.name));
            fs::write(&path, text).unwrap();
            ends_well("sh", &["-n", path.to_str().unwrap()]);
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn units_shut_their_programs_in() {
    in_workspace();
    for (unit, threshold) in THRESHOLDS {
        let path = format!("packaging/systemd/{unit}.service");
        ends_well(
            "systemd-analyze",
            &["security", "--no-pager", "--offline=true", &format!("--threshold={threshold}"), &path],
        );
    }
}

/// A command that a program has and that its page or its completions do not know, or the other way round.
#[test]
fn the_agents_page_and_completions_know_its_commands() {
    in_workspace();
    let source = read("crates/agent/src/main.rs").unwrap();
    let commands = source.split("enum Command {").nth(1).unwrap().split("\n}\n").next().unwrap();
    let mut names = Vec::new();
    let mut hidden = false;
    for line in commands.lines() {
        hidden |= line.contains("hide = true");
        let rest =
            line.strip_prefix("    ").filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
        if let Some(rest) = rest {
            let name = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_lowercase();
            if !std::mem::take(&mut hidden) {
                names.push(name);
            }
        }
    }
    assert!(names.len() > 4 && names.contains(&"enrol".to_owned()), "{names:?}");
    for file in [
        "man/bartizan-agent.8",
        "completions/bartizan-agent.bash",
        "completions/_bartizan-agent",
        "completions/bartizan-agent.fish",
    ] {
        let text = read(&format!("packaging/{file}")).unwrap();
        for name in &names {
            let is_there = text.split(|c: char| !c.is_alphanumeric()).any(|word| word == name);
            assert!(is_there, "{file} does not know `{name}`");
        }
    }
}

#[test]
fn versions_that_a_package_cannot_have_are_refused() {
    in_workspace();
    assert!(version().unwrap().split('.').count() == 3);
    for wrong in ["", "1-2", "1 2", "1/2"] {
        let options = Options { version: Some(wrong.into()), ..Options::default() };
        assert!(Job::new(options).is_err(), "{wrong:?}");
    }
    assert!(Options::parse(&["--key"]).is_err() && Options::parse(&["--keys", "x"]).is_err());
}

/// The configuration that is installed shows keys with their defaults, as the list of all keys has them.
#[test]
fn the_installed_configuration_is_that_of_the_document() {
    in_workspace();
    let document = read("docs/configuration.md").unwrap();
    for package in [&SERVER, &AGENT] {
        let text = read(&format!("packaging/config/{}.toml", package.config)).unwrap();
        // what follows is examples
        let text = text.split("\n#[[").next().unwrap();
        let mut seen = 0;
        for line in text.lines().filter_map(|line| line.strip_prefix('#')) {
            let Some((key, value)) = line.split_once(" = ").filter(|(key, _)| !key.contains(' ')) else {
                continue;
            };
            let value = value.trim_matches('"');
            let is_there = [format!("| `{key}` | `{value}` |"), format!("| `{key}` | `\"{value}\"` |")];
            let found = is_there.iter().any(|row| document.contains(row));
            assert!(found, "docs/configuration.md has no `{key}` with `{value}`");
            seen += 1;
        }
        assert!(seen > 8, "{}: {seen} keys", package.config);
    }
}
