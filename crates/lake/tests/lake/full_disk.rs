//! F40: the server's disk is full.

use crate::support::{NOW, append, batch_id, expected, keys, options, scratch, stream};
use bartizan_lake::{DurableLocal, ErrorKind, LakeError, Options, Space, SpaceLeft, Table};
use bartizan_model::{Kind, Seq};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
struct Pretended(AtomicU64);

impl Space for Pretended {
    fn space(&self) -> std::io::Result<SpaceLeft> {
        Ok(SpaceLeft { free: self.0.load(Ordering::SeqCst), total: 1000 })
    }
}

#[tokio::test]
async fn the_reserve_is_not_touched() {
    let dir = scratch();
    let space = Arc::new(Pretended(AtomicU64::new(49)));
    let store = Arc::new(DurableLocal::new(dir.path()).unwrap());
    let options = Options { space: Some(space.clone()), reserve: 50, ..options() };
    let table = Table::open(store, Kind::Events, options, NOW).await.unwrap();
    append(&table, batch_id(1, 1));
    let error = table.commit(NOW).await.unwrap_err();
    assert!(matches!(error, LakeError::Reserve { free: 49, reserve: 50 }));
    assert_eq!(error.kind(), ErrorKind::DiskFull);
    assert_eq!(table.committed(&stream(1)), Seq::ZERO);
    assert_eq!(keys(&table).await, expected(&[(1, 1)]));
    space.0.store(50, Ordering::SeqCst);
    table.commit(NOW).await.unwrap().unwrap();
    assert_eq!(table.committed(&stream(1)), Seq(1));
}

pub(crate) struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    pub(crate) fn new(at: &'a Path) -> Option<Self> {
        let run = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(at).output();
        run.is_ok_and(|o| o.status.success()).then_some(Self(at))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// A real file system of 1 MiB, without reserve: the disk itself says no.
#[tokio::test]
async fn a_disk_that_is_really_full_stops_acknowledgements_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mounted) = Mounted::new(dir.path()) else {
        println!("NOT TESTED: cannot mount a small file system here (needs root)");
        return;
    };
    let store = Arc::new(DurableLocal::new(dir.path()).unwrap());
    let space: Arc<dyn Space> = store.clone();
    assert!(space.space().unwrap().total <= 1 << 20);
    let table = Table::open(store, Kind::Events, options(), NOW).await.unwrap();
    let mut seq = 0;
    let filler = dir.path().join("filler");
    let error = loop {
        seq += 1;
        append(&table, batch_id(1, seq));
        if let Err(error) = table.commit(NOW).await {
            break error;
        }
        if seq == 3 {
            std::fs::write(&filler, vec![0; 700 << 10]).unwrap();
        }
        assert!(seq < 200, "the disk never got full");
    };
    assert_eq!(error.kind(), ErrorKind::DiskFull, "{error:?}");
    assert!(seq > 3);
    assert_eq!(table.committed(&stream(1)), Seq(seq - 1), "what was not written is not acknowledged");
    assert_eq!(keys(&table).await, expected(&[(1, seq)]), "reading goes on");
    assert!(table.commit(NOW).await.is_err());
    // A server that starts on the full disk reads as well.
    let second = Table::open(Arc::new(DurableLocal::new(dir.path()).unwrap()), Kind::Events, options(), NOW);
    assert_eq!(keys(&second.await.unwrap()).await, expected(&[(1, seq - 1)]));

    std::fs::remove_file(&filler).unwrap();
    table.commit(NOW).await.unwrap().unwrap();
    assert_eq!(table.committed(&stream(1)), Seq(seq));
    assert_eq!(keys(&table).await, expected(&[(1, seq)]));
    assert_eq!(table.verify(true).await.unwrap(), [], "nothing half written is left");
}
