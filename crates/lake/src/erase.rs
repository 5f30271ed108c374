//! Erasing: every row that names an address goes, wherever it is.
//!
//! Rows go if one of their address columns is the address, or if one of their free texts names it. What is hot is
//! committed first. Rows go as retention takes them: they are put into a file of their own, and that file is removed
//! whole; so who follows the table sees no row twice. Of the rollups, only `sources` has addresses; its rows go as
//! well. The counts of others stay, as history or made anew from what is left.
//!
//! Rulesets stay as they are: what a rule says is the administrator's, and events name it.
//!
//! A receipt ([`Erased`]) names each file before and after, with its checksum. The files themselves are deleted by
//! [`Tables::expunge`] when no question can read them any more; until then the rows can be read by nobody, but are on
//! the disk.
//!
//! Rows of a hold stay, and are told. Done again after any interruption, it comes to the same end.

use crate::error::LakeError;
use crate::files::{DataFile, tag};
use crate::retain::Policies;
use crate::rewrite::Rewrite;
use crate::split::Rows;
use crate::table::Table;
use crate::tables::Tables;
use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use bartizan_model::{Kind, Micros};
use bartizan_schema::{ColumnKind, Relation};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Columns of free text in which an address may be named.
const TEXTS: &[&str] = &["raw", "extra", "text"];

/// One file from which rows were erased, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// Its table.
    pub table: String,
    /// The file, from the lake's root.
    pub file: String,
    /// Its checksum (CRC-32C).
    pub checksum: Option<String>,
    /// Rows that were erased.
    pub rows: u64,
    /// Of how many.
    pub of: u64,
    /// Rows that were not, because a hold keeps them.
    pub held: u64,
    /// The file that has the others.
    pub replaced_by: Option<String>,
    /// Its checksum.
    pub checksum_after: Option<String>,
    /// The file that had the erased rows alone, for a moment.
    pub aside: Option<String>,
}

/// The rows that name one of some addresses.
#[derive(Debug, Clone)]
struct Naming {
    columns: Vec<&'static str>,
    texts: Vec<&'static str>,
    addresses: HashSet<[u8; 16]>,
    names: Vec<String>,
}

impl Naming {
    fn new(relation: Relation, addresses: &BTreeSet<[u8; 16]>) -> Self {
        let columns = relation.columns();
        Self {
            columns: columns.iter().filter(|c| c.kind == ColumnKind::Addr).map(|c| c.name).collect(),
            texts: columns.iter().map(|c| c.name).filter(|name| TEXTS.contains(name)).collect(),
            addresses: addresses.iter().copied().collect(),
            names: addresses.iter().map(|a| Ipv6Addr::from(*a).to_canonical().to_string()).collect(),
        }
    }
}

impl Rows for Naming {
    fn columns(&self) -> Vec<&'static str> {
        self.columns.iter().chain(&self.texts).copied().collect()
    }

    fn pick(&self, rows: &RecordBatch) -> BooleanArray {
        let mut picked = BooleanBuffer::new_unset(rows.num_rows());
        let pick = |is_one: &dyn Fn(usize) -> bool| BooleanBuffer::collect_bool(rows.num_rows(), is_one);
        for column in self.columns.iter().filter_map(|name| rows.column_by_name(name)) {
            let Some(values) = column.as_fixed_size_binary_opt() else { continue };
            let is_one = |row: usize| {
                values.is_valid(row)
                    && values.value(row).try_into().is_ok_and(|a: [u8; 16]| self.addresses.contains(&a))
            };
            picked = &picked | &pick(&is_one);
        }
        for column in self.texts.iter().filter_map(|name| rows.column_by_name(name)) {
            let Some(values) = column.as_string_view_opt() else { continue };
            let is_one = |row: usize| {
                values.is_valid(row) && self.names.iter().any(|name| names(values.value(row), name))
            };
            picked = &picked | &pick(&is_one);
        }
        BooleanArray::new(picked, None)
    }
}

