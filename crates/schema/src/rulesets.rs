use crate::column::{Column, ColumnKind::*, Origin::*, may, must};

/// The columns of `rulesets`: a ruleset that became active is one row for each form of its text, longer ones cut
/// into parts. `generation` is made of the content alone, so that the same rules have the same name on every
/// host and after every restart; a row without `content` says that a known generation became active again.
pub const RULESETS: &[Column] = &[
    must("time", Time, Sender, "when the agent saw that it was active, by the host's clock"),
    must("received", Time, Server, "when the server got it, by the server's clock"),
    must("host", Text, Server, "the host's name, from its certificate"),
    may("netns", Text, Sender, "the network namespace, empty for the host's own"),
    must("generation", Text, Sender, "hash of the content without counters: 32 hexadecimal digits"),
    may(
        "kernel_generation",
        I64,
        Sender,
        "the kernel's number of it, which starts again with each namespace",
    ),
    may("pid", I64, Sender, "the process that made the change, where the kernel tells"),
    may("process", Text, Sender, "its name, such as nft or iptables"),
    may("form", Text, Sender, "nft, nft-json, iptables-save, ip6tables-save, iptables-legacy-save, ..."),
    may("part", I32, Sender, "number of this part, from 0"),
    may("parts", I32, Sender, "how many there are of this form"),
    may("content", Text, Sender, "the text of this part"),
    may("note", Text, Sender, "what could not be read or understood of it"),
    must("stream", Text, Server, "the sequence of batches it came in: host id, lane, epoch"),
    must("seq", I64, Server, "number of the batch in its stream"),
    must("row", I32, Server, "position in the batch, from 0; stream, seq and row name the row"),
];
