//! Firewall log lines as text: what nf_log_syslog writes to the kernel's log, and what ulogd's LOGEMU and SYSLOG
//! write in its image (docs: net/netfilter/nf_log_syslog.c, ulogd2 util/printpkt.c).
//!
//! The way of a line: [`Line::parse`] takes off the [`Envelope`] (syslog header, `kernel:`, uptime), finds where
//! the rule's prefix ends and reads the fields behind it; `EventColumns::push_line` makes a row of it.
//! [`kmsg`] and [`journal`] take records apart that hold such lines; [`write`](mod@write) makes lines of rows.
//!
//! Invariants, each held by the tests and by the targets in `fuzz/`:
//! - Total: any bytes give a line or `None`, in time linear in their length. Nothing panics or allocates; a
//!   [`Line`] borrows from the text.
//! - The format is read, not samples of it: what follows the last `IN=… OUT=` is the packet's, whatever the prefix
//!   before it looks like. Keys that the kernel does not write are kept ([`Line::details`]).
//! - What is no firewall line is `None`. What is one and was not fully understood keeps what could be read, and
//!   [`Line::problem`] says why.
//!
//! What the text does not say: the hook, the conntrack state, the lowest bit of TOS (the kernel masks it), and
//! the family of a bridge rule, which writes lines like those of the packet it sees.

mod envelope;
mod fields;
pub mod journal;
pub(crate) mod json;
mod judge;
pub mod kmsg;
mod line;
mod message;
mod number;
mod stamp;
mod token;
pub mod write;

pub use envelope::Envelope;
pub use line::{Line, Problem};
pub use message::Message;
pub use stamp::{Local, Stamp};
