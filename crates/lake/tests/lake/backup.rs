//! F49: a backup while the lake is written, and a restore somewhere else.

use crate::support::{
    Fault, FaultyDisk, NOW, append, batch_id, expected, keys, open_tables, scratch, stream,
};
use bartizan_lake::{
    Append, Backup, BackupError, DurableLocal, Manifest, Moved, Problem, Rewrite, Tables, compare, restore,
    verify_backup,
};
use bartizan_model::{Kind, Seq};
use object_store::ObjectStore;
use std::path::Path;
use std::sync::Arc;

fn place(root: &Path, disk: Option<&Arc<FaultyDisk>>) -> Arc<dyn ObjectStore> {
    let probe = disk.map(|disk| Arc::clone(disk) as _);
    Arc::new(DurableLocal::with_probe(root, probe).unwrap())
}

async fn send(tables: &Tables, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        append(tables.of(Kind::Events), batch_id(1, seq));
        tables.of(Kind::Events).commit(NOW).await.unwrap();
    }
}

fn rows(tables: &Tables) -> u64 {
    tables.of(Kind::Events).view().rows()
}

async fn back_up(tables: &Tables, to: &Arc<dyn ObjectStore>) -> Result<(Manifest, Moved), BackupError> {
    let mut backup = Backup::begin(Arc::clone(to), NOW).await?;
    backup.add_lake(tables, |_| {}).await?;
    backup.add_beside("catalog.db", format!("catalog of {}", rows(tables)).into()).await?;
    backup.finish().await
}

/// Restores a backup and gives the tables as a new server would open them.
async fn come_back(from: &Path) -> (tempfile::TempDir, Tables) {
    let (to, tables) = come_back_any(from).await;
    let catalog = std::fs::read_to_string(to.path().join("catalog.db")).unwrap();
    assert_eq!(catalog, format!("catalog of {}", rows(&tables)), "of the same backup");
    (to, tables)
}

async fn come_back_any(from: &Path) -> (tempfile::TempDir, Tables) {
    let to = scratch();
    let manifest = restore(&*place(from, None), &*place(to.path(), None), |_| {}).await.unwrap();
    let tables = open_tables(&to.path().join("lake"), None).await.unwrap();
    compare(&tables, &manifest).unwrap();
    for table in tables.all() {
        assert_eq!(table.verify(true).await.unwrap(), []);
    }
    (to, tables)
}

