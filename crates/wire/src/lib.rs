//! The protocol between agent and server: Arrow Flight over TLS.
//!
//! ```text
//! agents' port (mTLS 1.3)   DoPut       one gRPC stream per (lane, epoch)
//!   -> descriptor, cmd = {"version":1,"lane":0,"epoch":7,"agent":"0.1.0","instance":"…","boot":"…"}
//!   <- header bartizan-spread-ms: 40000        the time in which to come back, should this server be gone
//!   <- {"committed":41}                        where to go on
//!   -> schema message, app_metadata = {"kind":"events","epoch":7,"seq":42,"weight":900,"clock":1795…,
//!                                          "waiting":{"batches":3,"bytes":70000,"oldest":1795…}}
//!   -> dictionary messages, record batch message          (the parts of the IPC stream in the spool)
//!   <- {"committed":42}                        when it is in the lake, not before
//!   <- {"refused":{"seq":43,"permanent":true,"reason":"..."}}   and the stream ends
//!   <- {"configuration":{"parts":[{"version":7,"target":"*","text":"..."}]}}   to who says `configured` in the first word
//!                           DoAction    renew
//! front port (TLS)          DoAction    enrol
//! ```
//!
//! Invariants:
//! - **WI-1** an acknowledgement says what [`Sink::committed`] says, nothing earlier.
//! - **WI-2** whose rows they are comes from the client's certificate, never from a message; one that says whose it is,
//!   is refused.
//! - **WI-3** a refusal ends the stream, so that no later mark can cover a refused batch: the sender
//!   puts it aside, counts it, and opens the stream again behind it. Nothing is acknowledged silently.
//! - **WI-4** nothing is decoded before its declared sizes were summed and found within [`Limits`]; a batch
//!   that declares little and unpacks to much is cut off where it lies.
//! - **WI-5** only columns of the wire schema pass, with their exact types, validated by arrow.
//! - **WI-6** one process of a host speaks at a time: [`Admission::claim`] decides which, before anything is taken.
//! - **WI-7** whatever is refused of a host is told to [`Admission::refused`], which counts it.
//! - **WI-8** a configuration is offered, not ordered: the agent says with the next stream what it made of it.
//! - **WI-9** a fleet that loses its server does not come back as one: [`Reconnect`].
//!
//! On failure: a lost connection loses nothing, whatever was not acknowledged is sent again after
//! [`Reconnect::pause`]; [`WireError::kind`] says what the sender should do.
//!
//! What it does not do: it keeps no state between connections, and it reads no clock of day.

mod backoff;
mod batch;
mod client;
mod decode;
mod dialogue;
mod encode;
mod error;
mod gate;
mod grpc;
mod guarded;
mod listen;
mod message;
mod offence;
mod offer;
mod pack;
mod server;
mod write;

pub use backoff::{Backoff, Reconnect, spread_of};
pub use batch::{Message, messages};
pub use client::{Ack, Client, ClientSettings, Endpoint, PutAcks, PutSender};
pub use decode::{DecodeError, Limits, declared_bytes, decode, decode_collected};
pub use encode::{Compression, EncodeError, Encoder, encode, split};
pub use error::{ErrorKind, Refusal, RefusalKind, WireError};
pub use gate::Arrivals;
pub use listen::{Connection, ListenSettings, Peer, serve};
pub use message::{Enrolled, Enrolment, OLDEST_PROTOCOL, PROTOCOL_VERSION, Speaker, Told, Waiting};
pub use offence::Offence;
pub use offer::{Configured, NotTaken, Offer, Part};
pub use server::{Admission, Claim, Front, IncomingBatch, Sink, agent_service, front_service};
