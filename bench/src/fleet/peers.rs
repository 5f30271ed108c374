//! Events as the files that other stores load: Parquet, JSON lines as ulogd2 writes them, and tab-separated values in
//! the columns of ulogd2's flat table.

use super::columns::{Texts, mac};
use super::origin::country;
use super::{Event, Fleet, INTERFACES, PREFIXES};
use anyhow::Result;
use arrow_array::types::UInt16Type;
use arrow_array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt8Array, UInt16Array, UInt32Array,
};
use bartizan_model::addr_to_ip;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// Rows of a batch on its way to Parquet.
const ROWS: usize = 65_536;

/// Writes events to a Parquet file of the columns that every store keeps.
pub(crate) fn parquet(fleet: &Fleet, events: &[Event], path: &Path) -> Result<()> {
    let time = || ColumnPath::from("ts");
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_column_dictionary_enabled(time(), false)
        .set_column_encoding(time(), Encoding::DELTA_BINARY_PACKED)
        .build();
    let schema = columns(fleet, &[])?.schema();
    let mut writer = ArrowWriter::try_new(File::create(path)?, schema, Some(properties))?;
    for part in events.chunks(ROWS) {
        writer.write(&columns(fleet, part)?)?;
    }
    writer.close()?;
    Ok(())
}

fn columns(fleet: &Fleet, events: &[Event]) -> Result<RecordBatch> {
    let events: Vec<&Event> = events.iter().collect();
    let rows = events.iter();
    let texts = |texts: Texts| -> Result<ArrayRef> {
        let keys: UInt16Array = texts.keys.iter().map(|key| key.map(|key| key as u16)).collect();
        Ok(Arc::new(DictionaryArray::<UInt16Type>::try_new(keys, Arc::new(StringArray::from(texts.words)))?))
    };
    let interface = |of: fn(&Event) -> Option<u8>| {
        let word = |e: &Event| INTERFACES[usize::from(of(e).unwrap_or_default())].to_owned();
        texts(Texts::new(&events, |e| of(e).map(u64::from), word))
    };
    let small = |of: fn(&Event) -> Option<u8>| -> ArrayRef {
        Arc::new(rows.clone().map(|e| of(e)).collect::<UInt8Array>())
    };
    let port = |of: fn((u16, u16)) -> u16| -> ArrayRef {
        Arc::new(rows.clone().map(|e| e.ports.map(of)).collect::<UInt16Array>())
    };
    let address = |of: fn(&Event) -> u128| -> ArrayRef {
        let bytes: Vec<u8> = rows.clone().flat_map(|e| of(e).to_be_bytes()).collect();
        Arc::new(FixedSizeBinaryArray::new(16, bytes.into(), None))
    };
    let code =
        |e: &Event| country(e.src).map(|c| u64::from(u16::from_be_bytes([c.as_bytes()[0], c.as_bytes()[1]])));
    let times =
        TimestampMicrosecondArray::from_iter_values(rows.clone().map(|e| e.time)).with_timezone("UTC");
    Ok(RecordBatch::try_from_iter_with_nullable([
        ("ts", Arc::new(times) as ArrayRef, false),
        (
            "host",
            texts(Texts::new(&events, |e| Some(e.host.into()), |e| fleet.host(e.host.into()).to_owned()))?,
            false,
        ),
        (
            "prefix",
            texts(Texts::new(
                &events,
                |e| Some(e.prefix.into()),
                |e| PREFIXES[usize::from(e.prefix)].to_owned(),
            ))?,
            false,
        ),
        ("hook", small(|e| Some(e.hook)), false),
        ("in_if", interface(|e| e.in_if)?, true),
        ("out_if", interface(|e| e.out_if)?, true),
        ("src_ip", address(|e| e.src), false),
        ("dst_ip", address(|e| e.dst), false),
        ("proto", small(|e| Some(e.proto)), false),
        ("src_port", port(|(source, _)| source), true),
        ("dst_port", port(|(_, destination)| destination), true),
        ("length", Arc::new(UInt16Array::from_iter_values(rows.clone().map(|e| e.length))), false),
        ("ttl", small(|e| Some(e.ttl)), false),
        ("tcp_flags", small(|e| e.tcp_flags), true),
        ("icmp_type", small(|e| e.icmp.map(|(kind, _)| kind)), true),
        ("icmp_code", small(|e| e.icmp.map(|(_, code)| code)), true),
        ("mark", Arc::new(UInt32Array::from_iter_values(rows.clone().map(|e| e.mark.unwrap_or(0)))), false),
        ("uid", Arc::new(rows.clone().map(|e| e.uid).collect::<UInt32Array>()), true),
        ("mac", texts(Texts::new(&events, |e| e.mac, |e| mac(e.mac.unwrap_or_default())))?, true),
        (
            "country",
            texts(Texts::new(&events, code, |e| country(e.src).unwrap_or_default().to_owned()))?,
            true,
        ),
    ])?)
}

