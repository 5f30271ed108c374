//! From the tables of a database to the questions that read them, and what each column of the answers is.

use crate::form::{Form, Found, Order};
use crate::place::Engine;
use crate::shape::{Column, Shape, Type};
use bartizan_intake::ulogd::Key;

/// What a column of an answer is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Where the row stands, or a part of it.
    Position,
    /// The key of a row of a table that several rows share.
    Shared,
    /// Whose the row is.
    Host,
    /// A key of ulogd's.
    Key(Key),
    /// The same, an address as a number whose bytes are in the packet's order.
    Swapped(Key),
    /// None of them.
    Unknown(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Selected {
    pub expression: String,
    pub kind: Type,
    pub slot: Slot,
    /// Whether 4 or 16 bytes are an address.
    pub is_address: bool,
}

/// One question of a chunk: of the table itself, or of one of its children.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    table: String,
    pub columns: Vec<Selected>,
    /// For children that several rows share: the column of theirs that names it.
    shared_by: Option<String>,
}

/// How a table is read.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub engine: Engine,
    pub table: String,
    pub order: Order,
    /// The table itself, then its children; of those the one that rows share is the last.
    pub parts: Vec<Part>,
}

/// Columns that are not read: what a checksum was says nothing once the packet is gone, and whoever wants the
/// passwords that ulogd 1 picked up has no business with a log of firewalls.
const LEFT_OUT: &[&str] =
    &["ip_csum", "tcp_csum", "udp_csum", "sctp_csum", "icmp_csum", "icmpv6_csum", "pwsniff_pass"];

impl Plan {
    pub(crate) fn new(engine: Engine, found: &Found, host_from: Option<&str>) -> Self {
        let swapped = match found.form {
            Form::One => false,
            Form::Own => !found.shape.has("id"),
            _ => true,
        };
        let build = Build { engine, swapped, host_from };
        let mut main = build.part(&found.shape, &position(engine, &found.order));
        if let (Some(seconds), None) =
            (build.instead_of_seconds(&found.shape), found.shape.column("oob_time_sec"))
        {
            main.columns.push(seconds);
        }
        let mut parts = vec![main];
        for child in &found.children {
            let key = [Selected::position(engine.quoted(&child.key))];
            let mut part = build.part(&child.shape, &key);
            if let Some(by) = &child.by {
                part.shared_by = Some(engine.quoted(by));
                let mut shared = Selected::position(engine.quoted(by));
                shared.slot = Slot::Shared;
                parts[0].columns.retain(|c| c.expression != shared.expression);
                parts[0].columns.push(shared);
            }
            parts.push(part);
        }
        Self { engine, table: found.shape.name.clone(), order: found.order.clone(), parts }
    }

    /// The columns that make the position, at the beginning of the first answer.
    pub(crate) fn positions(&self) -> usize {
        if matches!(self.order, Order::Time { .. }) { 2 } else { 1 }
    }

    /// Whether each question is for one chunk; else one is for all.
    pub(crate) const fn is_in_pieces(&self) -> bool {
        matches!(self.order, Order::Key { .. })
    }

    /// Rows from a position on, to the last complete one; at most `limit`.
    pub(crate) fn rows(&self, start: u64, last: u64, limit: Option<usize>) -> String {
        let (list, table) = (self.list(0), &self.parts[0].table);
        let (range, order) = match &self.order {
            Order::Key { column, .. } | Order::Scan { column } => {
                let key = self.engine.quoted(column);
                (format!("{key} >= {start} AND {key} <= {last}"), key)
            }
            Order::Time { .. } => {
                let [seconds, micros] = self.time();
                let (from, part) = (start / 1_000_000, start % 1_000_000);
                (
                    format!(
                        "{seconds} <= {last} AND ({seconds} > {from} OR ({seconds} = {from} AND {micros} >= {part}))",
                        last = last / 1_000_000
                    ),
                    format!("{seconds}, {micros}"),
                )
            }
        };
        let limit = limit.map(|n| format!(" LIMIT {n}")).unwrap_or_default();
        format!("SELECT {list} FROM {table} WHERE {range} ORDER BY {order}{limit}")
    }

    /// The rows of a child that belong to the table's rows between two keys, the second not included.
    pub(crate) fn child(&self, part: usize, start: u64, end: u64) -> String {
        let (list, Part { table, columns, shared_by }) = (self.list(part), &self.parts[part]);
        let key = &columns[0].expression;
        match (shared_by, &self.order) {
            (Some(by), Order::Key { column, .. } | Order::Scan { column }) => {
                let (parent, row) = (&self.parts[0].table, self.engine.quoted(column));
                format!(
                    "SELECT {list} FROM {table} WHERE {key} IN \
                     (SELECT {by} FROM {parent} WHERE {row} >= {start} AND {row} < {end})"
                )
            }
            _ => {
                format!("SELECT {list} FROM {table} WHERE {key} >= {start} AND {key} < {end} ORDER BY {key}")
            }
        }
    }

