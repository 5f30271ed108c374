//! `bartizan import` of one log file into the lake: client and server on the same machine.

use crate::figure::{Figure, Goal};
use crate::machine::{cpu_seconds, peak_megabytes};
use anyhow::{Context as _, Result, ensure};
use bartizan_e2e::process::{Server, wait_until};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const LINES: u32 = 3_000_000;
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) fn run(figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("kern.log");
    write(&log)?;
    let mut server = Server::new(&dir.path().join("server"), "")?;
    server.start()?;
    let server_pid = server.running().context("it runs")?.id();
    let before = cpu_seconds(server_pid)?;
    let mut command = server.cli()?;
    command.args(["import", "-q"]).arg(&log).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut client = command.spawn()?;
    let (mut memory, mut cpu) = (0.0_f64, 0.0_f64);
    let status = wait_until("the import", PATIENCE, || {
        // gone between the look and the question
        memory = memory.max(peak_megabytes(client.id()).unwrap_or_default());
        cpu = cpu.max(cpu_seconds(client.id()).unwrap_or_default());
        Ok(client.try_wait()?)
    })?;
    let took = start.elapsed().as_secs_f64();
    ensure!(status.success(), "the import ended with {status}");
    let rows = server.search_count("")?;
    ensure!(rows == u64::from(LINES), "{rows} rows of {LINES} lines");
    let million = f64::from(LINES) / 1e6;
    figure(Figure::new(
        "import of a log file, committed",
        f64::from(LINES) / took,
        "lines/s",
        Goal::AtLeast(150_000.0),
    ));
    figure(Figure::new("import: client CPU", cpu / million, "s/million", Goal::None));
    figure(Figure::new(
        "import: server CPU",
        (cpu_seconds(server_pid)? - before) / million,
        "s/million",
        Goal::None,
    ));
    figure(Figure::new("import: client memory, peak", memory, "MB", Goal::Under(300.0)));
    server.stop()
}

/// Lines of a kernel's log, each another packet.
fn write(path: &Path) -> Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    for n in 0..LINES {
        let (second, [_, b, c, d]) = (n / 40, n.to_be_bytes());
        writeln!(
            out,
            "Mar {:>2} {:02}:{:02}:{:02} gw-1 kernel: [{n}.000000] IN-DROP: IN=eth0 OUT= MAC=02:00:00:00:00:02:02:00:00:00:00:01:08:00 SRC=198.{b}.{c}.{d} DST=203.0.113.5 LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID={} DF PROTO=TCP SPT={} DPT=22 WINDOW=64240 RES=0x00 SYN URGP=0 ",
            1 + second / 86_400,
            second / 3600 % 24,
            second / 60 % 60,
            second % 60,
            n % 65_536,
            n % 60_000 + 1024,
        )?;
    }
    Ok(out.flush()?)
}
