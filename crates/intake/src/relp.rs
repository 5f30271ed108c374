//! Frames of RELP, the acknowledged protocol of rsyslog (librelp, `doc/relp.html`).
//!
//! ```text
//! TXNR SP COMMAND SP DATALEN [SP DATA] LF       TXNR 1 to 999999999, COMMAND letters, DATALEN bytes of DATA
//! ```
//! The side that connects sends `open`, `syslog`, `close`; each is answered by `rsp` with its own number.
//!
//! Invariants, held by the tests and by the target in `fuzz/`:
//! - Total, and the same frames in whatever pieces the bytes come.
//! - No more than `limit` bytes of data wait for their end: what is longer is cut, and its rest passed over.
//! - What is no frame is an error for good: there is no place to start again from.

/// Digits of a number.
const DIGITS: usize = 9;
/// Letters of a command.
const COMMAND: usize = 32;

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelpFrame<'a> {
    /// Its number, by which it is answered.
    pub number: u32,
    /// What is asked for.
    pub command: &'a [u8],
    /// With what.
    pub data: &'a [u8],
    /// Whether there was more of it.
    pub cut: bool,
}

/// The bytes are no RELP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no frame of RELP: {0}")]
pub struct RelpError(&'static str);

/// Tells frames apart.
#[derive(Clone, Debug)]
pub struct RelpFrames {
    limit: usize,
    /// Bytes of data that are passed over, and whether the end of their frame comes then.
    pass: usize,
    ending: bool,
}

impl RelpFrames {
    /// Of frames with up to `limit` bytes of data.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, pass: 0, ending: false }
    }

    /// The next frame of what has come and is not done with, and how many bytes are done with it. Without a frame, more
    /// bytes have to come behind those that are left.
    ///
    /// # Errors
    /// If they are no frame.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Option<RelpFrame<'a>>), RelpError> {
        let mut at = self.pass.min(bytes.len());
        self.pass -= at;
        if self.pass == 0 && self.ending {
            match bytes.get(at) {
                None => {}
                Some(b'\n') => {
                    at += 1;
                    self.ending = false;
                }
                Some(_) => return Err(RelpError("it does not end where it should")),
            }
        }
        if at == bytes.len() {
            return Ok((at, None));
        }
        let Some((used, frame, more)) = self.frame(&bytes[at..])? else { return Ok((at, None)) };
        self.pass = more;
        // the end of the frame is passed over with the next call
        self.ending = true;
        Ok((at + used, Some(frame)))
    }

    /// A frame without its end, how many bytes it took, and how many of its data are left.
    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<Option<(usize, RelpFrame<'a>, usize)>, RelpError> {
        let Some((number, at)) = number(bytes, 0, b" ")? else { return Ok(None) };
        let command = &bytes[at + 1..];
        let letters = command.iter().take(COMMAND + 1).take_while(|b| b.is_ascii_alphanumeric()).count();
        let command = match command.get(letters) {
            None if letters <= COMMAND => return Ok(None),
            Some(b' ') if (1..=COMMAND).contains(&letters) => &command[..letters],
            _ => return Err(RelpError("its command is none")),
        };
        let Some((length, at)) = self::number(bytes, at + 1 + letters + 1, b" \n")? else { return Ok(None) };
        let length = length as usize;
        let blank = usize::from(bytes[at] == b' ');
        if length > 0 && blank == 0 {
            return Err(RelpError("its data are missing"));
        }
        let wanted = length.min(self.limit);
        let Some(data) = bytes.get(at + blank..at + blank + wanted) else { return Ok(None) };
        let frame = RelpFrame { number, command, data, cut: wanted < length };
        Ok(Some((at + blank + wanted, frame, length - wanted)))
    }
}