    /// A number over the column that orders the rows: `MIN`, `MAX`.
    pub(crate) fn extreme(&self, function: &str) -> String {
        let column = match &self.order {
            Order::Key { column, .. } | Order::Scan { column } => self.engine.quoted(column),
            Order::Time { seconds, .. } => self.engine.quoted(seconds),
        };
        format!(
            "SELECT {} FROM {}",
            integer(self.engine, &format!("{function}({column})")),
            self.parts[0].table
        )
    }

    /// How many rows have no place in the order, because what orders them is absent or below 0.
    pub(crate) fn unplaced(&self) -> String {
        let column = match &self.order {
            Order::Key { column, .. } | Order::Scan { column } => self.engine.quoted(column),
            Order::Time { seconds, .. } => self.engine.quoted(seconds),
        };
        format!("SELECT COUNT(*) FROM {} WHERE {column} IS NULL OR {column} < 0", self.parts[0].table)
    }

    /// How many rows there are.
    pub(crate) fn count(&self) -> String {
        format!("SELECT COUNT(*) FROM {}", self.parts[0].table)
    }

    fn time(&self) -> [&str; 2] {
        [&self.parts[0].columns[0].expression, &self.parts[0].columns[1].expression]
    }

    fn list(&self, part: usize) -> String {
        let columns: Vec<_> = self.parts[part].columns.iter().map(|c| c.expression.as_str()).collect();
        columns.join(", ")
    }
}

fn position(engine: Engine, order: &Order) -> Vec<Selected> {
    match order {
        Order::Key { column, .. } | Order::Scan { column } => vec![Selected::position(engine.quoted(column))],
        Order::Time { seconds, micros } => {
            let micros = micros.as_ref().map_or_else(
                || integer(engine, "0"),
                |m| integer(engine, &format!("COALESCE({}, 0)", engine.quoted(m))),
            );
            vec![Selected::position(engine.quoted(seconds)), Selected::position(micros)]
        }
    }
}

impl Selected {
    fn position(expression: String) -> Self {
        Self { expression, kind: Type::Integer, slot: Slot::Position, is_address: false }
    }
}

/// An expression as a number of 64 bits.
fn integer(engine: Engine, expression: &str) -> String {
    match engine {
        Engine::Postgres => format!("({expression})::bigint"),
        Engine::Mysql => format!("CAST({expression} AS SIGNED)"),
        Engine::Sqlite => format!("CAST({expression} AS INTEGER)"),
    }
}

struct Build<'a> {
    engine: Engine,
    swapped: bool,
    host_from: Option<&'a str>,
}

