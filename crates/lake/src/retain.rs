//! Retention: rows that are old enough go, by rules.
//!
//! A table's rules are a list, and a row belongs to the first that means it: so `accept 7 days`, `dmz 400 days`,
//! `all 90 days` says what it seems to say. A row of no rule stays for ever. A hold keeps its rows whatever the rules
//! say.
//!
//! Invariants
//! - T1, by receipt: the age of a row is that of its `received`, the server's own time; a row that claims to be of 1970
//!   or 2099 is as old as its neighbours. Rows of rollups have none and go by their file's day.
//! - T2, never early: a file is looked at when its youngest row is old enough for some rule; so rows stay for up to
//!   the span of their file longer, and each file is written anew at most once for each rule.
//! - T3, whole files: what remains to be taken out of a file is first put into a file of its own, which changes no
//!   row. Only whole files are removed, with what their rollups counted kept as history where they have any.
//! - T4, when in doubt nothing goes: a file that cannot be read is left alone, and told.
//!
//! A file from which nothing was to be taken is noted so ([`tag::RETAINED`]), and not read again until the rules or
//! what is due of them change.

use crate::error::LakeError;
use crate::files::{DataFile, tag};
use crate::rewrite::Rewrite;
use crate::split::Rows;
use crate::table::Table;
use crate::tables::Tables;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use bartizan_model::{Kind, Micros};
use bartizan_schema::Relation;
use object_store::path::Path;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Whole files that one entry removes.
const FILES: usize = 64;

/// How long the rows stay that a rule means.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What it is called where its effect is told. It says all that the rule says: two of one name are the same.
    pub name: String,
    /// Which rows; nothing means all.
    pub rows: Option<Arc<dyn Rows>>,
    /// How long, in microseconds; nothing means for ever.
    pub age: Option<i64>,
}

/// Rows that stay.
#[derive(Debug, Clone)]
pub struct Hold {
    /// What it is called; as of a rule.
    pub name: String,
    /// Which rows; nothing means all.
    pub rows: Option<Arc<dyn Rows>>,
}

/// What is kept of one table.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The rules, in their order.
    pub rules: Vec<Rule>,
    /// What they do not touch.
    pub holds: Vec<Hold>,
}

/// What is kept of the lake.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// By table; a table that is not here is kept whole.
    pub tables: BTreeMap<Relation, Policy>,
    /// Bytes of all tables above which the oldest files go.
    pub max_bytes: Option<u64>,
    /// The tables whose files go then.
    pub sized: Vec<Relation>,
}

/// Rows that went, or would go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expired {
    /// Their table.
    pub table: String,
    /// The file that had them.
    pub file: String,
    /// How many.
    pub rows: u64,
    /// Of how many in the file.
    pub of: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Why: the names of the rules that are due, or `size`.
    pub why: String,
}

/// What a pass of retention did, or would do.
#[derive(Debug, Clone, Default)]
pub struct Retention {
    /// What went.
    pub expired: Vec<Expired>,
    /// Files that were left alone because they cannot be read, and why.
    pub unread: Vec<(Path, String)>,
    /// Whether there is more to do.
    pub more: bool,
}

/// What the rules say of a file from the outside.
enum Fate {
    Stays,
    Goes(String),
    /// Some of its rows may go; what the answer depends on.
    Depends(Due),
}

/// The rules of a table that are due for a file, as a picker of the rows that go.
#[derive(Debug, Clone)]
struct Due {
    rules: Vec<(Option<Arc<dyn Rows>>, bool)>,
    holds: Vec<Option<Arc<dyn Rows>>>,
    why: String,
    /// What the answer depends on, for [`tag::RETAINED`].
    mark: String,
}

impl Rows for Due {
    fn columns(&self) -> Vec<&'static str> {
        let all = self.rules.iter().map(|(rows, _)| rows).chain(&self.holds);
        all.flatten().flat_map(|rows| rows.columns()).collect()
    }

    fn pick(&self, rows: &RecordBatch) -> BooleanArray {
        let means = |of: &Option<Arc<dyn Rows>>| match of {
            Some(of) => of.pick(rows).values().clone(),
            None => BooleanBuffer::new_set(rows.num_rows()),
        };
        let (mut goes, mut open) =
            (BooleanBuffer::new_unset(rows.num_rows()), BooleanBuffer::new_set(rows.num_rows()));
        for (of, is_due) in &self.rules {
            let mine = &open & &means(of);
            open = &open & &!&mine;
            if *is_due {
                goes = &goes | &mine;
            }
        }
        for held in &self.holds {
            goes = &goes & &!&means(held);
        }
        BooleanArray::new(goes, None)
    }
}

