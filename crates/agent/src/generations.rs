//! Which ruleset was active when a packet was logged.
//!
//! The kernel numbers the states of its ruleset. A listing belongs to one number, and is known to be active from
//! one moment on: the number was read, then every packet on its way was waited for. It is known to be active up to
//! the last moment at which the number was asked for and was still the same. Between the last confirmation of
//! one and the first of the next, both may have been active; where numbers are missing between them, so may have
//! been rulesets that nobody listed.
//!
//! A batch was logged within a [`Window`]. If one ruleset was surely active in all of it, that is the generation
//! of its events. Otherwise they are *in flight*: attributed only where all rulesets that may have been active
//! agree, and marked.
//!
//! What it does not see: iptables-legacy has no numbers. Its rules are compared once in a while, and an event
//! that was logged just before a change was found can have the generation before it.

use crate::source::Window;
use arrow_array::RecordBatch;
use bartizan_ruleset::{Attribution, Ruleset, attribute};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Rulesets that are kept: more do not change within the time that a packet waits in the kernel.
const KEPT: usize = 8;

/// A ruleset that was listed.
pub(crate) struct Listed {
    /// The kernel's number; 0 where nf_tables is not there.
    pub(crate) kernel: u32,
    /// From when on it is known to be active.
    pub(crate) from: Instant,
    pub(crate) ruleset: Arc<Ruleset>,
    pub(crate) attribution: Attribution,
}

/// The rulesets of a namespace.
#[derive(Default)]
pub(crate) struct Generations {
    known: VecDeque<Known>,
}

struct Known {
    /// The kernel's numbers of it: a change that changes nothing has a number of its own.
    first: u32,
    last: u32,
    from: Instant,
    until: Instant,
    ruleset: Arc<Ruleset>,
    attribution: Attribution,
}

/// Which of the known rulesets may have been active, and whether others may have been as well.
#[derive(Debug, PartialEq, Eq)]
struct Candidates {
    known: Vec<usize>,
    unlisted: bool,
}

impl Generations {
    /// A ruleset was listed.
    pub(crate) fn listed(&mut self, listed: Listed) {
        let Listed { kernel, from, ruleset, attribution } = listed;
        if let Some(last) = self.known.back_mut() {
            let follows = kernel == last.last || kernel == after(last.last);
            if follows && same(&last.ruleset, &ruleset) {
                last.last = kernel;
                last.until = last.until.max(from);
                return;
            }
        }
        self.known.push_back(Known { first: kernel, last: kernel, from, until: from, ruleset, attribution });
        if self.known.len() > KEPT {
            self.known.pop_front();
        }
    }

    /// The kernel's number was read, asked for at `asked`; whether that is the newest one listed.
    pub(crate) fn confirm(&mut self, kernel: u32, asked: Instant) -> bool {
        match self.known.back_mut() {
            Some(last) if last.last == kernel => {
                last.until = last.until.max(asked);
                true
            }
            _ => false,
        }
    }

    /// Adds to a batch what the rulesets that may have been active say of its events.
    pub(crate) fn attribute(
        &mut self,
        batch: &RecordBatch,
        group: Option<u16>,
        logged: Window,
    ) -> RecordBatch {
        let candidates = self.candidates(logged);
        let mut unlisted = candidates.unlisted.then(|| Attribution::new(Arc::new(Ruleset::default())));
        let known = self.known.iter_mut().enumerate().filter(|(at, _)| candidates.known.contains(at));
        let mut rulesets: Vec<&mut Attribution> = known.map(|(_, k)| &mut k.attribution).collect();
        if let Some(unlisted) = unlisted.as_mut().filter(|_| !rulesets.is_empty()) {
            rulesets.push(unlisted);
        }
        attribute(batch, group, &mut rulesets)
    }

    fn candidates(&self, logged: Window) -> Candidates {
        let mut found = Candidates { known: Vec::new(), unlisted: false };
        let overlaps = |from: Instant, until: Instant| from <= logged.to && logged.from <= until;
        for (at, known) in self.known.iter().enumerate() {
            let before = at.checked_sub(1).map(|at| &self.known[at]);
            let after_it = self.known.get(at + 1);
            // from the last moment at which the one before it was surely active
            let begin = before.map_or(known.from, |b| b.until);
            let active = match after_it {
                Some(next) => overlaps(begin, next.from),
                None => begin <= logged.to,
            };
            if active {
                found.known.push(at);
            }
            found.unlisted |= match before {
                None => logged.from < known.from,
                Some(before) => known.first != after(before.last) && overlaps(before.until, known.from),
            };
        }
        found.unlisted |= self.known.back().is_none_or(|last| logged.to > last.until);
        if found.known.is_empty() && !self.known.is_empty() {
            // it cannot be right alone, but says that there was something
            found.known.push(0);
        }
        found
    }
}

