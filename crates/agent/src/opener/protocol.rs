//! What worker and opener say to each other, as bytes. Pure and total: any bytes are a message or none.
//!
//! ```text
//! request: tag u8, fields            worker -> opener, with the end of a channel for the reply
//! reply:   tag u8, fields            opener -> worker, with the descriptors that were asked for
//! number: big endian; flag: 0 or 1; text: length u16 and UTF-8; list: number of items u16 and the items
//! ```
//! A message ends with its last field: more bytes make it none. Every length is compared with what is there
//! before it is believed. Namespaces are named by the number that the opener gave: no path comes from the worker.

use bartizan_netfilter::{
    ConntrackConfig, ConntrackFilter, Holder, NetfilterError, Netns, Network, NflogConfig,
};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::time::Duration;

/// What the worker asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// The first thing: gives the control channel and the lock of the directory.
    Hello,
    /// The files of the configuration as they are now.
    Configuration,
    /// Every network namespace.
    Namespaces,
    /// A group: bound and configured, its answer not read.
    Nflog { netns: u64, config: NflogConfig },
    /// The settings of a group once more, on the socket that comes along.
    NflogSettings { config: NflogConfig, seq: u32 },
    /// Why the kernel refused a group.
    NflogRefused { netns: u64, group: u16, code: i32 },
    /// A socket for questions to nf_tables, and a channel for the questions.
    Nftables { netns: u64 },
    /// A socket for names of interfaces.
    Interfaces { netns: u64 },
    /// Which life of which namespace it is.
    Incarnation { netns: u64 },
    /// A socket that is told of changes of the ruleset.
    Changes { netns: u64 },
    /// A socket that is told of tracked connections.
    Conntrack { netns: u64, config: ConntrackConfig },
    /// `/dev/kmsg`.
    Kmsg,
    /// The journal's messages of the kernel, from a cursor on.
    Journal { cursor: Option<String> },
    /// What a listing tool prints; which tool, by its place in a list that both know.
    List { netns: u64, form: u8 },
}

/// What the opener says to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The descriptors that came along are it.
    Done,
    /// One name for each descriptor.
    Names(Vec<String>),
    /// The namespaces.
    Namespaces(Vec<Netns>),
    /// Boot and inode.
    Incarnation([u8; 24]),
    /// No.
    Refused(Refusal),
}

/// Why not; of all that an error can say, what somebody acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    GroupTaken {
        group: u16,
        holder: Option<Holder>,
    },
    NotPermitted,
    NotSupported,
    /// The system's number.
    System(i32),
    Other(String),
}

impl Request {
    /// What is tried, as errors say it.
    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Self::Hello => "greet the opener",
            Self::Configuration => "read the configuration",
            Self::Namespaces => "list the network namespaces",
            Self::Nflog { .. } | Self::NflogRefused { .. } => "bind the nflog group",
            Self::NflogSettings { .. } => "change the nflog group's settings",
            Self::Nftables { .. } => "open a netfilter socket",
            Self::Interfaces { .. } => "open a socket",
            Self::Incarnation { .. } => "tell which network namespace this is",
            Self::Changes { .. } => "watch the ruleset",
            Self::Conntrack { .. } => "watch the tracked connections",
            Self::List { .. } => "list the ruleset",
            Self::Kmsg => "open the kernel's log",
            Self::Journal { .. } => "read the journal",
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Out::default();
        match self {
            Self::Hello => out.u8(0),
            Self::Configuration => out.u8(1),
            Self::Namespaces => out.u8(2),
            Self::Nflog { netns, config } => out.u8(3).u64(*netns).nflog(config),
            Self::NflogSettings { config, seq } => out.u8(4).nflog(config).u32(*seq),
            Self::NflogRefused { netns, group, code } => {
                out.u8(5).u64(*netns).u16(*group).u32(code.cast_unsigned())
            }
            Self::Nftables { netns } => out.u8(6).u64(*netns),
            Self::Interfaces { netns } => out.u8(7).u64(*netns),
            Self::Incarnation { netns } => out.u8(8).u64(*netns),
            Self::Changes { netns } => out.u8(9).u64(*netns),
            Self::Conntrack { netns, config } => out.u8(10).u64(*netns).conntrack(config),
            Self::List { netns, form } => out.u8(11).u64(*netns).u8(*form),
            Self::Kmsg => out.u8(12),
            Self::Journal { cursor: None } => out.u8(13),
            Self::Journal { cursor: Some(cursor) } => out.u8(14).text(cursor.as_bytes()),
        };
        out.0
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut from = In(bytes);
        let request = match from.u8()? {
            0 => Self::Hello,
            1 => Self::Configuration,
            2 => Self::Namespaces,
            3 => Self::Nflog { netns: from.u64()?, config: from.nflog()? },
            4 => Self::NflogSettings { config: from.nflog()?, seq: from.u32()? },
            5 => {
                Self::NflogRefused { netns: from.u64()?, group: from.u16()?, code: from.u32()?.cast_signed() }
            }
            6 => Self::Nftables { netns: from.u64()? },
            7 => Self::Interfaces { netns: from.u64()? },
            8 => Self::Incarnation { netns: from.u64()? },
            9 => Self::Changes { netns: from.u64()? },
            10 => Self::Conntrack { netns: from.u64()?, config: from.conntrack()? },
            11 => Self::List { netns: from.u64()?, form: from.u8()? },
            12 => Self::Kmsg,
            13 => Self::Journal { cursor: None },
            14 => Self::Journal { cursor: Some(from.text()?) },
            _ => return None,
        };
        from.0.is_empty().then_some(request)
    }
}

