//! The table that rows go to: as it is, or made.

use super::Link;
use super::columns::{self, What};
use crate::error::{UlogdbError, doing};
use crate::place::Engine;
use bartizan_model::Kind;
use sqlx::Row as _;

/// Where the positions are kept; the same for both engines.
pub(super) const POSITIONS: &str = "CREATE TABLE IF NOT EXISTS bartizan_sink (
    name varchar(64) NOT NULL, kind varchar(16) NOT NULL, version bigint NOT NULL, snapshot bigint NOT NULL,
    file varchar(255) NOT NULL, file_rows bigint NOT NULL, received bigint NOT NULL, since bigint NOT NULL,
    PRIMARY KEY (name, kind))";

/// How a column stores values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Store {
    Number {
        min: i64,
        max: i64,
        bytes: usize,
    },
    Bool,
    /// Characters at most.
    Text {
        longest: Option<usize>,
    },
    Inet,
    Mac,
    Bytes,
}

#[derive(Clone, Debug)]
pub(super) struct TargetColumn {
    name: String,
    pub what: What,
    pub store: Store,
}

/// The table and what goes into it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    engine: Engine,
    pub name: String,
    pub columns: Vec<TargetColumn>,
}

impl Target {
    /// A table `t` of these columns.
    #[cfg(test)]
    pub(super) fn of(engine: Engine, kind: Kind, columns: &[(&str, Store)]) -> Self {
        let column = |(name, store): &(&str, Store)| TargetColumn {
            name: (*name).to_owned(),
            what: columns::of(kind, name).unwrap(),
            store: store.clone(),
        };
        Self { engine, name: "t".into(), columns: columns.iter().map(column).collect() }
    }

    fn list(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|c| self.engine.quoted(&c.name)).collect();
        names.join(", ")
    }

    pub(super) fn copy(&self) -> String {
        format!("COPY {} ({}) FROM STDIN (FORMAT binary)", self.engine.quoted(&self.name), self.list())
    }

    pub(super) fn insert(&self) -> String {
        format!("INSERT INTO {} ({}) VALUES ", self.engine.quoted(&self.name), self.list())
    }
}

/// Finds the table, or makes it.
pub(super) async fn prepare(link: &mut Link, kind: Kind, table: &str) -> Result<Target, UlogdbError> {
    let engine = if matches!(link, Link::Postgres(_)) { Engine::Postgres } else { Engine::Mysql };
    let mut found = stored(link, table).await?;
    if found.is_empty() {
        make(link, engine, kind, table).await?;
        found = stored(link, table).await?;
    }
    let is_normalised =
        table == "ulog2" && kind == Kind::Events && !found.iter().any(|(name, _)| name == "tcp_sport");
    if is_normalised {
        return Err(UlogdbError::Shape(
            "ulog2 is ulogd's normalised schema, which is not written: name another table for the sink"
                .into(),
        ));
    }
    let columns: Vec<_> = found
        .into_iter()
        .filter_map(|(name, store)| {
            Some(TargetColumn { what: columns::of(kind, &name)?, store: store?, name })
        })
        .collect();
    let addresses = columns.iter().filter(|c| matches!(c.what, What::Address(_))).count();
    if addresses == 0 {
        let what = format!(
            "the table {table} has no columns for the addresses of {kind}: it is not in ulogd 2's schema"
        );
        return Err(UlogdbError::Shape(what));
    }
    Ok(Target { engine, name: table.to_owned(), columns })
}

