//! The opener at work: one thread that answers the worker, forwards signals, and tells systemd.

use super::channel::{Channel, Message};
use super::link::{Notice, Order};
use super::lock::Holder;
use super::protocol::{Refusal, Reply, Request};
use super::start::{self, Started};
use crate::open::{self, Direct, Open as _};
use crate::sandbox;
use crate::settings::Settings;
use crate::user::{self, User};
use anyhow::Context as _;
use bartizan_netfilter::{
    Asker, ConntrackSocket, Interfaces, NetfilterError, Netns, NflogConfig, NflogSocket, Question,
    RulesetMonitor,
};
use bartizan_notify::Notify;
use bartizan_ruleset::Form;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::CapabilitySet;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

/// Questions to nf_tables that the worker may have open at a time: one socket a namespace, and some to spare.
const MAX_ASKERS: usize = 4096;

/// The listings that may be asked for, by their places here.
pub(super) const FORMS: [Form; 6] = [
    Form::Nft,
    Form::NftJson,
    Form::IptablesSave,
    Form::Ip6tablesSave,
    Form::IptablesLegacySave,
    Form::Ip6tablesLegacySave,
];

/// What the opener is started with.
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    /// The files of the configuration, as they are looked for at each reload.
    pub(crate) files: Box<dyn Fn() -> anyhow::Result<Vec<PathBuf>>>,
    /// What the worker is started with besides its name.
    pub(crate) arguments: Vec<OsString>,
}

/// Starts a worker and serves it until it ends. Returns its exit code.
pub(crate) fn run(setup: Setup) -> anyhow::Result<u8> {
    let signals = Signals::listen()?;
    let notify = Notify::from_env();
    let lock = Holder::lock(&setup.settings.dir)?;
    let user = worker_user(&setup.settings);
    if let Some(user) = user {
        user::hand_over(&setup.settings.dir, user)?;
    }
    if let Some(folder) = setup.settings.local_log.path.as_deref().and_then(Path::parent) {
        user::make_for(folder, user)?;
    }
    let (requests, theirs) = Channel::pair().context("cannot make a socket pair")?;
    let (control, their_control) = Channel::pair().context("cannot make a socket pair")?;
    let arguments = [OsString::from("worker")].into_iter().chain(setup.arguments).collect();
    let worker = start::start(arguments, theirs, user)?;
    let keep = setup.settings.opener_capabilities();
    // until all is open we may look into processes, to tell who has what we want
    let mut gaps = sandbox::keep_only(keep | CapabilitySet::SYS_PTRACE | CapabilitySet::SETPCAP);
    gaps.0.extend(sandbox::shut_opener_in().0);
    for gap in gaps.0.iter().chain(&worker.gaps.0) {
        tracing::warn!(gap, "not shut in as well as it could be; `bartizan-agent doctor` tells more");
    }
    let mut serve = Serve {
        requests,
        control,
        their_control: Some(their_control),
        signals,
        notify,
        lock,
        keep,
        files: setup.files,
        namespaces: own_namespace().context("cannot tell which network namespace this is")?,
        askers: Vec::new(),
        unfit: None,
    };
    let served = serve.serve();
    // the worker lets its end go before it has ended; ours are held until then, because their end is an order too
    let code = if served.is_ok() { end(worker) } else { Ok(1) };
    drop(serve);
    served.and(code)
}

fn own_namespace() -> io::Result<BTreeMap<u64, Netns>> {
    Ok(Direct.namespaces()?.into_iter().take(1).map(|own| (own.id, own)).collect())
}

/// The user of the worker, when there is one and we may become it.
fn worker_user(settings: &Settings) -> Option<User> {
    let user = User::named(&settings.user);
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    if user.is_none() {
        tracing::info!(
            user = settings.user,
            "there is no such user; the worker keeps the number of root, without its rights"
        );
    }
    user
}

/// The worker's end as an exit code of ours.
fn end(worker: Started) -> anyhow::Result<u8> {
    let status = worker.wait()?;
    if let Some(signal) = status.signal() {
        anyhow::bail!("the worker was killed by signal {signal}");
    }
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Signals as something that can be waited for.
struct Signals {
    stop: UnixStream,
    reload: UnixStream,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |signals: &[i32]| -> io::Result<UnixStream> {
            let (here, there) = UnixStream::pair()?;
            here.set_nonblocking(true)?;
            for signal in signals {
                signal_hook::low_level::pipe::register(*signal, there.try_clone()?)?;
            }
            Ok(here)
        };
        let listening =
            || Ok::<_, io::Error>(Self { stop: listen(&[SIGTERM, SIGINT])?, reload: listen(&[SIGHUP])? });
        listening().context("cannot listen to signals")
    }

    /// Takes what came, so that it is not seen twice.
    fn take(mut stream: &UnixStream) {
        let mut buf = [0; 64];
        while matches!(stream.read(&mut buf), Ok(n) if n > 0) {}
    }
}

