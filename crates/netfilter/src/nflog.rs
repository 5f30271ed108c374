//! One NFLOG group (`nfnetlink_log`): bind, configure, receive.
//!
//! **Order of the settings.** The receive buffer is set before the bind. The bind and all settings go to the
//! kernel in one message, which it carries out in one go: bind, copy mode, timeout, buffer, threshold, flags.
//! Between the first and the last of these lie microseconds. A packet that is logged just there is queued with
//! the kernel's defaults: the whole packet instead of `copy_range` bytes, and no sequence number. It is
//! delivered, and is a row as any other; only the sequence does not know it, and starts with 0 behind it.
//!
//! **Sequence.** `NFULNL_CFG_F_SEQ` is on: each packet carries a number (`NFULA_SEQ`) that starts with 0 at the
//! bind and grows by 1 with each packet that the kernel queued, so that holes are losses, exactly counted. What
//! the kernel could not queue at all (no memory) has no number and shows only in the rules' counters.
//!
//! **Losses.** When the receive buffer is full, the kernel drops whole datagrams, and the next receive says
//! [`Received::Overrun`] once. Nothing is broken by that, and nothing has to be done but to go on.
//!
//! **One reader.** A group has one reader. The kernel refuses a second one with the same error number (`EPERM`)
//! as a process without rights (`EBUSY` only to the same socket); [`NetfilterError::GroupTaken`] and
//! [`NetfilterError::NotPermitted`] are told apart by a request that only rights can refuse.

use crate::{
    NetfilterError, Received, RecvBuffer, Waker,
    message::{Answer, NLM_F_ACK, PATIENCE, Request, next_datagram},
    owner::holder,
    receiver::Receiver,
    sys,
};
use bartizan_decode::netlink::Messages;
use std::{
    collections::VecDeque,
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const NFNL_SUBSYS_ULOG: u8 = 4;
const NFULNL_MSG_PACKET: u8 = 0;
const NFULNL_MSG_CONFIG: u8 = 1;
const NFULA_CFG_CMD: u16 = 1;
const NFULA_CFG_MODE: u16 = 2;
const NFULA_CFG_NLBUFSIZ: u16 = 3;
const NFULA_CFG_TIMEOUT: u16 = 4;
const NFULA_CFG_QTHRESH: u16 = 5;
const NFULA_CFG_FLAGS: u16 = 6;
const NFULNL_CFG_CMD_BIND: u8 = 1;
const NFULNL_CFG_CMD_PF_BIND: u8 = 3;
const NFULNL_COPY_PACKET: u8 = 2;
const NFULNL_CFG_F_SEQ: u16 = 1;
const NFULNL_CFG_F_CONNTRACK: u16 = 4;

const BIND: &str = "bind the nflog group";
/// The number of the request that binds.
const BIND_SEQ: u32 = 1;

/// How a group is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NflogConfig {
    /// The group, as in `log group N`.
    pub group: u16,
    /// Bytes of each packet, from the network header on. Enough for headers: 192.
    pub copy_range: u32,
    /// Packets that the kernel collects before it sends a datagram. A rule's own `queue-threshold` can only
    /// lower it.
    pub queue_threshold: u32,
    /// How long the kernel may hold a packet back to collect more; it counts in hundredths of a second.
    pub flush_timeout: Duration,
    /// Bytes of the kernel's buffer for one datagram, at most 131,072 (`nlbufsiz`).
    pub kernel_buffer: u32,
    /// Bytes of the socket's receive buffer.
    pub receive_buffer: usize,
    /// Whether each packet comes with what conntrack knows of it. A kernel that cannot do that
    /// (`CONFIG_NETFILTER_NETLINK_GLUE_CT`) refuses the whole group: see [`NflogConfig::fit`].
    pub conntrack: bool,
}

impl NflogConfig {
    /// Takes back what this kernel cannot do, and tells what that is. Asks with the rights of
    /// [`NflogSocket::ask`]; without them nothing is taken back, and the group is refused with the reason.
    #[must_use = "what is left out is to be told"]
    pub fn fit(&mut self) -> Option<&'static str> {
        let refused = self.conntrack && probe_conntrack().is_ok_and(|code| code == libc::EOPNOTSUPP);
        self.conntrack &= !refused;
        refused.then_some(
            "conntrack details of logged packets: the kernel lacks CONFIG_NETFILTER_NETLINK_GLUE_CT",
        )
    }

    /// What suits most: headers, datagrams of up to 128 KiB at least ten times a second, 32 MiB of room.
    ///
    /// `kernel_buffer` is 128 KiB less the 320 bytes that the kernel puts behind it, so that the two together
    /// are one block of its memory and not two.
    #[must_use]
    pub const fn new(group: u16) -> Self {
        Self {
            group,
            copy_range: 192,
            queue_threshold: 384,
            flush_timeout: Duration::from_millis(100),
            kernel_buffer: 130_752,
            receive_buffer: 32 << 20,
            conntrack: false,
        }
    }
}

