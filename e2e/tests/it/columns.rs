//! What the columns say is what another implementation reads in the same bytes: frames arrive at an interface
//! where `tcpdump` writes them to a file and rules log them; then `tshark` reads the file, and each row that
//! `bartizan search` shows is held against it, column by column.
//!
//! Rules log at two places: netdev ingress sees every frame as it came, broken ones too; inet prerouting and arp
//! input see what the IP stack took for a packet. A row and a frame belong together by the source hardware
//! address, which is another one in each frame.
//!
//! Where the two legitimately differ is written down at [`legitimate`].

mod frames;
mod tshark;

use crate::scene::{GROUP, possible};
use bartizan_e2e::netns::{End, NetNs};
use bartizan_e2e::process::{Agent, Running, Server, wait_until};
use frames::Frame;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take until every packet is a row.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends what it reads, frames with their length in front, from a packet socket: those need an address that
/// safe Rust cannot write. About 10,000 in a second, so that nobody on the way has to drop.
const SEND: &str = "
import socket, struct, sys, time
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((sys.argv[1], 0))
data, at, sent = sys.stdin.buffer.read(), 0, 0
while at < len(data):
    size, = struct.unpack_from('>I', data, at)
    out.send(data[at + 4:at + 4 + size])
    at, sent = at + 4 + size, sent + 1
    if sent % 50 == 0: time.sleep(0.005)
";

/// A wire that ends at a host which logs everything. Fields are dropped in this order.
struct Wire {
    tcpdump: Option<Running>,
    agent: Agent,
    server: Server,
    sender: NetNs,
    host: Arc<NetNs>,
    dir: TempDir,
}

impl Wire {
    fn new(label: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = Arc::new(NetNs::new(label).unwrap());
        let sender = NetNs::new("wire").unwrap();
        // The other end says nothing by itself.
        sender.sysctl("net.ipv6.conf.all.disable_ipv6", "1").unwrap();
        sender.sysctl("net.ipv6.conf.default.disable_ipv6", "1").unwrap();
        let near = End { netns: &host, name: "eth0", addresses: &[] };
        NetNs::link(near, End { netns: &sender, name: "eth0", addresses: &[] }).unwrap();
        host.ip(&format!("link set eth0 address {} mtu 65535", frames::RECEIVER)).unwrap();
        sender.ip("link set eth0 mtu 65535").unwrap();
        let log = |prefix: &str| format!("counter log prefix \"{prefix}: \" group {GROUP}");
        host.nft(&format!(
            "table netdev f {{
                chain i {{ type filter hook ingress device eth0 priority 0; {}; }}
             }}
             table inet f {{
                chain p {{ type filter hook prerouting priority -300; iifname eth0 {} drop; }}
             }}
             table arp f {{
                chain i {{ type filter hook input priority 0; iifname eth0 {} drop; }}
             }}",
            log("frame"),
            log("ip"),
            log("arp")
        ))
        .unwrap();
        let mut server = Server::new(&dir.path().join("server"), "").unwrap().inside(&host);
        server.start().unwrap();
        let mut agent =
            Agent::new(&dir.path().join("agent"), &format!("groups = [{GROUP}]\ncapture.copy_bytes = 1024"))
                .unwrap();
        let token = server.token(1).unwrap();
        agent.enrol(Some(&host), server.front(), &token, "web-01").unwrap();
        agent.start(Some(&host)).unwrap();
        agent.wait_for_capture(&host, GROUP).unwrap();

        let mut command = host.command("tcpdump");
        // The buffer is cut into pieces of the longest packet that is asked for: 256 of them, or 32,768.
        command.args(["-i", "eth0", "-Q", "in", "-B", "65536", "-s", "2000", "--immediate-mode", "-U"]);
        command.args(["-Z", "root", "-w"]).arg(capture(&dir));
        let tcpdump = Running::start(command, &dir.path().join("tcpdump.log")).unwrap();
        wait_until("tcpdump to listen", Duration::from_secs(10), || {
            Ok(tcpdump.log_tail().contains("listening on").then_some(()))
        })
        .unwrap();
        Self { tcpdump: Some(tcpdump), agent, server, sender, host, dir }
    }

    /// Sends frames, waits until every one that a rule counted is a row, and gives the rows, the first of each
    /// prefix and source hardware address.
    fn through(&mut self, frames: &[Frame]) -> BTreeMap<(String, String), Value> {
        let mut bytes = Vec::new();
        for frame in frames {
            bytes.extend((frame.bytes.len() as u32).to_be_bytes());
            bytes.extend(&frame.bytes);
        }
        let mut command = self.sender.command("python3");
        let mut python = command.args(["-c", SEND, "eth0"]).stdin(Stdio::piped()).spawn().unwrap();
        python.stdin.take().unwrap().write_all(&bytes).unwrap();
        assert!(python.wait().unwrap().success());

        let start = Instant::now();
        let counted = self.host.counted(GROUP).unwrap();
        loop {
            let rows = self.server.search_count("").unwrap();
            let ledger = self.server.losses_sum().unwrap();
            assert!(rows + ledger <= counted);
            if rows + ledger == counted {
                assert_eq!(ledger, 0, "{:?}", self.server.losses());
                break;
            }
            assert!(start.elapsed() < PATIENCE, "{rows} rows and {ledger} lost of {counted}");
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(self.server.duplicates("").unwrap(), 0);
        assert_eq!(self.host.counted(GROUP).unwrap(), counted);
        assert!(counted >= frames.len() as u64, "{counted}");
        let whole = 24 + frames.iter().map(|f| 16 + f.bytes.len() as u64).sum::<u64>();
        wait_until("tcpdump to have written every frame", Duration::from_secs(10), || {
            Ok((std::fs::metadata(capture(&self.dir))?.len() >= whole).then_some(()))
        })
        .unwrap();
        self.tcpdump.take().unwrap().stop().unwrap();
        for (what, running) in [("agent", self.agent.running()), ("server", self.server.running())] {
            assert!(running.unwrap().ended().unwrap().is_none(), "the {what} ended by itself");
        }

        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let rows = self.server.rows("").unwrap();
        assert_eq!(rows.len() as u64, counted);
        let rows: BTreeMap<_, _> =
            rows.into_iter().map(|r| ((text(&r, "prefix"), text(&r, "mac_src")), r)).collect();
        assert_eq!(rows.len() as u64, counted, "one row for each place and frame");
        rows
    }
}

