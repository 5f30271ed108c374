//! Events as columns of the table `events`: as an agent sends them, and as the server keeps them.

use super::origin::country;
use super::sent::Sent;
use super::{Event, Fleet, HOOKS, INTERFACES, PREFIXES};
use arrow_array::builder::StringViewBuilder;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int16Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow_schema::Schema;
use bartizan_model::Kind;
use bartizan_schema::{table_columns, table_schema, wire_schema};
use std::collections::HashMap;
use std::sync::Arc;

/// A batch of one agent, columns without a value left out.
pub(super) fn wire_rows(events: &[Event]) -> RecordBatch {
    let events: Vec<&Event> = events.iter().collect();
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for field in wire_schema(Kind::Events).fields() {
        let column =
            text(field.name(), &events).map(Texts::dictionary).or_else(|| number(field.name(), &events));
        if let Some(column) = column.filter(|column| column.null_count() < column.len()) {
            fields.push(Arc::clone(field));
            columns.push(column);
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("each column has its field's type")
}

/// Batches as rows of the table, all that the server fills filled.
pub(crate) fn table_rows(fleet: &Fleet, sent: &[Sent]) -> RecordBatch {
    let events: Vec<&Event> = sent.iter().flat_map(|s| &s.events).collect();
    let streams: HashMap<u8, String> =
        sent.iter().map(|s| (s.host, s.id(fleet).stream.to_string())).collect();
    let of_batch = |value: &dyn Fn(&Sent) -> i64| -> Vec<i64> {
        sent.iter().flat_map(|s| std::iter::repeat_n(value(s), s.events.len())).collect()
    };
    let columns = table_columns(Kind::Events).iter().map(|column| -> ArrayRef {
        let texts = match column.name {
            "host" => Some(Texts::new(
                &events,
                |e| Some(u64::from(e.host)),
                |e| fleet.host(e.host.into()).to_owned(),
            )),
            "stream" => Some(Texts::new(&events, |e| Some(u64::from(e.host)), |e| streams[&e.host].clone())),
            "action" => {
                let of = |e: &Event| fleet.actions[usize::from(e.prefix)].as_str();
                Some(Texts::new(&events, |e| Some(u64::from(e.prefix)), |e| of(e).to_owned()))
            }
            "src_country" => Some(countries(&events, |e| e.src)),
            "dst_country" => Some(countries(&events, |e| e.dst)),
            name => text(name, &events),
        };
        match (column.name, texts) {
            (_, Some(texts)) => texts.view(),
            ("received", None) => times(of_batch(&|s| s.received.0)),
            ("seq", None) => Arc::new(Int64Array::from(of_batch(&|s| s.seq.cast_signed()))),
            ("row", None) => {
                Arc::new(Int32Array::from_iter_values(sent.iter().flat_map(|s| 0..s.events.len() as i32)))
            }
            (name, None) => {
                number(name, &events).unwrap_or_else(|| new_null_array(&column.kind.arrow(), events.len()))
            }
        }
    });
    RecordBatch::try_new(table_schema(Kind::Events), columns.collect()).expect("the columns are the table's")
}

fn countries(events: &[&Event], of: impl Fn(&Event) -> u128) -> Texts {
    let code = |e: &Event| country(of(e));
    let key = |e: &Event| code(e).map(|c| u64::from(u16::from_be_bytes([c.as_bytes()[0], c.as_bytes()[1]])));
    Texts::new(events, key, |e| code(e).unwrap_or_default().to_owned())
}

/// A column of numbers, times or addresses that a sender fills.
fn number(name: &str, events: &[&Event]) -> Option<ArrayRef> {
    let rows = events.iter();
    let ports = |of: fn((u16, u16)) -> u16| -> ArrayRef {
        Arc::new(rows.clone().map(|e| e.ports.map(|p| i32::from(of(p)))).collect::<Int32Array>())
    };
    let small = |of: &dyn Fn(&Event) -> Option<u8>| -> ArrayRef {
        Arc::new(rows.clone().map(|e| of(e).map(i16::from)).collect::<Int16Array>())
    };
    let long = |of: fn(&Event) -> Option<u32>| -> ArrayRef {
        Arc::new(rows.clone().map(|e| of(e).map(i64::from)).collect::<Int64Array>())
    };
    Some(match name {
        "time" => times(rows.map(|e| e.time).collect()),
        "src" => addresses(rows.map(|e| e.src)),
        "dst" => addresses(rows.map(|e| e.dst)),
        "proto" => small(&|e| Some(e.proto)),
        "sport" => ports(|(source, _)| source),
        "dport" => ports(|(_, destination)| destination),
        "length" => Arc::new(Int32Array::from_iter_values(rows.map(|e| e.length.into()))),
        "ttl" => small(&|e| Some(e.ttl)),
        "tcp_flags" => small(&|e| e.tcp_flags),
        "icmp_type" => small(&|e| e.icmp.map(|(kind, _)| kind)),
        "icmp_code" => small(&|e| e.icmp.map(|(_, code)| code)),
        "mark" => long(|e| e.mark),
        "uid" => long(|e| e.uid),
        "packets" => Arc::new(Int64Array::from_value(1, events.len())),
        _ => return None,
    })
}

fn times(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}

fn addresses(values: impl Iterator<Item = u128>) -> ArrayRef {
    let bytes: Vec<u8> = values.flat_map(u128::to_be_bytes).collect();
    Arc::new(FixedSizeBinaryArray::new(16, bytes.into(), None))
}

/// A column of text that a sender fills.
fn text(name: &str, events: &[&Event]) -> Option<Texts> {
    let interface = |of: fn(&Event) -> Option<u8>| {
        Texts::new(
            events,
            |e| of(e).map(u64::from),
            |e| of(e).map_or("", |i| INTERFACES[usize::from(i)]).to_owned(),
        )
    };
    Some(match name {
        "source" => Texts::new(events, |_| Some(0), |_| "nflog".to_owned()),
        "family" => Texts::new(
            events,
            |e| Some(u64::from(e.is_v6())),
            |e| if e.is_v6() { "ip6" } else { "ip" }.to_owned(),
        ),
        "prefix" => {
            Texts::new(events, |e| Some(u64::from(e.prefix)), |e| PREFIXES[usize::from(e.prefix)].to_owned())
        }
        "hook" => Texts::new(events, |e| Some(u64::from(e.hook)), |e| HOOKS[usize::from(e.hook)].to_owned()),
        "in_if" => interface(|e| e.in_if),
        "out_if" => interface(|e| e.out_if),
        "mac_src" => Texts::new(events, |e| e.mac, |e| mac(e.mac.unwrap_or_default())),
        _ => return None,
    })
}

/// A hardware address as it is written.
pub(super) fn mac(mac: u64) -> String {
    let [_, _, a, b, c, d, e, f] = mac.to_be_bytes();
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// A column of few different texts: a key for each row, and the text of each key.
pub(super) struct Texts {
    pub(super) keys: Int32Array,
    pub(super) words: Vec<String>,
}

impl Texts {
    /// `id` tells texts apart; `word` is asked once for each.
    pub(super) fn new(
        events: &[&Event],
        id: impl Fn(&Event) -> Option<u64>,
        word: impl Fn(&Event) -> String,
    ) -> Self {
        let mut words = Vec::new();
        let mut known: HashMap<u64, i32> = HashMap::new();
        let mut before = None;
        let keys = events.iter().map(|event| {
            let id = id(event)?;
            // most rows have the text of the row before
            if let Some((same, key)) = before
                && same == id
            {
                return Some(key);
            }
            let key = *known.entry(id).or_insert_with(|| {
                words.push(word(event));
                words.len() as i32 - 1
            });
            before = Some((id, key));
            Some(key)
        });
        Self { keys: keys.collect(), words }
    }

    fn dictionary(self) -> ArrayRef {
        let words: ArrayRef = Arc::new(StringArray::from(self.words));
        Arc::new(DictionaryArray::<Int32Type>::try_new(self.keys, words).expect("each key has its word"))
    }

    fn view(self) -> ArrayRef {
        let mut out = StringViewBuilder::with_capacity(self.keys.len()).with_deduplicate_strings();
        for key in &self.keys {
            out.append_option(key.map(|key| &self.words[key as usize]));
        }
        Arc::new(out.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Batching, Plan, Senders};
    use arrow_select::concat::concat_batches;
    use bartizan_enrich::Places;
    use bartizan_ingest::{Receipt, Whose, complete};
    use bartizan_prefix::Dialects;

    /// What the layouts are measured with is what the server makes of what agents send, but for enrichment.
    #[test]
    fn rows_of_the_table_are_completed_batches() {
        let plan = Plan { events: 100_000.0, days: 1, seed: 42 };
        let fleet = Fleet::new(plan);
        let sent = Senders::new(Batching::bulk(plan)).cut(&fleet.hour(10));
        let completed: Vec<_> = sent
            .iter()
            .map(|s| {
                let host = Whose::Host(fleet.host(s.host.into()));
                let receipt =
                    Receipt { host, id: s.id(&fleet), received: s.received, places: &Places::default() };
                complete(Kind::Events, &s.wire(), receipt, &Dialects::built_in()).unwrap()
            })
            .collect();
        let completed = concat_batches(&table_schema(Kind::Events), &completed).unwrap();
        let rows = table_rows(&fleet, &sent);
        assert!(rows.num_rows() > 3000);
        for (i, column) in table_columns(Kind::Events).iter().enumerate() {
            if !column.name.ends_with("_country") {
                assert_eq!(rows.column(i), completed.column(i), "{}", column.name);
            }
        }
        let known = rows.column_by_name("src_country").unwrap();
        assert!(known.null_count() < rows.num_rows() / 5);
    }
}
