use crate::column::{Column, ColumnKind::*, Origin::*};

/// The columns of `losses`: one row is one entry of the ledger.
pub const LOSSES: &[Column] = &[
    Column {
        name: "time",
        kind: Time,
        nullable: false,
        origin: Sender,
        doc: "when the loss was noticed (end of the interval)",
    },
    Column {
        name: "from",
        kind: Time,
        nullable: false,
        origin: Sender,
        doc: "the last moment at which all was well",
    },
    Column {
        name: "received",
        kind: Time,
        nullable: false,
        origin: Server,
        doc: "when the server got the entry",
    },
    Column {
        name: "host",
        kind: Text,
        nullable: false,
        origin: Server,
        doc: "the host's name, from its certificate",
    },
    Column { name: "netns", kind: Text, nullable: true, origin: Sender, doc: "the network namespace" },
    Column {
        name: "stage",
        kind: Text,
        nullable: false,
        origin: Sender,
        doc: "where: kernel, agent cap, spool, sender, unparsed, server",
    },
    Column { name: "reason", kind: Text, nullable: false, origin: Sender, doc: "why" },
    Column { name: "count", kind: I64, nullable: false, origin: Sender, doc: "events lost" },
    Column {
        name: "detail",
        kind: Text,
        nullable: true,
        origin: Sender,
        doc: "what it concerns, for people",
    },
    Column {
        name: "stream",
        kind: Text,
        nullable: false,
        origin: Server,
        doc: "the sequence of batches it came in",
    },
    Column {
        name: "seq",
        kind: I64,
        nullable: false,
        origin: Server,
        doc: "number of the batch in its stream",
    },
    Column { name: "row", kind: I32, nullable: false, origin: Server, doc: "position in the batch, from 0" },
    Column {
        name: "kind",
        kind: Text,
        nullable: true,
        origin: Sender,
        doc: "the table whose rows are lost: flows, counters, rulesets; absent: events",
    },
];
