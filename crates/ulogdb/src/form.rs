//! What the tables of a database are.

use crate::place::Engine;
use crate::shape::{Column, Shape, Type};
use bartizan_intake::ulogd::Key;
use bartizan_model::Kind;

/// Which schema a table is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// ulogd 1: one table of packets.
    One,
    /// ulogd 2: packets in a table for each protocol.
    Normalised,
    /// ulogd 2: packets in one table.
    Flat,
    /// ulogd 2: connections.
    Connections,
    /// ulogd 2: counters.
    Counters,
    /// ulogd 2's example for SQLite, or made by a user after ulogd's rule: columns are keys with `_` for `.`
    Own,
}

impl Form {
    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::One => "packets of ulogd 1",
            Self::Normalised => "packets of ulogd 2, a table for each protocol",
            Self::Flat => "packets of ulogd 2, one table",
            Self::Connections => "connections of ulogd 2",
            Self::Counters => "counters of ulogd 2",
            Self::Own => "columns named as ulogd's keys",
        }
    }
}

/// In which order a table is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// By a column of numbers that an index finds: piece by piece.
    Key { column: String, unique: bool },
    /// By a column of numbers that no index finds: in one go.
    Scan { column: String },
    /// By time, seconds and where there are, microseconds: in one go.
    Time { seconds: String, micros: Option<String> },
}

/// A table of which rows have their parts in it, by its own column that holds their key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pub shape: Shape,
    /// Its column with the key of the row.
    pub key: String,
    /// The row's column with the child's key, where it is not the row's key itself: several rows share one.
    pub by: Option<String>,
}

/// A table that can be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub(crate) shape: Shape,
    pub(crate) form: Form,
    pub(crate) kind: Kind,
    pub(crate) order: Order,
    pub(crate) children: Vec<Child>,
}

impl Found {
    /// Its name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.shape.name
    }

    /// Which schema it is of.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// What its rows become.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// How its rows are ordered, for people.
    #[must_use]
    pub fn order(&self) -> String {
        match &self.order {
            Order::Key { column, .. } => format!("in pieces by {column}"),
            Order::Scan { column } => format!("in one go by {column}, which has no index"),
            Order::Time { seconds, .. } => format!("in one go by {seconds}, there is no key"),
        }
    }
}

/// The children of ulogd 2's normalised schema and their keys.
const CHILDREN: &[(&str, &str)] = &[
    ("tcp", "_tcp_id"),
    ("udp", "_udp_id"),
    ("sctp", "_sctp_id"),
    ("icmp", "_icmp_id"),
    ("icmpv6", "_icmpv6_id"),
    ("hwhdr", "_hw_id"),
    ("nufw", "_nufw_id"),
    ("state_t", "_state_id"),
];
const MAC: (&str, &str) = ("mac", "_mac_id");

/// The tables that can be imported, and why each of the others cannot, for people.
pub(crate) fn recognise(engine: Engine, shapes: &[Shape]) -> (Vec<Found>, Vec<(String, String)>) {
    let normalised = shapes.iter().any(|s| s.name == "ulog2" && is_normalised(s, shapes));
    let part_of_it = |name: &str| CHILDREN.iter().any(|(child, _)| *child == name) || name == MAC.0;
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for shape in shapes {
        if shape.is_view || (normalised && part_of_it(&shape.name)) {
            continue;
        }
        match recognise_one(engine, shape, shapes) {
            Ok(table) => found.push(table),
            Err(why) => others.push((shape.name.clone(), why)),
        }
    }
    (found, others)
}

/// What one table or view is, or why it cannot be imported.
pub(crate) fn recognise_one(engine: Engine, shape: &Shape, all: &[Shape]) -> Result<Found, String> {
    let known = |prefixes: &[&str]| {
        let one = |c: &&Column| {
            Key::of(&c.name).is_some() && prefixes.iter().any(|p| c.name.to_ascii_lowercase().starts_with(p))
        };
        shape.columns.iter().filter(one).count()
    };
    let kind = if shape.has("sum_name") && (shape.has("sum_pkts") || shape.has("sum_bytes")) {
        Kind::Counters
    } else if known(&["orig_", "reply_", "flow_"]) >= 2 {
        Kind::Flows
    } else if known(&["oob_", "ip_", "ip6_", "raw_", "tcp_", "udp_", "src_", "dest_", "mac_"]) >= 3 {
        Kind::Events
    } else {
        return Err("its columns are not named as ulogd's keys".into());
    };
    let normalised = is_normalised(shape, all);
    let form = match (kind, shape.name.as_str()) {
        (Kind::Counters, _) => Form::Counters,
        (Kind::Flows, "ulog2_ct") => Form::Connections,
        (Kind::Events, "ulog2") if normalised => Form::Normalised,
        (Kind::Events, "ulog2") => Form::Flat,
        (Kind::Events, "ulog") if !shape.is_view && !shape.has("_id") => Form::One,
        _ => Form::Own,
    };
    Ok(Found {
        order: order(engine, shape).ok_or("it has neither a key nor the time of its rows")?,
        children: if normalised { children(all) } else { Vec::new() },
        shape: shape.clone(),
        form,
        kind,
    })
}

