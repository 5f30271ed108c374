//! What is kept, and for how long: `[[retain]]` and `[keep]` of the configuration, and the holds of the catalog.

use arrow_array::{BooleanArray, RecordBatch};
use bartizan_api::{Retention, RetentionRule};
use bartizan_catalog::Hold as KnownHold;
use bartizan_filter::{Context, Filter, Matcher};
use bartizan_lake::{Hold, Policies, Policy, Rows, Rule, sized};
use bartizan_model::{Kind, Micros};
use bartizan_schema::{Relation, Rollup};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The longest age, in days.
const MOST_DAYS: u64 = 36_500;

/// `[[retain]]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenRetain {
    /// Of which table.
    #[serde(default = "events")]
    pub table: String,
    /// Which rows; nothing means all.
    #[serde(default)]
    pub filter: String,
    /// For how many days; nothing means for ever.
    #[serde(default)]
    pub days: Option<u64>,
}

fn events() -> String {
    Kind::Events.as_str().to_owned()
}

/// `[keep]` as written.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenKeep {
    /// Megabytes of all tables, above which the oldest rows go; nothing means no bound.
    pub megabytes: Option<u64>,
    /// Hours that a file stays after it was replaced or removed, for whoever still reads it.
    pub removed_hours: u64,
}

impl Default for WrittenKeep {
    fn default() -> Self {
        Self { megabytes: None, removed_hours: 24 }
    }
}

/// A rule that cannot be meant.
#[derive(Clone, Debug, thiserror::Error)]
#[error("retain: {0}")]
pub struct RetainError(String);

/// What was meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retain {
    rules: Vec<(Relation, String, Option<u64>)>,
    max_bytes: Option<u64>,
}

impl Retain {
    /// What was meant by what was written.
    ///
    /// # Errors
    /// Names the table and what is wrong.
    pub(crate) fn new(written: &[WrittenRetain], keep: WrittenKeep) -> Result<Self, RetainError> {
        let wrong = |text: String| Err(RetainError(text));
        let mut rules: Vec<(Relation, String, Option<u64>)> = Vec::new();
        for rule in written {
            let table = rule.table.as_str();
            let Some(relation) = relation(table) else {
                return wrong(format!("there is no table `{table}`"));
            };
            if relation == Relation::Rows(Kind::Rulesets) {
                return wrong("rulesets are kept for ever, because events name them".to_owned());
            }
            if let Some(days) = rule.days.filter(|days| !(1..=MOST_DAYS).contains(days)) {
                return wrong(format!("{table}: days: {days} is not in 1..={MOST_DAYS}"));
            }
            let filter = rule.filter.trim().to_owned();
            if !filter.is_empty() && matches!(relation, Relation::Rollup(_)) {
                return wrong(format!("{table}: what is derived has no filter"));
            }
            if rules.iter().any(|(of, filter, _)| *of == relation && filter.is_empty()) {
                return wrong(format!("{table}: a rule behind one that means all rows means none"));
            }
            rules.push((relation, filter, rule.days));
        }
        if keep.megabytes == Some(0) {
            return wrong("keep.megabytes: 0 would keep nothing".to_owned());
        }
        Ok(Self { rules, max_bytes: keep.megabytes.map(|mb| mb.saturating_mul(1 << 20)) })
    }

    /// The rules as people know them.
    pub(crate) fn told(&self) -> Retention {
        let rule = |(relation, filter, days): &(Relation, String, Option<u64>)| RetentionRule {
            table: relation.to_string(),
            filter: filter.clone(),
            days: *days,
        };
        Retention { rules: self.rules.iter().map(rule).collect(), max_bytes: self.max_bytes }
    }