#[tokio::test]
async fn what_comes_back_is_a_moment_of_what_was_there() {
    let (dir, to) = (scratch(), scratch());
    let tables = open_tables(dir.path(), None).await.unwrap();
    send(&tables, 1..=3).await;
    let (manifest, moved) = back_up(&tables, &place(to.path(), None)).await.unwrap();
    assert_eq!((manifest.tables["events"].rows, manifest.tables["events"].files), (9, 3));
    assert_eq!(moved.kept, 0);
    send(&tables, 4..=4).await;

    let (_restored, again) = come_back(to.path()).await;
    let events = again.of(Kind::Events);
    assert_eq!(keys(events).await, expected(&[(1, 3)]));
    // It goes on from there: what it has is known, and what it has not is taken.
    assert_eq!(events.committed(&stream(1)), Seq(3));
    assert_eq!(append(events, batch_id(1, 3)), Append::Duplicate);
    send(&again, 4..=5).await;
    assert_eq!(keys(events).await, expected(&[(1, 5)]));

    // The next backup copies what is new, and keeps nothing that it does not need.
    let removed = vec![tables.of(Kind::Events).view().files.iter().next().unwrap().clone()];
    let gone = removed[0].path().clone();
    let rewrite = Rewrite { operation: "DELETE", removed, added: vec![], data_change: true };
    tables.of(Kind::Events).rewrite(rewrite, NOW).await.unwrap();
    let (manifest, moved) = back_up(&tables, &place(to.path(), None)).await.unwrap();
    assert_eq!((manifest.tables["events"].rows, moved.kept), (9, 2));
    assert!(!to.path().join("lake").join(gone.as_ref()).exists());
    let (_, wrong) = verify_backup(&*place(to.path(), None), |_| {}).await.unwrap();
    assert_eq!(wrong, Vec::<String>::new());
    let (_restored, again) = come_back(to.path()).await;
    assert_eq!(keys(again.of(Kind::Events)).await.len(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_one_moment() {
    let (dir, to) = (scratch(), scratch());
    let tables = open_tables(dir.path(), None).await.unwrap();
    send(&tables, 1..=2).await;
    let (writer, began) = (tables.clone(), tables.of(Kind::Events).committed(&stream(1)));
    let writing = tokio::spawn(async move { send(&writer, 3..=60).await });
    let (manifest, _) = back_up(&tables, &place(to.path(), None)).await.unwrap();
    writing.await.unwrap();
    let (_restored, again) = come_back_any(to.path()).await;
    let mark = again.of(Kind::Events).committed(&stream(1));
    assert!(mark >= began);
    assert_eq!(keys(again.of(Kind::Events)).await, expected(&[(1, mark.0)]));
    assert_eq!(manifest.tables["events"].rows, mark.0 * 3);
}

#[tokio::test]
async fn damage_is_told_by_backup_verify_and_restore() {
    let (dir, to) = (scratch(), scratch());
    let tables = open_tables(dir.path(), None).await.unwrap();
    send(&tables, 1..=3).await;
    let files: Vec<_> = tables.of(Kind::Events).view().files.iter().cloned().collect();
    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[99] ^= 8;
        std::fs::write(path, bytes).unwrap();
    };
    flip(&dir.path().join(files[0].path().as_ref()));
    let (manifest, _) = back_up(&tables, &place(to.path(), None)).await.unwrap();
    assert_eq!(manifest.tables["events"].damaged, [files[0].path().to_string()]);

    let damaged = to.path().join("lake").join(files[1].path().as_ref());
    flip(&damaged);
    let name = format!("lake/{}", files[1].path());
    let (_, wrong) = verify_backup(&*place(to.path(), None), |_| {}).await.unwrap();
    assert_eq!(wrong, std::slice::from_ref(&name));
    let target = scratch();
    let error = restore(&*place(to.path(), None), &*place(target.path(), None), |_| {}).await.unwrap_err();
    assert!(matches!(&error, BackupError::Damaged(files) if *files == [name]), "{error}");

    let text = std::fs::read_to_string(to.path().join("manifest.json")).unwrap();
    std::fs::write(to.path().join("manifest.json"), text.replacen("\"rows\":9", "\"rows\":8", 1)).unwrap();
    let error = verify_backup(&*place(to.path(), None), |_| {}).await.unwrap_err();
    assert!(matches!(error, BackupError::Manifest(_)), "{error}");
    let error = verify_backup(&*place(target.path(), None), |_| {}).await.unwrap_err();
    assert!(matches!(error, BackupError::NoManifest), "{error}");
}

#[tokio::test]
async fn a_backup_that_ends_at_any_step_is_the_one_before_it() {
    let dir = scratch();
    let tables = open_tables(dir.path(), None).await.unwrap();
    send(&tables, 1..=1).await;
    let first = scratch();
    back_up(&tables, &place(first.path(), None)).await.unwrap();
    send(&tables, 2..=2).await;
    let steps = {
        let (to, disk) = (crate::support::copy_folder(first.path()), FaultyDisk::new_with_deletions(None));
        back_up(&tables, &place(to.path(), Some(&disk))).await.unwrap();
        disk.steps()
    };
    assert!(steps > 40, "{steps}");
    for at in (1..=steps).step_by(2) {
        for fault in [Fault::DieBefore, Fault::DieAfter, Fault::Fail(28)] {
            let what = format!("{fault:?} at {at} of {steps}");
            let (to, disk) = (
                crate::support::copy_folder(first.path()),
                FaultyDisk::new_with_deletions(Some((at, fault))),
            );
            let done = back_up(&tables, &place(to.path(), Some(&disk))).await.is_ok();
            disk.kill();
            let (_, wrong) = verify_backup(&*place(to.path(), None), |_| {}).await.unwrap();
            assert_eq!(wrong, Vec::<String>::new(), "{what}");
            let (restored, again) = come_back(to.path()).await;
            let rows = keys(again.of(Kind::Events)).await.len();
            assert!(rows == 6 || rows == 3 && !done, "{what}: {rows}");
            drop((restored, again));
            // And the next one is whole again.
            back_up(&tables, &place(to.path(), None)).await.unwrap();
            let (_restored, again) = come_back(to.path()).await;
            assert_eq!(keys(again.of(Kind::Events)).await.len(), 6, "{what}");
        }
    }
    assert!(tables.of(Kind::Events).verify(true).await.unwrap().iter().all(Problem::is_harmless));
}