fn is_normalised(shape: &Shape, all: &[Shape]) -> bool {
    let tcp = all.iter().find(|s| s.name == "tcp");
    shape.name == "ulog2" && !shape.has("tcp_sport") && tcp.is_some_and(|tcp| tcp.has("_tcp_id"))
}

fn children(all: &[Shape]) -> Vec<Child> {
    let child = |(name, key): &(&str, &str), by: Option<&str>| {
        let shape = all.iter().find(|s| s.name == *name && !s.is_view && s.has(key))?;
        Some(Child { shape: shape.clone(), key: (*key).to_owned(), by: by.map(str::to_owned) })
    };
    let own = CHILDREN.iter().filter_map(|c| child(c, None));
    own.chain(child(&MAC, Some("mac_id"))).collect()
}

fn order(engine: Engine, shape: &Shape) -> Option<Order> {
    if engine == Engine::Sqlite && shape.rowid {
        return Some(Order::Key { column: "rowid".into(), unique: true });
    }
    let number = |c: &&Column| matches!(c.kind, Type::Integer | Type::Any);
    let named = ["_id", "_ct_id", "id"].iter().filter_map(|name| shape.column(name)).find(number);
    let key = named.or_else(|| shape.columns.iter().find(|c| number(c) && c.unique));
    if let Some(key) = key {
        let column = key.name.clone();
        // a view has no index of its own, but hands the question on
        return Some(if key.indexed || shape.is_view {
            Order::Key { column, unique: key.unique }
        } else {
            Order::Scan { column }
        });
    }
    let seconds = ["oob_time_sec", "flow_end_sec", "flow_start_sec", "local_time"];
    let (place, column) = seconds.iter().enumerate().find_map(|(i, n)| Some((i, shape.column(n)?)))?;
    let micros = ["oob_time_usec", "flow_end_usec", "flow_start_usec", ""][place];
    Some(Order::Time { seconds: column.name.clone(), micros: shape.column(micros).map(|c| c.name.clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(name: &str, columns: &[&str]) -> Shape {
        let column = |name: &&str| {
            let key = name.ends_with("_id") || *name == "id";
            Column { name: (*name).to_owned(), kind: Type::Integer, indexed: key, unique: key }
        };
        Shape {
            name: name.into(),
            is_view: false,
            columns: columns.iter().map(column).collect(),
            rowid: false,
        }
    }

    #[test]
    fn each_schema_is_known() {
        let normalised = [
            shape("_format", &["version"]),
            shape("ip_proto", &["_proto_id", "proto_name"]),
            shape("mac", &["_mac_id", "mac_saddr", "mac_daddr", "mac_protocol"]),
            shape("nfacct", &["sum_name", "sum_pkts", "sum_bytes", "oob_time_sec", "oob_time_usec"]),
            shape("tcp", &["_tcp_id", "tcp_sport", "tcp_dport"]),
            shape("ulog2", &["_id", "oob_time_sec", "oob_prefix", "ip_saddr_str", "mac_id"]),
            shape("ulog2_ct", &["_ct_id", "orig_ip_saddr", "orig_ip_daddr", "orig_bytes"]),
        ];
        let (found, others) = recognise(Engine::Postgres, &normalised);
        let forms: Vec<_> = found.iter().map(|f| (f.table(), f.form, f.kind)).collect();
        assert_eq!(
            forms,
            [
                ("nfacct", Form::Counters, Kind::Counters),
                ("ulog2", Form::Normalised, Kind::Events),
                ("ulog2_ct", Form::Connections, Kind::Flows),
            ]
        );
        let children: Vec<_> =
            found[1].children.iter().map(|c| (c.shape.name.as_str(), c.by.as_deref())).collect();
        assert_eq!(children, [("tcp", None), ("mac", Some("mac_id"))]);
        assert_eq!(found[1].order, Order::Key { column: "_id".into(), unique: true });
        assert!(matches!(&found[0].order, Order::Time { micros: Some(_), .. }));
        assert_eq!(others.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["_format", "ip_proto"]);

        let flat = [shape("ulog2", &["_id", "oob_time_sec", "ip_saddr_bin", "tcp_sport"])];
        assert_eq!(recognise(Engine::Mysql, &flat).0[0].form, Form::Flat);
        let first = [shape("ulog", &["id", "oob_time_sec", "ip_saddr", "ip_daddr"])];
        assert_eq!(recognise(Engine::Mysql, &first).0[0].form, Form::One);
        let other = [shape("wp_posts", &["id", "post_author", "post_date"])];
        assert_eq!(recognise(Engine::Mysql, &other).0, []);
    }

    #[test]
    fn a_table_is_read_by_what_it_has() {
        let bare = shape("fw", &["oob_time_sec", "ip_saddr", "ip_daddr"]);
        let time = Order::Time { seconds: "oob_time_sec".into(), micros: None };
        assert_eq!(order(Engine::Mysql, &bare), Some(time));
        let mut without = shape("fw", &["id", "ip_saddr"]);
        without.columns[0].indexed = false;
        assert_eq!(order(Engine::Mysql, &without), Some(Order::Scan { column: "id".into() }));
        let file = Shape { rowid: true, ..shape("ulog_pkt", &["oob_mark"]) };
        assert_eq!(order(Engine::Sqlite, &file), Some(Order::Key { column: "rowid".into(), unique: true }));
        assert_eq!(order(Engine::Mysql, &shape("fw", &["ip_saddr"])), None);
    }
}
