//! The worker's side: everything that needs rights, by asking for it.

use super::channel::{Channel, Message};
use super::link::Link;
use super::protocol::{Refusal, Reply, Request};
use super::serve::FORMS;
use crate::open::Open;
use anyhow::Context as _;
use bartizan_netfilter::{
    ConntrackConfig, ConntrackSocket, Interfaces, NetfilterError, Netns, NflogConfig, NflogSocket, Nftables,
    Question, RulesetMonitor, SendQuestion,
};
use bartizan_ruleset::{Form, Incarnation};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// The other process, as something that opens.
#[derive(Debug)]
pub(crate) struct Opener {
    requests: Channel,
}

impl Opener {
    /// The opener at the other end of this process's standard input, its control channel, and the lock of the
    /// directory, which is held as long as that lives.
    pub(crate) fn greet() -> anyhow::Result<(Self, Link, OwnedFd)> {
        let requests = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        let opener = Self { requests: requests.into() };
        let message =
            opener.call(&Request::Hello, None).context("there is no opener; use `bartizan-agent run`")?;
        let mut fds = message.1.into_iter();
        match (fds.next(), fds.next()) {
            (Some(control), Some(lock)) => Ok((opener, Link::new(control.into()), lock)),
            _ => anyhow::bail!("the opener gave too little"),
        }
    }

    /// The files of the configuration with their names.
    pub(crate) fn configuration(&self) -> io::Result<Vec<(String, File)>> {
        match self.call(&Request::Configuration, None)? {
            (Reply::Names(names), fds) => {
                Ok(names.into_iter().zip(fds.into_iter().map(File::from)).collect())
            }
            _ => Err(nonsense()),
        }
    }

    /// One request and what is said to it; a refusal is an error.
    fn call(&self, request: &Request, with: Option<BorrowedFd<'_>>) -> io::Result<(Reply, Vec<OwnedFd>)> {
        self.ask(request, with)?.map_err(Refusal::into_io)
    }

    fn ask(
        &self,
        request: &Request,
        with: Option<BorrowedFd<'_>>,
    ) -> io::Result<Result<(Reply, Vec<OwnedFd>), Refusal>> {
        let (back, theirs) = Channel::pair()?;
        let fds: Vec<_> = [theirs.as_fd()].into_iter().chain(with).collect();
        self.requests.send(&request.to_bytes(), &fds)?;
        drop(theirs);
        let Message { bytes, fds } = back.recv()?.ok_or_else(gone)?;
        match Reply::from_bytes(&bytes).ok_or_else(nonsense)? {
            Reply::Refused(why) => Ok(Err(why)),
            reply => Ok(Ok((reply, fds))),
        }
    }

    /// As [`Opener::ask`], for what netfilter's own errors are for.
    fn netfilter(
        &self,
        request: &Request,
        with: Option<BorrowedFd<'_>>,
    ) -> Result<Vec<OwnedFd>, NetfilterError> {
        let operation = request.operation();
        match self.ask(request, with) {
            Ok(Ok((_, fds))) => Ok(fds),
            Ok(Err(why)) => Err(why.into_error(operation)),
            Err(source) => Err(NetfilterError::Io { operation, source }),
        }
    }

    fn one(&self, request: &Request) -> Result<OwnedFd, NetfilterError> {
        let fd = self.netfilter(request, None)?.into_iter().next();
        fd.ok_or_else(|| NetfilterError::Io { operation: request.operation(), source: nonsense() })
    }
}

impl Open for Opener {
    fn namespaces(&self) -> io::Result<Vec<Netns>> {
        match self.call(&Request::Namespaces, None)? {
            (Reply::Namespaces(all), _) => Ok(all),
            _ => Err(nonsense()),
        }
    }

