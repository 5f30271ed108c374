//! gRPC's framing of one stream of batches, with no buffer that outlives a message.
//!
//! ```text
//! 0 | u32 length, big endian | message        ... and in the end trailers: grpc-status, grpc-message
//! ```
//! Thousands of streams are open and silent most of the time. A library's buffers of a stream are there as long as it
//! is, and as large as its largest message; these here are gone with the message.

use arrow_flight::{FlightData, PutResult};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};
use http_body::{Body as _, Frame};
use prost::Message as _;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::sync::mpsc;
use tonic::{Status, body::Body};

use crate::message::SPREAD_HEADER;

/// Before each message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// What a sender sends.
pub(crate) struct Inbound {
    body: Body,
    /// What came behind the message before.
    rest: Bytes,
    limit: usize,
}

impl Inbound {
    /// Messages of at most so many bytes.
    pub(crate) const fn new(body: Body, limit: usize) -> Self {
        Self { body, rest: Bytes::new(), limit }
    }

    /// The next message; `None` when the sender is done.
    pub(crate) async fn message(&mut self) -> Result<Option<FlightData>, Status> {
        let Some(mut head) = self.take(HEAD).await? else { return Ok(None) };
        if head.get_u8() != 0 {
            return Err(Status::unimplemented("compressed messages are not taken"));
        }
        let length = head.get_u32() as usize;
        if length > self.limit {
            return Err(Status::out_of_range(format!("{length} bytes, the limit is {}", self.limit)));
        }
        let message = self.take(length).await?.ok_or_else(cut_off)?;
        FlightData::decode(message).map(Some).map_err(|error| Status::internal(error.to_string()))
    }

    /// So many bytes; `None` at the end of the stream.
    async fn take(&mut self, length: usize) -> Result<Option<Bytes>, Status> {
        if self.rest.len() >= length {
            return Ok(Some(self.rest_to(length)));
        }
        // It grows as they come: what was only announced takes no memory.
        let mut gathered = BytesMut::new();
        loop {
            let missing = length - gathered.len();
            gathered.extend_from_slice(&self.rest_to(missing.min(self.rest.len())));
            if gathered.len() == length {
                return Ok(Some(gathered.freeze()));
            }
            match self.piece().await? {
                Some(piece) => self.rest = piece,
                None if gathered.is_empty() => return Ok(None),
                None => return Err(cut_off()),
            }
        }
    }

    fn rest_to(&mut self, length: usize) -> Bytes {
        let taken = self.rest.split_to(length);
        if self.rest.is_empty() {
            // An empty part of a piece would keep all of it.
            self.rest = Bytes::new();
        }
        taken
    }

    /// The next bytes, whatever they belong to.
    async fn piece(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            match std::future::poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await {
                None => return Ok(None),
                Some(Err(_)) => return Err(Status::cancelled("the sender left")),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) if piece.is_empty() => {}
                    Ok(piece) => return Ok(Some(piece)),
                    Err(_trailers) => {}
                },
            }
        }
    }
}

fn cut_off() -> Status {
    Status::cancelled("the sender left in the middle of a message")
}

/// What the server says, or why it says no more.
pub(crate) type Answer = Result<PutResult, Status>;

/// The answers of a stream, then how it ended.
struct Outbound(Option<mpsc::Receiver<Answer>>);

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(answers) = &mut self.0 else { return Poll::Ready(None) };
        let frame = match ready!(answers.poll_recv(cx)) {
            Some(Ok(answer)) => Frame::data(framed(&answer)),
            Some(Err(status)) => self.end(&status),
            None => self.end(&Status::ok("")),
        };
        Poll::Ready(Some(Ok(frame)))
    }
}

impl Outbound {
    fn end(&mut self, status: &Status) -> Frame<Bytes> {
        self.0 = None;
        let mut trailers = HeaderMap::new();
        if let Err(unsaid) = status.add_header(&mut trailers) {
            tracing::debug!(error = %unsaid, "a status cannot be said");
        }
        Frame::trailers(trailers)
    }
}

fn framed(answer: &PutResult) -> Bytes {
    let length = answer.encoded_len();
    let mut frame = BytesMut::with_capacity(HEAD + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("an answer is some words"));
    answer.encode(&mut frame).expect("there is room");
    frame.freeze()
}

/// The answer to a stream that begins.
pub(crate) fn response(answers: mpsc::Receiver<Answer>, spread: Duration) -> Response<Body> {
    let mut response = Response::new(Body::new(Outbound(Some(answers))));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let millis = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
    headers.insert(SPREAD_HEADER, HeaderValue::from(millis));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use proptest::prelude::*;

    /// A body that comes in these pieces.
    struct Pieces(Vec<Bytes>);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(if self.0.is_empty() { None } else { Some(Ok(Frame::data(self.0.remove(0)))) })
        }
    }

    fn inbound(bytes: &[u8], cuts: &[usize], limit: usize) -> Inbound {
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        ends.extend([0, bytes.len()]);
        ends.sort_unstable();
        let pieces = ends.windows(2).map(|ends| Bytes::copy_from_slice(&bytes[ends[0]..ends[1]]));
        Inbound::new(Body::new(Pieces(pieces.collect())), limit)
    }

    fn message(inbound: &mut Inbound) -> Result<Option<FlightData>, Status> {
        inbound.message().now_or_never().expect("nothing waits")
    }

    fn of(size: usize) -> FlightData {
        FlightData { data_body: vec![7; size].into(), ..FlightData::default() }
    }

    fn stream(sizes: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for size in sizes {
            let message = of(*size).encode_to_vec();
            bytes.push(0);
            bytes.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
            bytes.extend(message);
        }
        bytes
    }

    proptest! {
        #[test]
        fn messages_are_the_same_wherever_they_are_cut(
            sizes in proptest::collection::vec(0..300_usize, 0..6),
            cuts in proptest::collection::vec(any::<usize>(), 0..20),
        ) {
            let mut inbound = inbound(&stream(&sizes), &cuts, 1000);
            for size in sizes {
                prop_assert_eq!(message(&mut inbound).unwrap(), Some(of(size)));
            }
            prop_assert_eq!(message(&mut inbound).unwrap(), None);
            prop_assert_eq!(inbound.rest.len(), 0);
        }

        #[test]
        fn any_bytes_are_messages_or_an_error(bytes: Vec<u8>, cuts: Vec<usize>) {
            let mut inbound = inbound(&bytes, &cuts, 100);
            while let Ok(Some(_)) = message(&mut inbound) {}
        }
    }

    #[test]
    fn what_is_cut_off_too_long_or_compressed_is_an_error() {
        let whole = stream(&[10]);
        let code = |bytes: &[u8], limit| message(&mut inbound(bytes, &[3], limit)).map_err(|s| s.code());
        assert_eq!(code(&whole, 100), Ok(Some(of(10))));
        assert_eq!(code(&whole[..whole.len() - 1], 100), Err(tonic::Code::Cancelled));
        assert_eq!(code(&whole[..3], 100), Err(tonic::Code::Cancelled));
        assert_eq!(code(&whole, 5), Err(tonic::Code::OutOfRange));
        assert_eq!(code(&[1, 0, 0, 0, 0], 100), Err(tonic::Code::Unimplemented));
        assert_eq!(code(&[0, 0, 0, 0, 1, 0xff], 100), Err(tonic::Code::Internal));
    }
}