/// A socket that reads one NFLOG group. Dropping it sets the group free.
#[derive(Debug)]
pub struct NflogSocket {
    receiver: Receiver,
    group: u16,
    receive_buffer: usize,
    /// Datagrams that came before the answer to the bind.
    early: Mutex<VecDeque<Vec<u8>>>,
    has_early: AtomicBool,
}

/// More are not kept from before the answer; the sequence counts the rest as lost.
const MAX_EARLY: usize = 64;

impl NflogSocket {
    /// Binds the group in the network namespace of this thread and configures it.
    ///
    /// # Errors
    /// [`NetfilterError::GroupTaken`], [`NetfilterError::NotPermitted`], [`NetfilterError::NotSupported`];
    /// anything else as [`NetfilterError::Io`], also a setting that the kernel does not take.
    pub fn open(config: &NflogConfig) -> Result<Self, NetfilterError> {
        let fd = Self::ask(config)?;
        let again = |fd: BorrowedFd<'_>, seq| Self::ask_again(fd, config, seq);
        Self::answered(fd, config.group, again, |code| Self::refusal(config.group, code))
    }

    /// The half of [`NflogSocket::open`] that needs rights: the socket, and the request sent on it. The answer is
    /// unread, for [`NflogSocket::answered`] in whatever process.
    ///
    /// # Errors
    /// Those of the system.
    pub fn ask(config: &NflogConfig) -> Result<OwnedFd, NetfilterError> {
        let io = |e| NetfilterError::from_io("open a netfilter socket", e);
        let fd = sys::netfilter_socket().map_err(io)?;
        sys::set_receive_buffer(fd.as_fd(), config.receive_buffer).map_err(io)?;
        Self::ask_again(fd.as_fd(), config, BIND_SEQ)?;
        Ok(fd)
    }

    /// Sends the settings on the socket of a group: once more because the answer was lost, or because they
    /// changed. Nothing that is queued or counted is touched. `seq` is above 1; the answer carries it.
    ///
    /// # Errors
    /// Those of the system; a refusal comes as an answer.
    pub fn ask_again(fd: BorrowedFd<'_>, config: &NflogConfig, seq: u32) -> Result<(), NetfilterError> {
        if seq != BIND_SEQ {
            sys::set_receive_buffer(fd, config.receive_buffer)
                .map_err(|e| NetfilterError::from_io(BIND, e))?;
        }
        sys::send_to_kernel(fd, &config_request(config, seq)).map_err(|e| NetfilterError::from_io(BIND, e))
    }

    /// Why the kernel refused a group with a code. Needs the rights of [`NflogSocket::ask`], to tell their absence
    /// from a group that is taken.
    #[must_use]
    pub fn refusal(group: u16, code: i32) -> NetfilterError {
        match code {
            libc::EPERM | libc::EBUSY => match permitted() {
                Ok(true) => NetfilterError::GroupTaken { group, holder: holder(group) },
                Ok(false) => NetfilterError::from_code(BIND, code),
                Err(error) => error,
            },
            // What nfnetlink says of a subsystem that is not there.
            libc::EINVAL if !supported() => NetfilterError::NotSupported { operation: BIND },
            code => NetfilterError::from_code(BIND, code),
        }
    }

    /// The half that needs no rights: reads the answer to [`NflogSocket::ask`]. `again` asks again, `why` is asked
    /// what a refusal means.
    ///
    /// # Errors
    /// As [`NflogSocket::open`].
    pub fn answered(
        fd: OwnedFd,
        group: u16,
        again: impl FnMut(BorrowedFd<'_>, u32) -> Result<(), NetfilterError>,
        why: impl FnOnce(i32) -> NetfilterError,
    ) -> Result<Self, NetfilterError> {
        let io = |e| NetfilterError::from_io("open a netfilter socket", e);
        let mut early = VecDeque::new();
        match configured(fd.as_fd(), again, &mut early)? {
            0 => {}
            code => return Err(why(code)),
        }
        let receive_buffer = sys::receive_buffer(fd.as_fd()).map_err(io)?;
        Self::new(fd, group, receive_buffer, early).map_err(io)
    }

    /// The socket of a group that [`NflogSocket::open`] bound in another process.
    ///
    /// # Errors
    /// When the descriptor is no socket.
    pub fn from_fd(fd: OwnedFd, group: u16) -> io::Result<Self> {
        let receive_buffer = sys::receive_buffer(fd.as_fd())?;
        Self::new(fd, group, receive_buffer, VecDeque::new())
    }

    /// The descriptor, to hand it to another process. Packets that came before the answer to the bind are
    /// dropped (the sequence shows them).
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.receiver.into_fd()
    }

