//! The system calls, each behind a safe function. All unsafe code of the project is in this file.
//!
//! Invariants: every descriptor is owned and closed on exec; pointers passed to the kernel come from references
//! that live longer than the call, with the lengths of what they point to.

use std::{
    ffi::CStr,
    io,
    mem::{size_of, zeroed},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    time::Duration,
};

fn check(rc: libc::c_int) -> io::Result<libc::c_int> {
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(rc) }
}

fn owned(rc: libc::c_int) -> io::Result<OwnedFd> {
    let fd = check(rc)?;
    // SAFETY: the kernel just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The length of `T` as the kernel wants it.
fn len_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("kernel structures are small")
}

/// A netlink socket of netfilter in the network namespace of this thread, with a port of its own.
pub(crate) fn netfilter_socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = owned(unsafe {
        libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_NETFILTER)
    })?;
    // SAFETY: sockaddr_nl is plain integers, for which zero is a value.
    let mut addr: libc::sockaddr_nl = unsafe { zeroed() };
    addr.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    // SAFETY: `addr` is a sockaddr_nl of the length given.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const addr).cast(), len_of::<libc::sockaddr_nl>()) })?;
    Ok(fd)
}

/// Lets a netlink socket listen to a group.
pub(crate) fn join(fd: BorrowedFd<'_>, group: libc::c_int) -> io::Result<()> {
    set_int(fd, libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, group)
}

/// A socket for asking about interfaces; of a kind that every sandbox allows.
pub(crate) fn any_socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    owned(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })
}

/// Sends one message to the kernel.
pub(crate) fn send_to_kernel(fd: BorrowedFd<'_>, message: &[u8]) -> io::Result<()> {
    // SAFETY: as above.
    let mut addr: libc::sockaddr_nl = unsafe { zeroed() };
    addr.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    // SAFETY: `message` and `addr` are valid for the lengths given.
    let sent = unsafe {
        libc::sendto(
            fd.as_raw_fd(),
            message.as_ptr().cast(),
            message.len(),
            0,
            (&raw const addr).cast(),
            len_of::<libc::sockaddr_nl>(),
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// One datagram.
pub(crate) struct Datagram {
    /// Its whole length, which is more than the buffer's where it was cut.
    pub(crate) len: usize,
    /// The netlink port of its sender; 0 is the kernel.
    pub(crate) from: u32,
}

/// Takes the next datagram without waiting. `WouldBlock`: there is none.
pub(crate) fn receive(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<Datagram> {
    // SAFETY: plain integers and pointers, for which zero is a value.
    let (mut addr, mut message): (libc::sockaddr_nl, libc::msghdr) = unsafe { (zeroed(), zeroed()) };
    let mut part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    message.msg_name = (&raw mut addr).cast();
    message.msg_namelen = len_of::<libc::sockaddr_nl>();
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    // SAFETY: `message` points to `addr` and `part`, and that to `buf`; all live until the call returns. With
    // MSG_TRUNC the kernel returns the whole length but writes no more than `iov_len` bytes.
    let len =
        unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT | libc::MSG_TRUNC) };
    match usize::try_from(len) {
        Ok(len) => Ok(Datagram { len, from: addr.nl_pid }),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Waits until one of the descriptors can be read or has an error; false when the time is over. A signal ends
/// the wait early, as if the time were over.
pub(crate) fn wait<const N: usize>(fds: [BorrowedFd<'_>; N], timeout: Duration) -> io::Result<bool> {
    let mut polled = fds.map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    // Rounded up, so that a wait of 100 µs is no busy loop.
    let millis = i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
    // SAFETY: `polled` is an array of N entries.
    let rc = unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, millis) };
    match check(rc) {
        Ok(ready) => Ok(ready > 0),
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(e) => Err(e),
    }
}

/// A counter to wake a poll with.
pub(crate) fn event() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })
}

