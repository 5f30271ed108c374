//! History from a database: `bartizan import` of five million packets in ulogd 2's normalised schema, from PostgreSQL
//! into a running server, all of it on this machine.

use crate::figure::{Figure, Goal};
use crate::machine::peak_megabytes;
use anyhow::{Context as _, Result, ensure};
use bartizan_e2e::database::{Database, Engine};
use bartizan_e2e::netns::NetNs;
use bartizan_e2e::process::{Running, Server};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const ROWS: u64 = 5_000_000;
/// How often its memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Rows as ulogd's own procedure writes them: 70 % TCP, 20 % UDP, 10 % ICMP, 500 hardware addresses. The indexes that
/// reading by key does not use are left out, so that making the rows takes a minute and not an hour.
const FILL: &str = "
DROP INDEX ulog2_oob_family, ulog2_ip_saddr, ulog2_ip_daddr, ulog2_timestamp, tcp_sport, tcp_dport, udp_sport,
    udp_dport, raw_type, raw_header;
INSERT INTO mac (_mac_id, mac_saddr, mac_daddr, mac_protocol)
SELECT i, ('02:00:00:00:' || lpad(to_hex(i / 256), 2, '0') || ':' || lpad(to_hex(i % 256), 2, '0'))::macaddr,
    '02:00:00:00:ff:01', 2048 FROM generate_series(1, 500) i;
INSERT INTO ulog2 (_id, oob_time_sec, oob_time_usec, oob_hook, oob_prefix, oob_mark, oob_in, oob_out, oob_family,
    ip_saddr_str, ip_daddr_str, ip_protocol, ip_tos, ip_ttl, ip_totlen, ip_ihl, ip_csum, ip_id, ip_fragoff, label, mac_id)
SELECT i, 1700000000 + i / 100, (i % 100) * 10000, 1, CASE WHEN i % 3 = 0 THEN 'IN-SSH drop: ' ELSE 'FWD drop: ' END,
    0, 'eth0', '', 2, ('10.' || (i % 200) || '.' || (i / 200 % 250) || '.' || (i % 250))::inet, '192.0.2.1'::inet,
    CASE WHEN i % 10 < 7 THEN 6 WHEN i % 10 < 9 THEN 17 ELSE 1 END, 0, 64, 60, 5, i % 65536, i % 65536, 16384, 0,
    1 + i % 500 FROM generate_series(1, 5000000) i;
INSERT INTO tcp SELECT i, 1024 + i % 60000, 22, i * 7, 0, 64240, false, 0, false, false, false, true, false
    FROM generate_series(1, 5000000) i WHERE i % 10 < 7;
INSERT INTO udp SELECT i, 1024 + i % 60000, 53, 40 FROM generate_series(1, 5000000) i WHERE i % 10 IN (7, 8);
INSERT INTO icmp (_icmp_id, icmp_type, icmp_code, icmp_echoid, icmp_echoseq)
SELECT i, 8, 0, i % 65536, 1 FROM generate_series(1, 5000000) i WHERE i % 10 = 9;
VACUUM ANALYZE;
";

pub(crate) fn run(figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let (netns, dir) = (Arc::new(NetNs::new("import")?), tempfile::tempdir()?);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    let database = Database::start(Engine::Postgres, &netns, dir.path())?;
    let schema = Command::new("zcat").arg("/usr/share/doc/ulogd2/pgsql-ulogd2.sql.gz").output()?;
    ensure!(schema.status.success(), "install ulogd2");
    database.create("ulog", &String::from_utf8(schema.stdout)?.replace("WITH (OIDS=FALSE)", ""))?;
    database.ask("ulog", FILL)?;
    let mut server = Server::new(&dir.path().join("server"), "")?.inside(&netns);
    server.start()?;
    let mut command = server.cli()?;
    command.args(["import", "--quiet", "--host", "gw", "--table", "ulog2", &database.url("ulog")]);
    let start = Instant::now();
    let mut running = Running::start(command, &dir.path().join("import.log"))?;
    let (mut peak, pid) = (0.0_f64, running.id());
    let status = loop {
        // the last look may find it gone
        peak = peak.max(peak_megabytes(pid).unwrap_or(0.0));
        match running.ended()? {
            Some(status) => break status,
            None => thread::sleep(LOOK),
        }
    };
    let took = start.elapsed().as_secs_f64();
    ensure!(status.success(), "the import failed:\n{}", running.log_tail());
    let rows = server.search_count("host:gw").context("count the rows")?;
    ensure!(rows == ROWS, "{rows} rows of {ROWS} arrived");
    figure(Figure::new("import from PostgreSQL", ROWS as f64 / took, "rows/s", Goal::AtLeast(150_000.0)));
    figure(Figure::new("import from PostgreSQL, peak memory", peak, "MB", Goal::Under(300.0)));
    Ok(())
}
