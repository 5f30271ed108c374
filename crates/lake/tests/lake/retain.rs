//! Retention by age, rule, hold and size; F38 at every step, F45 for strange times.

use crate::support::{
    Fault, FaultyDisk, Key, NOW, batch_id, copy_folder, keys, open_tables, rows_at, scratch,
};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{BooleanArray, RecordBatch};
use bartizan_lake::{Hold, LakeError, Policies, Policy, Problem, Retention, Rows, Rule, Tables, sized};
use bartizan_model::{Kind, Micros};
use bartizan_schema::Relation;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

const DAY: i64 = Micros::DAY;
const EVENTS: Relation = Relation::Rows(Kind::Events);

/// Means the rows of one position.
#[derive(Debug)]
struct Position(i32);

impl Rows for Position {
    fn columns(&self) -> Vec<&'static str> {
        vec!["row"]
    }

    fn pick(&self, rows: &RecordBatch) -> BooleanArray {
        let row = rows.column_by_name("row").unwrap().as_primitive::<Int32Type>();
        row.values().iter().map(|row| Some(*row == self.0)).collect()
    }
}

fn position(row: i32) -> Option<Arc<dyn Rows>> {
    Some(Arc::new(Position(row)))
}

fn rule(name: &str, rows: Option<Arc<dyn Rows>>, days: Option<i64>) -> Rule {
    Rule { name: name.to_owned(), rows, age: days.map(|days| days * DAY) }
}

fn policies(rules: Vec<Rule>, holds: Vec<Hold>) -> Policies {
    let tables = BTreeMap::from([(EVENTS, Policy { rules, holds })]);
    Policies { tables, max_bytes: None, sized: sized() }
}

/// Position 0 for 7 days, position 1 for ever, all else for 30.
fn usual(holds: Vec<Hold>) -> Policies {
    let rules =
        vec![rule("0", position(0), Some(7)), rule("1", position(1), None), rule("all", None, Some(30))];
    policies(rules, holds)
}

/// A batch of three rows, received so many days before now, one file.
async fn receive(tables: &Tables, seq: u64, days_ago: i64, times: &[i64]) {
    let received = Micros(NOW.0 - days_ago * DAY);
    let table = tables.of(Kind::Events);
    let rows = rows_at(Kind::Events, batch_id(1, seq), times, received);
    table.append(batch_id(1, seq), vec![rows], 100, received).unwrap();
    table.commit(received).await.unwrap();
}

async fn filled(root: &Path) -> Tables {
    let tables = open_tables(root, None).await.unwrap();
    for (seq, days) in [(1, 40), (2, 20), (3, 2)] {
        let t = NOW.0 - days * DAY;
        receive(&tables, seq, days, &[t, t + 1, t + 2]).await;
    }
    tables
}

async fn retain_all(tables: &Tables, policies: &Policies) -> Result<Vec<Retention>, LakeError> {
    let (mut passes, mut unreadable) = (Vec::new(), HashSet::new());
    loop {
        let pass = tables.retain(policies, &mut unreadable, NOW).await?;
        let more = pass.more;
        passes.push(pass);
        if !more {
            return Ok(passes);
        }
        assert!(passes.len() < 50, "it comes to an end");
    }
}

async fn rest(tables: &Tables) -> Vec<(i64, i32)> {
    keys(tables.of(Kind::Events)).await.into_iter().map(|(_, seq, row)| (seq, row)).collect()
}

#[tokio::test]
async fn a_row_belongs_to_the_first_rule_that_means_it() {
    let dir = scratch();
    let tables = filled(dir.path()).await;
    let told = tables.retention(&usual(vec![]), NOW).await.unwrap();
    let told: Vec<_> = told.expired.iter().map(|e| (e.rows, e.of, e.why.as_str())).collect();
    assert_eq!(told, [(2, 3, "0, all"), (1, 3, "0")]);
    assert_eq!(rest(&tables).await.len(), 9, "a dry run changes nothing");

    let passes = retain_all(&tables, &usual(vec![])).await.unwrap();
    let gone: u64 = passes.iter().flat_map(|p| &p.expired).map(|e| e.rows).sum();
    assert_eq!(gone, 3);
    let left = [(1, 1), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2)];
    assert_eq!(rest(&tables).await, left);
    for tables in [tables, open_tables(dir.path(), None).await.unwrap()] {
        assert_eq!(tables.of(Kind::Events).verify(true).await.unwrap(), []);
        // The rest is known to be in order: not a file is read again.
        let before = tables.of(Kind::Events).view().version;
        assert_eq!(retain_all(&tables, &usual(vec![])).await.unwrap().len(), 1);
        assert_eq!(tables.of(Kind::Events).view().version, before);
        assert_eq!(rest(&tables).await, left);
    }
}

#[tokio::test]
async fn a_hold_is_above_the_rules_until_it_is_released() {
    let dir = scratch();
    let tables = filled(dir.path()).await;
    let held = || vec![Hold { name: "case 7".into(), rows: position(2) }];
    retain_all(&tables, &usual(held())).await.unwrap();
    let left = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2)];
    assert_eq!(rest(&tables).await, left);
    let everything = vec![Hold { name: "all".into(), rows: None }];
    retain_all(&tables, &policies(vec![rule("all", None, Some(0))], everything)).await.unwrap();
    assert_eq!(rest(&tables).await, left);
    retain_all(&tables, &usual(vec![])).await.unwrap();
    assert_eq!(rest(&tables).await.len(), 6);
}

