//! The page in a real browser, over the lake of 20 million events and under a tail: `bench/page/measure.mjs` measures.

use crate::figure::Figure;
use crate::kept;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Where the rows of the tail arrive; somewhere that is free.
const COLLECT: &str = "[[collect]]\nkind = \"syslog-tcp\"\naddress = \"127.0.0.1:0\"\n";

/// `page [LAKE]`.
pub(crate) fn run(lake: Option<&Path>, figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let (_dir, mut server) = kept::server(lake, COLLECT)?;
    let read =
        |name: &str| fs::read_to_string(server.dir().join(name)).with_context(|| format!("read {name}"));
    let collectors = read("collect_addresses")?;
    let syslog = collectors.split_whitespace().last().context("an address for syslog")?;
    let moment = |micros: i64| jiff::Timestamp::from_microsecond(micros);
    let end = crate::fleet::END.0;
    let range = format!("from={:.3}&to={:.3}", moment(end - 3_600_000_000)?, moment(end)?);
    let mut browser = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("page/measure.mjs"))
        .env("NODE_EXTRA_CA_CERTS", server.dir().join("ca.pem"))
        .env("BARTIZAN_URL", format!("https://{}", server.front()))
        .env("BARTIZAN_TOKEN", read("admin.token")?.trim())
        .env("BARTIZAN_SYSLOG", syslog)
        .env("PAGE_RANGE", range)
        .stdout(Stdio::piped())
        .spawn()
        .context("run node")?;
    for line in BufReader::new(browser.stdout.take().context("its output")?).lines() {
        figure(Figure::parse(&line?).context("a line that is no figure")?);
    }
    ensure!(browser.wait()?.success(), "the browser's figures failed");
    server.stop()
}
