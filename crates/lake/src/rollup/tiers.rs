//! The order of the sources in a file, made for "who sent most" over many files.
//!
//! The sources with most packets come first, in tiers that grow: a reader takes the first tier of every file, adds
//! up, and knows from what each file says about the rest ([`Tiers`]) who can still be among the first. Inside the
//! first tier the order is by weight, inside the others by address, so that a source is found by the page index.

use super::groups::Sums;
use super::tally::Source;
use crate::files::{DataFile, tag};
use hashbrown::HashMap;

/// Sources of the first tier, and how much larger each one after it is.
const FIRST: usize = 1024;
const GROWTH: usize = 16;

/// How far each tier but the last goes, and what no source after it exceeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tiers(Vec<Tier>);

/// The end of a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    /// Rows up to here.
    pub rows: usize,
    /// No source has more packets in the rows after it, all its rows together.
    pub most: i64,
}

impl Tiers {
    /// What a file of `sources` says about its order; nothing if it says nothing that is understood.
    #[must_use]
    pub fn of(file: &DataFile) -> Option<Self> {
        Self::parse(file.tag(tag::TIERS)?)
    }

    /// From its text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let tiers = text.split(',').filter(|t| !t.is_empty()).map(|tier| {
            let (rows, most) = tier.split_once(':')?;
            Some(Tier { rows: rows.parse().ok()?, most: most.parse().ok().filter(|n| *n >= 0)? })
        });
        let tiers: Vec<_> = tiers.collect::<Option<_>>()?;
        tiers.windows(2).all(|w| w[0].rows < w[1].rows && w[0].most >= w[1].most).then_some(Self(tiers))
    }

    /// The tiers but the last.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Tier> {
        self.0.iter().copied()
    }

    pub(crate) fn ends(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|tier| tier.rows)
    }
}

impl std::fmt::Display for Tiers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, tier) in self.0.iter().enumerate() {
            write!(f, "{}{}:{}", if i > 0 { "," } else { "" }, tier.rows, tier.most)?;
        }
        Ok(())
    }
}

/// The order of the groups of a file. Without tiers, by address, where packets are no amounts to go by.
pub(crate) fn by_weight(groups: &[(Source, Sums)]) -> (Vec<u32>, Option<Tiers>) {
    let mut order: Vec<u32> = (0..u32::try_from(groups.len()).unwrap_or(u32::MAX)).collect();
    let key = |i: u32| groups[i as usize].0;
    order.sort_unstable_by_key(|i| key(*i));
    let Some(totals) = totals(groups) else { return (order, None) };
    let weight = |i: u32| totals.get(&key(i).0).copied().unwrap_or(0);

    // The totals in falling order say where tiers end.
    let mut heaviest: Vec<i64> = totals.values().copied().collect();
    heaviest.sort_unstable_by(|a, b| b.cmp(a));
    let mut limits = Vec::new();
    let (mut end, mut size) = (FIRST, FIRST);
    while end < heaviest.len() {
        limits.push(heaviest[end]);
        size *= GROWTH;
        end += size;
    }
    limits.dedup();
    // Who has more than the limit is in the tier before it.
    let tier = |i: u32| limits.partition_point(|limit| weight(i) <= *limit);
    order.sort_by_cached_key(|i| {
        let tier = tier(*i);
        (tier, if tier == 0 { -weight(*i) } else { 0 }, key(*i))
    });
    let ends = limits.iter().enumerate().map(|(n, limit)| {
        let rows = order.partition_point(|i| tier(*i) <= n);
        Tier { rows, most: *limit }
    });
    let tiers = ends.filter(|tier| tier.rows > 0).collect();
    (order, Some(Tiers(tiers)))
}

/// The packets of each source; nothing if a number is negative or a sum too large.
fn totals(groups: &[(Source, Sums)]) -> Option<HashMap<Option<[u8; 16]>, i64, foldhash::fast::RandomState>> {
    let mut totals = HashMap::default();
    let mut all = 0_i64;
    for ((src, _), sums) in groups {
        all = all.checked_add(sums.packets)?;
        if sums.packets < 0 {
            return None;
        }
        *totals.entry(*src).or_insert(0) += sums.packets;
    }
    Some(totals)
}
