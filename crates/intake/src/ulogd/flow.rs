use super::take::Taker;
use super::{Key, Record, Told, Value};
use crate::Rows;
use crate::json::Extra;
use bartizan_decode::columns::Full;
use bartizan_decode::conntrack::{Flow, FlowEvent, Traffic, Tuple};
use bartizan_decode::nflog::{NFPROTO_IPV4, NFPROTO_IPV6};
use bartizan_model::is_v4_mapped;

/// Adds a flow.
pub(super) fn push(record: &Record<'_>, rows: &mut Rows, told: &Told<'_>) -> Result<(), Full> {
    let take = &mut Taker::new(record);
    let time = record.time(take, told).unwrap_or(told.received);
    let orig = Tuple {
        src: take.address(Key::FlowSource).or_else(|| take.address(Key::Source)),
        dst: take.address(Key::FlowDestination).or_else(|| take.address(Key::Destination)),
        proto: take.number(Key::FlowProtocol).or_else(|| take.number(Key::IpProtocol)),
        sport: take.number(Key::FlowSourcePort).or_else(|| take.number(Key::SourcePort)),
        dport: take.number(Key::FlowDestinationPort).or_else(|| take.number(Key::DestinationPort)),
        icmp_type: take.number(Key::IcmpType).or_else(|| take.number(Key::Icmp6Type)),
        icmp_code: take.number(Key::IcmpCode).or_else(|| take.number(Key::Icmp6Code)),
        ..Tuple::default()
    };
    let reply = Tuple {
        src: take.address(Key::ReplySource),
        dst: take.address(Key::ReplyDestination),
        proto: take.number(Key::ReplyProtocol),
        sport: take.number(Key::ReplySourcePort),
        dport: take.number(Key::ReplyDestinationPort),
        ..Tuple::default()
    };
    if reply.proto.is_some() && reply.proto != orig.proto {
        take.leave(Key::ReplyProtocol);
    }
    let start = moment(take, Key::StartSeconds, Key::StartMicroseconds);
    let stop = moment(take, Key::EndSeconds, Key::EndMicroseconds);
    let event = match take.record.get(Key::FlowEvent) {
        Value::Int(1) => FlowEvent::New,
        Value::Int(2) => FlowEvent::Update,
        Value::Int(4) => FlowEvent::Destroy,
        // tables without the event: ulogd's default is to report ends
        _ if stop.is_none() && start.is_some() => FlowEvent::New,
        _ => FlowEvent::Destroy,
    };
    if matches!(take.record.get(Key::FlowEvent), Value::Int(1 | 2 | 4)) {
        take.drop(Key::FlowEvent);
    }
    let family = take.number(Key::Family).unwrap_or(match orig.src.or(orig.dst) {
        Some(address) if is_v4_mapped(&address) => NFPROTO_IPV4,
        Some(_) => NFPROTO_IPV6,
        None => 0,
    });
    let (sent, answered) = traffic(take);
    let mut flow = Flow {
        orig,
        reply,
        start,
        stop,
        sent,
        answered,
        mark: take.word(Key::FlowMark),
        id: take.word(Key::FlowId),
        ..Flow::new(event, family)
    };
    let mut extra = Extra::default();
    take.rest(&mut extra);
    flow.extra = extra.finish();
    rows.flow(&flow, time, told.source, told.whose)
}

/// Nanoseconds since 1970.
fn moment(take: &mut Taker<'_, '_>, seconds: Key, micros: Key) -> Option<u64> {
    let seconds = take.number::<u32>(seconds).filter(|s| *s != 0)?;
    let micros = take.number::<u32>(micros).unwrap_or(0);
    Some(u64::from(seconds) * 1_000_000_000 + u64::from(micros) * 1000)
}

/// What both directions carried. A flow without any packet had nobody who counted.
fn traffic(take: &mut Taker<'_, '_>) -> (Option<Traffic>, Option<Traffic>) {
    let mut direction = |packets, bytes| {
        let traffic = match (take.number(packets), take.number(bytes)) {
            (Some(packets), Some(bytes)) => return Some(Traffic { packets, bytes }),
            _ => None,
        };
        // half of it has no column
        take.leave(packets);
        take.leave(bytes);
        traffic
    };
    let sent = direction(Key::FlowPackets, Key::FlowBytes);
    let answered = direction(Key::ReplyPackets, Key::ReplyBytes);
    if sent == Some(Traffic { packets: 0, bytes: 0 }) { (None, None) } else { (sent, answered) }
}