impl Build<'_> {
    /// A question for the columns of a table that are worth it, behind those that order it.
    fn part(&self, shape: &Shape, first: &[Selected]) -> Part {
        let mut columns = first.to_vec();
        for column in &shape.columns {
            let name = column.name.to_ascii_lowercase();
            let is_key = first[0].expression == self.engine.quoted(&column.name) && first.len() == 1;
            if !is_key && !LEFT_OUT.contains(&name.as_str()) {
                columns.extend(self.select(column, &name));
            }
        }
        Part { table: self.engine.quoted(&shape.name), columns, shared_by: None }
    }

    fn select(&self, column: &Column, name: &str) -> Option<Selected> {
        let quoted = self.engine.quoted(&column.name);
        let is_host = self.host_from.is_some_and(|host| host.eq_ignore_ascii_case(name));
        let key = Key::of(name);
        let numbers_of_rows = ["_id", "id", "_ct_id"].contains(&name);
        if column.kind == Type::Stamp || (numbers_of_rows && !is_host) {
            return None;
        }
        let is_address = matches!(
            key,
            Some(
                Key::Source
                    | Key::Destination
                    | Key::FlowSource
                    | Key::FlowDestination
                    | Key::ReplySource
                    | Key::ReplyDestination
                    | Key::ArpSource
                    | Key::ArpDestination
            )
        );
        let is_number = matches!(column.kind, Type::Integer | Type::Any);
        let slot = match key {
            _ if is_host => Slot::Host,
            Some(key)
                if is_address
                    && is_number
                    && self.swapped
                    && !name.contains("_hsaddr")
                    && !name.contains("_hdaddr") =>
            {
                Slot::Swapped(key)
            }
            Some(key) => Slot::Key(key),
            None => Slot::Unknown(name.to_owned()),
        };
        let expression = match (column.kind, self.engine) {
            (Type::Other, Engine::Postgres) => format!("{quoted}::text"),
            (Type::Other, _) => format!("CAST({quoted} AS CHAR)"),
            _ => quoted,
        };
        Some(Selected { expression, kind: column.kind, slot, is_address })
    }

    /// When a row was written, for tables that do not say when the packet came.
    fn instead_of_seconds(&self, shape: &Shape) -> Option<Selected> {
        let named = ["timestamp", "local_time"].iter().filter_map(|name| shape.column(name));
        let stamp = named.chain(&shape.columns).find(|c| c.kind == Type::Stamp)?;
        let quoted = self.engine.quoted(&stamp.name);
        let seconds = match self.engine {
            Engine::Postgres => format!("extract(epoch from {quoted})"),
            Engine::Mysql | Engine::Sqlite => format!("UNIX_TIMESTAMP({quoted})"),
        };
        let slot = Slot::Key(Key::of("oob_time_sec")?);
        let expression = integer(self.engine, &seconds);
        Some(Selected { expression, kind: Type::Integer, slot, is_address: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::recognise;

    fn column(name: &str, kind: Type) -> Column {
        let key = name.ends_with("_id") || name == "id";
        Column { name: name.into(), kind, indexed: key, unique: key }
    }

    fn shape(name: &str, columns: Vec<Column>) -> Shape {
        Shape { name: name.into(), is_view: false, columns, rowid: false }
    }

    #[test]
    fn a_normalised_table_is_asked_for_in_ranges_of_its_key() {
        let shapes = [
            shape("mac", vec![column("_mac_id", Type::Integer), column("mac_saddr", Type::Other)]),
            shape("tcp", vec![column("_tcp_id", Type::Integer), column("tcp_sport", Type::Integer)]),
            shape(
                "ulog2",
                vec![
                    column("_id", Type::Integer),
                    column("oob_time_sec", Type::Integer),
                    column("ip_saddr_str", Type::Inet),
                    column("ip_csum", Type::Integer),
                    column("mac_id", Type::Integer),
                    column("timestamp", Type::Stamp),
                ],
            ),
        ];
        let plan = Plan::new(Engine::Postgres, &recognise(Engine::Postgres, &shapes).0[0], None);
        assert_eq!(
            plan.rows(7, 99, Some(50)),
            r#"SELECT "_id", "oob_time_sec", "ip_saddr_str", "mac_id" FROM "ulog2" WHERE "_id" >= 7 AND "_id" <= 99 ORDER BY "_id" LIMIT 50"#
        );
        assert_eq!(
            plan.child(1, 7, 57),
            r#"SELECT "_tcp_id", "tcp_sport" FROM "tcp" WHERE "_tcp_id" >= 7 AND "_tcp_id" < 57 ORDER BY "_tcp_id""#
        );
        assert_eq!(
            plan.child(2, 7, 57),
            r#"SELECT "_mac_id", "mac_saddr"::text FROM "mac" WHERE "_mac_id" IN (SELECT "mac_id" FROM "ulog2" WHERE "_id" >= 7 AND "_id" < 57)"#
        );
    }

    #[test]
    fn a_table_without_key_is_asked_for_by_time() {
        let nfacct = shape(
            "nfacct",
            vec![
                column("sum_name", Type::Text),
                column("sum_pkts", Type::Integer),
                column("oob_time_sec", Type::Integer),
                column("oob_time_usec", Type::Integer),
            ],
        );
        let plan = Plan::new(Engine::Postgres, &recognise(Engine::Postgres, &[nfacct]).0[0], None);
        assert_eq!(
            plan.rows(5_000_007, 9_000_000, None),
            r#"SELECT "oob_time_sec", (COALESCE("oob_time_usec", 0))::bigint, "sum_name", "sum_pkts", "oob_time_sec", "oob_time_usec" FROM "nfacct" WHERE "oob_time_sec" <= 9 AND ("oob_time_sec" > 5 OR ("oob_time_sec" = 5 AND (COALESCE("oob_time_usec", 0))::bigint >= 7)) ORDER BY "oob_time_sec", (COALESCE("oob_time_usec", 0))::bigint"#
        );
    }

    #[test]
    fn numbers_of_version_2_are_swapped_and_names_are_quoted() {
        let columns = ["flow_start_sec", "orig_ip_saddr", "orig_l4_sport", "a`b\"c"];
        let flows =
            Shape { rowid: true, ..shape("ulog_ct", columns.iter().map(|c| column(c, Type::Any)).collect()) };
        let plan = Plan::new(Engine::Sqlite, &recognise(Engine::Sqlite, &[flows]).0[0], None);
        let slots: Vec<_> = plan.parts[0].columns.iter().map(|c| c.slot.clone()).collect();
        assert_eq!(slots[2], Slot::Swapped(Key::of("orig_ip_saddr").unwrap()));
        assert_eq!(slots[4], Slot::Unknown("a`b\"c".into()));
        assert_eq!(plan.parts[0].columns[4].expression, "\"a`b\"\"c\"");
        assert_eq!(Engine::Mysql.quoted("a`b"), "`a``b`");
        let first = shape(
            "ulog",
            vec![
                column("id", Type::Integer),
                column("oob_time_sec", Type::Integer),
                column("ip_saddr", Type::Integer),
                column("ip_daddr", Type::Integer),
                column("local_hostname", Type::Text),
            ],
        );
        let found = recognise(Engine::Mysql, &[first]).0.remove(0);
        let plan = Plan::new(Engine::Mysql, &found, Some("local_hostname"));
        let slots: Vec<_> = plan.parts[0].columns.iter().map(|c| c.slot.clone()).collect();
        assert_eq!(slots[2], Slot::Key(Key::of("ip_saddr").unwrap()));
        assert_eq!(slots[4], Slot::Host);
    }
}