/// Whether a text names an address, as a whole and in its usual form.
fn names(text: &str, address: &str) -> bool {
    let is_v6 = address.contains(':');
    let text = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = text[from..].find(address) {
        let (start, end) = (from + at, from + at + address.len());
        let before = text[..start].chars().next_back();
        let mut after = text[end..].chars();
        let (next, second) = (after.next(), after.next());
        let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let begins = !is_digit(before) && before != Some('.') && !(is_v6 && before == Some(':'));
        // a full stop or a colon may follow, unless the address goes on behind it
        let joint = if is_v6 { ':' } else { '.' };
        let goes_on = next == Some(joint) && (is_digit(second) || second == Some(joint));
        if begins && !is_digit(next) && !goes_on {
            return true;
        }
        from = start + 1;
    }
    false
}

/// Rows that one means and none of others does.
#[derive(Debug)]
struct Without {
    rows: Arc<dyn Rows>,
    holds: Vec<Option<Arc<dyn Rows>>>,
}

impl Rows for Without {
    fn columns(&self) -> Vec<&'static str> {
        let held = self.holds.iter().flatten().flat_map(|rows| rows.columns());
        self.rows.columns().into_iter().chain(held).collect()
    }

    fn pick(&self, rows: &RecordBatch) -> BooleanArray {
        let mut picked = self.rows.pick(rows).values().clone();
        for hold in &self.holds {
            picked = match hold {
                Some(held) => &picked & &!held.pick(rows).values(),
                None => BooleanBuffer::new_unset(rows.num_rows()),
            };
        }
        BooleanArray::new(picked, None)
    }
}

impl Tables {
    /// Erases every row that names one of the addresses, or only says which they are. `tell` hears of each file.
    ///
    /// # Errors
    /// See [`LakeError::kind`]; what was erased until then is, and `tell` heard of it.
    pub async fn erase(
        &self,
        addresses: &[IpAddr],
        policies: &Policies,
        dry_run: bool,
        now: Micros,
        mut tell: impl FnMut(Erased),
    ) -> Result<(), LakeError> {
        let addresses: BTreeSet<[u8; 16]> =
            addresses.iter().map(|a| bartizan_model::addr_from_ip(*a)).collect();
        for table in self.all().filter(|t| t.relation() != Relation::Rows(Kind::Rulesets)) {
            let naming = Naming::new(table.relation(), &addresses);
            if naming.columns().is_empty() {
                continue;
            }
            if !dry_run {
                table.commit(now).await?;
            }
            let named: Arc<dyn Rows> = Arc::new(naming);
            let policy = policies.tables.get(&table.relation());
            let holds = policy.map_or(Vec::new(), |p| p.holds.iter().map(|h| h.rows.clone()).collect());
            let goes: Arc<dyn Rows> = Arc::new(Without { rows: Arc::clone(&named), holds });
            table.erase(&named, &goes, dry_run, now, &mut tell).await?;
        }
        Ok(())
    }

    /// Deletes removed files that nobody may read any more, without the grace that others have; which of them are
    /// still there. The caller knows that no question is older than their removal.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn expunge(&self, files: &[String]) -> Result<Vec<String>, LakeError> {
        let mut left = Vec::new();
        for table in self.all() {
            let folder = format!("{}/", table.relation());
            let mine: Vec<Path> =
                files.iter().filter(|f| f.starts_with(&folder)).map(|f| Path::from(f.as_str())).collect();
            if !mine.is_empty() {
                left.extend(table.expunge(&mine).await?.into_iter().map(|path| path.to_string()));
            }
        }
        Ok(left)
    }
}