impl Policy {
    /// What becomes of a file whose youngest row is of a moment. `all` takes the rules' place: every row is due.
    fn fate(&self, youngest: Micros, now: Micros, all: Option<&str>) -> Fate {
        let whole = Rule { name: all.unwrap_or_default().to_owned(), rows: None, age: Some(i64::MIN) };
        let rules = if all.is_some() { std::slice::from_ref(&whole) } else { self.rules.as_slice() };
        let age = now.0.saturating_sub(youngest.0);
        let is_due = |rule: &Rule| rule.age.is_some_and(|most| age >= most);
        // rules behind one that means all rows mean none
        let end = rules.iter().position(|r| r.rows.is_none()).map_or(rules.len(), |last| last + 1);
        let rules = &rules[..end];
        let due: Vec<&str> = rules.iter().filter(|r| is_due(r)).map(|r| r.name.as_str()).collect();
        if due.is_empty() {
            return Fate::Stays;
        }
        let why = due.join(", ");
        let covers_all = rules.last().is_some_and(|r| r.rows.is_none());
        if covers_all && due.len() == rules.len() && self.holds.is_empty() {
            return Fate::Goes(why);
        }
        let mut text = String::new();
        for rule in rules {
            text.push_str(&format!("{}={};", rule.name, is_due(rule)));
        }
        self.holds.iter().for_each(|hold| text.push_str(&format!("held {};", hold.name)));
        Fate::Depends(Due {
            rules: rules.iter().map(|r| (r.rows.clone(), is_due(r))).collect(),
            holds: self.holds.iter().map(|h| h.rows.clone()).collect(),
            why,
            mark: format!("{:08x}", crc32c::crc32c(text.as_bytes())),
        })
    }
}

/// The moment of a file's youngest row, by receipt.
fn youngest(file: &DataFile) -> Micros {
    let day_end =
        || Micros(file.day().map_or(i64::MAX, |day| day.saturating_add(1).saturating_mul(Micros::DAY)));
    file.received().map_or_else(day_end, |(_, last)| last)
}

impl Tables {
    /// What retention would take now. Reads files as far as the rules make it necessary, changes nothing.
    ///
    /// # Errors
    /// If the runtime ends.
    pub async fn retention(&self, policies: &Policies, now: Micros) -> Result<Retention, LakeError> {
        let pins: Vec<_> = self.all().map(Table::pin).collect();
        let mut pass = Retention::default();
        for (table, policy) in self.with_policies(policies) {
            for file in table.view().files.iter() {
                self.judge(table, policy, file, None, now, &mut pass).await?;
            }
        }
        let gone = pass.expired.iter().filter(|e| e.rows == e.of).map(|e| e.file.clone()).collect();
        for (table, file) in self.surplus(policies, &gone) {
            let policy = policies.tables.get(&table.relation()).cloned().unwrap_or_default();
            self.judge(table, &policy, &file, Some("size"), now, &mut pass).await?;
        }
        drop(pins);
        Ok(pass)
    }

    /// What goes of one file, as far as it can be read.
    async fn judge(
        &self,
        table: &Table,
        policy: &Policy,
        file: &Arc<DataFile>,
        all: Option<&str>,
        now: Micros,
        pass: &mut Retention,
    ) -> Result<Option<Due>, LakeError> {
        let rows = file.rows().unwrap_or(0);
        let expired = |count, why: &str| Expired {
            table: table.relation().to_string(),
            file: file.path().to_string(),
            rows: count,
            of: rows,
            bytes: file.size(),
            why: why.to_owned(),
        };
        match policy.fate(youngest(file), now, all) {
            Fate::Stays => Ok(None),
            Fate::Goes(why) => {
                pass.expired.push(expired(rows, &why));
                Ok(None)
            }
            Fate::Depends(due) if file.tag(tag::RETAINED) == Some(&due.mark) => Ok(None),
            Fate::Depends(due) => {
                let picker: Arc<dyn Rows> = Arc::new(due.clone());
                match table.count_rows(file, &picker).await {
                    Ok(count) => {
                        if count > 0 {
                            pass.expired.push(expired(count, &due.why));
                        }
                        Ok(Some(due))
                    }
                    Err(error @ LakeError::Stopped(_)) => Err(error),
                    Err(error) => {
                        pass.unread.push((file.path().clone(), error.to_string()));
                        Ok(None)
                    }
                }
            }
        }
    }

    /// A bounded piece of retention: up to some whole files of one table, or one file taken apart; says what went and
    /// whether there may be more. `unreadable` are files that are left alone; it grows.
    ///
    /// # Errors
    /// See [`LakeError::kind`]; [`LakeError::Replaced`] if somebody else was first: try again. What went until then is
    /// gone as a whole, and nothing by half.
    pub async fn retain(
        &self,
        policies: &Policies,
        unreadable: &mut HashSet<Path>,
        now: Micros,
    ) -> Result<Retention, LakeError> {
        for (table, policy) in self.with_policies(policies) {
            let files: Vec<_> = table.view().files.iter().cloned().collect();
            let pass = self.retain_some(table, policy, files, None, unreadable, now).await?;
            if pass.more {
                return Ok(pass);
            }
        }
        let surplus = self.surplus(policies, &HashSet::new());
        let Some((table, _)) = surplus.first() else { return Ok(Retention::default()) };
        let (table, relation) = (*table, table.relation());
        let same = surplus.iter().take_while(|(t, _)| t.relation() == relation);
        let files = same.map(|(_, file)| Arc::clone(file)).collect();
        let policy = policies.tables.get(&relation).cloned().unwrap_or_default();
        self.retain_some(table, &policy, files, Some("size"), unreadable, now).await
    }

