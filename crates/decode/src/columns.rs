//! Logged packets as columns: the wire columns of `bartizan_schema::EVENTS`, built row by row.
//!
//! Invariants:
//! - A row is time, source, family and packets, and whatever else the packet has. A column that no row of a
//!   batch has is not in the batch; the others are in the order of `wire_schema(Kind::Events)`.
//! - A column is only touched by the rows that have it. Each row keeps one word with a bit per column that it
//!   has; nulls are made of these words when the batch is finished.
//! - Text is a dictionary. What repeats from the row before is recognised by one comparison; hardware
//!   addresses, interfaces, hooks and families are interned as numbers and written as text once per batch.
//! - Memory is bounded by the row limit: every dictionary has at most one value per row, and a prefix is kept
//!   to [`MAX_PREFIX`] bytes. A full builder refuses rows with [`Full`] until it is finished.
//!
//! It fills no column that the server fills; `payload` only where it is asked to, `raw` only for lines of text that
//! were not fully understood.

mod event;
mod interfaces;
mod line;
mod object;
mod payload;
mod presence;
mod row;
mod text;
mod values;
mod words;

pub use interfaces::InterfaceNames;

use crate::nflog::NflogPacket;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::Schema;
use bartizan_model::{Kind, Micros};
use bartizan_schema::wire_schema;
use line::Names;
use presence::{Presence, PresenceWords};
use row::Row;
use std::sync::Arc;
use text::{Named, Text};
use values::{Constant, Times, Values};

/// Bytes of a prefix that are kept. The kernel's own limit is 127.
pub const MAX_PREFIX: usize = 255;

/// The source of packets that came by NFLOG.
const NFLOG: &str = "nflog";

/// Rows that one builder can hold at most, whatever was asked for.
const MAX_ROWS: usize = 1 << 20;

/// The builder holds as many rows as it may, or rows of another source; finish it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the batch is full with {rows} rows")]
pub struct Full {
    /// Rows in it.
    pub rows: usize,
}

/// A builder of batches of events.
#[derive(Debug)]
pub struct EventColumns {
    limit: usize,
    rows: PresenceWords,
    /// The columns that some row has.
    used: u64,
    netns: Option<Box<str>>,
    unknown_interface: Option<u32>,
    interfaces_version: u64,
    payload: Option<payload::Wanted>,
    details: bool,
    columns: Columns,
    /// Where the rows come from if they are lines of text; a batch has one source.
    text_source: Option<&'static str>,
    source: (&'static str, Constant),
    packets: Constant,
    /// Rows that stand for another number of packets than 1.
    repeated: Vec<(usize, i64)>,
    names: Names,
}

impl EventColumns {
    /// A builder of batches of at most `limit` rows (1 to 1,048,576). Allocates with the first rows.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.clamp(1, MAX_ROWS),
            rows: PresenceWords::default(),
            used: 0,
            netns: None,
            unknown_interface: None,
            interfaces_version: 0,
            payload: None,
            details: false,
            columns: Columns::default(),
            text_source: None,
            source: (NFLOG, Constant::default()),
            packets: Constant::default(),
            repeated: Vec::new(),
            names: Names::default(),
        }
    }

    /// The network namespace of the rows from here on; `None` and the empty name are the host's own.
    pub fn set_netns(&mut self, name: Option<&str>) {
        self.netns = name.filter(|n| !n.is_empty()).map(Box::from);
    }

    /// Keeps up to `bytes` of each packet, from its network header on, whose prefix is one of `prefixes`: texts in
    /// which `*` is anything and `?` one byte. 0 bytes keep none, as it is without this.
    pub fn set_payload(&mut self, bytes: usize, prefixes: &[&str]) {
        self.payload = (bytes > 0 && !prefixes.is_empty()).then(|| payload::Wanted::new(bytes, prefixes));
    }

    /// Whether what conntrack knows of a packet beside its state goes into `extra`, where the kernel sends it.
    pub const fn set_conntrack(&mut self, wanted: bool) {
        self.details = wanted;
    }

    /// Rows so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.rows()
    }

    /// Whether there is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the next row would be refused.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// About how many bytes the batch would take. Walks all columns: ask once per datagram, not per packet.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let source_and_packets = 12;
        self.columns.bytes(self.used, self.len()) + self.len() * source_and_packets
    }

    /// The number of an interface that had no name, if there was one since the last call.
    pub const fn take_unknown_interface(&mut self) -> Option<u32> {
        self.unknown_interface.take()
    }

    /// Adds one packet. Its time is that of its timestamp, else `received`.
    ///
    /// # Errors
    /// When the builder is full; the packet was not added.
    #[inline]
    pub fn push_nflog(
        &mut self,
        packet: &NflogPacket<'_>,
        received: Micros,
        interfaces: &InterfaceNames,
    ) -> Result<(), Full> {
        if self.is_full() || self.text_source.is_some() {
            return Err(Full { rows: self.len() });
        }
        if self.interfaces_version != interfaces.version() {
            self.interfaces_version = interfaces.version();
            self.columns.forget_interfaces();
        }
        let mut row = Row::new(&mut self.columns, self.rows.rows());
        row.time(packet.timestamp.unwrap_or(received));
        if let Some(netns) = &self.netns {
            row.netns(netns);
        }
        row.meta(packet);
        row.interfaces(packet, interfaces, &mut self.unknown_interface);
        let link = packet.decode_into(&mut row);
        row.link(&link);
        if let Some(wanted) = &mut self.payload {
            row.payload(packet, wanted);
        }
        if self.details {
            row.conntrack(packet);
        }
        let present = row.present();
        self.used |= present;
        self.rows.push(present);
        Ok(())
    }

    /// The rows as a batch; the builder is empty afterwards. Without rows, a batch of none.
    #[must_use]
    pub fn finish(&mut self) -> RecordBatch {
        let rows = self.len();
        self.used = 0;
        let (used, all) = self.rows.some_and_all();
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for field in wire_schema(Kind::Events).fields() {
            let array = match field.name().as_str() {
                "source" => Some(self.sources(rows)),
                "packets" if !self.repeated.is_empty() => Some(values::repeated_but(1, rows, &self.repeated)),
                "packets" => Some(self.packets.rows(rows, |n| values::repeated(1, n))),
                name => self.columns.column(name).and_then(|(at, column)| {
                    let wanted = !field.is_nullable() || used >> at as u32 & 1 == 1;
                    wanted.then(|| column.finish(&self.rows.of(at as u32, all)))
                }),
            };
            if let Some(array) = array {
                fields.push(Arc::clone(field));
                arrays.push(array);
            }
        }
        self.rows.clear();
        self.repeated.clear();
        self.names.clear();
        self.text_source = None;
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .expect("every column has the row count and the type of its field")
    }

    fn sources(&mut self, rows: usize) -> ArrayRef {
        let name = self.text_source.unwrap_or(NFLOG);
        if self.source.0 != name {
            self.source = (name, Constant::default());
        }
        self.source.1.rows(rows, |n| text::repeated(name, n))
    }
}