struct Serve {
    requests: Channel,
    control: Channel,
    /// The worker's end, until it has asked for it.
    their_control: Option<Channel>,
    signals: Signals,
    notify: Notify,
    lock: Holder,
    /// What is kept when the worker is ready.
    keep: CapabilitySet,
    files: Box<dyn Fn() -> anyhow::Result<Vec<PathBuf>>>,
    /// Namespaces as they were last told, by number.
    namespaces: BTreeMap<u64, Netns>,
    askers: Vec<(Channel, Asker)>,
    /// What the kernel cannot do for the groups, once it was told.
    unfit: Option<&'static str>,
}

/// What a reply carries along.
type Answer = (Reply, Vec<OwnedFd>);

impl Serve {
    /// Until the worker is gone.
    fn serve(&mut self) -> anyhow::Result<()> {
        loop {
            let ready = self.wait().context("cannot wait for the worker")?;
            if ready.stop {
                Signals::take(&self.signals.stop);
                self.notify.stopping();
                self.order(Order::Stop);
            }
            if ready.reload {
                Signals::take(&self.signals.reload);
                self.notify.reloading();
                self.order(Order::Reload);
            }
            if ready.control {
                self.notice();
            }
            for index in ready.askers.into_iter().rev() {
                self.question(index);
            }
            if ready.requests {
                match self.requests.recv() {
                    Ok(Some(message)) => self.request(message),
                    Ok(None) => return Ok(()),
                    Err(error) => return Err(error).context("cannot hear the worker"),
                }
            }
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let fixed = [
            self.requests.as_fd(),
            self.control.as_fd(),
            self.signals.stop.as_fd(),
            self.signals.reload.as_fd(),
        ];
        let askers = self.askers.iter().map(|(channel, _)| channel.as_fd());
        let mut polled: Vec<_> =
            fixed.into_iter().chain(askers).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = polled.iter().map(|p| !p.revents().is_empty());
        let mut next = || ready.next().unwrap_or(false);
        let (requests, control, stop, reload) = (next(), next(), next(), next());
        let askers = ready.enumerate().filter_map(|(index, ready)| ready.then_some(index)).collect();
        Ok(Ready { requests, control, stop, reload, askers })
    }

    fn order(&self, order: Order) {
        if let Err(error) = self.control.send(&order.to_bytes(), &[]) {
            tracing::warn!(%error, ?order, "the worker does not hear");
        }
    }

    fn notice(&mut self) {
        match self.control.recv() {
            Ok(Some(message)) => match Notice::from_bytes(&message.bytes) {
                Some(Notice::Ready) => {
                    drop(sandbox::keep_only(self.keep));
                    self.notify.ready();
                }
                Some(Notice::Progress) => self.notify.progress(),
                Some(Notice::State(line)) => self.notify.status(&line),
                None => tracing::warn!("a notice of the worker that is none"),
            },
            // its end shows on the request channel as well
            Ok(None) | Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    }

    /// Answers one request on the channel that came with it.
    fn request(&mut self, message: Message) {
        let mut fds = message.fds.into_iter();
        let (Some(back), given) = (fds.next().map(Channel::from), fds.next()) else {
            tracing::warn!("a request without a way back");
            return;
        };
        let (reply, fds) = match Request::from_bytes(&message.bytes) {
            Some(request) => {
                self.answer(request, given).unwrap_or_else(|why| (Reply::Refused(why), Vec::new()))
            }
            None => (Reply::Refused(Refusal::Other("a request that is none".into())), Vec::new()),
        };
        let borrowed: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        if let Err(error) = back.send(&reply.to_bytes(), &borrowed) {
            tracing::warn!(%error, "the worker did not get its answer");
        }
    }

    fn answer(&mut self, request: Request, given: Option<OwnedFd>) -> Result<Answer, Refusal> {
        let done = |fd: OwnedFd| (Reply::Done, vec![fd]);
        match request {
            Request::Hello => {
                let control = self.their_control.take().ok_or(Refusal::Other("greeted twice".into()))?;
                let lock = self.lock.handle().try_clone().map_err(|e| Refusal::of_io(&e))?;
                Ok((Reply::Done, vec![control.into_fd(), lock.into()]))
            }
            Request::Configuration => self.configuration().map_err(|e| Refusal::Other(format!("{e:#}"))),
            Request::Namespaces => {
                let all = Direct.namespaces().map_err(|e| Refusal::of_io(&e))?;
                self.namespaces = all.iter().map(|netns| (netns.id, netns.clone())).collect();
                Ok((Reply::Namespaces(all), Vec::new()))
            }
            Request::Nflog { netns, mut config } => {
                self.fit(&mut config);
                self.inside(netns, || NflogSocket::ask(&config)).map(done)
            }
            Request::NflogSettings { mut config, seq } => {
                self.fit(&mut config);
                let socket = given.ok_or(Refusal::Other("no socket came along".into()))?;
                NflogSocket::ask_again(socket.as_fd(), &config, seq).map_err(|e| Refusal::of(&e))?;
                Ok((Reply::Done, Vec::new()))
            }
            Request::NflogRefused { netns, group, code } => {
                self.inside(netns, || Err(NflogSocket::refusal(group, code)))
            }
            Request::Nftables { netns } => self.asker(netns),
            Request::Interfaces { netns } => self.inside(netns, Interfaces::socket).map(done),
            Request::Changes { netns } => self.inside(netns, RulesetMonitor::open).map(|s| done(s.into_fd())),
            Request::Conntrack { netns, config } => {
                self.inside(netns, || ConntrackSocket::open(&config)).map(|s| done(s.into_fd()))
            }
            Request::Kmsg => Direct.kmsg().map(done).map_err(|e| Refusal::of_io(&e)),
            Request::Journal { cursor } => {
                Direct.journal(cursor.as_deref()).map(done).map_err(|e| Refusal::of_io(&e))
            }
            Request::List { netns, form } => {
                let form = FORMS.get(usize::from(form)).ok_or(Refusal::Other("no such listing".into()))?;
                let pipe = Direct.list(self.netns(netns)?, *form).map_err(|e| Refusal::of_io(&e))?;
                Ok((Reply::Done, pipe.into_iter().collect()))
            }
            Request::Incarnation { netns } => {
                let life = Direct.incarnation(self.netns(netns)?).map_err(|e| Refusal::of_io(&e))?;
                Ok((Reply::Incarnation(life.0), Vec::new()))
            }
        }
    }

    /// The configuration's files, opened: the worker may have no right to.
    fn configuration(&self) -> anyhow::Result<Answer> {
        let (mut names, mut files) = (Vec::new(), Vec::new());
        for path in (self.files)()? {
            let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
            names.push(path.display().to_string());
            files.push(OwnedFd::from(file));
        }
        Ok((Reply::Names(names), files))
    }

    /// A socket for questions, and the channel on which they are to come.
    fn asker(&mut self, netns: u64) -> Result<Answer, Refusal> {
        if self.askers.len() >= MAX_ASKERS {
            return Err(Refusal::Other("too many sockets for questions".into()));
        }
        let (asker, answers) = self.inside(netns, Asker::open)?;
        let (ours, theirs) = Channel::pair().map_err(|e| Refusal::of_io(&e))?;
        self.askers.push((ours, asker));
        Ok((Reply::Done, vec![answers, theirs.into_fd()]))
    }

    /// Asks the kernel what came on a channel; the worker reads the answer. A channel that ends takes its socket
    /// along.
    fn question(&mut self, index: usize) {
        let (channel, asker) = &self.askers[index];
        let Ok(Some(message)) = channel.recv() else {
            self.askers.swap_remove(index);
            return;
        };
        let asked = message
            .bytes
            .split_first_chunk()
            .and_then(|(seq, question)| Some((u32::from_be_bytes(*seq), Question::from_bytes(question)?)));
        let reply = match asked.map(|(seq, question)| asker.send(&question, seq)) {
            Some(Ok(())) => Reply::Done,
            Some(Err(error)) => Reply::Refused(Refusal::of(&error)),
            None => Reply::Refused(Refusal::Other("a question that is none".into())),
        };
        if channel.send(&reply.to_bytes(), &[]).is_err() {
            self.askers.swap_remove(index);
        }
    }

    /// Leaves out what this kernel cannot do, and says so once.
    fn fit(&mut self, config: &mut NflogConfig) {
        let unfit = config.fit();
        if let Some(what) = unfit.filter(|_| self.unfit.is_none()) {
            tracing::info!("going on without {what}");
        }
        self.unfit = self.unfit.or(unfit);
    }

    fn inside<T: Send>(
        &self,
        netns: u64,
        work: impl FnOnce() -> Result<T, NetfilterError> + Send,
    ) -> Result<T, Refusal> {
        open::inside(self.netns(netns)?, work).map_err(|error| Refusal::of(&error))
    }

    /// A namespace that was told before.
    fn netns(&self, id: u64) -> Result<&Netns, Refusal> {
        self.namespaces.get(&id).ok_or(Refusal::System(rustix::io::Errno::NOENT.raw_os_error()))
    }
}

/// What can be read.
struct Ready {
    requests: bool,
    control: bool,
    stop: bool,
    reload: bool,
    askers: Vec<usize>,
}
