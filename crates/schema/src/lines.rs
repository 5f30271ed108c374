use crate::column::{Column, ColumnKind::*, Origin::*, may, must};

/// The columns of `lines`: messages of other services than firewalls that came with the firewalls' own. Kept only
/// where the configuration asks for it.
pub const LINES: &[Column] = &[
    must("time", Time, Sender, "when it was written, by the clock of whoever wrote it"),
    must("received", Time, Server, "when the server got it, by the server's clock"),
    must("host", Text, Server, "who wrote it"),
    must("source", Text, Sender, "how it came: syslog, file, ..."),
    may("sender", Text, Server, "who delivered it, where that is told apart from the host"),
    may("facility", I16, Sender, "syslog facility (RFC 5424, 6.2.1)"),
    may("severity", I16, Sender, "syslog severity: 0 emergency to 7 debug"),
    may("program", Text, Sender, "the program that wrote it"),
    must("text", Text, Sender, "the message, without its envelope"),
    must("stream", Text, Server, "the sequence of batches it came in"),
    must("seq", I64, Server, "number of the batch in its stream"),
    must("row", I32, Server, "position in the batch, from 0; stream, seq and row name the row"),
];