fn capture(dir: &TempDir) -> PathBuf {
    dir.path().join("wire.pcap")
}

/// Whether the tools of these tests are here; says so when not.
fn tools() -> bool {
    for (tool, version) in [("tshark", "--version"), ("tcpdump", "--version"), ("python3", "--version")] {
        let run = Command::new(tool).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !run.is_ok_and(|status| status.success()) {
            eprintln!("NOT RUN: `{tool}` is missing");
            return false;
        }
    }
    true
}

/// What was compared, and every difference.
#[derive(Debug, Default)]
struct Compared {
    rows: usize,
    /// Values that both sides have, by column.
    values: BTreeMap<&'static str, usize>,
    /// By prefix.
    places: BTreeMap<String, usize>,
    differences: Vec<String>,
}

fn compare(frames: &[Frame], file: &Path, rows: &BTreeMap<(String, String), Value>) -> Compared {
    let bytes = std::fs::read(file).unwrap();
    let (packets, arrived) = (tshark::read(file), ethernet_frames(&bytes));
    assert_eq!((packets.len(), arrived.len()), (frames.len(), frames.len()), "tcpdump saw every frame");
    let by_address: HashMap<_, _> = arrived.iter().map(|f| frames::source(f)).zip(&packets).collect();
    let mut compared = Compared::default();
    for (number, frame) in frames.iter().enumerate() {
        let address = frames::address(number);
        let packet = by_address[&address];
        assert!(rows.contains_key(&("frame: ".to_owned(), address.clone())), "{} is no row", frame.name);
        for place in ["frame: ", "ip: ", "arp: "] {
            let Some(row) = rows.get(&(place.to_owned(), address.clone())) else { continue };
            compared.rows += 1;
            *compared.places.entry(place.to_owned()).or_default() += 1;
            for (column, expected) in packet.expected() {
                let ours = number_of(column, &row[column]);
                if ours != expected && !legitimate(place, frame, column, &ours, &expected) {
                    let what = format!("{place}{}: {column} is {ours}, tshark says {expected}", frame.name);
                    compared.differences.push(what);
                } else if ours == expected && !ours.is_null() {
                    *compared.values.entry(column).or_default() += 1;
                }
            }
        }
    }
    compared
}

/// Where the two may differ. In whole frames only here:
/// - the IP stack takes a tag with VLAN id 0 for none, and so does what is logged behind it.
///
/// In others a value that both have is still the same, but
/// - tshark says nothing of a header whose length it does not believe or that ends early, while we say what was
///   captured: total lengths under the header's, TCP headers under 20 bytes, IPv6 payload lengths of 0;
/// - tshark makes up a length for packets whose total length is 0, of which we say 0;
/// - the protocol behind an IPv6 extension header that is cut is unknown to us, and tshark's guess is what the
///   cut header names next;
/// - tshark does not look into SCTP that a redirect quotes;
/// - operations of ARP over 32767 do not exist, and the column has no room for them;
/// - Cisco ISL wraps a frame into another: the addresses are of the outer one, tshark's of the inner one.
fn legitimate(place: &str, frame: &Frame, column: &str, ours: &Value, tshark: &Value) -> bool {
    if column == "vlan" && place != "frame: " && ours.is_null() && *tshark == 0 {
        return true;
    }
    !frame.whole
        && (tshark.is_null()
            || column.starts_with("mac_") && frame.bytes.starts_with(&[1, 0, 0x0c, 0, 0])
            || column == "length" && *ours == 0
            || matches!(column, "proto" | "inner_proto") && ours.is_null()
            || column == "icmp_type" && ours.is_null() && tshark.as_u64() > Some(32767))
}