/// A number at a place that one of `after` follows, and where that is; nothing if it has not come yet.
fn number(bytes: &[u8], at: usize, after: &[u8]) -> Result<Option<(u32, usize)>, RelpError> {
    let rest = bytes.get(at..).unwrap_or_default();
    let digits = rest.iter().take(DIGITS + 1).take_while(|b| b.is_ascii_digit()).count();
    match rest.get(digits) {
        None if digits <= DIGITS => Ok(None),
        Some(next) if (1..=DIGITS).contains(&digits) && after.contains(next) => {
            let value = rest[..digits].iter().fold(0, |n, b| n * 10 + u32::from(b - b'0'));
            Ok(Some((value, at + digits)))
        }
        _ => Err(RelpError("a number is none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Read = Result<Vec<(u32, Vec<u8>, Vec<u8>, bool)>, RelpError>;

    fn read(bytes: &[u8], limit: usize, piece: usize) -> Read {
        let mut frames = RelpFrames::new(limit);
        let (mut waiting, mut found) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            waiting.extend_from_slice(piece);
            loop {
                let (used, frame) = frames.next(&waiting)?;
                let more = frame.is_some();
                found.extend(frame.map(|f| (f.number, f.command.to_vec(), f.data.to_vec(), f.cut)));
                waiting.drain(..used);
                if !more {
                    break;
                }
            }
            assert!(waiting.len() <= limit + 2 * DIGITS + COMMAND + 3, "{} bytes wait", waiting.len());
        }
        Ok(found)
    }

    #[test]
    fn a_session_as_librelp_has_it() {
        let text = b"1 open 30 relp_version=0\ncommands=syslog\n2 syslog 6 <4>x\ny\n3 syslog 0\n4 close 0\n";
        let found = read(text, 100, 1).unwrap();
        let of = |n: u32, command: &str, data: &str| (n, command.into(), data.into(), false);
        assert_eq!(
            found,
            [
                of(1, "open", "relp_version=0\ncommands=syslog"),
                of(2, "syslog", "<4>x\ny"),
                of(3, "syslog", ""),
                of(4, "close", "")
            ]
        );
    }

    #[test]
    fn long_data_are_cut_and_the_next_frame_is_whole() {
        let found = read(b"2 syslog 12 0123456789ab\n3 syslog 2 xy\n", 4, 3).unwrap();
        assert_eq!(
            found,
            [(2, b"syslog".to_vec(), b"0123".to_vec(), true), (3, b"syslog".to_vec(), b"xy".to_vec(), false)]
        );
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        for text in [
            "x",
            "<4>hello\n",
            "1234567890 open 0\n",
            "1  0\n",
            "1 open 5\nabcde",
            "1 open x",
            "1 open 1 abc\n",
        ] {
            assert!(read(text.as_bytes(), 100, 1).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "([0-9]{1,3} [a-z]{1,6} [0-9]{1,2}( [a-z0-9 ]{0,12})?\n?){0,6}", piece in 1_usize..40) {
            let bytes = text.as_bytes();
            let by = |piece: usize| read(bytes, 8, piece);
            let (whole, single) = (by(bytes.len().max(1)), by(1));
            prop_assert_eq!(&whole, &single);
            prop_assert_eq!(&whole, &by(piece));
        }

        #[test]
        fn what_was_framed_comes_back(data in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20), piece in 1_usize..99) {
            let mut bytes = Vec::new();
            for (n, data) in data.iter().enumerate() {
                bytes.extend_from_slice(format!("{} syslog {}", n + 1, data.len()).as_bytes());
                if !data.is_empty() {
                    bytes.push(b' ');
                    bytes.extend_from_slice(data);
                }
                bytes.push(b'\n');
            }
            let found = read(&bytes, 100, piece).unwrap();
            prop_assert_eq!(found.len(), data.len());
            for ((number, _, found, cut), (n, data)) in found.into_iter().zip(data.iter().enumerate()) {
                prop_assert_eq!((number as usize, found, cut), (n + 1, data.clone(), false));
            }
        }
    }
}
