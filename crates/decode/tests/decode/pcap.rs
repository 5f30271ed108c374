//! Every frame of a folder of capture files: no panic, and what etherparse reads too is the same.

use crate::{checks, oracle};
use std::path::{Path, PathBuf};

/// The folder that `BARTIZAN_CORPUS` names, or the one beside the project; not part of it.
pub(crate) fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let root = std::env::var_os("BARTIZAN_CORPUS").map_or(beside, PathBuf::from);
    let open = root.join("open");
    let root = if open.is_dir() { open } else { root };
    root.is_dir().then_some(root)
}

/// The frames of a classic capture file with its link type; none when it is something else.
fn frames(file: &[u8]) -> (u32, Vec<&[u8]>) {
    let (Some(magic), Some(link)) = (file.first_chunk::<4>(), file.get(20..24)) else {
        return (0, Vec::new());
    };
    let little = match magic {
        [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => true,
        [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] => false,
        _ => return (0, Vec::new()),
    };
    let number = |b: &[u8]| {
        let b: [u8; 4] = b.try_into().unwrap();
        if little { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) }
    };
    let link = number(link) & 0x0fff_ffff;
    let (mut rest, mut frames) = (&file[24..], Vec::new());
    while let Some((header, body)) = rest.split_first_chunk::<16>() {
        let len = (number(&header[8..12]) as usize).min(body.len());
        frames.push(&body[..len]);
        rest = &body[len..];
    }
    (link, frames)
}

#[test]
fn captures_read_the_same() {
    let Some(corpus) = corpus() else {
        println!("no capture files: BARTIZAN_CORPUS names no folder and none lies beside the project");
        return;
    };
    let (mut files, mut seen, mut compared) = (0, 0, 0);
    for folder in std::fs::read_dir(&corpus).unwrap().flatten() {
        if !folder.file_name().to_string_lossy().starts_with("pcap-") {
            continue;
        }
        for file in std::fs::read_dir(folder.path()).unwrap().flatten() {
            let Ok(bytes) = std::fs::read(file.path()) else { continue };
            let (link, frames) = frames(&bytes);
            files += usize::from(!frames.is_empty());
            for (n, frame) in frames.iter().enumerate() {
                seen += 1;
                let read = std::panic::catch_unwind(|| one(link, frame));
                compared += usize::from(read.unwrap_or_else(|_| panic!("{:?} frame {}", file.path(), n + 1)));
            }
        }
    }
    println!("{files} files, {seen} frames, {compared} compared");
    assert!(files == 0 || compared > 0);
}

fn one(link: u32, frame: &[u8]) -> bool {
    for check in
        [checks::ethernet_arp, checks::ipv4, checks::ipv6, checks::netlink_attrs, checks::nflog_datagram]
    {
        check(frame);
    }
    match link {
        1 => oracle::frame_agrees(frame),
        12 | 14 | 101 if !frame.is_empty() => oracle::ip_agrees(frame),
        _ => false,
    }
}