/// Protocols and flags are shown as words: the numbers that they are.
fn number_of(column: &str, shown: &Value) -> Value {
    const PROTOCOLS: [(&str, u64); 24] = [
        ("hopopt", 0),
        ("icmp", 1),
        ("igmp", 2),
        ("ipip", 4),
        ("tcp", 6),
        ("egp", 8),
        ("igp", 9),
        ("udp", 17),
        ("dccp", 33),
        ("ipv6", 41),
        ("rsvp", 46),
        ("gre", 47),
        ("esp", 50),
        ("ah", 51),
        ("icmpv6", 58),
        ("eigrp", 88),
        ("ospf", 89),
        ("pim", 103),
        ("ipcomp", 108),
        ("vrrp", 112),
        ("l2tp", 115),
        ("sctp", 132),
        ("udplite", 136),
        ("ethernet", 143),
    ];
    const FLAGS: [&str; 9] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"];
    let Some(text) = shown.as_str() else { return shown.clone() };
    match column {
        "proto" | "inner_proto" => {
            let named = PROTOCOLS.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
            named.unwrap_or_else(|| text.parse().unwrap()).into()
        }
        "tcp_flags" if text == "NONE" => 0.into(),
        "tcp_flags" => {
            let bit = |word: &str| 1u64 << FLAGS.iter().position(|flag| *flag == word).unwrap();
            text.split(',').map(bit).sum::<u64>().into()
        }
        _ => shown.clone(),
    }
}

#[test]
fn every_column_says_what_tshark_reads_in_the_same_packets() {
    if !possible() || !tools() {
        return;
    }
    let seed = rand::random();
    let frames = frames::all(seed, 14);
    let mut wire = Wire::new("columns");
    let rows = wire.through(&frames);
    let compared = compare(&frames, &capture(&wire.dir), &rows);
    eprintln!("seed {seed}: {} frames, {} rows, {:?}", frames.len(), compared.rows, compared.places);
    eprintln!("{:?}", compared.values);
    assert!(compared.differences.is_empty(), "seed {seed}:\n{}", compared.differences.join("\n"));
    assert!(compared.places["frame: "] == frames.len() && compared.places["ip: "] > frames.len() / 4);
    let compared: BTreeSet<_> =
        compared.values.into_iter().filter(|(_, n)| *n > 10).map(|(c, _)| c).collect();
    assert_eq!(compared, tshark::COLUMNS.into(), "columns with values");
}

/// The folder that `BARTIZAN_CORPUS` names, or the one beside the project; not part of it.
fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let root = std::env::var_os("BARTIZAN_CORPUS").map_or(beside, PathBuf::from);
    let open = root.join("open");
    let root = if open.is_dir() { open } else { root };
    root.is_dir().then_some(root)
}

/// Every Ethernet frame of the capture files, each once.
fn captured(root: &Path) -> Vec<Frame> {
    let (mut frames, mut seen) = (Vec::new(), BTreeSet::new());
    let folders = std::fs::read_dir(root).unwrap().flatten();
    for folder in folders.filter(|f| f.file_name().to_string_lossy().starts_with("pcap-")) {
        for file in std::fs::read_dir(folder.path()).unwrap().flatten() {
            let Ok(bytes) = std::fs::read(file.path()) else { continue };
            let name = file.file_name().to_string_lossy().into_owned();
            for (n, frame) in ethernet_frames(&bytes).into_iter().enumerate() {
                if frame.len() > 1514 || !seen.insert(frame.to_vec()) {
                    continue;
                }
                frames.extend(Frame::foreign(frames.len(), format!("{name} frame {}", n + 1), frame));
            }
        }
    }
    frames
}

/// The frames of a classic capture file of Ethernet; none when it is something else.
fn ethernet_frames(file: &[u8]) -> Vec<&[u8]> {
    let (Some(magic), Some(link)) = (file.first_chunk::<4>(), file.get(20..24)) else { return Vec::new() };
    let little = match magic {
        [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => true,
        [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] => false,
        _ => return Vec::new(),
    };
    let number = |b: &[u8]| {
        let b: [u8; 4] = b.try_into().unwrap();
        if little { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) }
    };
    if number(link) & 0x0fff_ffff != 1 {
        return Vec::new();
    }
    let (mut rest, mut frames) = (&file[24..], Vec::new());
    while let Some((header, body)) = rest.split_first_chunk::<16>() {
        let length = (number(&header[8..12]) as usize).min(body.len());
        frames.push(&body[..length]);
        rest = &body[length..];
    }
    frames
}

#[test]
fn frames_that_others_captured_are_columns_too() {
    if !possible() || !tools() {
        return;
    }
    let Some(corpus) = corpus() else {
        eprintln!("NOT RUN: BARTIZAN_CORPUS names no folder of captures and none lies beside the project");
        return;
    };
    let frames = captured(&corpus);
    let mut wire = Wire::new("captures");
    let rows = wire.through(&frames);
    let compared = compare(&frames, &capture(&wire.dir), &rows);
    eprintln!("{} frames, {} rows, {:?}", frames.len(), compared.rows, compared.places);
    eprintln!("{:?}", compared.values);
    assert!(compared.differences.is_empty(), "{}", compared.differences.join("\n"));
}
