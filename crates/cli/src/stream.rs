//! Streams of lines: rows as NDJSON that ends with an `end` line, and server-sent events.
//!
//! - A stream of rows without its end line, or whose end says that it is not complete, is [`Failure::Partial`]
//!   after all of its rows were given.
//! - A line is at most [`LINE_LIMIT`] bytes; a longer one ends the stream with an error.

use crate::failure::Failure;
use anyhow::anyhow;
use bytes::{Buf as _, Bytes};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use serde_json::Value;
use std::{collections::VecDeque, fmt::Display, time::Duration};

/// Bytes.
const LINE_LIMIT: usize = 16 << 20;

/// No id of an event is longer; bytes.
const ID_LIMIT: usize = 1 << 10;

/// The lines of a body, without their ends.
pub(crate) struct Lines<B> {
    body: B,
    buffer: VecDeque<u8>,
    /// How far the buffer is known to hold no line end.
    seen: usize,
    /// How long the sender may be silent.
    patience: Duration,
    ended: bool,
}

impl<B: Body<Data = Bytes, Error: Display> + Unpin> Lines<B> {
    pub(crate) fn new(body: B, patience: Duration) -> Self {
        Self { body, buffer: VecDeque::new(), seen: 0, patience, ended: false }
    }

    /// The next line, or none at the end. A last line without its end is dropped: it may be half.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, Failure> {
        loop {
            if let Some(at) = self.buffer.iter().skip(self.seen).position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..self.seen + at).collect();
                self.buffer.pop_front();
                self.seen = 0;
                let line = String::from_utf8(line)
                    .map_err(|_| Failure::Error(anyhow!("the server's answer is not text")))?;
                return Ok(Some(line.strip_suffix('\r').map(str::to_owned).unwrap_or(line)));
            }
            self.seen = self.buffer.len();
            if self.seen > LINE_LIMIT {
                return Err(Failure::Error(anyhow!(
                    "a line of the server's answer is longer than {LINE_LIMIT} bytes"
                )));
            }
            if self.ended {
                return Ok(None);
            }
            match tokio::time::timeout(self.patience, self.body.frame()).await {
                Err(_) => return Err(Failure::Partial("the server has fallen silent".into())),
                Ok(None) => self.ended = true,
                Ok(Some(Err(e))) => return Err(Failure::Partial(format!("the answer broke off: {e}"))),
                Ok(Some(Ok(frame))) => {
                    if let Ok(mut data) = frame.into_data() {
                        while data.has_remaining() {
                            let n = data.chunk().len();
                            self.buffer.extend(data.chunk());
                            data.advance(n);
                        }
                    }
                }
            }
        }
    }

    /// Whether a whole line is here already, so that nothing need be shown before it.
    pub(crate) fn has_line(&self) -> bool {
        self.buffer.contains(&b'\n')
    }
}

/// One piece of a stream of rows.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    Row(String),
    /// All rows have come.
    End(End),
}

/// What the server says of a stream that is whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    /// How many rows it sent.
    pub(crate) rows: u64,
    /// Where the last row stands, so that a question can go on behind it.
    pub(crate) cursor: Option<String>,
}

/// The next row, or the end, of a stream of rows.
pub(crate) async fn next_piece<B: Body<Data = Bytes, Error: Display> + Unpin>(
    lines: &mut Lines<B>,
) -> Result<Piece, Failure> {
    loop {
        let Some(line) = lines.next().await? else {
            return Err(Failure::Partial("the answer broke off; these are not all rows".into()));
        };
        if line.trim().is_empty() {
            continue;
        }
        // No value of a row is an object.
        if !line.starts_with("{\"end\":{") {
            return Ok(Piece::Row(line));
        }
        let value: Value =
            serde_json::from_str(&line).map_err(|e| Failure::Error(anyhow!("the end of the answer: {e}")))?;
        let problem = &value["end"]["problem"];
        let why = problem["detail"].as_str().unwrap_or("the server could not read everything");
        return match value["end"]["complete"].as_bool() {
            Some(true) => Ok(Piece::End(End {
                rows: value["end"]["rows"].as_u64().unwrap_or_default(),
                cursor: value["end"]["cursor"].as_str().map(str::to_owned),
            })),
            _ => Err(Failure::Partial(format!("these are not all rows: {why}"))),
        };
    }
}