    fn new(fd: OwnedFd, group: u16, receive_buffer: usize, early: VecDeque<Vec<u8>>) -> io::Result<Self> {
        let has_early = AtomicBool::new(!early.is_empty());
        Ok(Self { receiver: Receiver::new(fd)?, group, receive_buffer, early: Mutex::new(early), has_early })
    }

    /// Its group.
    #[must_use]
    pub const fn group(&self) -> u16 {
        self.group
    }

    /// Bytes of the receive buffer that the system granted; less than asked for without `CAP_NET_ADMIN` in
    /// the first user namespace, where `net.core.rmem_max` is the limit.
    #[must_use]
    pub const fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    /// Something to end the waits with.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.receiver.waker()
    }

    /// Takes the next datagram, waiting for it for at most `timeout` (rounded up to a millisecond).
    ///
    /// # Errors
    /// Only what no retry mends: a descriptor that is no netlink socket.
    pub fn recv<'a>(
        &self,
        buf: &'a mut RecvBuffer,
        timeout: Duration,
    ) -> Result<Received<'a>, NetfilterError> {
        if self.receiver.is_stopped() {
            return Ok(Received::Stopped);
        }
        if let Some(len) = self.take_early(&mut buf.0) {
            return Ok(Received::Datagram(&buf.0[..len]));
        }
        self.receiver.recv(&mut buf.0, timeout, "receive from the nflog group")
    }

    fn take_early(&self, buf: &mut [u8]) -> Option<usize> {
        if !self.has_early.load(Ordering::Acquire) {
            return None;
        }
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        let datagram = early.pop_front().filter(|d| d.len() <= buf.len());
        self.has_early.store(!early.is_empty(), Ordering::Release);
        let datagram = datagram?;
        buf[..datagram.len()].copy_from_slice(&datagram);
        Some(datagram.len())
    }
}

impl AsFd for NflogSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.fd()
    }
}