/// The columns of a table and how they store values, where that is known.
async fn stored(link: &mut Link, table: &str) -> Result<Vec<(String, Option<Store>)>, UlogdbError> {
    const WHAT: &str = "look at the table";
    let mut columns = Vec::new();
    match link {
        Link::Postgres(link) => {
            let rows = sqlx::query(
                "SELECT a.attname::text, t.typname::text, a.atttypmod::bigint
                 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                 WHERE a.attrelid = to_regclass(quote_ident($1)) AND a.attnum > 0 AND NOT a.attisdropped
                 ORDER BY a.attnum",
            )
            .bind(table)
            .fetch_all(link);
            for row in rows.await.map_err(doing(WHAT))? {
                let longest: i64 = row.try_get(2).map_err(doing(WHAT))?;
                let longest = usize::try_from(longest - 4).ok();
                let store = match row.try_get(1).map_err(doing(WHAT))? {
                    "int2" => Some(signed(2)),
                    "int4" => Some(signed(4)),
                    "int8" => Some(signed(8)),
                    "bool" => Some(Store::Bool),
                    "text" => Some(Store::Text { longest: None }),
                    "varchar" | "bpchar" => Some(Store::Text { longest }),
                    "inet" => Some(Store::Inet),
                    "macaddr" => Some(Store::Mac),
                    "bytea" => Some(Store::Bytes),
                    _ => None,
                };
                columns.push((row.try_get(0).map_err(doing(WHAT))?, store));
            }
        }
        Link::Mysql(link) => {
            let rows = sqlx::query(
                "SELECT CAST(COLUMN_NAME AS CHAR), CAST(LOWER(DATA_TYPE) AS CHAR),
                    CAST(CHARACTER_MAXIMUM_LENGTH AS SIGNED), CAST(LOWER(COLUMN_TYPE) AS CHAR)
                 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?
                 ORDER BY ORDINAL_POSITION",
            )
            .bind(table)
            .fetch_all(link);
            for row in rows.await.map_err(doing(WHAT))? {
                let longest: Option<i64> = row.try_get(2).map_err(doing(WHAT))?;
                let longest = longest.and_then(|n| usize::try_from(n).ok());
                let is_unsigned = row.try_get::<&str, _>(3).map_err(doing(WHAT))?.contains("unsigned");
                let number = |bytes| Some(if is_unsigned { unsigned(bytes) } else { signed(bytes) });
                let store = match row.try_get(1).map_err(doing(WHAT))? {
                    "tinyint" => number(1),
                    "smallint" => number(2),
                    "mediumint" => number(3),
                    "int" => number(4),
                    "bigint" => number(8),
                    "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
                        Some(Store::Text { longest })
                    }
                    "binary" | "varbinary" if longest >= Some(16) => Some(Store::Bytes),
                    _ => None,
                };
                columns.push((row.try_get(0).map_err(doing(WHAT))?, store));
            }
        }
    }
    Ok(columns)
}

pub(super) const fn signed(bytes: usize) -> Store {
    let max = i64::MAX >> (64 - 8 * bytes);
    Store::Number { min: -max - 1, max, bytes }
}

pub(super) const fn unsigned(bytes: usize) -> Store {
    let max = if bytes == 8 { i64::MAX } else { (1 << (8 * bytes)) - 1 };
    Store::Number { min: 0, max, bytes }
}

/// The types of both engines, as a column of a new table needs them.
const SMALL: [&str; 2] = ["smallint", "smallint unsigned"];
const INT: [&str; 2] = ["integer", "int unsigned"];
const BIG: [&str; 2] = ["bigint", "bigint"];
const FLAG: [&str; 2] = ["boolean", "tinyint"];
const NAME: [&str; 2] = ["varchar(255)", "varchar(255)"];
const ADDRESS: [&str; 2] = ["inet", "binary(16)"];
const MAC: [&str; 2] = ["macaddr", "varchar(32)"];

type Made = (&'static str, [&'static str; 2]);

/// ulogd 2's flat table, except for the addresses.
const EVENTS: &[Made] = &[
    ("oob_time_sec", BIG),
    ("oob_time_usec", INT),
    ("oob_hook", SMALL),
    ("oob_prefix", NAME),
    ("oob_mark", BIG),
    ("oob_in", NAME),
    ("oob_out", NAME),
    ("oob_family", SMALL),
    ("ip_protocol", SMALL),
    ("ip_tos", SMALL),
    ("ip_ttl", SMALL),
    ("ip_totlen", INT),
    ("ip_ihl", SMALL),
    ("ip_csum", INT),
    ("ip_id", INT),
    ("ip_fragoff", INT),
    ("ip6_payloadlen", BIG),
    ("ip6_priority", SMALL),
    ("ip6_hoplimit", SMALL),
    ("ip6_flowlabel", BIG),
    ("ip6_fragoff", INT),
    ("ip6_fragid", BIG),
    ("raw_label", SMALL),
    ("mac_saddr_str", MAC),
    ("mac_daddr_str", MAC),
    ("oob_protocol", INT),
    ("raw_type", INT),
    ("mac_str", NAME),
    ("tcp_sport", INT),
    ("tcp_dport", INT),
    ("tcp_seq", BIG),
    ("tcp_ackseq", BIG),
    ("tcp_window", INT),
    ("tcp_urg", FLAG),
    ("tcp_urgp", INT),
    ("tcp_ack", FLAG),
    ("tcp_psh", FLAG),
    ("tcp_rst", FLAG),
    ("tcp_syn", FLAG),
    ("tcp_fin", FLAG),
    ("udp_sport", INT),
    ("udp_dport", INT),
    ("udp_len", INT),
    ("sctp_sport", INT),
    ("sctp_dport", INT),
    ("sctp_csum", INT),
    ("icmp_type", SMALL),
    ("icmp_code", SMALL),
    ("icmp_echoid", INT),
    ("icmp_echoseq", INT),
    ("icmp_gateway", BIG),
    ("icmp_fragmtu", INT),
    ("icmpv6_type", SMALL),
    ("icmpv6_code", SMALL),
    ("icmpv6_echoid", INT),
    ("icmpv6_echoseq", INT),
    ("icmpv6_csum", INT),
    ("oob_uid", BIG),
    ("oob_gid", BIG),
    ("local_hostname", NAME),
];

