use super::Bucket;
use crate::Scoped;
use bartizan_model::Kind;
use bartizan_schema::{Rollup, table_columns};
use std::collections::BTreeSet;

/// What a question needs of the events.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    /// The columns that it groups by.
    by: Vec<&'static str>,
    /// The columns that it filters or groups by.
    columns: BTreeSet<&'static str>,
    /// The pieces of time that it groups by.
    pub(super) bucket: Option<Bucket>,
    /// Whether it asks for the latest time of each group.
    last: bool,
}

impl Want {
    pub(crate) fn new(filter: &Scoped<'_>, by: &[&'static str], bucket: Option<Bucket>, last: bool) -> Self {
        // A column that the table lacks holds no value in a rollup either.
        let known = |name: &&'static str| table_columns(Kind::Events).iter().any(|c| c.name == *name);
        let mut columns: BTreeSet<_> = filter.columns().into_iter().filter(known).collect();
        columns.extend(by);
        Self { by: by.to_vec(), columns, bucket, last }
    }

    pub(super) fn by(&self) -> &[&'static str] {
        &self.by
    }

    pub(super) const fn last(&self) -> bool {
        self.last
    }
}

/// The rollups that answer a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// For files whose rows are all inside the window: the one with the fewest rows.
    pub(crate) whole: Rollup,
    /// For files that the window cuts: one with buckets as small as there are.
    pub(crate) cut: Option<Rollup>,
}

impl Choice {
    /// Both, each once.
    pub(super) fn all(self) -> impl Iterator<Item = Rollup> {
        std::iter::once(self.whole).chain(self.cut.filter(|cut| *cut != self.whole))
    }
}

/// By how many rows they have, fewest first.
const SIZE: [Rollup; 6] = [
    Rollup::Activity1m,
    Rollup::Origins1h,
    Rollup::Activity1h,
    Rollup::Events1m,
    Rollup::Events1h,
    Rollup::Sources,
];

/// The rollups that give the same answer as the rows, if there are any.
///
/// A rollup does if it has every column by which the question filters or groups: all rows that it counts together
/// have the same values there, so that all of them match or none does, and all are in one group. And each piece of
/// time that is asked for must be made of whole buckets.
pub(crate) fn choose(want: &Want) -> Option<Choice> {
    let answers = |rollup: &Rollup| {
        let has = |name: &&str| rollup.dimensions().any(|c| c.name == *name);
        let has_last = || rollup.columns().iter().any(|c| c.name == "last");
        want.columns.iter().all(has)
            && (!want.last || has_last())
            && want.bucket.is_none_or(|pieces| rollup.bucket().is_some_and(|b| pieces.is_made_of(b)))
    };
    let whole = SIZE.into_iter().find(answers)?;
    let cut = SIZE.into_iter().filter(answers).min_by_key(|rollup| rollup.bucket().unwrap_or(i64::MAX));
    Some(Choice { whole, cut: cut.filter(|rollup| rollup.bucket().is_some()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sight;
    use bartizan_filter::{Context, Filter};
    use bartizan_model::Micros;

    const MINUTE: i64 = 60_000_000;

    fn choice(
        filter: &str,
        by: &[&'static str],
        width: Option<i64>,
        last: bool,
    ) -> Option<(Rollup, Option<Rollup>)> {
        let filter = Filter::parse_for(Kind::Events, filter, &Context::default()).unwrap();
        let bucket = width.map(|width| Bucket::new(width, Micros(0)));
        let filter = Sight::default().scoped(Kind::Events, &filter).unwrap();
        choose(&Want::new(&filter, by, bucket, last)).map(|choice| (choice.whole, choice.cut))
    }

    #[test]
    fn the_smallest_rollup_that_has_all_columns_is_taken() {
        use Rollup::*;
        assert_eq!(choice("", &[], None, false), Some((Activity1m, Some(Activity1m))));
        assert_eq!(choice("action:drop", &[], Some(5 * MINUTE), false), Some((Activity1m, Some(Activity1m))));
        assert_eq!(choice("", &["host", "prefix"], None, false), Some((Activity1h, Some(Events1m))));
        assert_eq!(choice("host:web1", &["prefix"], None, true), Some((Activity1h, Some(Activity1h))));
        assert_eq!(choice("host:web1", &[], Some(MINUTE), false), Some((Events1m, Some(Events1m))));
        assert_eq!(choice("prefix:x", &["dport"], None, false), Some((Events1h, Some(Events1h))));
        assert_eq!(choice("", &["src_country"], None, false), Some((Origins1h, Some(Origins1h))));
        assert_eq!(choice("action:drop", &["src"], None, false), Some((Sources, None)));
    }

    #[test]
    fn what_no_rollup_has_is_read_as_rows() {
        assert_eq!(choice("dst:10.0.0.1", &[], None, false), None);
        assert_eq!(choice("", &["src", "dport"], None, false), None);
        assert_eq!(choice("packets:>1", &[], None, false), None, "a measure is no dimension");
        assert_eq!(choice("len:>100", &["host"], None, false), None);
        assert_eq!(choice("port:22", &[], None, false), None, "sport is in none");
        assert_eq!(choice("", &[], Some(MINUTE / 2), false), None);
        assert_eq!(choice("", &["dport"], Some(MINUTE), false), None);
        assert_eq!(choice("", &["proto"], None, true), None);
        assert_eq!(choice("", &["packets"], None, false), None);
    }
}
