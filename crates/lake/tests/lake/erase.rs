//! Erasing by address: from every table, from hot rows, and at every step.

use crate::support::{
    Fault, FaultyDisk, NOW, batch_id, copy_folder, keys, open_tables, rows_at, rows_with, scratch,
};
use arrow_array::{ArrayRef, BooleanArray, FixedSizeBinaryArray, RecordBatch, StringViewArray};
use bartizan_lake::{Erased, Hold, LakeError, Policies, Policy, Problem, Rows, Tables};
use bartizan_model::{Kind, addr_from_ip};
use bartizan_schema::Relation;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

const WANTED: &str = "192.0.2.7";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn addresses(of: &[&str]) -> ArrayRef {
    let values = of.iter().map(|a| addr_from_ip(ip(a)));
    Arc::new(FixedSizeBinaryArray::try_from_iter(values).unwrap())
}

fn texts(of: &[&str]) -> ArrayRef {
    Arc::new(StringViewArray::from(of.to_vec()))
}

/// Three events of each batch; the second has the address as source, and the third of batch 2 as destination.
async fn filled(root: &Path) -> Tables {
    let tables = open_tables(root, None).await.unwrap();
    for seq in 1..=2 {
        let dst = if seq == 2 { WANTED } else { "198.51.100.2" };
        let id = batch_id(1, seq);
        let rows = rows_with(
            rows_at(Kind::Events, id, &[NOW.0, NOW.0 + 1, NOW.0 + 2], NOW),
            &[
                ("src", addresses(&["192.0.2.77", WANTED, "2001:db8::1"])),
                ("dst", addresses(&["198.51.100.1", "198.51.100.1", dst])),
            ],
        );
        tables.of(Kind::Events).append(id, vec![rows], 100, NOW).unwrap();
        tables.of(Kind::Events).commit(NOW).await.unwrap();
    }
    let id = batch_id(2, 1);
    let lines = rows_with(
        rows_at(Kind::Lines, id, &[NOW.0, NOW.0], NOW),
        &[("text", texts(&["login from 192.0.2.7 failed", "login from 192.0.2.77 failed"]))],
    );
    // and these are hot
    tables.of(Kind::Lines).append(id, vec![lines], 100, NOW).unwrap();
    tables
}

async fn erase(tables: &Tables, policies: &Policies, dry_run: bool) -> Result<Vec<Erased>, LakeError> {
    let mut told = Vec::new();
    tables.erase(&[ip(WANTED)], policies, dry_run, NOW, |erased| told.push(erased)).await?;
    Ok(told)
}

async fn rest(tables: &Tables) -> Vec<(i64, i32)> {
    keys(tables.of(Kind::Events)).await.into_iter().map(|(_, seq, row)| (seq, row)).collect()
}

#[tokio::test]
async fn every_row_that_names_an_address_goes_with_a_receipt() {
    let dir = scratch();
    let tables = filled(dir.path()).await;
    let sums = |told: &[Erased]| -> Vec<(String, u64, u64)> {
        told.iter().map(|e| (e.table.clone(), e.rows, e.of)).collect()
    };
    let dry = erase(&tables, &Policies::default(), true).await.unwrap();
    assert_eq!(sums(&dry), [("events".into(), 1, 3), ("events".into(), 2, 3)], "of what is in files");
    assert_eq!(rest(&tables).await.len(), 6);

    let told = erase(&tables, &Policies::default(), false).await.unwrap();
    assert_eq!(sums(&told), [("events".into(), 1, 3), ("events".into(), 2, 3), ("lines".into(), 1, 2)]);
    assert_eq!(rest(&tables).await, [(1, 0), (1, 2), (2, 0)]);
    assert_eq!(keys(tables.of(Kind::Lines)).await.len(), 1);
    for erased in &told {
        assert_ne!(erased.checksum, erased.checksum_after);
        let after = dir.path().join(erased.replaced_by.as_ref().unwrap());
        let crc = format!("{:08x}", crc32c::crc32c(&std::fs::read(after).unwrap()));
        assert_eq!(erased.checksum_after.as_deref(), Some(crc.as_str()));
    }
    assert_eq!(tables.of(Kind::Events).verify(true).await.unwrap(), []);

    // The old files are there until they are expunged, and then no byte of the address is.
    let old: Vec<String> =
        told.iter().flat_map(|e| [Some(e.file.clone()), e.aside.clone()]).flatten().collect();
    assert_eq!(old.len(), 6);
    assert!(old.iter().all(|file| dir.path().join(file).exists()));
    tables.of(Kind::Events).hold("sink", 2);
    let left = tables.expunge(&old).await.unwrap();
    assert_eq!(left, [told[1].file.clone()], "somebody still follows the entry that added it");
    tables.of(Kind::Events).hold("sink", i64::MAX);
    assert_eq!(tables.expunge(&old).await.unwrap(), Vec::<String>::new());
    assert!(!old.iter().any(|file| dir.path().join(file).exists()));
    assert_eq!(erase(&tables, &Policies::default(), false).await.unwrap(), []);
    let tables = open_tables(dir.path(), None).await.unwrap();
    assert_eq!(rest(&tables).await, [(1, 0), (1, 2), (2, 0)]);
    assert_eq!(tables.of(Kind::Events).verify(true).await.unwrap(), []);
}

