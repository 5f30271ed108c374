//! What forwarded traffic feels of the agent: iperf3 through a namespace whose rules log what they drop beside it.

use super::reader::Enrolled;
use crate::figure::{Figure, Goal};
use crate::machine::median;
use anyhow::{Context as _, Result, ensure};
use bartizan_e2e::netns::{End, NetNs};
use bartizan_e2e::process::{Running, wait_until};
use bartizan_e2e::traffic::udp_burst;
use serde_json::Value;
use std::process::Command;
use std::thread;
use std::time::Duration;

const ROUNDS: usize = 5;
const GROUP: u16 = 7;
/// Packets a second that the firewall drops and logs meanwhile.
const LOGGED: u64 = 10_000;
const SECONDS: u64 = 4;

pub(super) fn run(enrolled: &Enrolled, figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // in turn, which of the two comes first too
        for agent in [round % 2 == 0, round % 2 == 1] {
            let speed = measure(agent.then_some(enrolled))?;
            if agent { with.push(speed) } else { without.push(speed) }
        }
    }
    let (with, without) = (median(with), median(without));
    figure(
        Figure::new(
            "forwarded beside 10000 logged/s",
            with,
            "Gbit/s",
            Goal::AtLeast((without * 990.0).round() / 1000.0),
        )
        .beside("logging to nobody", without),
    );
    figure(Figure::new(
        "forwarded less for the agent",
        (1.0 - with / without) * 100.0,
        "%",
        Goal::Under(1.0),
    ));
    Ok(())
}

/// Gigabits a second through the firewall.
fn measure(agent: Option<&Enrolled>) -> Result<f64> {
    let (client, firewall, server) = (NetNs::new("client")?, NetNs::new("firewall")?, NetNs::new("server")?);
    NetNs::link(
        End { netns: &client, name: "lan", addresses: &["10.98.1.2/24"] },
        End { netns: &firewall, name: "left", addresses: &["10.98.1.1/24"] },
    )?;
    NetNs::link(
        End { netns: &server, name: "lan", addresses: &["10.98.2.2/24"] },
        End { netns: &firewall, name: "right", addresses: &["10.98.2.1/24"] },
    )?;
    client.ip("route add default via 10.98.1.1")?;
    server.ip("route add default via 10.98.2.1")?;
    firewall.sysctl("net.ipv4.ip_forward", "1")?;
    firewall.nft(&format!(
        "table inet bench {{ chain forward {{ type filter hook forward priority 0; policy accept;\n \
         udp dport 9 counter log prefix \"bench drop: \" group {GROUP} snaplen 128 drop\n}}\n}}\n"
    ))?;
    let dir = tempfile::tempdir()?;
    let mut command = server.command("iperf3");
    command.args(["--server", "--bind", "10.98.2.2", "--one-off"]);
    let iperf = Running::start(command, &dir.path().join("iperf3.log"))?;
    wait_until("iperf3 to listen", Duration::from_secs(10), || {
        let output = server.command("ss").args(["-Htln", "sport", "=", ":5201"]).output()?;
        Ok((!output.stdout.is_empty()).then_some(()))
    })?;
    let mut running = match agent {
        Some(enrolled) => {
            let mut agent = enrolled.agent(&dir.path().join("agent"), &format!("groups = [{GROUP}]"))?;
            agent.start(Some(&firewall))?;
            agent.wait_for_capture(&firewall, GROUP)?;
            Some(agent)
        }
        None => None,
    };
    thread::sleep(Duration::from_secs(1));
    let speed = thread::scope(|scope| -> Result<f64> {
        let logged = scope.spawn(|| {
            client.run(|| udp_burst(([10, 98, 2, 2], 9).into(), LOGGED * (SECONDS + 1), LOGGED, 32))?
        });
        let mut command: Command = client.command("iperf3");
        let output =
            command.args(["--client", "10.98.2.2", "--time", &SECONDS.to_string(), "--json"]).output()?;
        ensure!(output.status.success(), "iperf3: {}", String::from_utf8_lossy(&output.stdout));
        let said: Value = serde_json::from_slice(&output.stdout)?;
        logged.join().map_err(|_| anyhow::anyhow!("the sender of logged packets panicked"))??;
        said["end"]["sum_received"]["bits_per_second"].as_f64().context("no speed")
    })?;
    if let Some(agent) = &mut running {
        agent.stop()?;
    }
    drop(iperf);
    Ok(speed / 1e9)
}
