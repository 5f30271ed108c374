//! Exporters of flows: IPFIX and NetFlow.

use crate::desk::{Became, Open};
use crate::sender::Sender;
use bartizan_intake::ipfix::Exports;
use bartizan_intake::text::Naming as _;
use bartizan_intake::ulogd::Told;
use bartizan_model::{Kind, Micros, Reason, addr_from_ip};
use std::sync::Arc;

/// The flows of a datagram. What did not come, or cannot be read, is an entry of the ledger.
pub(super) fn datagram(
    exports: &mut Exports,
    bytes: &[u8],
    desk: &mut Open,
    sender: &mut Sender,
    now: Micros,
) {
    if !desk.admits(sender, now) {
        return;
    }
    let settings = Arc::clone(desk.shared_settings());
    let exporter = addr_from_ip(sender.address);
    let whose = sender.who.whose("");
    let source = if bytes.starts_with(&[0, 10]) { "ipfix" } else { settings.speech.source() };
    let told = Told { source, whose, received: now, zone: &settings.zone };
    let mut read = None;
    // one with more flows than there is room for goes on where it was
    while read.is_none() {
        read = desk.put(bytes.len(), |rows| exports.read(&exporter, bytes, rows, &told));
    }
    let Some(read) = read else { return };
    let name = &sender.who.name;
    if read.lost > 0 {
        let unit = if source == "ipfix" { "records" } else { "datagrams or flows" };
        let detail = format!("{unit} of the exporter {name} that did not come");
        desk.lost(whose.host, Reason::SequenceGap, Kind::Flows, read.lost.into(), &detail, now);
    }
    if read.before_template > 0 {
        let detail = format!("sets of the exporter {name} before their template");
        desk.lost(whose.host, Reason::Malformed, Kind::Flows, read.before_template.into(), &detail, now);
    }
    if read.malformed || read.refused > 0 {
        let detail = format!("messages of the exporter {name} that are not what they should be");
        desk.lost(whose.host, Reason::Malformed, Kind::Flows, 1, &detail, now);
    }
    let became = if read.malformed && read.flows == 0 { Became::Unparsed } else { Became::Row };
    desk.count(became, false, sender, now);
}
