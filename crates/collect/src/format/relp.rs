//! RELP: messages are answered one by one, when they are durable.

use super::{Broken, Talk};
use crate::desk::Open;
use crate::replay::Replay;
use crate::sender::Sender;
use bartizan_intake::relp::RelpFrames;
use bartizan_model::Micros;

/// What is offered when a session is opened.
const OFFER: &str = "200 OK\nrelp_version=0\nrelp_software=bartizan\ncommands=syslog";

/// One session.
pub(super) struct Relp {
    frames: RelpFrames,
    state: State,
    replay: Replay,
    answers: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    Over,
}

impl Relp {
    pub(super) fn new(max_message: usize) -> Self {
        Self {
            frames: RelpFrames::new(max_message),
            state: State::New,
            replay: Replay::default(),
            answers: Vec::new(),
        }
    }

    fn answer(&mut self, number: u32, text: &str) {
        self.answers.extend_from_slice(format!("{number} rsp {} {text}\n", text.len()).as_bytes());
    }
}

impl Talk for Relp {
    fn take(
        &mut self,
        bytes: &[u8],
        desk: &mut Open,
        sender: &mut Sender,
        now: Micros,
    ) -> Result<usize, Broken> {
        let mut at = 0;
        while self.state != State::Over {
            let (used, frame) = self.frames.next(&bytes[at..]).map_err(|e| Broken(e.to_string()))?;
            at += used;
            let Some(frame) = frame else { return Ok(at) };
            match (frame.command, self.state) {
                (b"open", State::New) => {
                    let version =
                        frame.data.split(|b| *b == b'\n').find_map(|l| l.strip_prefix(b"relp_version="));
                    // the only other versions that there were, 1, is told to take 0 as well
                    if version.is_none_or(|v| !matches!(v, b"0" | b"1")) {
                        self.answer(frame.number, "500 unsupported version");
                        return Err(Broken("a version of RELP that is not known".into()));
                    }
                    self.state = State::Open;
                    self.answer(frame.number, OFFER);
                }
                (b"syslog", State::Open) => {
                    desk.acknowledged_text(frame.data, frame.cut, &mut self.replay, sender, now);
                    self.answer(frame.number, "200 OK");
                }
                (b"close", _) => {
                    self.state = State::Over;
                    self.answers
                        .extend_from_slice(format!("{} rsp 0\n0 serverclose 0\n", frame.number).as_bytes());
                }
                (_, State::Open) => self.answer(frame.number, "500 command not known"),
                _ => return Err(Broken("no `open` at its beginning".into())),
            }
        }
        Ok(bytes.len())
    }

    fn answers(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.answers);
    }

    fn is_over(&self) -> bool {
        self.state == State::Over
    }

    fn farewell(&self) -> &'static [u8] {
        b"0 serverclose 0\n"
    }
}