/// The kernel's answer to the bind: 0 or an `errno`.
///
/// A group under load may fill the receive buffer before the answer is in it, and the answer is lost. Then the
/// settings are sent again without the bind, which changes nothing and is answered as well.
fn configured(
    fd: BorrowedFd<'_>,
    mut again: impl FnMut(BorrowedFd<'_>, u32) -> Result<(), NetfilterError>,
    early: &mut VecDeque<Vec<u8>>,
) -> Result<i32, NetfilterError> {
    const TRIES: u32 = 50;
    let mut buf = RecvBuffer::new();
    for seq in BIND_SEQ..BIND_SEQ + TRIES {
        if seq > BIND_SEQ {
            again(fd, seq)?;
        }
        if let Some(code) = answer(fd, seq, &mut buf.0, early)? {
            return Ok(code);
        }
    }
    Err(NetfilterError::NoAnswer { operation: BIND })
}

/// Bind and settings in one message; from the second try on the settings alone.
fn config_request(config: &NflogConfig, seq: u32) -> Vec<u8> {
    let [a, b, c, d] = config.copy_range.to_be_bytes();
    let hundredths = u32::try_from(config.flush_timeout.as_millis().div_ceil(10)).unwrap_or(u32::MAX);
    let request = Request::new(NFNL_SUBSYS_ULOG, NFULNL_MSG_CONFIG, NLM_F_ACK, seq, 0, config.group);
    let flags = NFULNL_CFG_F_SEQ | if config.conntrack { NFULNL_CFG_F_CONNTRACK } else { 0 };
    let request = if seq == BIND_SEQ { request.attr(NFULA_CFG_CMD, &[NFULNL_CFG_CMD_BIND]) } else { request };
    request
        .attr(NFULA_CFG_MODE, &[a, b, c, d, NFULNL_COPY_PACKET, 0])
        .attr(NFULA_CFG_FLAGS, &flags.to_be_bytes())
        .attr(NFULA_CFG_NLBUFSIZ, &config.kernel_buffer.to_be_bytes())
        .attr(NFULA_CFG_TIMEOUT, &hundredths.to_be_bytes())
        .attr(NFULA_CFG_QTHRESH, &config.queue_threshold.to_be_bytes())
        .finish()
}

/// Reads until the answer to `seq`; packets that come first are kept. `None`: the answer was lost.
fn answer(
    fd: BorrowedFd<'_>,
    seq: u32,
    buf: &mut [u8],
    early: &mut VecDeque<Vec<u8>>,
) -> Result<Option<i32>, NetfilterError> {
    let deadline = Instant::now() + PATIENCE;
    let mut lost = false;
    loop {
        // After a loss the answer is either in the buffer already or not to come.
        let until = if lost { Instant::now() } else { deadline };
        match next_datagram(fd, buf, until, BIND)? {
            Answer::Nothing => return Ok(None),
            Answer::Lost => lost = true,
            Answer::Bytes(len) => {
                let mut packets = false;
                for message in Messages::new(&buf[..len]).map_while(Result::ok) {
                    match message.error_code() {
                        Some(code) if message.seq == seq && !message.is_done() => return Ok(Some(code)),
                        _ => {
                            packets |= message.subsystem() == NFNL_SUBSYS_ULOG
                                && message.subtype() == NFULNL_MSG_PACKET
                        }
                    }
                }
                if packets && early.len() < MAX_EARLY {
                    early.push_back(buf[..len].to_vec());
                }
                if Instant::now() >= deadline {
                    return Ok(None);
                }
            }
        }
    }
}

/// Whether this process may configure nfnetlink_log at all: it asks for a protocol family that does not exist,
/// which changes nothing, and is refused for want of rights before it is refused as nonsense.
fn permitted() -> Result<bool, NetfilterError> {
    Ok(probe()? != libc::EPERM)
}

/// Whether nfnetlink_log is there: its own refusal of the nonsense and nfnetlink's of a missing subsystem are
/// the same number, but only a module that is there has its file.
fn supported() -> bool {
    fs::exists("/proc/net/netfilter/nfnetlink_log").unwrap_or(true)
}

/// Asks for conntrack's details of a group that this socket has not bound, which changes nothing: a kernel that
/// does not have them says so (`EOPNOTSUPP`) before it sees that the group is not ours.
fn probe_conntrack() -> Result<i32, NetfilterError> {
    const SOME_GROUP: u16 = 65_535;
    let flags = NFULNL_CFG_F_CONNTRACK.to_be_bytes();
    ask_once(
        &Request::new(NFNL_SUBSYS_ULOG, NFULNL_MSG_CONFIG, NLM_F_ACK, 1, 0, SOME_GROUP)
            .attr(NFULA_CFG_FLAGS, &flags)
            .finish(),
    )
}

fn probe() -> Result<i32, NetfilterError> {
    const NO_FAMILY: u8 = 255;
    ask_once(
        &Request::new(NFNL_SUBSYS_ULOG, NFULNL_MSG_CONFIG, NLM_F_ACK, 1, NO_FAMILY, 0)
            .attr(NFULA_CFG_CMD, &[NFULNL_CFG_CMD_PF_BIND])
            .finish(),
    )
}

/// The kernel's answer to a request on a socket of its own: 0 or an `errno`.
fn ask_once(request: &[u8]) -> Result<i32, NetfilterError> {
    let fd = sys::netfilter_socket().map_err(|e| NetfilterError::from_io(BIND, e))?;
    sys::send_to_kernel(fd.as_fd(), request).map_err(|e| NetfilterError::from_io(BIND, e))?;
    let mut buf = [0; 4096];
    answer(fd.as_fd(), 1, &mut buf, &mut VecDeque::new())?.ok_or(NetfilterError::NoAnswer { operation: BIND })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bind_comes_first_and_only_once() {
        let kinds = |seq| -> Vec<u16> {
            let bytes = config_request(&NflogConfig::new(7), seq);
            let message = Messages::new(&bytes).next().unwrap().unwrap();
            let (nfgen, attrs) = message.nfgen().unwrap();
            assert_eq!(nfgen.res_id, 7);
            attrs.map(|a| a.unwrap().kind).collect()
        };
        assert_eq!(kinds(1), [1, 2, 6, 3, 4, 5]);
        assert_eq!(kinds(2), [2, 6, 3, 4, 5]);
    }

    #[test]
    fn a_timeout_is_rounded_up_to_hundredths() {
        let config = NflogConfig { flush_timeout: Duration::from_millis(11), ..NflogConfig::new(1) };
        let bytes = config_request(&config, 1);
        let message = Messages::new(&bytes).next().unwrap().unwrap();
        let (_, mut attrs) = message.nfgen().unwrap();
        assert_eq!(
            attrs.find_map(|a| a.ok().filter(|a| a.kind == NFULA_CFG_TIMEOUT)).unwrap().be32(),
            Some(2)
        );
    }
}