/// The number after a number: the kernel leaves out 0.
const fn after(kernel: u32) -> u32 {
    match kernel.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}

/// Whether two rulesets say the same of every packet, by the same rules.
fn same(a: &Ruleset, b: &Ruleset) -> bool {
    let place = |ruleset: &Ruleset| -> Vec<(String, String, i64)> {
        ruleset.rules().map(|r| (r.table.clone(), r.chain.clone(), r.handle)).collect()
    };
    a.generation() == b.generation() && place(a) == place(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_ruleset::{Form, Listing};
    use std::time::Duration;

    struct Times(Instant);

    impl Times {
        fn at(&self, millis: u64) -> Instant {
            self.0 + Duration::from_millis(millis)
        }

        fn window(&self, from: u64, to: u64) -> Window {
            Window { from: self.at(from), to: self.at(to) }
        }

        fn listed(&self, kernel: u32, from: u64, rule: &str) -> Listed {
            let text = format!("table inet f {{\n\tchain c {{\n\t\t{rule} # handle 4\n\t}}\n}}\n");
            let ruleset = Arc::new(Ruleset::read(&Listing(vec![(Form::Nft, text)])));
            let attribution = Attribution::new(Arc::clone(&ruleset));
            Listed { kernel, from: self.at(from), ruleset, attribution }
        }
    }

    fn names(generations: &Generations, logged: Window) -> (Vec<u32>, bool) {
        let found = generations.candidates(logged);
        (found.known.iter().map(|at| generations.known[*at].first).collect(), found.unlisted)
    }

    #[test]
    fn a_batch_has_the_generation_that_was_surely_active_all_the_time() {
        let t = Times(Instant::now());
        let mut g = Generations::default();
        assert_eq!(names(&g, t.window(0, 1)), (vec![], true));
        g.listed(t.listed(4, 100, "accept"));
        assert_eq!(names(&g, t.window(110, 200)), (vec![4], true), "not confirmed up to its end");
        assert!(g.confirm(4, t.at(200)));
        assert_eq!(names(&g, t.window(110, 200)), (vec![4], false));
        assert_eq!(names(&g, t.window(90, 200)), (vec![4], true), "begun before it was known");
        assert!(!g.confirm(5, t.at(300)));
        g.listed(t.listed(5, 400, "drop"));
        assert!(g.confirm(5, t.at(600)));
        assert_eq!(names(&g, t.window(110, 199)), (vec![4], false));
        assert_eq!(names(&g, t.window(150, 250)), (vec![4, 5], false), "in flight");
        assert_eq!(names(&g, t.window(390, 410)), (vec![4, 5], false), "in flight");
        assert_eq!(names(&g, t.window(401, 600)), (vec![5], false));
    }

    #[test]
    fn generations_that_came_and_went_unlisted_make_their_time_uncertain() {
        let t = Times(Instant::now());
        let mut g = Generations::default();
        g.listed(t.listed(4, 100, "accept"));
        g.confirm(4, t.at(200));
        g.listed(t.listed(7, 400, "drop"));
        g.confirm(7, t.at(600));
        assert_eq!(names(&g, t.window(150, 190)), (vec![4], false));
        assert_eq!(names(&g, t.window(250, 300)), (vec![4, 7], true));
        assert_eq!(names(&g, t.window(410, 500)), (vec![7], false));
    }

    #[test]
    fn a_change_that_changes_nothing_is_no_change() {
        let t = Times(Instant::now());
        let mut g = Generations::default();
        g.listed(t.listed(u32::MAX, 100, "accept"));
        g.confirm(u32::MAX, t.at(200));
        g.listed(t.listed(1, 400, "accept"));
        assert!(g.confirm(1, t.at(600)));
        assert_eq!(names(&g, t.window(150, 500)), (vec![u32::MAX], false));
        // with one between that nobody saw, it may have been another
        g.listed(t.listed(3, 700, "accept"));
        g.confirm(3, t.at(900));
        assert_eq!(names(&g, t.window(650, 660)), (vec![u32::MAX, 3], true));
    }
}