impl Reply {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Out::default();
        match self {
            Self::Done => {
                out.u8(0);
            }
            Self::Names(names) => {
                out.u8(1).count(names.len());
                for name in names {
                    out.text(name.as_bytes());
                }
            }
            Self::Namespaces(all) => {
                out.u8(2).count(all.len());
                for netns in all.iter().take(usize::from(u16::MAX)) {
                    out.u64(netns.id).text(netns.name.as_bytes()).text(netns.path.as_os_str().as_bytes());
                }
            }
            Self::Incarnation(life) => {
                out.u8(3).0.extend(life);
            }
            Self::Refused(why) => {
                out.u8(4).refusal(why);
            }
        }
        out.0
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut from = In(bytes);
        let reply = match from.u8()? {
            0 => Self::Done,
            1 => Self::Names((0..from.u16()?).map(|_| from.text()).collect::<Option<_>>()?),
            2 => Self::Namespaces((0..from.u16()?).map(|_| from.netns()).collect::<Option<_>>()?),
            3 => Self::Incarnation(*from.chunk()?),
            4 => Self::Refused(from.refusal()?),
            _ => return None,
        };
        from.0.is_empty().then_some(reply)
    }
}

impl Refusal {
    pub(crate) fn of(error: &NetfilterError) -> Self {
        match error {
            NetfilterError::GroupTaken { group, holder } => {
                Self::GroupTaken { group: *group, holder: holder.clone() }
            }
            NetfilterError::NotPermitted { .. } => Self::NotPermitted,
            NetfilterError::NotSupported { .. } => Self::NotSupported,
            NetfilterError::Io { source, .. } => Self::of_io(source),
            other => Self::Other(other.to_string()),
        }
    }

    pub(crate) fn of_io(error: &std::io::Error) -> Self {
        error.raw_os_error().map_or_else(|| Self::Other(error.to_string()), Self::System)
    }

    /// The error that it was, for an operation.
    pub(crate) fn into_error(self, operation: &'static str) -> NetfilterError {
        match self {
            Self::GroupTaken { group, holder } => NetfilterError::GroupTaken { group, holder },
            Self::NotPermitted => NetfilterError::NotPermitted { operation },
            Self::NotSupported => NetfilterError::NotSupported { operation },
            other => NetfilterError::Io { operation, source: other.into_io() },
        }
    }

    pub(crate) fn into_io(self) -> std::io::Error {
        match self {
            Self::System(code) => std::io::Error::from_raw_os_error(code),
            Self::Other(text) => std::io::Error::other(text),
            Self::NotPermitted => std::io::ErrorKind::PermissionDenied.into(),
            Self::NotSupported => std::io::ErrorKind::Unsupported.into(),
            Self::GroupTaken { .. } => std::io::ErrorKind::ResourceBusy.into(),
        }
    }
}

