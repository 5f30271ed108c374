//! netflow_parser reads the same messages: as many records, with the same values.

use crate::row::{Row, rows_of};
use bartizan_intake::ipfix::Exports;
use bartizan_intake::text::Fixed;
use bartizan_intake::ulogd::Told;
use bartizan_intake::{Rows, Whose};
use bartizan_model::Micros;
use netflow_parser::variable_versions::ipfix::FlowSetBody as IpfixBody;
use netflow_parser::variable_versions::v9::FlowSetBody as V9Body;
use netflow_parser::{FieldValue, NetflowPacket, NetflowParser};
use proptest::prelude::*;

/// Elements that both versions have, each with a length that it may have, and our column of it.
const ELEMENTS: [(u16, u16, &str); 8] = [
    (8, 4, "src"),
    (12, 4, "dst"),
    (7, 2, "sport"),
    (11, 2, "dport"),
    (4, 1, "proto"),
    (1, 8, "bytes"),
    (2, 4, "packets"),
    (58, 2, "vlanId"),
];

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 4).unwrap();
    [&id.to_be_bytes(), &length.to_be_bytes(), body].concat()
}

fn message(version: u16, chosen: &[usize], data: &[u8]) -> Vec<u8> {
    let mut template = [256, u16::try_from(chosen.len()).unwrap()].map(u16::to_be_bytes).concat();
    for i in chosen {
        template.extend([ELEMENTS[*i].0, ELEMENTS[*i].1].map(u16::to_be_bytes).concat());
    }
    let sets = [set(if version == 9 { 0 } else { 2 }, &template), set(256, data)].concat();
    let mut message = version.to_be_bytes().to_vec();
    if version == 9 {
        message.extend(2_u16.to_be_bytes());
        message.extend([1000_u32, 1_000_000, 1, 2].map(u32::to_be_bytes).concat());
    } else {
        message.extend(u16::try_from(sets.len() + 16).unwrap().to_be_bytes());
        message.extend([1_000_000_u32, 1, 2].map(u32::to_be_bytes).concat());
    }
    message.extend(sets);
    message
}

fn ours(message: &[u8]) -> Vec<Row> {
    let whose = Whose { host: "gw", sender: "" };
    let told = Told { source: "ipfix", whose, received: Micros(7), zone: &Fixed(0) };
    let mut rows = Rows::new(10_000);
    Exports::default().read(&[0; 16], message, &mut rows, &told).unwrap();
    rows.finish().first().map_or_else(Vec::new, |(kind, batch)| rows_of(*kind, batch))
}

/// The values of each record, as texts.
fn theirs(message: &[u8]) -> Vec<Vec<String>> {
    let text = |value: &FieldValue| match value {
        FieldValue::DataNumber(number) => number.as_u64().unwrap().to_string(),
        FieldValue::Ip4Addr(address) => address.to_string(),
        FieldValue::ProtocolType(protocol) => u8::from(*protocol).to_string(),
        other => panic!("{other:?}"),
    };
    let mut records = Vec::new();
    for packet in NetflowParser::default().parse_bytes(message).packets {
        match packet {
            NetflowPacket::IPFix(ipfix) => {
                for set in ipfix.flowsets {
                    if let IpfixBody::Data(data) = set.body {
                        records.extend(data.fields.iter().map(|r| r.iter().map(|(_, v)| text(v)).collect()));
                    }
                }
            }
            NetflowPacket::V9(v9) => {
                for set in v9.flowsets {
                    if let V9Body::Data(data) = set.body {
                        records.extend(data.fields.iter().map(|r| r.iter().map(|(_, v)| text(v)).collect()));
                    }
                }
            }
            other => panic!("{other:?}"),
        }
    }
    records
}

proptest! {
    #[test]
    fn both_read_the_same(
        version in prop_oneof![Just(9_u16), Just(10)],
        chosen in proptest::sample::subsequence((0..ELEMENTS.len()).collect::<Vec<_>>(), 1..=ELEMENTS.len()).prop_shuffle(),
        records in 1_usize..5,
        bytes in proptest::collection::vec(0_u8..127, 27 * 5),
    ) {
        let length: usize = chosen.iter().map(|i| usize::from(ELEMENTS[*i].1)).sum();
        // shorter than 4 bytes, the last ones may be padding or a record
        prop_assume!(length >= 4);
        let message = message(version, &chosen, &bytes[..length * records]);
        let (ours, theirs) = (ours(&message), theirs(&message));
        prop_assert_eq!((ours.len(), theirs.len()), (records, records));
        for (row, values) in ours.iter().zip(theirs) {
            let icmp = row.get("proto").is_some_and(|p| ["1", "58"].contains(&p.as_str()));
            let counted = row.contains_key("bytes");
            for (i, value) in chosen.iter().zip(values) {
                let column = ELEMENTS[*i].2;
                let port = column.ends_with("port") && icmp;
                let half = ["bytes", "packets"].contains(&column) && !counted;
                if column != "vlanId" && !port && !half {
                    prop_assert_eq!(row.get(column), Some(&value), "{}", column);
                } else if column == "vlanId" && value != "0" {
                    let kept = format!("\"vlanId\":{value}");
                    prop_assert!(row["extra"].contains(&kept), "{:?}", row);
                }
            }
        }
    }
}
