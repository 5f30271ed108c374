//! The fleet's side: hosts, agents, traffic. It is told what to do on stdin, a word a line, and answers on
//! stdout, a JSON object a line; when stdin ends, it ends, and with it everything in its namespaces.

use crate::{
    fleet::{Fleet, GROUP},
    life,
    process::Agent,
    relay::{Relay, Target},
};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::{
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// What the fleet is told at its start, as JSON on the command line.
#[derive(Debug)]
pub(super) struct Orders {
    /// Where agents keep their things: a folder for each host.
    pub(super) dir: PathBuf,
    /// The server's ports of people and of agents, and the sockets that lead there.
    pub(super) ports: [(SocketAddr, PathBuf); 2],
    /// A join token for every host.
    pub(super) token: String,
}

impl Orders {
    pub(super) fn to_json(&self) -> Value {
        let port = |(address, path): &(SocketAddr, PathBuf)| json!([address.to_string(), path]);
        json!({ "dir": self.dir, "ports": self.ports.iter().map(port).collect::<Vec<_>>(), "token": self.token })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let port = |n: usize| {
            let port = &value["ports"][n];
            Some((port[0].as_str()?.parse().ok()?, PathBuf::from(port[1].as_str()?)))
        };
        Some(Self {
            dir: value["dir"].as_str()?.into(),
            ports: [port(0)?, port(1)?],
            token: value["token"].as_str()?.to_owned(),
        })
    }
}

/// Runs the fleet until stdin ends.
///
/// # Errors
/// Whatever keeps a host from coming up.
pub fn inside() -> Result<()> {
    cover_run()?;
    let mut lines = std::io::stdin().lines();
    let first = lines.next().context("no orders")?.context("read orders")?;
    let orders = Orders::from_json(&serde_json::from_str(&first)?).context("orders are not as expected")?;

    let fleet = Fleet::new()?;
    let mut relays = Vec::new();
    let mut agents = Vec::new();
    for host in &fleet.hosts {
        let name = host.role.name();
        for (address, path) in &orders.ports {
            relays.push(Relay::bring_to(&host.netns, *address, Target::Unix(path.clone()))?);
        }
        let mut agent =
            Agent::new(&orders.dir.join(name), &format!("groups = [{GROUP}]\nflows.enabled = true"))?;
        agent.enrol(Some(&host.netns), orders.ports[0].0, &orders.token, name)?;
        agent.start(Some(&host.netns))?;
        agent.wait_for_capture(&host.netns, GROUP)?;
        tell(
            &json!({ "host": name, "v4": host.role.v4(), "v6": host.role.v6(), "netns": host.netns.name() }),
        )?;
        agents.push(agent);
    }
    // Rules come last: from the first packet they count, somebody reads what they log.
    fleet.protect()?;
    tell(&json!({ "ready": true }))?;

    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let life = scope.spawn(|| life::live(&fleet, &stop));
        let mut life = Some(life);
        let work = || -> Result<()> {
            for line in lines {
                match line.context("read orders")?.as_str() {
                    "count" => tell(&json!({ "counted": fleet.counted()? }))?,
                    "quiet" => {
                        stop.store(true, Ordering::SeqCst);
                        if let Some(life) = life.take() {
                            life.join().map_err(|_| anyhow::anyhow!("the traffic panicked"))??;
                        }
                        tell(&json!({ "quiet": true }))?;
                    }
                    other => bail!("no such order: {other}"),
                }
            }
            Ok(())
        };
        let done = work();
        stop.store(true, Ordering::SeqCst);
        done
    })?;
    for agent in &mut agents {
        agent.stop()?;
    }
    Ok(())
}

/// Gives the fleet a `/run` of its own, so that its namespaces have no name outside. The mount namespace is
/// private, and ends with the fleet.
fn cover_run() -> Result<()> {
    // The first process of a process namespace, which only the stage makes.
    if std::process::id() != 1 {
        bail!("this is started by `bartizan-demo demo` only");
    }
    let status = Command::new("mount").args(["-t", "tmpfs", "-o", "mode=755", "bartizan", "/run"]).status();
    if !status.context("run mount")?.success() {
        bail!("cannot cover /run");
    }
    std::fs::create_dir_all("/run/netns").context("make /run/netns")
}

fn tell(value: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}").and_then(|()| out.flush()).context("tell the stage")
}