#[tokio::test]
async fn age_is_by_receipt_whatever_a_row_says() {
    let dir = scratch();
    let tables = open_tables(dir.path(), None).await.unwrap();
    let years = 3650 * DAY;
    receive(&tables, 1, 1, &[0, NOW.0 + 20 * years, NOW.0 - years]).await;
    receive(&tables, 2, 60, &[0, NOW.0 + 20 * years, NOW.0]).await;
    let all = policies(vec![rule("all", None, Some(30))], vec![]);
    retain_all(&tables, &all).await.unwrap();
    assert_eq!(rest(&tables).await, [(1, 0), (1, 1), (1, 2)]);
}

#[tokio::test]
async fn the_oldest_go_when_the_lake_is_too_large() {
    let dir = scratch();
    let tables = filled(dir.path()).await;
    let sizes: Vec<u64> = tables.of(Kind::Events).view().files.iter().map(|f| f.size()).collect();
    let most = |max_bytes| Policies { max_bytes: Some(max_bytes), sized: sized(), ..Policies::default() };
    retain_all(&tables, &most(sizes.iter().sum())).await.unwrap();
    assert_eq!(rest(&tables).await.len(), 9);
    let told = tables.retention(&most(sizes[2] + 10), NOW).await.unwrap().expired;
    assert_eq!(told.iter().map(|e| e.why.as_str()).collect::<Vec<_>>(), ["size", "size"]);
    retain_all(&tables, &most(sizes[2] + 10)).await.unwrap();
    assert_eq!(rest(&tables).await, [(3, 0), (3, 1), (3, 2)]);
    // What is held is not in the way of what is not, and the newest file stays whatever the bound is.
    let t = NOW.0;
    receive(&tables, 4, 0, &[t, t + 1, t + 2]).await;
    let mut held = usual(vec![Hold { name: "h".into(), rows: position(0) }]);
    held.tables.get_mut(&EVENTS).unwrap().rules.clear();
    held.max_bytes = Some(0);
    retain_all(&tables, &held).await.unwrap();
    assert_eq!(rest(&tables).await, [(3, 0), (4, 0), (4, 1), (4, 2)]);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_left_alone_and_told() {
    let dir = scratch();
    let tables = filled(dir.path()).await;
    let oldest = tables.of(Kind::Events).view().files.iter().next().unwrap().clone();
    let on_disk = dir.path().join(oldest.path().as_ref());
    let mut bytes = std::fs::read(&on_disk).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&on_disk, bytes).unwrap();
    let passes = retain_all(&tables, &usual(vec![])).await.unwrap();
    let unread: Vec<_> = passes.iter().flat_map(|p| &p.unread).map(|(path, _)| path.clone()).collect();
    assert_eq!(unread, [oldest.path().clone()]);
    let files = tables.of(Kind::Events).view().files;
    assert!(files.iter().any(|f| f.path() == oldest.path()));
    assert_eq!(files.iter().filter_map(|f| f.rows()).sum::<u64>(), 8, "the others were seen to");
}

#[tokio::test]
async fn whatever_step_is_the_last_a_row_is_there_once_or_was_to_go() {
    let full = scratch();
    drop(filled(full.path()).await);
    let whole: BTreeSet<Key> = keys(open_tables(full.path(), None).await.unwrap().of(Kind::Events)).await;
    let left: BTreeSet<(i64, i32)> = [(1, 1), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2)].into_iter().collect();
    let steps = {
        let (dir, disk) = (copy_folder(full.path()), FaultyDisk::new(None));
        let tables = open_tables(dir.path(), Some(Arc::clone(&disk) as _)).await.unwrap();
        disk.arm(None);
        retain_all(&tables, &usual(vec![])).await.unwrap();
        disk.steps()
    };
    assert!(steps > 30, "{steps}");
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    for at in 1..=steps {
        for fault in [Fault::DieBefore, Fault::DieAfter, Fault::Fail(EIO), Fault::Fail(ENOSPC)] {
            for power in [false, true] {
                let what = format!("{fault:?} at {at} of {steps}, power cut: {power}");
                let (dir, disk) = (copy_folder(full.path()), FaultyDisk::new(None));
                let tables = open_tables(dir.path(), Some(Arc::clone(&disk) as _)).await.unwrap();
                disk.arm(Some((at, fault)));
                let _ = retain_all(&tables, &usual(vec![])).await;
                disk.kill();
                if power {
                    disk.cut_power();
                }
                let tables = open_tables(dir.path(), None).await.unwrap();
                let there = keys(tables.of(Kind::Events)).await;
                assert!(there.is_subset(&whole), "{what}");
                let there: BTreeSet<_> = there.into_iter().map(|(_, seq, row)| (seq, row)).collect();
                assert!(there.is_superset(&left), "{what}: {there:?}");
                let problems = tables.of(Kind::Events).verify(true).await.unwrap();
                assert!(problems.iter().all(Problem::is_harmless), "{what}: {problems:?}");
                retain_all(&tables, &usual(vec![])).await.unwrap();
                assert!(rest(&tables).await.into_iter().eq(left.iter().copied()), "{what}");
            }
        }
    }
}