impl Table {
    async fn erase(
        &self,
        named: &Arc<dyn Rows>,
        goes: &Arc<dyn Rows>,
        dry_run: bool,
        now: Micros,
        tell: &mut impl FnMut(Erased),
    ) -> Result<(), LakeError> {
        let mut clean = HashSet::new();
        // files come and go meanwhile: again until every one of a view was looked at
        while let Some(file) = self.view().files.iter().find(|f| !clean.contains(f.path())).cloned() {
            let all = self.count_rows(&file, named).await?;
            let rows = if all == 0 { 0 } else { self.count_rows(&file, goes).await? };
            let mut erased = Erased {
                table: self.relation().to_string(),
                file: file.path().to_string(),
                checksum: file.tag(tag::CRC32C).map(str::to_owned),
                rows,
                of: file.rows().unwrap_or(0),
                held: all - rows,
                replaced_by: None,
                checksum_after: None,
                aside: None,
            };
            if rows > 0 && !dry_run {
                match self.take_out(&file, goes, &mut erased, now).await {
                    Ok(stays) => clean.extend(stays.map(|file| file.path().clone())),
                    // compaction was first: its file is looked at
                    Err(LakeError::Replaced { .. }) => continue,
                    Err(error) => return Err(error),
                }
            }
            if all > 0 {
                tell(erased);
            }
            clean.insert(file.path().clone());
        }
        Ok(())
    }

    /// Takes rows out of a file; the file that has the others.
    async fn take_out(
        &self,
        file: &Arc<DataFile>,
        goes: &Arc<dyn Rows>,
        erased: &mut Erased,
        now: Micros,
    ) -> Result<Option<DataFile>, LakeError> {
        let delete = |removed, added| Rewrite { operation: "DELETE", removed, added, data_change: true };
        if erased.rows == erased.of {
            self.rewrite(delete(vec![Arc::clone(file)], Vec::new()), now).await?;
            return Ok(None);
        }
        // nobody follows a rollup, and a file of one stands for a data file: there are never two
        let is_rollup = matches!(self.relation(), Relation::Rollup(_));
        let halves = self.split(file, goes, !is_rollup, now).await?;
        let stays = halves.stays;
        erased.replaced_by = stays.as_ref().map(|f| f.path().to_string());
        erased.checksum_after = stays.as_ref().and_then(|f| f.tag(tag::CRC32C)).map(str::to_owned);
        let added: Vec<DataFile> = stays.iter().chain(&halves.goes).cloned().collect();
        let removed = vec![Arc::clone(file)];
        let Some(aside) = halves.goes else {
            self.rewrite(delete(removed, added), now).await?;
            return Ok(stays);
        };
        self.rewrite(Rewrite { operation: "OPTIMIZE", removed, added, data_change: false }, now).await?;
        erased.aside = Some(aside.path().to_string());
        match self.rewrite(delete(vec![Arc::new(aside)], Vec::new()), now).await {
            // compaction took it with others: they are found again
            Ok(_) | Err(LakeError::Replaced { .. }) => Ok(stays),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_a_text_as_a_whole() {
        for text in [
            "192.0.2.1",
            "from 192.0.2.1.",
            "SRC=192.0.2.1 DST",
            "(192.0.2.1:443)",
            "::ffff:192.0.2.1 x",
            "9.192.0.2.1 192.0.2.1",
        ] {
            assert!(names(text, "192.0.2.1"), "{text}");
        }
        for text in ["192.0.2.10", "1192.0.2.1", "192.0.2.1.5", "5.192.0.2.1", "192.0.2.2", "", "v192.0.2.1"]
        {
            assert!(!names(text, "192.0.2.1"), "{text}");
        }
        for text in ["2001:DB8::1", "from 2001:db8::1: no", "[2001:db8::1]:53", "2001:db8::1."] {
            assert!(names(text, "2001:db8::1"), "{text}");
        }
        for text in ["2001:db8::12", "2001:db8::1:2", "2001:db8::1::", "12001:db8::1", "0:2001:db8::1"] {
            assert!(!names(text, "2001:db8::1"), "{text}");
        }
        assert!(!names("ä192.0.2.1ö 192.0.2.11", "192.0.2.11ä"));
    }
}