    async fn retain_some(
        &self,
        table: &Table,
        policy: &Policy,
        files: Vec<Arc<DataFile>>,
        all: Option<&str>,
        unreadable: &mut HashSet<Path>,
        now: Micros,
    ) -> Result<Retention, LakeError> {
        let mut pass = Retention::default();
        let (mut whole, mut clean) = (Vec::new(), Vec::new());
        for file in files {
            if unreadable.contains(file.path()) {
                continue;
            }
            let before = pass.expired.len();
            let due = self.judge(table, policy, &file, all, now, &mut pass).await?;
            let went = pass.expired.len() > before;
            match (due, went) {
                (_, true) if pass.expired[before].rows == pass.expired[before].of => whole.push(file),
                (Some(due), true) => {
                    // the rest of this file's fate is the next piece's
                    pass.expired.truncate(before);
                    self.take_apart(table, &file, due, now).await?;
                    pass.more = true;
                    break;
                }
                (Some(due), false) if all.is_none() => {
                    clean.push((*file).clone().with_tag(tag::RETAINED, due.mark));
                }
                _ => {}
            }
            if whole.len() >= FILES {
                pass.more = true;
                break;
            }
        }
        for (path, _) in &pass.unread {
            unreadable.insert(path.clone());
        }
        if !clean.is_empty() {
            let rewrite =
                Rewrite { operation: "WRITE", removed: Vec::new(), added: clean, data_change: false };
            table.rewrite(rewrite, now).await?;
        }
        if !whole.is_empty() {
            self.remove(table, &whole, now).await?;
            pass.more = true;
        }
        Ok(pass)
    }

    /// Rows that go are put into a file of their own.
    async fn take_apart(
        &self,
        table: &Table,
        file: &Arc<DataFile>,
        due: Due,
        now: Micros,
    ) -> Result<(), LakeError> {
        let mark = due.mark.clone();
        let picker: Arc<dyn Rows> = Arc::new(due);
        let halves = table.split(file, &picker, true, now).await?;
        let stays = halves.stays.map(|f| f.with_tag(tag::RETAINED, mark));
        let added = stays.into_iter().chain(halves.goes).collect();
        let removed = vec![Arc::clone(file)];
        let rewrite = Rewrite { operation: "OPTIMIZE", removed, added, data_change: false };
        table.rewrite(rewrite, now).await.map(|_| ())
    }

    async fn remove(&self, table: &Table, files: &[Arc<DataFile>], now: Micros) -> Result<(), LakeError> {
        if table.relation() == Relation::Rows(Kind::Events) {
            return self.retire(files, now).await.map(|_| ());
        }
        let removed = files.to_vec();
        let rewrite = Rewrite { operation: "DELETE", removed, added: Vec::new(), data_change: true };
        table.rewrite(rewrite, now).await.map(|_| ())
    }

    fn with_policies<'a>(
        &'a self,
        policies: &'a Policies,
    ) -> impl Iterator<Item = (&'a Table, &'a Policy)> + 'a {
        self.all().filter_map(|table| Some((table, policies.tables.get(&table.relation())?)))
    }

    /// The oldest files that would have to go for the lake to have its size.
    fn surplus(&self, policies: &Policies, gone: &HashSet<String>) -> Vec<(&Table, Arc<DataFile>)> {
        let Some(most) = policies.max_bytes else { return Vec::new() };
        let views: Vec<_> = self.all().map(|table| (table, table.view().files)).collect();
        let files = views.iter().flat_map(|(table, files)| files.iter().map(move |file| (*table, file)));
        let files: Vec<_> = files.filter(|(_, file)| !gone.contains(file.path().as_ref())).collect();
        let mut bytes: u64 = files.iter().map(|(_, file)| file.size()).sum();
        let mut candidates: Vec<_> =
            files.into_iter().filter(|(table, _)| policies.sized.contains(&table.relation())).collect();
        candidates.sort_by_key(|(_, file)| (youngest(file), file.path()));
        // the newest file of a table stays, however small the bound: it may have all there is
        let mut last = HashSet::new();
        let mut newest_first: Vec<_> = candidates.into_iter().rev().collect();
        newest_first.retain(|(table, _)| !last.insert(table.relation()));
        let candidates = newest_first.into_iter().rev();
        let mut surplus = Vec::new();
        for (table, file) in candidates {
            if bytes <= most {
                break;
            }
            bytes = bytes.saturating_sub(file.size());
            surplus.push((table, Arc::clone(file)));
        }
        surplus
    }
}

/// The tables from which rows go when the lake is too large: all that grow, but not the rulesets, which events name.
#[must_use]
pub fn sized() -> Vec<Relation> {
    let kinds = [Kind::Events, Kind::Flows, Kind::Counters, Kind::Losses, Kind::Lines];
    kinds.map(Relation::Rows).to_vec()
}
