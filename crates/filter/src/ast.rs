use crate::{Addrs, Context, TextPattern};
use bartizan_schema::{Field, FieldKind};
use std::hash::{Hash, Hasher};

/// The field behind a bare word: any of prefix, rule and host, and what else names a row of another table. It has
/// no name and cannot be written.
pub static WORD: Field = Field {
    name: "",
    kind: FieldKind::Text,
    columns: &["prefix", "rule", "host", "object", "reason", "detail", "process"],
    doc: "a bare word: a substring of prefix, rule or host",
};

/// A filter's tree.
///
/// In normal form, which the constructors make: no `And` directly in an `And` nor `Or` in an `Or`, both with at
/// least two parts, no `Not` directly in a `Not`, no `All` in an `And` or `Or`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// True.
    All,
    /// True if every part is.
    And(Vec<Self>),
    /// True if any part is.
    Or(Vec<Self>),
    /// True if the inner is not.
    Not(Box<Self>),
    /// A comparison.
    Term(Term),
}

impl Expr {
    /// All of the parts.
    #[must_use]
    pub fn and(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::All => {}
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Self::All,
            1 => flat.swap_remove(0),
            _ => Self::And(flat),
        }
    }

    /// Any of the parts; nothing, if there is none.
    #[must_use]
    pub fn or(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::All => return Self::All,
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Self::negate(Self::All),
            1 => flat.swap_remove(0),
            _ => Self::Or(flat),
        }
    }

    /// The opposite.
    #[must_use]
    pub fn negate(inner: Self) -> Self {
        match inner {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}

/// One comparison: true if any column of the field holds any of the values.
#[derive(Clone, Debug)]
pub struct Term {
    /// An entry of the field registry, or [`WORD`].
    pub field: &'static Field,
    /// Values of the field's kind.
    pub values: Values,
}

/// Fields are the same if their names are.
impl PartialEq for Term {
    fn eq(&self, other: &Self) -> bool {
        self.field.name == other.field.name && self.values == other.values
    }
}

impl Eq for Term {}

impl Hash for Term {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.field.name.hash(state);
        self.values.hash(state);
    }
}

/// What a term compares with. Lists are sorted and without duplicates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Values {
    /// `*`: the column is not null.
    Present,
    /// Of address fields.
    Addr(Addrs),
    /// Of port, protocol and number fields: sorted ranges that do not overlap.
    Numbers(Vec<NumRange>),
    /// Of `flags`: true if any of these bits is set.
    Flags(i64),
    /// Of text fields.
    Text(Vec<TextPattern>),
    /// Of `group`.
    Groups(Groups),
}

/// Groups of hosts: as they are printed, and as they are evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Groups {
    names: Vec<TextPattern>,
    hosts: Vec<TextPattern>,
}

impl Groups {
    /// The groups of these names, with the hosts that the context knows in them. A name that it does not know has
    /// none.
    #[must_use]
    pub fn new(mut names: Vec<TextPattern>, context: &Context) -> Self {
        names.sort_unstable();
        names.dedup();
        let named = |group: &str| names.iter().any(|name| name.is_match(group));
        let mut hosts: Vec<TextPattern> = context
            .groups()
            .filter(|(group, _)| named(group))
            .flat_map(|(_, hosts)| hosts)
            .cloned()
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        Self { names, hosts }
    }

    /// The names, sorted, as patterns of names.
    #[must_use]
    pub fn names(&self) -> &[TextPattern] {
        &self.names
    }

    /// The names of their hosts, as patterns; none if the groups are empty.
    #[must_use]
    pub fn hosts(&self) -> &[TextPattern] {
        &self.hosts
    }
}

impl Values {
    /// Numbers in normal form: sorted, and what overlaps is one range.
    #[must_use]
    pub fn numbers(mut ranges: Vec<NumRange>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<NumRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.first <= last.last => last.last = last.last.max(range.last),
                _ => merged.push(range),
            }
        }
        Self::Numbers(merged)
    }

    /// Text patterns in normal form.
    #[must_use]
    pub fn text(mut patterns: Vec<TextPattern>) -> Self {
        patterns.sort_unstable();
        patterns.dedup();
        Self::Text(patterns)
    }
}

/// A range of numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NumRange {
    /// The smallest.
    pub first: i64,
    /// The largest, not below `first`.
    pub last: i64,
}

impl NumRange {
    /// Whether it holds a number.
    #[must_use]
    pub const fn contains(&self, n: i64) -> bool {
        self.first <= n && n <= self.last
    }
}
