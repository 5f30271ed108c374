use crate::column::{Column, ColumnKind::*, Origin::*, may, must};

/// The columns of `counters`: one row is what one counter grew by between two readings. A counter that did not
/// move makes no row.
pub const COUNTERS: &[Column] = &[
    must("time", Time, Sender, "when it was read (end of the interval), by the host's clock"),
    may("from", Time, Sender, "when it was read before; absent at its first reading"),
    must("received", Time, Server, "when the server got it, by the server's clock"),
    must("host", Text, Server, "the host's name, from its certificate"),
    may("netns", Text, Sender, "the network namespace, empty for the host's own"),
    must("source", Text, Sender, "nftables, iptables-legacy, ip6tables-legacy, nfacct"),
    must("kind", Text, Sender, "rule, counter, element, policy, nfacct"),
    must(
        "object",
        Text,
        Sender,
        "what counts, unique in its namespace: `inet filter input handle 5`, a name",
    ),
    may("table", Text, Sender, "family and table, as in `inet filter`"),
    may("chain", Text, Sender, "chain of a rule or policy"),
    may("handle", I64, Sender, "number of the rule in its table, or its position in an iptables chain"),
    may("name", Text, Sender, "name of the counter, set or nfacct object"),
    may("element", Text, Sender, "the element of a set"),
    may("rule", Text, Sender, "text of the rule, without counters and handle"),
    may("generation", Text, Sender, "the ruleset generation at the reading; see `rulesets`"),
    must("packets", I64, Sender, "packets counted since the reading before"),
    must("bytes", I64, Sender, "bytes counted since the reading before"),
    may(
        "reset",
        I16,
        Sender,
        "1 when the counter had gone back or is new: packets and bytes are then all it shows",
    ),
    must("stream", Text, Server, "the sequence of batches it came in: host id, lane, epoch"),
    must("seq", I64, Server, "number of the batch in its stream"),
    must("row", I32, Server, "position in the batch, from 0; stream, seq and row name the row"),
    may(
        "sender",
        Text,
        Server,
        "who delivered it, where that is not the host itself: a relay, a syslog sender's address, an import",
    ),
];
