//! `NETFILTER_PKT` records of the kernel's audit (net/netfilter/xt_AUDIT.c, `log level audit` of nft): words
//! `name=value`, of which the names differ between kernels. Since 4.12 `mark= saddr= daddr= proto=`, lately with
//! `sport= dport=`; before `action= hook= len= inif= outif= smac= dmac= macproto= saddr= daddr= ipid= proto= …`.

use super::{Details, Fields, ICMP, SMALLEST_ETHER_TYPE};
use crate::text::line::Problem;
use crate::text::number::{dec, hex, mac};
use crate::text::token::Tokens;
use bartizan_model::Action;

impl<'a> Fields<'a> {
    /// Reads the words behind `audit(…):`.
    #[cold]
    pub(in crate::text) fn read_audit(&mut self, text: &'a [u8], details: &mut impl Details) {
        let there = |value: &&[u8]| !value.is_empty() && *value != b"?" && *value != b"(null)";
        for token in Tokens::new(text) {
            let Some(value) = token.value().filter(there) else { continue };
            match token.name() {
                b"saddr" => self.address(value, true),
                b"daddr" => self.address(value, false),
                // -1 where it is not known
                b"proto" if value != b"-1" => self.headers.proto = self.need(dec(value)),
                b"proto" => {}
                b"sport" => self.ports.source = self.need(dec(value)),
                b"dport" => self.ports.destination = self.need(dec(value)),
                b"mark" => self.mark = self.need(hex(value)).unwrap_or_default(),
                b"inif" => self.in_if = self.device(value),
                b"outif" => self.out_if = self.device(value),
                b"smac" => self.link.mac_src = self.need(mac(value)),
                b"dmac" => self.link.mac_dst = self.need(mac(value)),
                b"macproto" => {
                    let ether_type = self.need(hex::<u16>(value));
                    self.link.ether_type = ether_type.filter(|t| *t >= SMALLEST_ETHER_TYPE);
                }
                b"ipid" => self.headers.id = self.need(dec::<u16>(value)).map(u32::from),
                b"icmptype" => {
                    self.has.icmp = true;
                    self.icmp.kind = self.need(dec(value));
                }
                b"icmpcode" => {
                    self.has.icmp = true;
                    self.icmp.code = self.need(dec(value));
                }
                b"action" => {
                    let words = [Action::Accept, Action::Drop, Action::Reject];
                    self.action = dec::<usize>(value).and_then(|n| words.get(n).copied());
                }
                b"type" => {}
                name => details.put(name, value),
            }
        }
        if self.headers.src.is_none() && self.headers.dst.is_none() && self.link.mac_src.is_none() {
            self.fail(Problem::Cut);
        }
        self.has.proto = true;
        let is_icmp = self.headers.proto == Some(ICMP);
        self.has.icmp |= is_icmp && self.icmp.kind.is_some();
        self.finish();
    }
}
