//! The columns that a ruleset adds to a batch of events.
//!
//! Events with the same prefix, hook and family have the same answer as long as it does not depend on the packet,
//! so that a batch costs one look-up for each of these that it has, and one pass over its keys.

use crate::attribution::Attribution;
use crate::packet::Columns;
use crate::ruleset::Rule;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow_schema::{FieldRef, Schema};
use bartizan_model::{Action, Kind};
use bartizan_schema::wire_schema;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// A table of answers is not made larger than this; more combinations are looked up one by one.
const MAX_TABLE: usize = 1 << 20;
/// Not looked up yet.
const UNSET: u32 = u32::MAX;
/// The bit of a number that is an entry and no answer.
const ASK: u32 = 1 << 31;

/// Adds `action`, `rule`, `generation`, `table`, `chain`, `handle` and details in `extra` to a batch of events of
/// an NFLOG group, or of the kernel's own log.
///
/// `generations` are the rulesets that may have been active: one in the normal case. With several, `generation`
/// is absent, a rule is there only where all of them agree, and `extra` lists them under `in_flight`. Where more
/// than one rule can have logged an event, `rule` is absent and `extra` has `candidates`. An event without an
/// action is left to whoever reads its prefix.
#[must_use]
pub fn attribute(
    batch: &RecordBatch,
    group: Option<u16>,
    generations: &mut [&mut Attribution],
) -> RecordBatch {
    let Some(first) = generations.first().map(|g| g.ruleset().generation().to_owned()) else {
        return batch.clone();
    };
    let one = generations.iter().all(|g| g.ruleset().generation() == first);
    let words = Words::new(batch);
    let columns = Columns::new(batch);
    let numbers: Vec<Vec<u32>> =
        generations.iter_mut().map(|g| numbers(g, group, &words, &columns, batch.num_rows())).collect();
    let generations: Vec<&Attribution> = generations.iter().map(|g| &**g).collect();
    let (keys, finals) = finals(&generations, numbers, one);
    let text = |of: &dyn Fn(&Final<'_>) -> Option<String>| dictionary(&keys, &finals, of);
    let mut added: HashMap<&str, ArrayRef> = HashMap::new();
    let mut add = |name: &'static str, column: Option<ArrayRef>| added.extend(column.map(|c| (name, c)));
    add("action", text(&|f| f.action.map(|a| a.as_str().to_owned())));
    add("rule", text(&|f| f.rule.map(|r| r.text.clone())));
    add("table", text(&|f| f.rule.map(|r| r.table.clone())));
    add("chain", text(&|f| f.rule.map(|r| r.chain.clone())));
    add("handle", handles(&keys, &finals));
    add("generation", one.then(|| repeated(&first, batch.num_rows())));
    add("extra", extra(&keys, &finals, batch.column_by_name("extra")));
    rebuild(batch, &added)
}

/// What the rows with one number get.
struct Final<'a> {
    rule: Option<&'a Rule>,
    /// The same content may have been loaded twice, with other numbers.
    handle: Option<i64>,
    action: Option<Action>,
    extra: Map<String, Value>,
}

/// The words that make the first choice.
struct Words<'a> {
    prefix: Word<'a>,
    hook: Word<'a>,
    family: Word<'a>,
}

/// A column of texts.
struct Word<'a> {
    array: Option<&'a DictionaryArray<Int32Type>>,
    values: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn new(batch: &'a RecordBatch) -> Self {
        let word = |name: &str| {
            let array = batch.column_by_name(name).and_then(|c| c.as_dictionary_opt::<Int32Type>());
            let texts = array.and_then(|a| a.values().as_string_opt::<i32>());
            let values = texts.map_or_else(Vec::new, |t| t.iter().map(Option::unwrap_or_default).collect());
            Word { array: array.filter(|_| texts.is_some()), values }
        };
        Self { prefix: word("prefix"), hook: word("hook"), family: word("family") }
    }
}

impl Word<'_> {
    /// The number of a row's text; one more than there are for none.
    #[inline]
    fn at(&self, row: usize) -> usize {
        match self.array {
            Some(array) if array.keys().is_valid(row) => {
                (array.keys().values()[row] as usize).min(self.values.len())
            }
            _ => self.values.len(),
        }
    }

    fn text(&self, at: usize) -> &str {
        self.values.get(at).copied().unwrap_or_default()
    }

    /// The same text in every row: its number.
    fn constant(&self) -> Option<usize> {
        match self.array {
            // One more than there are.
            None => Some(0),
            Some(array) if self.values.len() == 1 && array.null_count() == 0 => Some(0),
            Some(_) => None,
        }
    }

    fn size(&self) -> usize {
        self.values.len() + 1
    }
}

