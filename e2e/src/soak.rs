//! The soak: a fleet at work while everything fails around it, until the time is over.
//!
//! A server, hosts with rules and agents, a sender of RELP, tails, and whoever asks questions all the time ([`stage`],
//! [`life`], [`tail`], [`questions`]). Storms, in which faults are drawn from a seed ([`faults`]), take turns with calm,
//! in which everything has to add up ([`mod@check`]):
//!
//! - of each host, rows and losses are what its rules counted;
//! - of the sender, every line is there;
//! - a tail has shown as many rows as there are, but those that it was told to be too slow for, and whoever asks in four
//!   ways gets one number.
//!
//! In the end each event is stored once and was shown once, the lake is whole, and memory and descriptors of the programs
//! that lived through it are flat. In a run of some minutes the server is ended only in the first half of the time, so
//! that in the second it shows what it does with its memory; the first host's agent is never ended.
//!
//! It needs root, stays in namespaces of its own, and sends nothing anywhere else.

mod check;
mod disk;
mod faults;
mod figures;
mod life;
mod memory;
mod questions;
mod stage;
mod tail;
mod weather;

use anyhow::{Context as _, Result, bail, ensure};
use check::{Sums, check};
use faults::Faults;
use figures::Report;
use life::{Life, Sender};
use memory::Memory;
use questions::Questions;
use rand::{SeedableRng as _, rngs::StdRng};
use stage::Stage;
use std::{
    io::Write as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tail::Tail;
use weather::Weather;

/// Between two looks at what there is to do.
const TICK: Duration = Duration::from_millis(50);
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);
/// From how many seconds on a run is long enough to tell of memory.
const LONG: u64 = 300;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// A folder for everything; it is left there.
    pub dir: PathBuf,
    /// How long storms and calm take turns. Coming up, and the last look at everything, take longer.
    pub seconds: u64,
    /// What faults are drawn from.
    pub seed: u64,
    /// Hosts with an agent, at least two.
    pub hosts: u8,
}

/// Runs it to its end, or until `stop`. What it saw is in the report, also what was too much.
///
/// # Errors
/// When something does not add up, with what; the folder has everybody's logs.
pub fn soak(plan: &Plan, stop: &AtomicBool) -> Result<Report> {
    ensure!((2..=200).contains(&plan.hosts), "a soak has 2 to 200 hosts");
    say(&format!("== seed {}, {} s, in {}", plan.seed, plan.seconds, plan.dir.display()));
    let mut soak = Soak::begin(plan)?;
    let done = soak.run(stop);
    if done.is_err() {
        say(&format!("== failed with seed {} after {:.0?}", plan.seed, soak.started.elapsed()));
    }
    done
}

/// All that is at work. Fields are dropped in this order: who asks before who answers.
struct Soak<'a> {
    plan: &'a Plan,
    started: Instant,
    faults: Faults,
    weather: Arc<Weather>,
    tails: Vec<Tail>,
    sender: Option<Arc<Sender>>,
    memory: [Memory; 3],
    stage: Stage,
}

impl<'a> Soak<'a> {
    fn begin(plan: &'a Plan) -> Result<Self> {
        let stage = Stage::new(&plan.dir, plan.hosts)?;
        let sender = Sender::start(&stage, &plan.dir.join("rsyslog"))?;
        if sender.is_none() {
            say("rsyslog is not installed: nobody sends by RELP");
        }
        let asker = stage.server.asker();
        let tails = vec![
            Tail::begin(&asker, &plan.dir, "tail-all", "")?,
            Tail::begin(&asker, &plan.dir, "tail-one", "host:host-2")?,
        ];
        // A tail knows its place from its first row on.
        for host in &stage.hosts {
            host.mark()?;
        }
        Ok(Self {
            plan,
            started: Instant::now(),
            faults: Faults::new(StdRng::seed_from_u64(plan.seed), plan.seconds < LONG),
            weather: Arc::default(),
            tails,
            sender,
            memory: [(); 3].map(|()| Memory::new()),
            stage,
        })
    }

