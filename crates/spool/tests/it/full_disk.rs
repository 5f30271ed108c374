//! F07 on a real disk that is full: a small tmpfs in a mount namespace of its own.

use bartizan_model::{Epoch, Kind, Seq};
use bartizan_spool::{AppendError, Config, Head, Item, RealFs, Spool};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const CHILD: &str = "BARTIZAN_SPOOL_FULL_DIR";

/// Not a test of its own: runs where the tmpfs is.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let dir = Path::new(&dir);
    let ballast = dir.join("ballast");
    let config = Config {
        segment_bytes: 64 << 10,
        budget_bytes: 64 << 20,
        sync_bytes: 16 << 10,
        ..Config::new(dir.join("lane"), 0)
    };
    let (mut spool, _) = Spool::open(config.clone(), RealFs, Epoch(1), Instant::now()).unwrap();
    std::fs::write(&ballast, vec![1; 256 << 10]).unwrap();
    let mut next = 1_u64;
    let mut append = |spool: &mut Spool<RealFs>| {
        let head = Head { kind: Kind::Events, weight: next, note: &next.to_le_bytes() };
        let result = spool.append(head, &[next as u8; 3000], Instant::now());
        if result.is_ok() {
            next += 1;
        }
        result
    };
    let fill = |spool: &mut Spool<RealFs>, append: &mut dyn FnMut(&mut Spool<RealFs>) -> _| {
        for _ in 0..1_000 {
            match append(spool) {
                Ok(_) => {}
                Err(AppendError::Disk(error)) => {
                    assert!(error.is_no_space(), "{error}: {}", error.source);
                    assert!(error.to_string().contains("lane"), "{error}");
                    spool.check().unwrap();
                    return;
                }
                Err(other) => panic!("{other}"),
            }
        }
        panic!("the disk never filled");
    };
    fill(&mut spool, &mut append);
    for _ in 0..50 {
        assert!(append(&mut spool).is_err(), "full is full");
    }
    let filled = spool.last();
    assert!(filled.0 > 100);

    // Space returns: the next append works.
    std::fs::remove_file(&ballast).unwrap();
    append(&mut spool).unwrap();
    spool.sync(Instant::now()).unwrap();
    assert_eq!(spool.durable(), filled.next());

    // Full again: acknowledging makes room, on the full disk.
    fill(&mut spool, &mut append);
    let half = Seq(spool.durable().0 / 2);
    spool.acknowledge(Epoch(1), half);
    append(&mut spool).unwrap();

    // Full again: so does dropping, and it is counted.
    fill(&mut spool, &mut append);
    let dropped = spool.drop_oldest(Seq(half.0 + 5)).unwrap().unwrap();
    append(&mut spool).unwrap();
    fill(&mut spool, &mut append);

    // A new life on the full disk opens, reads everything, and goes on once there is space.
    let last = spool.durable();
    drop(spool);
    let (mut spool, recovery) = Spool::open(config, RealFs, Epoch(2), Instant::now()).unwrap();
    assert!(recovery.durable && recovery.last >= last);
    let (mut after, mut weight) = (spool.acknowledged(), 0);
    let from = after.0 + 1;
    while let Some(item) = spool.read(after).unwrap() {
        if let Item::Hole(hole) = item {
            assert_eq!((hole.first, hole.last, hole.weight), (dropped.first, dropped.last, dropped.weight));
        }
        weight += item.weight();
        after = item.last();
    }
    assert_eq!(weight, (from..=recovery.last.0).sum::<u64>(), "SP-5");
    spool.acknowledge(Epoch(1), after);
    append(&mut spool).unwrap();
    spool.sync(Instant::now()).unwrap();
    println!("full disk: done");
}

#[test]
fn f07_on_a_full_tmpfs() {
    let dir = tempfile::tempdir().unwrap();
    // A user namespace of our own where we are not root.
    let unshare: &[&str] = if is_root() { &["-m"] } else { &["-r", "-m"] };
    let exe = std::env::current_exe().unwrap();
    let script =
        "mount -t tmpfs -o size=1m tmpfs \"$1\" || exit 77; exec \"$2\" --exact full_disk::child --nocapture";
    let run = Command::new("unshare")
        .args(unshare)
        .args(["sh", "-c", script, "sh"])
        .arg(dir.path())
        .arg(&exe)
        .env(CHILD, dir.path())
        .output();
    let output = match run {
        Ok(output) => output,
        Err(error) => return println!("not possible here, not tested: unshare: {error}"),
    };
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let ran = text.contains("running 1 test");
    if !ran {
        return println!("not possible here, not tested: no mount namespace with a tmpfs: {text}");
    }
    assert!(output.status.success() && text.contains("full disk: done"), "{text}");
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}
