//! The encapsulated messages of an IPC stream, found without decoding them.
//!
//! ```text
//! 0xFFFFFFFF | i32 length of the header | header (flatbuffer, padded) | body (length in the header)   ...
//! 0xFFFFFFFF | 0                        end
//! ```
//! (Arrow columnar format 1.5, "Encapsulated message format")

use crate::WireError;
use arrow_flight::FlightData;
use bytes::Bytes;

/// One message of an IPC stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The flatbuffer.
    pub header: Bytes,
    /// The buffers.
    pub body: Bytes,
}

impl From<Message> for FlightData {
    fn from(message: Message) -> Self {
        Self { data_header: message.header, data_body: message.body, ..Self::default() }
    }
}

/// The messages of an IPC stream, without copying.
///
/// # Errors
/// If the bytes are not an IPC stream.
pub fn messages(ipc: &Bytes) -> Result<Vec<Message>, WireError> {
    const CUT: WireError = WireError::NotIpc("it is cut off");
    let mut found = Vec::new();
    let mut at = 0_usize;
    while at < ipc.len() {
        let prefix = ipc.get(at..at.saturating_add(8)).ok_or(CUT)?;
        if prefix[..4] != [0xff; 4] {
            return Err(WireError::NotIpc("a message does not begin with its mark"));
        }
        let length = u32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]) as usize;
        if length == 0 {
            break;
        }
        let header_at = at + 8;
        let body_at = header_at.checked_add(length).ok_or(CUT)?;
        let header = ipc.get(header_at..body_at).ok_or(CUT)?;
        let body_length = arrow_ipc::root_as_message(header)
            .ok()
            .and_then(|m| usize::try_from(m.bodyLength()).ok())
            .ok_or(WireError::NotIpc("a header cannot be read"))?;
        let end = body_at.checked_add(body_length).filter(|end| *end <= ipc.len()).ok_or(CUT)?;
        found.push(Message { header: ipc.slice(header_at..body_at), body: ipc.slice(body_at..end) });
        at = end;
    }
    if found.is_empty() {
        return Err(WireError::NotIpc("it is empty"));
    }
    Ok(found)
}