/// Bytes being written.
#[derive(Default)]
struct Out(Vec<u8>);

impl Out {
    fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// The number of items; no list of ours comes near the limit.
    fn count(&mut self, items: usize) -> &mut Self {
        self.u16(u16::try_from(items).unwrap_or(u16::MAX))
    }

    fn text(&mut self, text: &[u8]) -> &mut Self {
        let text = &text[..text.len().min(usize::from(u16::MAX))];
        self.count(text.len()).0.extend(text);
        self
    }

    fn nflog(&mut self, config: &NflogConfig) -> &mut Self {
        let millis = u32::try_from(config.flush_timeout.as_millis()).unwrap_or(u32::MAX);
        self.u16(config.group)
            .u32(config.copy_range)
            .u32(config.queue_threshold)
            .u32(millis)
            .u32(config.kernel_buffer)
            .u64(config.receive_buffer as u64)
            .u8(u8::from(config.conntrack))
    }

    fn conntrack(&mut self, config: &ConntrackConfig) -> &mut Self {
        for flag in [config.new, config.update, config.destroy, config.reliable] {
            self.u8(u8::from(flag));
        }
        self.u64(config.receive_buffer as u64).count(config.filter.protocols.len());
        self.0.extend(config.filter.protocols.iter().take(usize::from(u16::MAX)));
        self.count(config.filter.networks.len());
        for network in config.filter.networks.iter().take(usize::from(u16::MAX)) {
            self.0.extend(network.addr);
            self.u8(network.bits);
        }
        self
    }

    fn refusal(&mut self, why: &Refusal) -> &mut Self {
        match why {
            Refusal::GroupTaken { group, holder } => {
                self.u8(0).u16(*group).u8(u8::from(holder.is_some()));
                match holder {
                    Some(Holder { port, pid, process }) => {
                        // there is no process 0
                        self.u32(*port).u32(pid.unwrap_or(0)).text(process.as_bytes())
                    }
                    None => self,
                }
            }
            Refusal::NotPermitted => self.u8(1),
            Refusal::NotSupported => self.u8(2),
            Refusal::System(code) => self.u8(3).u32(code.cast_unsigned()),
            Refusal::Other(text) => self.u8(4).text(text.as_bytes()),
        }
    }
}

