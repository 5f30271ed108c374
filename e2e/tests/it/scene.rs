//! One host with its firewall, its agent and the server, all in one namespace: traffic goes over loopback.

use bartizan_e2e::firewall;
use bartizan_e2e::netns::NetNs;
use bartizan_e2e::process::{Agent, Server, wait_until};
use bartizan_e2e::traffic;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) use crate::netfilter::possible;
pub(crate) use bartizan_e2e::firewall::{GROUP, MARKER, PORT};

/// How long it may take until everything has arrived.
const PATIENCE: Duration = Duration::from_secs(120);

/// The longer run: the same tests, more of everything.
pub(crate) fn soak() -> bool {
    std::env::var_os("BARTIZAN_SOAK").is_some_and(|v| v == "1")
}

/// `short`, or `long` in a soak.
pub(crate) fn amount(short: u64, long: u64) -> u64 {
    if soak() { long } else { short }
}

/// Host, agent and server. Fields are dropped in this order: programs before what they stand on.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) agent: Agent,
    pub(crate) server: Server,
    pub(crate) netns: Arc<NetNs>,
    pub(crate) dir: TempDir,
}

/// What the rules counted, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) counted: u64,
    pub(crate) rows: u64,
    pub(crate) ledger: u64,
}

/// A namespace with rules that log, and count what they log.
pub(crate) fn host(label: &str) -> Arc<NetNs> {
    let netns = NetNs::new(label).unwrap();
    firewall::drop_and_count(&netns).unwrap();
    Arc::new(netns)
}

impl Scene {
    /// Everything is up, and the agent captures.
    pub(crate) fn new(label: &str, agent: &str, server: &str) -> Self {
        let scene = Self::prepared(label, agent, server);
        scene.up()
    }

    /// Nothing runs yet.
    pub(crate) fn prepared(label: &str, agent: &str, server: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let netns = host(label);
        let server = Server::new(&dir.path().join("server"), server).unwrap().inside(&netns);
        let agent = Agent::new(&dir.path().join("agent"), &format!("groups = [{GROUP}]\n{agent}")).unwrap();
        Self { agent, server, netns, dir }
    }

    /// Starts the server, enrols and starts the agent.
    pub(crate) fn up(mut self) -> Self {
        self.server.start().unwrap();
        let token = self.server.token(1).unwrap();
        self.agent.enrol(Some(&self.netns), self.server.front(), &token, "web-01").unwrap();
        self.start_agent();
        self
    }

    pub(crate) fn start_agent(&mut self) {
        self.agent.start(Some(&self.netns)).unwrap();
        self.agent.wait_for_capture(&self.netns, GROUP).unwrap();
    }

    /// `count` datagrams to a port, half of them with IPv6.
    pub(crate) fn send(&self, port: u16, count: u64, rate: u64) {
        let [v4, v6] = loopback(port);
        self.netns
            .run(|| {
                traffic::udp_burst(v4, count / 2, rate, 60).unwrap();
                traffic::udp_burst(v6, count - count / 2, rate, 60).unwrap();
            })
            .unwrap();
    }

    /// Traffic that goes on until it is told to stop.
    pub(crate) fn flow(&self, rate: u64) -> Flow {
        let (netns, stop) = (Arc::clone(&self.netns), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let work = move || {
            for address in loopback(PORT).into_iter().cycle() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                traffic::udp_burst(address, (rate / 10).max(1), rate, 60).unwrap();
            }
        };
        Flow { stop, thread: Some(thread::spawn(move || netns.run(work).unwrap())) }
    }

    /// What the rules counted by now.
    pub(crate) fn counted(&self) -> u64 {
        self.netns.counted(GROUP).unwrap()
    }

    /// The figures at this moment; only on a quiet host do they fit together.
    pub(crate) fn figures(&self) -> Figures {
        let counted = self.counted();
        Figures {
            counted,
            rows: self.server.search_count("").unwrap(),
            ledger: self.server.losses_sum().unwrap(),
        }
    }

    /// Waits, on a quiet host, until everything that was counted is a row or in the ledger.
    pub(crate) fn settle(&self) -> Figures {
        let start = Instant::now();
        loop {
            let figures = self.figures();
            assert!(figures.rows + figures.ledger <= figures.counted, "more than there was: {figures:?}");
            if figures.rows + figures.ledger == figures.counted {
                return figures;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "not everything arrives: {figures:?}\n{:#?}",
                self.server.losses()
            );
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// The whole check: settled, no row twice; and the same again after a few more packets, because the end of a
    /// burst that was lost shows a second time with them.
    pub(crate) fn exact(&self) -> Figures {
        let before = self.settle();
        self.send(MARKER, 10, 0);
        let figures = self.settle();
        assert_eq!(figures.counted, before.counted + 10);
        // time for what may still be wrong: the next two readings of the counters
        thread::sleep(Duration::from_secs(3));
        assert_eq!(self.settle(), figures);
        assert_eq!(self.server.duplicates("").unwrap(), 0, "{figures:?}");
        eprintln!("{figures:?}");
        figures
    }

    /// Waits until so many rows pass a filter.
    pub(crate) fn wait_for_rows(&self, filter: &str, rows: u64, patience: Duration) {
        wait_until(&format!("{rows} rows of `{filter}`"), patience, || {
            Ok((self.server.search_count(filter)? >= rows).then_some(()))
        })
        .unwrap();
    }

    /// That agent and server did not end by themselves.
    pub(crate) fn alive(&mut self) {
        let ends = [self.agent.running(), self.server.running()]
            .map(|r| r.map(|r| (r.ended().unwrap(), r.log_tail())));
        for (ended, log) in ends.into_iter().flatten() {
            assert!(ended.is_none(), "ended by itself: {ended:?}\n{log}");
        }
    }
}

fn loopback(port: u16) -> [SocketAddr; 2] {
    [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]
}

/// Running traffic.
#[derive(Debug)]
pub(crate) struct Flow {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flow {
    /// Ends it; when this returns the last packet is counted.
    pub(crate) fn end(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().map(JoinHandle::join).unwrap().unwrap();
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// A small file system in memory.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    path: std::path::PathBuf,
}

impl SmallDisk {
    pub(crate) fn mount(path: &Path, megabytes: u64) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let options = format!("size={megabytes}m,mode=700");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "bartizan-test"])
            .arg(path)
            .status()
            .unwrap();
        assert!(status.success(), "cannot mount a tmpfs");
        Self { path: path.to_owned() }
    }

    /// Writes until there is no room but `leave` bytes.
    pub(crate) fn fill(&self, leave: u64) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.ballast()).unwrap();
        // One block more than there should be room for, so that with 0 the disk is really full.
        let blocks = self.free().saturating_sub(leave) / 4096 + u64::from(leave == 0);
        let _ = (0..blocks).try_for_each(|_| file.write_all(&[0x62; 4096]));
    }

    /// Bytes free.
    pub(crate) fn free(&self) -> u64 {
        let output =
            Command::new("df").args(["--block-size=1", "--output=avail"]).arg(&self.path).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().nth(1).unwrap().trim().parse().unwrap()
    }

    /// Gives the room back.
    pub(crate) fn empty(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> std::path::PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}