/// What the end of a batch needs of a column, whatever it holds.
trait Column {
    /// Bytes that a row takes.
    fn row_bytes(&self) -> usize;
    /// Bytes beside the rows.
    fn other_bytes(&self) -> usize {
        0
    }
    /// The array of all rows; the column is empty afterwards.
    fn finish(&mut self, presence: &Presence<'_>) -> ArrayRef;
}

/// Makes the struct of the columns, the bit of each in a row's presence word, and the way from its name to it.
macro_rules! columns {
    ($($name:ident: $type:ty,)*) => {
        #[derive(Debug, Default)]
        struct Columns { $($name: $type,)* }

        #[allow(non_camel_case_types, reason = "these are the names of the columns")]
        #[derive(Clone, Copy)]
        enum At { $($name,)* }

        impl Columns {
            fn column(&mut self, name: &str) -> Option<(At, &mut dyn Column)> {
                match name {
                    $(stringify!($name) => Some((At::$name, &mut self.$name)),)*
                    _ => None,
                }
            }

            /// Bytes of the columns in a set, for a number of rows.
            fn bytes(&self, set: u64, rows: usize) -> usize {
                let mut sum = 0;
                $(if set >> At::$name as u32 & 1 == 1 {
                    sum += self.$name.row_bytes() * rows + self.$name.other_bytes();
                })*
                sum
            }
        }
    };
}

pub(crate) mod flows;

columns! {
    time: Times,
    netns: Text,
    action: Named,
    prefix: Text,
    family: Named,
    hook: Named,
    in_if: Named,
    out_if: Named,
    phys_in: Named,
    phys_out: Named,
    mac_src: Named,
    mac_dst: Named,
    ether_type: Values<i32>,
    vlan: Values<i32>,
    src: Values<i128>,
    dst: Values<i128>,
    proto: Values<i16>,
    sport: Values<i32>,
    dport: Values<i32>,
    length: Values<i32>,
    tos: Values<i16>,
    ttl: Values<i16>,
    ip_id: Values<i64>,
    frag: Values<i32>,
    tcp_flags: Values<i16>,
    tcp_seq: Values<i64>,
    tcp_ack: Values<i64>,
    tcp_window: Values<i32>,
    icmp_type: Values<i16>,
    icmp_code: Values<i16>,
    inner_proto: Values<i16>,
    inner_src: Values<i128>,
    inner_dst: Values<i128>,
    inner_sport: Values<i32>,
    inner_dport: Values<i32>,
    mark: Values<i64>,
    uid: Values<i64>,
    gid: Values<i64>,
    ct_state: Named,
    payload: payload::Bytes,
    raw: Text,
    extra: Text,
}

impl Columns {
    fn forget_interfaces(&mut self) {
        for column in [&mut self.in_if, &mut self.out_if, &mut self.phys_in, &mut self.phys_out] {
            column.forget_names();
        }
    }
}