/// Makes the counter readable, for ever unless somebody reads it. An error means that it is readable already.
pub(crate) fn raise(event: BorrowedFd<'_>) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: 8 bytes, as an eventfd wants.
    unsafe { libc::write(event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

fn set_int(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let (value, len) = ((&raw const value).cast(), len_of::<libc::c_int>());
    // SAFETY: `value` is an int of the length given.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, value, len) })?;
    Ok(())
}

/// Asks for a receive buffer of `bytes`, over the system's limit where that is permitted, and tells its size.
/// The kernel doubles what is asked, for its own use; asked and told are without that.
pub(crate) fn set_receive_buffer(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<usize> {
    let asked = i32::try_from(bytes).unwrap_or(i32::MAX / 2);
    set_int(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, asked)
        .or_else(|_| set_int(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, asked))?;
    receive_buffer(fd)
}

/// Lets a program of classic BPF decide which datagrams a socket takes: none of those for which it returns 0.
pub(crate) fn attach_filter(fd: BorrowedFd<'_>, program: &[libc::sock_filter]) -> io::Result<()> {
    let too_long = |_| io::Error::from_raw_os_error(libc::EINVAL);
    let program = libc::sock_fprog {
        len: program.len().try_into().map_err(too_long)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel reads one sock_fprog and the `len` instructions that it points to, and writes nothing.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            len_of::<libc::sock_fprog>(),
        )
    })?;
    Ok(())
}

/// Makes a multicast that finds no room in this socket an error of its sender, which then tries again where it
/// can.
pub(crate) fn set_broadcast_error(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_int(fd, libc::SOL_NETLINK, libc::NETLINK_BROADCAST_ERROR, 1)
}

/// The size of the receive buffer, as it was asked for.
pub(crate) fn receive_buffer(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let mut value: libc::c_int = 0;
    let mut len = len_of::<libc::c_int>();
    // SAFETY: `value` is an int of the length given.
    check(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            (&raw mut value).cast(),
            &raw mut len,
        )
    })?;
    Ok(usize::try_from(value).unwrap_or(0) / 2)
}

/// How many messages the kernel did not put into a socket's receive queue because there was no room. Wraps.
pub(crate) fn drops(fd: BorrowedFd<'_>) -> io::Result<u32> {
    const SK_MEMINFO_DROPS: usize = 8;
    let mut values = [0_u32; SK_MEMINFO_DROPS + 1];
    let mut len = len_of::<[u32; SK_MEMINFO_DROPS + 1]>();
    // SAFETY: the kernel writes at most the length given into `values`.
    check(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut len,
        )
    })?;
    match len == len_of::<[u32; SK_MEMINFO_DROPS + 1]>() {
        true => Ok(values[SK_MEMINFO_DROPS]),
        // before Linux 4.12
        false => Err(io::Error::from_raw_os_error(libc::ENOPROTOOPT)),
    }
}

/// Waits until every processor has left what it was doing under RCU.
pub(crate) fn grace_period() -> io::Result<()> {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: no pointers.
    let rc = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The processor time that this process has used.
pub(crate) fn process_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec.
    if unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) } < 0 {
        return Duration::ZERO;
    }
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The name of an interface in the network namespace in which the socket was made. `None`: there is none.
pub(crate) fn interface_name(socket: BorrowedFd<'_>, index: u32) -> Option<String> {
    // SAFETY: ifreq is plain integers, bytes and pointers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { zeroed() };
    request.ifr_ifru.ifru_ifindex = i32::try_from(index).ok()?;
    // SAFETY: SIOCGIFNAME reads and writes one ifreq.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFNAME, &raw mut request) } < 0 {
        return None;
    }
    let name = request.ifr_name.map(|c| c as u8);
    Some(CStr::from_bytes_until_nul(&name).ok()?.to_string_lossy().into_owned())
}

/// Moves this thread, and no other, into a network namespace.
pub(crate) fn enter_netns(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })?;
    Ok(())
}