/// Bytes being read.
struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn chunk<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(chunk)
    }

    fn u8(&mut self) -> Option<u8> {
        self.chunk::<1>().map(|[byte]| *byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.chunk().map(|b| u16::from_be_bytes(*b))
    }

    fn u32(&mut self) -> Option<u32> {
        self.chunk().map(|b| u32::from_be_bytes(*b))
    }

    fn u64(&mut self) -> Option<u64> {
        self.chunk().map(|b| u64::from_be_bytes(*b))
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(self.u16()?);
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn netns(&mut self) -> Option<Netns> {
        let (id, name) = (self.u64()?, self.text()?);
        let path: OsString = OsString::from_vec(self.bytes()?.to_vec());
        Some(Netns { id, name, path: PathBuf::from(path) })
    }

    fn nflog(&mut self) -> Option<NflogConfig> {
        let group = self.u16()?;
        Some(NflogConfig {
            copy_range: self.u32()?,
            queue_threshold: self.u32()?,
            flush_timeout: Duration::from_millis(self.u32()?.into()),
            kernel_buffer: self.u32()?,
            receive_buffer: usize::try_from(self.u64()?).ok()?,
            conntrack: self.flag()?,
            ..NflogConfig::new(group)
        })
    }

    fn conntrack(&mut self) -> Option<ConntrackConfig> {
        let [new, update, destroy, reliable] = [self.flag()?, self.flag()?, self.flag()?, self.flag()?];
        let receive_buffer = usize::try_from(self.u64()?).ok()?;
        let protocols = (0..self.u16()?).map(|_| self.u8()).collect::<Option<_>>()?;
        let networks = (0..self.u16()?)
            .map(|_| Some(Network { addr: *self.chunk()?, bits: self.u8().filter(|bits| *bits <= 128)? }))
            .collect::<Option<_>>()?;
        let filter = ConntrackFilter { protocols, networks };
        Some(ConntrackConfig { new, update, destroy, filter, receive_buffer, reliable })
    }

    fn holder(&mut self) -> Option<Holder> {
        let (port, pid, process) = (self.u32()?, self.u32()?, self.text()?);
        Some(Holder { port, pid: (pid > 0).then_some(pid), process })
    }

    fn refusal(&mut self) -> Option<Refusal> {
        Some(match self.u8()? {
            0 => {
                let group = self.u16()?;
                let holder = if self.flag()? { Some(self.holder()?) } else { None };
                Refusal::GroupTaken { group, holder }
            }
            1 => Refusal::NotPermitted,
            2 => Refusal::NotSupported,
            3 => Refusal::System(self.u32()?.cast_signed()),
            4 => Refusal::Other(self.text()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn requests() -> Vec<Request> {
        let config = NflogConfig { receive_buffer: 1 << 20, conntrack: true, ..NflogConfig::new(7) };
        let network = Network { addr: [9; 16], bits: 100 };
        let filter = ConntrackFilter { protocols: vec![6, 17], networks: vec![network] };
        let connections = ConntrackConfig { update: true, filter, ..ConntrackConfig::new() };
        let netns = u64::MAX - 1;
        vec![
            Request::Hello,
            Request::Configuration,
            Request::Namespaces,
            Request::Nflog { netns, config: config.clone() },
            Request::NflogSettings { config, seq: 9 },
            Request::NflogRefused { netns, group: 5, code: -1 },
            Request::Nftables { netns },
            Request::Interfaces { netns },
            Request::Incarnation { netns },
            Request::Changes { netns },
            Request::Conntrack { netns, config: connections },
            Request::List { netns, form: 3 },
            Request::Kmsg,
            Request::Journal { cursor: None },
            Request::Journal { cursor: Some("s=1;i=2".into()) },
        ]
    }

    fn replies() -> Vec<Reply> {
        let netns =
            |id, name: &str| Netns { id, name: name.into(), path: format!("/run/netns/{name}").into() };
        vec![
            Reply::Done,
            Reply::Names(vec!["a.toml".into(), String::new()]),
            Reply::Namespaces(vec![netns(1, ""), netns(2, "web")]),
            Reply::Incarnation([3; 24]),
            Reply::Refused(Refusal::GroupTaken {
                group: 5,
                holder: Some(Holder { port: 77, pid: Some(77), process: "ulogd".into() }),
            }),
            Reply::Refused(Refusal::GroupTaken { group: 5, holder: None }),
            Reply::Refused(Refusal::NotPermitted),
            Reply::Refused(Refusal::NotSupported),
            Reply::Refused(Refusal::System(16)),
            Reply::Refused(Refusal::Other("no".into())),
        ]
    }

    #[test]
    fn everything_reads_back_and_a_part_of_it_or_more_is_nothing() {
        for request in requests() {
            let bytes = request.to_bytes();
            assert_eq!(Request::from_bytes(&bytes), Some(request));
            (0..bytes.len()).for_each(|cut| assert_eq!(Request::from_bytes(&bytes[..cut]), None));
            assert_eq!(Request::from_bytes(&[&bytes[..], &[0]].concat()), None);
        }
        for reply in replies() {
            let bytes = reply.to_bytes();
            assert_eq!(Reply::from_bytes(&bytes), Some(reply));
            (0..bytes.len()).for_each(|cut| assert_eq!(Reply::from_bytes(&bytes[..cut]), None));
            assert_eq!(Reply::from_bytes(&[&bytes[..], &[0]].concat()), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_that_writes_back_or_none(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(request) = Request::from_bytes(&bytes) {
                prop_assert_eq!(request.to_bytes(), bytes.clone());
            }
            if let Some(reply) = Reply::from_bytes(&bytes) {
                prop_assert_eq!(Reply::from_bytes(&reply.to_bytes()), Some(reply));
            }
        }
    }
}