/// The address as ulogd2 writes it.
fn address(address: u128) -> IpAddr {
    addr_to_ip(address.to_be_bytes())
}

fn interface(place: Option<u8>) -> &'static str {
    place.map_or("", |i| INTERFACES[usize::from(i)])
}

/// Writes an event as a line of JSON with ulogd2's keys.
pub(crate) fn json(fleet: &Fleet, event: &Event, out: &mut impl Write) -> Result<()> {
    let time = jiff::Timestamp::from_microsecond(event.time)?;
    write!(
        out,
        r#"{{"timestamp": "{time:.6}", "dvc": "{}", "oob.prefix": "{}", "oob.hook": {}, "oob.mark": {}, "oob.family": {}, "oob.in": "{}", "oob.out": "{}""#,
        fleet.host(event.host.into()),
        PREFIXES[usize::from(event.prefix)],
        event.hook,
        event.mark.unwrap_or(0),
        if event.is_v6() { 10 } else { 2 },
        interface(event.in_if),
        interface(event.out_if),
    )?;
    if let Some(uid) = event.uid {
        write!(out, r#", "oob.uid": {uid}"#)?;
    }
    write!(
        out,
        r#", "ip.protocol": {}, "ip.ttl": {}, "ip.totlen": {}, "src_ip": "{}", "dest_ip": "{}""#,
        event.proto,
        event.ttl,
        event.length,
        address(event.src),
        address(event.dst),
    )?;
    if let Some((source, destination)) = event.ports {
        write!(out, r#", "src_port": {source}, "dest_port": {destination}"#)?;
    }
    if let Some(flags) = event.tcp_flags {
        for (bit, name) in [(5, "urg"), (4, "ack"), (3, "psh"), (2, "rst"), (1, "syn"), (0, "fin")] {
            write!(out, r#", "tcp.{name}": {}"#, flags >> bit & 1)?;
        }
    }
    if let Some((kind, code)) = event.icmp {
        write!(out, r#", "icmp.type": {kind}, "icmp.code": {code}"#)?;
    }
    if let Some(of) = event.mac {
        write!(out, r#", "mac.saddr.str": "{}""#, mac(of))?;
    }
    if let Some(country) = country(event.src) {
        write!(out, r#", "src_country": "{country}""#)?;
    }
    Ok(out.write_all(b"}\n")?)
}

/// Writes an event as a line for PostgreSQL's `COPY`, in the order of the columns in `bench/peers/postgresql.py`.
pub(crate) fn tsv(fleet: &Fleet, event: &Event, out: &mut impl Write) -> Result<()> {
    const NONE: &str = "\\N";
    let number = |value: Option<u32>| value.map_or_else(|| NONE.to_owned(), |v| v.to_string());
    let flag = |bit: u8| number(event.tcp_flags.map(|flags| u32::from(flags >> bit & 1)));
    let of = |proto: u8| event.ports.filter(|_| event.proto == proto);
    let (tcp, udp, sctp) = (of(6), of(17), of(132));
    let icmp = |proto: u8| event.icmp.filter(|_| event.proto == proto);
    let columns = [
        (event.time.div_euclid(1_000_000)).to_string(),
        (event.time.rem_euclid(1_000_000)).to_string(),
        event.hook.to_string(),
        PREFIXES[usize::from(event.prefix)].to_owned(),
        event.mark.unwrap_or(0).to_string(),
        interface(event.in_if).to_owned(),
        interface(event.out_if).to_owned(),
        if event.is_v6() { "10" } else { "2" }.to_owned(),
        address(event.src).to_string(),
        address(event.dst).to_string(),
        event.proto.to_string(),
        event.ttl.to_string(),
        event.length.to_string(),
        event.mac.map_or_else(|| NONE.to_owned(), mac),
        number(tcp.map(|p| p.0.into())),
        number(tcp.map(|p| p.1.into())),
        flag(5),
        flag(4),
        flag(3),
        flag(2),
        flag(1),
        flag(0),
        number(udp.map(|p| p.0.into())),
        number(udp.map(|p| p.1.into())),
        number(sctp.map(|p| p.0.into())),
        number(sctp.map(|p| p.1.into())),
        number(icmp(1).map(|i| i.0.into())),
        number(icmp(1).map(|i| i.1.into())),
        number(icmp(58).map(|i| i.0.into())),
        number(icmp(58).map(|i| i.1.into())),
        number(event.uid),
        fleet.host(event.host.into()).to_owned(),
        country(event.src).unwrap_or(NONE).to_owned(),
    ];
    Ok(writeln!(out, "{}", columns.join("\t"))?)
}
