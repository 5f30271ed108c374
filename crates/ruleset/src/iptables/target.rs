//! The target of an iptables rule.

use super::{Reader, Word};
use crate::Log;
use crate::model::{ANY_LOG, Changes, Cond, Step, Verdict};

impl Reader<'_> {
    /// `words` begin with `-j` or `-g`; a rule may have none and then only counts.
    pub(super) fn target(&mut self, words: &[Word]) {
        let Some(how) = words.first() else { return };
        let Some(name) = words.get(1).map(|w| w.text.as_str()) else {
            self.unreadable();
            return;
        };
        let goto = matches!(how.text.as_str(), "-g" | "--goto");
        let option = |name: &str| {
            let at = words.iter().position(|w| !w.quoted && w.text == name)?;
            words.get(at + 1).map(|w| w.text.as_str())
        };
        let has = |name: &str| words.iter().any(|w| !w.quoted && w.text == name);
        let step = match name {
            _ if goto => self.chain(name, true),
            "ACCEPT" => Step::Do(Verdict::Accept),
            "DROP" => Step::Do(Verdict::Drop),
            "REJECT" => Step::Do(Verdict::Reject),
            "RETURN" => Step::Do(Verdict::Return),
            "QUEUE" | "NFQUEUE" | "STEAL" => Step::Do(Verdict::Aside),
            // The connection is set up, and the packet goes to the next table.
            "DNAT" | "SNAT" | "MASQUERADE" | "REDIRECT" | "NETMAP" | "TPROXY" => Step::Do(Verdict::Accept),
            "LOG" => {
                let prefix = option("--log-prefix").unwrap_or_default().to_owned();
                self.log = Some(Log { prefix, group: None });
                Step::Log(0)
            }
            "NFLOG" => {
                let prefix = option("--nflog-prefix").unwrap_or_default().to_owned();
                let group = option("--nflog-group").map_or(Ok(0), str::parse).ok();
                self.log = Some(Log { prefix, group });
                match group {
                    Some(_) => Step::Log(0),
                    None => Step::Log(ANY_LOG),
                }
            }
            "MARK" | "HMARK" => Step::Change(Changes::MARK),
            "CONNMARK" if has("--restore-mark") => Step::Change(Changes::MARK),
            "CT" | "NOTRACK" => Step::Change(Changes::CT_STATE),
            "TOS" | "DSCP" | "TTL" | "HL" | "ECN" => Step::Change(Changes::PACKET),
            "CONNMARK" | "CLASSIFY" | "SECMARK" | "CONNSECMARK" | "TCPMSS" | "TCPOPTSTRIP" | "CHECKSUM"
            | "TRACE" | "SET" | "AUDIT" | "TEE" | "RATEEST" | "IDLETIMER" | "LED" | "ULOG" => {
                Step::Change(Changes::OTHER)
            }
            // Capitals are not for extensions alone: a chain that is listed is one.
            name if self.table.names.contains(name) => self.chain(name, false),
            _ => {
                self.unreadable();
                return;
            }
        };
        self.steps.push(step);
    }

    fn chain(&mut self, name: &str, goto: bool) -> Step {
        let chain = self.draft.chain(self.space, self.table.family, &self.table.name, name);
        Step::Do(if goto { Verdict::Goto(chain) } else { Verdict::Jump(chain) })
    }

    /// A target that may do anything; but what logs is known.
    fn unreadable(&mut self) {
        self.opaque = true;
        self.steps.extend([
            Step::If(Cond::fickle()),
            Step::Change(Changes(u8::MAX)),
            Step::Do(Verdict::Opaque),
        ]);
    }
}