/// One server-sent event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SentEvent {
    pub(crate) name: String,
    pub(crate) data: String,
    /// How far the reader has come with it; empty of a server that does not say.
    pub(crate) id: String,
}

/// The next server-sent event, or none at the end.
pub(crate) async fn next_event<B: Body<Data = Bytes, Error: Display> + Unpin>(
    lines: &mut Lines<B>,
) -> Result<Option<SentEvent>, Failure> {
    let mut event = SentEvent::default();
    while let Some(line) = lines.next().await? {
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() && event.data.is_empty() && event.name.is_empty() => {}
            "" if line.is_empty() => return Ok(Some(event)),
            "event" => value.clone_into(&mut event.name),
            "id" if value.len() <= ID_LIMIT => value.clone_into(&mut event.id),
            "data" if event.data.len() + value.len() > LINE_LIMIT => {
                return Err(Failure::Error(anyhow!(
                    "an event of the server is longer than {LINE_LIMIT} bytes"
                )));
            }
            "data" if event.data.is_empty() => value.clone_into(&mut event.data),
            "data" => {
                event.data.push('\n');
                event.data.push_str(value);
            }
            // Comments keep the connection alive; retry times are not used.
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    fn lines(
        chunks: &[&'static str],
    ) -> Lines<impl Body<Data = Bytes, Error = std::io::Error> + Unpin + use<>> {
        let frames: Vec<_> =
            chunks.iter().map(|c| Ok(Frame::data(Bytes::from_static(c.as_bytes())))).collect();
        Lines::new(StreamBody::new(futures::stream::iter(frames)), Duration::from_secs(5))
    }

    #[tokio::test]
    async fn rows_in_any_cut() {
        let mut lines =
            lines(&["{\"a\":1}\r\n{\"a\"", ":2}", "\n\n{\"end\":{\"rows\":2,\"complete\":true}}\n"]);
        assert_eq!(next_piece(&mut lines).await.unwrap(), Piece::Row("{\"a\":1}".into()));
        assert_eq!(next_piece(&mut lines).await.unwrap(), Piece::Row("{\"a\":2}".into()));
        assert_eq!(next_piece(&mut lines).await.unwrap(), Piece::End(End { rows: 2, cursor: None }));
    }

    #[tokio::test]
    async fn what_is_not_complete_is_partial() {
        for text in [
            "",
            "{\"end\":{\"rows\":0,\"complete\":true}}",
            "{\"end\":{\"rows\":0,\"complete\":false}}\n",
            "{\"end\":{}}\n",
            "{\"end\":{\"complete\":false,\"problem\":{\"detail\":\"disk\"}}}\n",
        ] {
            assert!(matches!(next_piece(&mut lines(&[text])).await, Err(Failure::Partial(_))), "{text}");
        }
    }

    #[tokio::test]
    async fn sent_events() {
        let mut lines = lines(&[
            ": hello\n\nid: a1\nevent: row\ndata: {\"a\":\n",
            "data: 1}\n\n",
            "event:stats\ndata:x\n\nevent: half",
        ]);
        let event = |id: &str, name: &str, data: &str| SentEvent {
            name: name.into(),
            data: data.into(),
            id: id.into(),
        };
        assert_eq!(next_event(&mut lines).await.unwrap(), Some(event("a1", "row", "{\"a\":\n1}")));
        assert_eq!(next_event(&mut lines).await.unwrap(), Some(event("", "stats", "x")));
        assert_eq!(next_event(&mut lines).await.unwrap(), None);
    }
}
