//! `make run`: the server on this machine and, as root, the agent of this machine.

use super::say;
use crate::{
    process::{Agent, Server, binaries},
    signals::asked_to_stop,
};
use anyhow::{Context as _, Result, bail};
use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    sync::atomic::Ordering,
    thread,
    time::Duration,
};

/// The group of the agent here; rules say `log group 5`.
const GROUP: u16 = 5;

/// Runs both until Ctrl-C. What they keep stays in `target/run` for the next time.
///
/// # Errors
/// Whatever keeps one of them from running.
pub fn run() -> Result<()> {
    let stop = asked_to_stop()?;
    let dir = binaries()?.with_file_name("run");
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let mut server = Server::listening(&dir.join("server"), "", [loopback(8443), loopback(8444)])?;
    server.start().context("are ports 8443 and 8444 free?")?;
    let mut agent = Agent::new(&dir.join("agent"), &format!("groups = [{GROUP}]"))?;
    let with_agent = super::stage::is_root();
    if with_agent {
        if !agent.dir().join("identity/server").exists() {
            agent.enrol(None, server.front(), &server.token(1)?, &host_name())?;
        }
        agent.start(None)?;
    }

    say(&format!("\nThe server answers at https://{}.", server.front()));
    super::say_link(&server);
    say("In another terminal, here:");
    say(&format!(
        "  export BARTIZAN_DIR='{}' PATH='{}':\"$PATH\"",
        server.dir().display(),
        binaries()?.display()
    ));
    say("  bartizan hosts\n  bartizan tail");
    match (with_agent, has_rules()) {
        (false, _) => say("The agent of this machine needs root: type `sudo` and the same command."),
        (true, false) => {
            say(&format!("No rule here logs to group {GROUP}. One that does, to try it, and its end:"));
            say(
                "  nft 'add table inet bartizan_try; add chain inet bartizan_try in { type filter hook input priority 0; };",
            );
            say(&format!(
                "       add rule inet bartizan_try in tcp dport 9 counter log prefix \"try-drop: \" group {GROUP} drop'"
            ));
            say("  nc -zw1 127.0.0.1 9; nft delete table inet bartizan_try");
        }
        (true, true) => {}
    }
    say("Ctrl-C ends it.");

    while !stop.load(Ordering::SeqCst) {
        for (name, running) in [("server", server.running()), ("agent", agent.running())] {
            if let Some(running) = running
                && let Some(status) = running.ended()?
            {
                bail!("the {name} ended ({status}):\n{}", running.log_tail());
            }
        }
        thread::sleep(Duration::from_millis(200));
    }
    say("\n== stopping");
    if with_agent {
        agent.stop()?;
    }
    server.stop()
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "here".into() } else { name.to_owned() }
}

/// Whether any rule of this machine logs to the group.
fn has_rules() -> bool {
    let rules =
        Command::new("nft").args(["list", "ruleset"]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    rules.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains(&format!("group {GROUP}")))
}