    /// The rules as filters understand them now, with what is held.
    ///
    /// # Errors
    /// Names the rule or the hold whose filter is wrong: then nothing must go.
    pub(crate) fn policies(&self, holds: &[KnownHold], context: &Context) -> Result<Policies, RetainError> {
        let mut tables: BTreeMap<Relation, Policy> = BTreeMap::new();
        for (relation, filter, days) in &self.rules {
            let life = days.map_or("for ever".to_owned(), |days| format!("{days} days"));
            let what = if filter.is_empty() { "all" } else { filter };
            let age = days.map(|days| i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(Micros::DAY));
            let rows = rows(*relation, filter, context).map_err(|e| RetainError(format!("{what}: {e}")))?;
            let rule = Rule { name: format!("{what} {life}"), rows, age };
            tables.entry(*relation).or_default().rules.push(rule);
        }
        for hold in holds {
            let wrong = |text: String| RetainError(format!("hold `{}`: {text}", hold.name));
            let relation =
                relation(&hold.table).ok_or_else(|| wrong(format!("no table `{}`", hold.table)))?;
            let rows = rows(relation, &hold.filter, context).map_err(wrong)?;
            tables.entry(relation).or_default().holds.push(Hold { name: hold.name.clone(), rows });
        }
        Ok(Policies { tables, max_bytes: self.max_bytes, sized: sized() })
    }
}

/// The table of a name.
pub(super) fn relation(name: &str) -> Option<Relation> {
    let kinds = Kind::ALL.into_iter().map(Relation::Rows);
    kinds.chain(Rollup::ALL.into_iter().map(Relation::Rollup)).find(|r| r.as_str() == name)
}

/// The rows that a filter means; nothing where it means all.
pub(super) fn rows(
    relation: Relation,
    filter: &str,
    context: &Context,
) -> Result<Option<Arc<dyn Rows>>, String> {
    if filter.trim().is_empty() {
        return Ok(None);
    }
    let Relation::Rows(kind) = relation else { return Err("what is derived has no filter".to_owned()) };
    let filter = Filter::parse_for(kind, filter, context).map_err(|e| e.to_string())?;
    let matcher = Matcher::new(&filter);
    Ok(Some(Arc::new(Matched { matcher, columns: filter.columns().into_iter().collect() })))
}

/// The rows that match.
struct Matched {
    matcher: Matcher,
    columns: Vec<&'static str>,
}

impl fmt::Debug for Matched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matched").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Rows for Matched {
    fn columns(&self) -> Vec<&'static str> {
        self.columns.clone()
    }

    fn pick(&self, rows: &RecordBatch) -> BooleanArray {
        self.matcher.matches(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retain(table: &str, filter: &str, days: Option<u64>) -> WrittenRetain {
        WrittenRetain { table: table.into(), filter: filter.into(), days }
    }

    #[test]
    fn rules_are_taken_in_their_order_and_wrong_ones_named() {
        let rules = [
            retain("events", "action:accept", Some(7)),
            retain("events", "host:pci-*", Some(400)),
            retain("events", "", Some(90)),
            retain("events_1h", "", Some(1000)),
        ];
        let keep = WrittenKeep { megabytes: Some(5), ..WrittenKeep::default() };
        let policies = Retain::new(&rules, keep).unwrap().policies(&[], &Context::default()).unwrap();
        let events = &policies.tables[&Relation::Rows(Kind::Events)];
        let names: Vec<_> = events.rules.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["action:accept 7 days", "host:pci-* 400 days", "all 90 days"]);
        assert_eq!(events.rules[0].rows.as_ref().unwrap().columns(), ["action"]);
        assert_eq!(policies.max_bytes, Some(5 << 20));

        let error = |rules: &[WrittenRetain]| {
            Retain::new(rules, WrittenKeep::default()).map(|_| ()).unwrap_err().to_string()
        };
        assert!(error(&[retain("event", "", None)]).contains("no table `event`"));
        assert!(error(&[retain("rulesets", "", Some(1))]).contains("for ever"));
        assert!(error(&[retain("events", "", Some(0))]).contains("days: 0"));
        assert!(error(&[retain("events", "", Some(9)), retain("events", "host:a", None)]).contains("behind"));
        assert!(error(&[retain("sources", "host:a", None)]).contains("no filter"));
    }

    #[test]
    fn a_filter_that_is_not_understood_any_more_stops_all() {
        let rules = [retain("events", "src:@gone", Some(7))];
        let retain = Retain::new(&rules, WrittenKeep::default()).unwrap();
        assert!(retain.policies(&[], &Context::default()).is_err());
        let hold = KnownHold {
            name: "case".into(),
            table: "events".into(),
            filter: "src:@gone".into(),
            comment: String::new(),
            created: Micros(0),
        };
        let error = Retain::default().policies(&[hold], &Context::default()).unwrap_err();
        assert!(error.to_string().contains("hold `case`"), "{error}");
    }
}