    fn nflog(&self, netns: &Netns, config: &NflogConfig) -> Result<NflogSocket, NetfilterError> {
        let group = config.group;
        let fd = self.one(&Request::Nflog { netns: netns.id, config: config.clone() })?;
        let again = |fd: BorrowedFd<'_>, seq| {
            self.netfilter(&Request::NflogSettings { config: config.clone(), seq }, Some(fd)).map(drop)
        };
        let why = |code| {
            let request = Request::NflogRefused { netns: netns.id, group, code };
            let operation = request.operation();
            self.netfilter(&request, None).err().unwrap_or(NetfilterError::Malformed { operation })
        };
        NflogSocket::answered(fd, group, again, why)
    }

    fn nflog_settings(&self, socket: BorrowedFd<'_>, config: &NflogConfig) -> io::Result<()> {
        // any number that no bind has
        let request = Request::NflogSettings { config: config.clone(), seq: u32::MAX };
        self.call(&request, Some(socket)).map(drop)
    }

    fn nftables(&self, netns: &Netns) -> Result<Nftables, NetfilterError> {
        let request = Request::Nftables { netns: netns.id };
        let mut fds = self.netfilter(&request, None)?.into_iter();
        match (fds.next(), fds.next()) {
            (Some(answers), Some(questions)) => Ok(Nftables::new(answers, send_over(questions.into()))),
            _ => Err(NetfilterError::Io { operation: request.operation(), source: nonsense() }),
        }
    }

    fn interfaces(&self, netns: &Netns) -> Result<Interfaces, NetfilterError> {
        self.one(&Request::Interfaces { netns: netns.id }).map(Interfaces::from_fd)
    }

    fn changes(&self, netns: &Netns) -> Result<RulesetMonitor, NetfilterError> {
        let request = Request::Changes { netns: netns.id };
        let failed = |source| NetfilterError::Io { operation: request.operation(), source };
        RulesetMonitor::from_fd(self.one(&request)?).map_err(failed)
    }

    fn conntrack(&self, netns: &Netns, config: &ConntrackConfig) -> Result<ConntrackSocket, NetfilterError> {
        let request = Request::Conntrack { netns: netns.id, config: config.clone() };
        let failed = |source| NetfilterError::Io { operation: request.operation(), source };
        ConntrackSocket::from_fd(self.one(&request)?).map_err(failed)
    }

    fn list(&self, netns: &Netns, form: Form) -> io::Result<Option<OwnedFd>> {
        let place = FORMS.iter().position(|known| *known == form).and_then(|place| u8::try_from(place).ok());
        let form = place.ok_or(io::ErrorKind::Unsupported)?;
        let (_, fds) = self.call(&Request::List { netns: netns.id, form }, None)?;
        Ok(fds.into_iter().next())
    }

    fn kmsg(&self) -> io::Result<OwnedFd> {
        let (_, fds) = self.call(&Request::Kmsg, None)?;
        fds.into_iter().next().ok_or_else(nonsense)
    }

    fn journal(&self, cursor: Option<&str>) -> io::Result<OwnedFd> {
        let (_, fds) = self.call(&Request::Journal { cursor: cursor.map(str::to_owned) }, None)?;
        fds.into_iter().next().ok_or_else(nonsense)
    }

    fn incarnation(&self, netns: &Netns) -> io::Result<Incarnation> {
        match self.call(&Request::Incarnation { netns: netns.id }, None)? {
            (Reply::Incarnation(life), _) => Ok(Incarnation(life)),
            _ => Err(nonsense()),
        }
    }
}

/// Sends questions over their channel: number and question one way, what became of it the other way.
fn send_over(channel: Channel) -> SendQuestion {
    Box::new(move |question: &Question, seq| {
        let operation = question.operation();
        let failed = |source| NetfilterError::Io { operation, source };
        let bytes = [&seq.to_be_bytes()[..], &question.to_bytes()].concat();
        channel.send(&bytes, &[]).map_err(failed)?;
        let message = channel.recv().map_err(failed)?.ok_or_else(|| failed(gone()))?;
        match Reply::from_bytes(&message.bytes) {
            Some(Reply::Done) => Ok(()),
            Some(Reply::Refused(why)) => Err(why.into_error(operation)),
            _ => Err(failed(nonsense())),
        }
    })
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the opener is gone")
}

fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an answer of the opener that is none")
}