/// The number of each row's answer.
fn numbers(
    of: &mut Attribution,
    group: Option<u16>,
    words: &Words<'_>,
    columns: &Columns<'_>,
    rows: usize,
) -> Vec<u32> {
    of.trim();
    let (hooks, families) = (words.hook.size(), words.family.size());
    // An answer, or an entry with the bit `ASK`.
    let find = |of: &mut Attribution, at: usize| {
        let (rest, family) = (at / families, words.family.text(at % families));
        let (prefix, hook) = (words.prefix.text(rest / hooks), words.hook.text(rest % hooks));
        match of.look_up(group, prefix, hook, family) {
            Ok(answer) => answer & !ASK,
            Err(entry) => entry | ASK,
        }
    };
    let decide = |of: &mut Attribution, found: u32, row: usize| {
        if found & ASK == 0 { found } else { of.decide(found & !ASK, &columns.packet(row)) }
    };
    // The usual batch: one hook, one family, a prefix in every row.
    if let (Some(hook), Some(family), Some(prefixes)) =
        (words.hook.constant(), words.family.constant(), words.prefix.array.filter(|a| a.null_count() == 0))
    {
        let at = |prefix: usize| (prefix * hooks + hook) * families + family;
        let found: Vec<u32> = (0..words.prefix.size()).map(|prefix| find(of, at(prefix))).collect();
        let none = found.len() - 1;
        let keys = prefixes.keys().values().iter().enumerate();
        return keys.map(|(row, key)| decide(of, found[(*key as usize).min(none)], row)).collect();
    }
    let size = words.prefix.size().saturating_mul(hooks).saturating_mul(families);
    let mut table = vec![UNSET; if size <= MAX_TABLE { size } else { 0 }];
    (0..rows)
        .map(|row| {
            let at = (words.prefix.at(row) * hooks + words.hook.at(row)) * families + words.family.at(row);
            let found = match table.get_mut(at) {
                Some(slot) => {
                    if *slot == UNSET {
                        *slot = find(of, at);
                    }
                    *slot
                }
                None => find(of, at),
            };
            decide(of, found, row)
        })
        .collect()
}

/// The rows' numbers and what each stands for: an answer, or the answers of several rulesets together.
fn finals<'a>(
    of: &[&'a Attribution],
    numbers: Vec<Vec<u32>>,
    one: bool,
) -> (ScalarBuffer<i32>, Vec<Final<'a>>) {
    let mut finals: Vec<Final<'a>> = Vec::new();
    let mut keys: Vec<i32> = Vec::with_capacity(numbers.first().map_or(0, Vec::len));
    if let ([of], [numbers]) = (of, &numbers[..]) {
        let mut places = vec![-1_i32; of.answers()];
        for number in numbers {
            let place = &mut places[*number as usize];
            if *place < 0 {
                *place = count(finals.len());
                finals.push(alone(of, *number));
            }
            keys.push(*place);
        }
        return (keys.into(), finals);
    }
    let mut places: HashMap<Vec<u32>, i32> = HashMap::new();
    for row in 0..numbers.first().map_or(0, Vec::len) {
        let together: Vec<u32> = numbers.iter().map(|n| n[row]).collect();
        let place = *places.entry(together).or_insert_with_key(|together| {
            finals.push(agreed(of, together, one));
            count(finals.len() - 1)
        });
        keys.push(place);
    }
    (keys.into(), finals)
}

/// Rows of a batch are fewer than 2^31.
fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

fn alone<'a>(of: &'a Attribution, number: u32) -> Final<'a> {
    let answer = of.answer(number);
    let candidates = of.candidates(answer);
    let mut extra = Map::new();
    if !candidates.is_empty() {
        extra.insert("candidates".into(), candidates.into());
    }
    let rule = of.rule(answer);
    Final { rule, handle: rule.map(|r| r.handle), action: answer.action, extra }
}

/// What several rulesets say together. `one`: they are the same, loaded more than once.
fn agreed<'a>(of: &[&'a Attribution], numbers: &[u32], one: bool) -> Final<'a> {
    let mut all: Vec<Final<'a>> = of.iter().zip(numbers).map(|(of, number)| alone(of, *number)).collect();
    let names: Vec<&str> = of.iter().map(|of| of.ruleset().generation()).collect();
    let mut extra = Map::new();
    if !one {
        extra.insert("in_flight".into(), names.into());
    }
    let place = |f: &Final<'a>| f.rule.map(|r| (&r.table, &r.chain, &r.text));
    let same = all.iter().all(|f| place(f).is_some() && place(f) == place(&all[0]));
    if !same {
        let mut candidates: Vec<Value> = Vec::new();
        for found in &all {
            let named =
                found.rule.map(|r| format!("{} {}#{}: {}", r.table, r.chain, r.handle, r.text).into());
            let listed =
                found.extra.get("candidates").and_then(Value::as_array).into_iter().flatten().cloned();
            for candidate in named.into_iter().chain(listed) {
                if !candidates.contains(&candidate) {
                    candidates.push(candidate);
                }
            }
        }
        if !candidates.is_empty() {
            extra.insert("candidates".into(), candidates.into());
        }
    }
    let action = all[0].action.filter(|action| all.iter().all(|f| f.action == Some(*action)));
    let handle = all[0].handle.filter(|handle| same && all.iter().all(|f| f.handle == Some(*handle)));
    let rule = all.swap_remove(0).rule.filter(|_| same);
    Final { rule, handle, action, extra }
}

