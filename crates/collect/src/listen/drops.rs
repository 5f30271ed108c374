//! What the kernel dropped because a socket's buffer was full: the last column of `/proc/net/udp`.

use std::os::fd::AsFd;

/// The datagrams that one socket lost.
pub(super) struct Drops {
    inode: u64,
    known: u64,
}

impl Drops {
    /// Of a socket, from its beginning.
    pub(super) fn of(socket: impl AsFd) -> Option<Self> {
        let inode = rustix::fs::fstat(socket).ok()?.st_ino;
        Some(Self { inode, known: 0 })
    }

    /// How many more there are than when this was asked last.
    pub(super) fn more(&mut self) -> u64 {
        let tables = ["/proc/self/net/udp", "/proc/self/net/udp6"];
        let dropped = tables.iter().filter_map(|path| std::fs::read_to_string(path).ok());
        let Some(dropped) = dropped.filter_map(|table| dropped_of(&table, self.inode)).next() else {
            return 0;
        };
        let more = dropped.saturating_sub(self.known);
        self.known = dropped;
        more
    }
}

/// `sl local rem st tx:rx tr:when retrnsmt uid timeout inode ref pointer drops`.
fn dropped_of(table: &str, inode: u64) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        (words.get(9)?.parse() == Ok(inode)).then(|| words.last()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn a_full_socket_tells_what_it_lost() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut drops = Drops::of(&socket).unwrap();
        assert_eq!(drops.more(), 0);
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..3000 {
            from.send_to(&[0; 1000], socket.local_addr().unwrap()).unwrap();
        }
        socket.set_nonblocking(true).unwrap();
        let lost = drops.more();
        let mut read = 0;
        while socket.recv(&mut [0; 2000]).is_ok() {
            read += 1;
        }
        assert_eq!(read + lost, 3000);
        assert!(lost > 0 && drops.more() == 0, "{lost}");
    }

    #[test]
    fn the_line_is_found_by_its_inode() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  303: 0100007F:A9DC 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7702 2 0000000000000000 41
 1000: 0100007F:A9DD 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7703 2 0000000000000000 7
";
        assert_eq!((dropped_of(table, 7703), dropped_of(table, 7)), (Some(7), None));
    }
}