#[tokio::test]
async fn who_follows_the_table_sees_no_row_again() {
    let dir = scratch();
    let tables = filled(dir.path()).await;
    let table = tables.of(Kind::Events);
    let before = table.view().version;
    erase(&tables, &Policies::default(), false).await.unwrap();
    for version in before + 1..=table.view().version {
        assert_eq!(table.entry(version).await.unwrap(), Some(vec![]), "entry {version} adds rows");
    }
}

#[derive(Debug)]
struct All;

impl Rows for All {
    fn columns(&self) -> Vec<&'static str> {
        vec!["time"]
    }

    fn pick(&self, rows: &RecordBatch) -> BooleanArray {
        vec![true; rows.num_rows()].into()
    }
}

#[tokio::test]
async fn what_is_held_is_not_erased_and_is_told() {
    let dir = scratch();
    let tables = filled(dir.path()).await;
    let held = Policy { rules: vec![], holds: vec![Hold { name: "h".into(), rows: Some(Arc::new(All)) }] };
    let policies =
        Policies { tables: BTreeMap::from([(Relation::Rows(Kind::Events), held)]), ..Policies::default() };
    let told = erase(&tables, &policies, false).await.unwrap();
    let events: Vec<_> = told.iter().filter(|e| e.table == "events").map(|e| (e.rows, e.held)).collect();
    assert_eq!(events, [(0, 1), (0, 2)]);
    assert_eq!(rest(&tables).await.len(), 6);
}

#[tokio::test]
async fn done_again_after_any_step_it_comes_to_the_same_end() {
    let full = scratch();
    let tables = filled(full.path()).await;
    tables.of(Kind::Lines).commit(NOW).await.unwrap();
    drop(tables);
    let steps = {
        let (dir, disk) = (copy_folder(full.path()), FaultyDisk::new(None));
        let tables = open_tables(dir.path(), Some(Arc::clone(&disk) as _)).await.unwrap();
        disk.arm(None);
        erase(&tables, &Policies::default(), false).await.unwrap();
        disk.steps()
    };
    for at in 1..=steps {
        for (fault, power) in [
            (Fault::DieBefore, false),
            (Fault::DieAfter, false),
            (Fault::DieAfter, true),
            (Fault::Fail(28), false),
        ] {
            let what = format!("{fault:?} at {at} of {steps}, power cut: {power}");
            let (dir, disk) = (copy_folder(full.path()), FaultyDisk::new(None));
            let tables = open_tables(dir.path(), Some(Arc::clone(&disk) as _)).await.unwrap();
            disk.arm(Some((at, fault)));
            let _ = erase(&tables, &Policies::default(), false).await;
            disk.kill();
            if power {
                disk.cut_power();
            }
            let tables = open_tables(dir.path(), None).await.unwrap();
            let there = rest(&tables).await;
            assert!([(1, 0), (1, 2), (2, 0)].iter().all(|row| there.contains(row)), "{what}: {there:?}");
            let problems = tables.of(Kind::Events).verify(true).await.unwrap();
            assert!(problems.iter().all(Problem::is_harmless), "{what}: {problems:?}");
            erase(&tables, &Policies::default(), false).await.unwrap();
            assert_eq!(rest(&tables).await, [(1, 0), (1, 2), (2, 0)], "{what}");
            assert_eq!(keys(tables.of(Kind::Lines)).await.len(), 1, "{what}");
        }
    }
    assert!(steps > 20, "{steps}");
}
