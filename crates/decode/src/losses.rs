//! Losses on their way to the ledger: gathered until they can be written as a batch.

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::Schema;
use bartizan_model::{Kind, Loss, Micros, Reason, Stage};
use bartizan_schema::collected_schema;
use std::sync::Arc;

/// Losses that are not recorded yet. Equal ones are added up, so that their number stays small whatever
/// happens for however long.
#[derive(Debug, Default)]
pub struct Losses(Vec<(Place, Loss)>);

/// Where a loss happened.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// Empty where the batch's sender is the host: an agent.
    host: Box<str>,
    /// Empty for the host's own.
    netns: Box<str>,
}

impl Losses {
    /// Count a loss in a network namespace; the own one has no name.
    pub fn add(&mut self, netns: &str, loss: Loss) {
        self.count("", netns, loss);
    }

    /// Count a loss of a host that is not the sender of the batch: each of the entries has to say whose it is then.
    pub fn add_of(&mut self, host: &str, loss: Loss) {
        self.count(host, "", loss);
    }

    fn count(&mut self, host: &str, netns: &str, loss: Loss) {
        if loss.count == 0 {
            return;
        }
        let same = |(p, l): &&mut (Place, Loss)| {
            (l.stage, l.reason, l.kind, &l.detail) == (loss.stage, loss.reason, loss.kind, &loss.detail)
                && (&*p.host, &*p.netns) == (host, netns)
        };
        match self.0.iter_mut().find(same) {
            Some((_, known)) => {
                known.count = known.count.saturating_add(loss.count);
                known.from = known.from.min(loss.from);
                known.to = known.to.max(loss.to);
            }
            None => self.0.push((Place { host: host.into(), netns: netns.into() }, loss)),
        }
    }

    /// Count a loss of the host's own namespace that happened now.
    pub fn add_now(
        &mut self,
        now: Micros,
        stage: Stage,
        reason: Reason,
        kind: Kind,
        count: u64,
        detail: &str,
    ) {
        self.add("", Loss { from: now, to: now, stage, reason, kind, count, detail: detail.to_owned() });
    }

    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes over what others are.
    pub fn append(&mut self, others: Self) {
        for (place, loss) in others.0 {
            self.count(&place.host, &place.netns, loss);
        }
    }

    /// Whether there is nothing to record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each, with its namespace.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Loss)> {
        self.0.iter().map(|(place, loss)| (&*place.netns, loss))
    }

    /// How many events all of them stand for; rows of other kinds are no events.
    #[must_use]
    pub fn total(&self) -> u64 {
        let events = self.0.iter().filter(|(_, l)| l.kind == Kind::Events);
        events.map(|(_, l)| l.count).fold(0, u64::saturating_add)
    }

    /// All of them as a batch of the `losses` table: of its wire schema, with `host` where they say whose they are.
    ///
    /// # Panics
    /// If the schema has a column that is not known here; the tests cover them all.
    #[must_use]
    pub fn batch(&self) -> RecordBatch {
        let times = |of: fn(&Loss) -> Micros| -> ArrayRef {
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(self.0.iter().map(|(_, l)| of(l).0))
                    .with_timezone("UTC"),
            )
        };
        fn texts<'a>(of: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
            Arc::new(of.collect::<DictionaryArray<Int32Type>>())
        }
        let whose = self.0.iter().any(|(p, _)| !p.host.is_empty());
        let schema = collected_schema(Kind::Losses);
        let fields: Vec<_> =
            schema.fields().iter().filter(|field| whose || field.name() != "host").cloned().collect();
        let columns = fields
            .iter()
            .map(|field| match field.name().as_str() {
                "time" => times(|l| l.to),
                "from" => times(|l| l.from),
                "stage" => texts(self.0.iter().map(|(_, l)| Some(l.stage.as_str()))),
                "reason" => texts(self.0.iter().map(|(_, l)| Some(l.reason.as_str()))),
                "count" => Arc::new(Int64Array::from_iter_values(
                    self.0.iter().map(|(_, l)| i64::try_from(l.count).unwrap_or(i64::MAX)),
                )),
                "detail" => texts(self.0.iter().map(|(_, l)| Some(l.detail.as_str()))),
                "kind" => {
                    texts(self.0.iter().map(|(_, l)| (l.kind != Kind::Events).then_some(l.kind.as_str())))
                }
                "host" => texts(self.0.iter().map(|(p, _)| Some(&*p.host))),
                "netns" => texts(self.0.iter().map(|(p, _)| Some(&*p.netns).filter(|n| !n.is_empty()))),
                other => {
                    unreachable!("column `{other}` of losses has no source here; the schema test covers all")
                }
            })
            .collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
            .expect("every column has the type of the schema")
    }

    /// They are recorded.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;

    #[test]
    fn losses_of_several_hosts_say_whose_they_are() {
        let loss = |count| Loss {
            from: Micros(1),
            to: Micros(2),
            stage: Stage::Server,
            reason: Reason::RateLimit,
            kind: Kind::Events,
            count,
            detail: String::new(),
        };
        let mut losses = Losses::default();
        for (host, count) in [("gw", 3), ("web", 4), ("gw", 5)] {
            losses.add_of(host, loss(count));
        }
        let batch = losses.batch();
        let hosts = batch.column_by_name("host").unwrap().as_dictionary::<Int32Type>();
        let hosts: Vec<_> =
            hosts.downcast_dict::<arrow_array::StringArray>().unwrap().into_iter().flatten().collect();
        let count = batch.column_by_name("count").unwrap().as_primitive::<Int64Type>();
        assert_eq!((hosts, count.values().to_vec()), (vec!["gw", "web"], vec![8, 4]));
    }

    #[test]
    fn equal_losses_are_one_row_and_the_batch_has_every_column() {
        let mut losses = Losses::default();
        losses.add_now(Micros(1), Stage::Kernel, Reason::SequenceGap, Kind::Events, 3, "nflog group 5");
        losses.add_now(Micros(9), Stage::Kernel, Reason::SequenceGap, Kind::Events, 4, "nflog group 5");
        losses.add_now(Micros(9), Stage::Spool, Reason::SpoolFull, Kind::Events, 2, "");
        losses.add_now(Micros(9), Stage::Spool, Reason::SpoolFull, Kind::Flows, 5, "");
        let loss = Loss {
            from: Micros(1),
            to: Micros(9),
            stage: Stage::Spool,
            reason: Reason::SpoolFull,
            kind: Kind::Events,
            count: 1,
            detail: String::new(),
        };
        losses.add("container", loss);
        losses.add_now(Micros(9), Stage::Spool, Reason::DiskError, Kind::Events, 0, "");
        assert_eq!(losses.total(), 10, "flows are no events");
        let batch = losses.batch();
        assert_eq!(batch.num_rows(), 4);
        assert_eq!(batch.schema(), bartizan_schema::wire_schema(Kind::Losses));
        let count = batch.column_by_name("count").unwrap().as_primitive::<Int64Type>();
        assert_eq!(count.values(), &[7, 2, 5, 1]);
        let times = |n: &str| {
            batch
                .column_by_name(n)
                .unwrap()
                .as_primitive::<arrow_array::types::TimestampMicrosecondType>()
                .value(0)
        };
        assert_eq!((times("from"), times("time")), (1, 9));
    }
}
