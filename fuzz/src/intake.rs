//! What comes from senders without an agent.

use bartizan_intake::relp::RelpFrames;
use bartizan_intake::shape::{MAX, shape};
use bartizan_intake::syslog_frames::SyslogFrames;

/// Bytes of a message that are kept, and of which a piece is at the most.
const LIMIT: usize = 100;

/// Messages of a connection are the same in whatever pieces they come, and none is longer than is allowed.
pub fn syslog_frames(data: &[u8]) {
    let read = |piece: usize| {
        let (mut frames, mut waiting, mut found) = (SyslogFrames::new(LIMIT), Vec::new(), Vec::new());
        for bytes in data.chunks(piece) {
            waiting.extend_from_slice(bytes);
            loop {
                let (used, frame) = frames.next(&waiting);
                let more = frame.map(|f| found.push((f.text.to_vec(), f.cut))).is_some();
                waiting.drain(..used);
                if !more {
                    break;
                }
            }
            assert!(waiting.len() <= LIMIT + 16 + bytes.len(), "{} bytes wait", waiting.len());
        }
        found.extend(frames.end(&waiting).map(|f| (f.text.to_vec(), f.cut)));
        found
    };
    let whole = read(data.len().max(1));
    assert_eq!(whole, read(1));
    assert_eq!(whole, read(7));
    for (text, _) in whole {
        assert!(!text.is_empty() && text.len() <= LIMIT);
        assert!(shape(&text).chars().count() <= MAX);
    }
}

/// Frames of RELP are the same in whatever pieces they come, and so is the error.
pub fn relp_frames(data: &[u8]) {
    let read = |piece: usize| {
        let (mut frames, mut waiting, mut found) = (RelpFrames::new(LIMIT), Vec::new(), Vec::new());
        for bytes in data.chunks(piece) {
            waiting.extend_from_slice(bytes);
            loop {
                let (used, frame) = match frames.next(&waiting) {
                    Ok(next) => next,
                    Err(error) => return (found, Some(error)),
                };
                let more = frame
                    .map(|f| found.push((f.number, f.command.to_vec(), f.data.to_vec(), f.cut)))
                    .is_some();
                waiting.drain(..used);
                if !more {
                    break;
                }
            }
            assert!(waiting.len() <= LIMIT + 64 + bytes.len(), "{} bytes wait", waiting.len());
        }
        (found, None)
    };
    let whole = read(data.len().max(1));
    assert_eq!(whole, read(1));
    assert_eq!(whole, read(7));
    assert!(whole.0.iter().all(|(_, command, data, _)| !command.is_empty() && data.len() <= LIMIT));
}
