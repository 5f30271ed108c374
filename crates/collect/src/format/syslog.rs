//! Syslog over connections.

use super::{Broken, Talk};
use crate::desk::Open;
use crate::sender::Sender;
use bartizan_intake::syslog_frames::SyslogFrames;
use bartizan_model::Micros;

/// One connection's messages.
pub(super) struct Messages(SyslogFrames);

impl Messages {
    pub(super) fn new(max_message: usize) -> Self {
        Self(SyslogFrames::new(max_message))
    }
}

impl Talk for Messages {
    fn take(
        &mut self,
        bytes: &[u8],
        desk: &mut Open,
        sender: &mut Sender,
        now: Micros,
    ) -> Result<usize, Broken> {
        let mut at = 0;
        loop {
            let (used, frame) = self.0.next(&bytes[at..]);
            at += used;
            match frame {
                Some(frame) => desk.text(frame.text, frame.cut, sender, now),
                None => return Ok(at),
            }
        }
    }

    fn end(&mut self, bytes: &[u8], desk: &mut Open, sender: &mut Sender, now: Micros) {
        if let Some(frame) = self.0.end(bytes) {
            desk.text(frame.text, frame.cut, sender, now);
        }
    }
}