/// A column of texts, each of them once; `None` when no row has one.
fn dictionary(
    keys: &ScalarBuffer<i32>,
    finals: &[Final<'_>],
    text: &dyn Fn(&Final<'_>) -> Option<String>,
) -> Option<ArrayRef> {
    let mut values: Vec<String> = Vec::new();
    let mut known: HashMap<String, i32> = HashMap::new();
    let places: Vec<i32> = finals
        .iter()
        .map(|f| {
            text(f).map_or(-1, |text| {
                *known.entry(text).or_insert_with_key(|text| {
                    values.push(text.clone());
                    count(values.len() - 1)
                })
            })
        })
        .collect();
    if values.is_empty() {
        return None;
    }
    let nulls = nulls(keys, &places);
    let same = nulls.is_none() && places.iter().enumerate().all(|(at, place)| count(at) == *place);
    let keys = if same {
        keys.clone()
    } else {
        keys.iter().map(|k| places[*k as usize].max(0)).collect::<Vec<_>>().into()
    };
    let values = Arc::new(StringArray::from(values));
    Some(Arc::new(DictionaryArray::new(Int32Array::new(keys, nulls), values)))
}

/// The rows whose place is negative are null.
fn nulls(keys: &ScalarBuffer<i32>, places: &[i32]) -> Option<NullBuffer> {
    let some = places.iter().any(|p| *p < 0);
    some.then(|| {
        NullBuffer::new(BooleanBuffer::collect_bool(keys.len(), |row| places[keys[row] as usize] >= 0))
    })
}

fn handles(keys: &ScalarBuffer<i32>, finals: &[Final<'_>]) -> Option<ArrayRef> {
    let places: Vec<i32> = finals.iter().map(|f| if f.handle.is_some() { 0 } else { -1 }).collect();
    if places.iter().all(|p| *p < 0) {
        return None;
    }
    let handles: Vec<i64> = finals.iter().map(|f| f.handle.unwrap_or_default()).collect();
    let values: Vec<i64> = keys.iter().map(|k| handles[*k as usize]).collect();
    Some(Arc::new(Int64Array::new(values.into(), nulls(keys, &places))))
}

fn repeated(text: &str, rows: usize) -> ArrayRef {
    let keys = Int32Array::from_value(0, rows);
    Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec![text]))))
}

/// The details, beside those that the batch has already.
fn extra(keys: &ScalarBuffer<i32>, finals: &[Final<'_>], before: Option<&ArrayRef>) -> Option<ArrayRef> {
    if finals.iter().all(|f| f.extra.is_empty()) {
        return None;
    }
    let before = before.and_then(|c| c.as_dictionary_opt::<Int32Type>());
    let texts = before.and_then(|b| b.values().as_string_opt::<i32>());
    let mut values: Vec<String> = Vec::new();
    let mut known: HashMap<(i32, i32), i32> = HashMap::new();
    let new: Int32Array = (0..keys.len())
        .map(|row| {
            let old = before.filter(|b| b.keys().is_valid(row)).map_or(-1, |b| b.keys().value(row));
            let place = *known.entry((old, keys[row])).or_insert_with(|| {
                let old =
                    usize::try_from(old).ok().and_then(|at| Some(texts.filter(|t| at < t.len())?.value(at)));
                let text = merged(old, &finals[keys[row] as usize].extra);
                text.map_or(-1, |text| {
                    values.push(text);
                    count(values.len() - 1)
                })
            });
            (place >= 0).then_some(place)
        })
        .collect();
    Some(Arc::new(DictionaryArray::new(new, Arc::new(StringArray::from(values)))))
}

fn merged(old: Option<&str>, new: &Map<String, Value>) -> Option<String> {
    if new.is_empty() {
        return old.map(str::to_owned);
    }
    let mut object = match old.map(|text| (serde_json::from_str(text), text)) {
        Some((Ok(Value::Object(object)), _)) => object,
        // No object: kept as it is, under a name.
        Some((_, text)) => Map::from_iter([("extra".to_owned(), Value::from(text))]),
        None => Map::new(),
    };
    object.extend(new.clone());
    Some(Value::Object(object).to_string())
}

/// The batch with these columns, in the order of the schema.
fn rebuild(batch: &RecordBatch, added: &HashMap<&str, ArrayRef>) -> RecordBatch {
    let (mut fields, mut arrays): (Vec<FieldRef>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    let schema = batch.schema();
    for field in wire_schema(Kind::Events).fields() {
        if let Some(column) = added.get(field.name().as_str()) {
            fields.push(Arc::clone(field));
            arrays.push(Arc::clone(column));
        } else if let Ok(at) = schema.index_of(field.name()) {
            fields.push(Arc::clone(&schema.fields()[at]));
            arrays.push(Arc::clone(batch.column(at)));
        }
    }
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &rows)
        .expect("the new columns have the row count of the batch and the types of their fields")
}