const FLOWS: &[Made] = &[
    ("oob_family", SMALL),
    ("orig_ip_protocol", SMALL),
    ("orig_l4_sport", INT),
    ("orig_l4_dport", INT),
    ("reply_ip_protocol", SMALL),
    ("reply_l4_sport", INT),
    ("reply_l4_dport", INT),
    ("icmp_code", SMALL),
    ("icmp_type", SMALL),
    ("ct_mark", BIG),
    ("flow_start_sec", BIG),
    ("flow_start_usec", BIG),
    ("flow_end_sec", BIG),
    ("flow_end_usec", BIG),
    ("ct_event", SMALL),
    ("local_hostname", NAME),
];

/// Columns whose names differ between the engines.
const EVENT_ADDRESSES: [&[Made]; 2] = [
    &[("ip_saddr_str", ADDRESS), ("ip_daddr_str", ADDRESS)],
    &[("ip_saddr_bin", ADDRESS), ("ip_daddr_bin", ADDRESS)],
];
const FLOW_ADDRESSES: [&[Made]; 2] = [
    &[
        ("orig_ip_saddr_str", ADDRESS),
        ("orig_ip_daddr_str", ADDRESS),
        ("orig_raw_pktlen", BIG),
        ("orig_raw_pktcount", BIG),
        ("reply_ip_saddr_str", ADDRESS),
        ("reply_ip_daddr_str", ADDRESS),
        ("reply_raw_pktlen", BIG),
        ("reply_raw_pktcount", BIG),
    ],
    &[
        ("orig_ip_saddr", ADDRESS),
        ("orig_ip_daddr", ADDRESS),
        ("orig_bytes", BIG),
        ("orig_packets", BIG),
        ("reply_ip_saddr", ADDRESS),
        ("reply_ip_daddr", ADDRESS),
        ("reply_bytes", BIG),
        ("reply_packets", BIG),
    ],
];

async fn make(link: &mut Link, engine: Engine, kind: Kind, table: &str) -> Result<(), UlogdbError> {
    let at = usize::from(engine == Engine::Mysql);
    let (columns, more, key, time, source) = if kind == Kind::Flows {
        (FLOWS, FLOW_ADDRESSES[at], "_ct_id", "flow_end_sec", FLOW_ADDRESSES[at][0].0)
    } else {
        (EVENTS, EVENT_ADDRESSES[at], "_id", "oob_time_sec", EVENT_ADDRESSES[at][0].0)
    };
    let name = engine.quoted(table);
    let key = match engine {
        Engine::Mysql => format!("`{key}` bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY"),
        _ => format!("\"{key}\" bigserial PRIMARY KEY"),
    };
    let mut sql = format!("CREATE TABLE {name} ({key}");
    for (column, kind) in columns.iter().chain(more) {
        sql.push_str(&format!(", {} {} DEFAULT NULL", engine.quoted(column), kind[at]));
    }
    for column in [time, source] {
        if engine == Engine::Mysql {
            sql.push_str(&format!(", KEY ({})", engine.quoted(column)));
        }
    }
    sql.push_str(if engine == Engine::Mysql { ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4" } else { ")" });
    link.run_made(sql, format!("make the table {table}")).await?;
    if engine == Engine::Postgres {
        for column in [time, source] {
            let sql = format!("CREATE INDEX ON {name} ({})", engine.quoted(column));
            link.run_made(sql, format!("make an index of {table}")).await?;
        }
    }
    if kind == Kind::Events && table == "ulog2" {
        // What tools for ulogd 2 read, whichever of its schemas there is. One that exists is somebody's own.
        let view = match engine {
            Engine::Mysql => "CREATE SQL SECURITY INVOKER VIEW `ulog` AS SELECT * FROM `ulog2`",
            _ => "CREATE VIEW ulog AS SELECT * FROM ulog2",
        };
        if let Err(error) = link.run(view, "make the view ulog").await {
            tracing::info!(%error, "the view ulog was not made");
        }
    }
    Ok(())
}