    fn run(&mut self, stop: &AtomicBool) -> Result<Report> {
        let asker = self.stage.server.asker();
        check(&self.stage, self.sender.as_deref(), &mut self.tails, &asker).context("before anything")?;
        let questions = Questions::begin(asker, Arc::clone(&self.weather), self.plan.seed);
        let end = self.started + Duration::from_secs(self.plan.seconds);
        let storm = Duration::from_secs((self.plan.seconds / 6).clamp(8, 150));
        let mut round = 0;
        while Instant::now() < end && !stop.load(Ordering::SeqCst) {
            round += 1;
            let sums = self.round(round, storm.min(end - Instant::now()), &questions, stop)?;
            say(&format!("   {:>4.0} s, calm {round}: {sums}", self.started.elapsed().as_secs_f64()));
        }
        let asked = questions.end()?;
        // What may still be wrong shows with the next reading of the counters.
        thread::sleep(Duration::from_secs(3));
        let sums = self.check()?;
        say("== reading everything");
        let asker = self.stage.server.asker();
        for tail in &self.tails {
            tail.each_once(&asker)?;
        }
        asker.ask(&["lake", "verify"]).context("the lake is not whole")?;
        Ok(figures::report(self.plan, &sums, asked, &self.faults.counts, &self.memory))
    }

    /// A storm, and the calm after it.
    fn round(
        &mut self,
        round: u64,
        storm: Duration,
        questions: &Questions,
        stop: &AtomicBool,
    ) -> Result<Sums> {
        let life = Life::begin(&self.stage, self.sender.as_ref(), self.plan.seed ^ round << 8);
        self.faults.rest();
        let (end, mut progress) = (Instant::now() + storm, Instant::now() + PROGRESS);
        while Instant::now() < end && !stop.load(Ordering::SeqCst) {
            let half = Duration::from_secs(self.plan.seconds / 2);
            let server_stays = self.plan.seconds >= LONG && self.started.elapsed() > half;
            self.faults.go_on(&mut self.stage, &self.weather, server_stays)?;
            self.look()?;
            if questions.has_failed() {
                break;
            }
            if Instant::now() >= progress {
                progress += PROGRESS;
                self.tell(questions)?;
            }
            thread::sleep(TICK);
        }
        self.faults.end(&mut self.stage, &self.weather)?;
        life.end(&self.stage.hosts)?;
        self.check()
    }

    fn check(&mut self) -> Result<Sums> {
        let asker = self.stage.server.asker();
        check(&self.stage, self.sender.as_deref(), &mut self.tails, &asker)
    }

    /// Nobody ends by itself; and what do they take?
    fn look(&mut self) -> Result<()> {
        for (n, host) in self.stage.hosts.iter_mut().enumerate() {
            if !self.faults.holds_agent(n)
                && let Some(running) = host.agent.running()
                && let Some(status) = running.ended()?
            {
                bail!("the agent of {} ended by itself ({status}):\n{}", host.name, running.log_tail());
            }
        }
        if !self.faults.holds_server()
            && let Some(running) = self.stage.server.running()
            && let Some(status) = running.ended()?
        {
            bail!("the server ended by itself ({status}):\n{}", running.log_tail());
        }
        let server = self.stage.server.running().map(|running| running.id());
        let steady = self.stage.hosts[0].processes()?;
        let [of_server, of_opener, of_worker] = &mut self.memory;
        of_server.look(server);
        of_opener.look(steady.first().copied());
        of_worker.look(steady.get(1).copied());
        Ok(())
    }

    fn tell(&self, questions: &Questions) -> Result<()> {
        let [server, _, worker] = &self.memory;
        let lines = self.sender.as_ref().map_or(0, |sender| sender.said());
        say(&format!(
            "   {:>4.0} s: {} packets, {lines} lines, {} shown, {} answers, {} faults; server {}, agent {}; now {}",
            self.started.elapsed().as_secs_f64(),
            self.stage.counted()?,
            self.tails[0].rows()?,
            questions.asked(),
            self.faults.counts.values().sum::<u64>(),
            server.words(),
            worker.words(),
            self.faults.words(),
        ));
        Ok(())
    }
}

/// One line for the person.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
