//! The server's side: what it needs of its surroundings, and the two Flight services.

use crate::{
    Configured, Connection, Limits, Offence, Offer, Peer, Refusal, RefusalKind,
    dialogue::Dialogue,
    grpc::{Inbound, response},
    message::{EnrolCall, Enrolled, Enrolment, RenewCall, Speaker, Told, Versions, from_json, to_json},
};
use arrow_array::RecordBatch;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
    flight_service_server::{FlightService, FlightServiceServer},
};
use async_trait::async_trait;
use bartizan_model::{BatchId, Kind, Seq, StreamId};
use futures::{future::BoxFuture, stream::BoxStream};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc, watch};
use tonic::{Request, Response, Status, Streaming, body::Body, server::NamedService, service::Routes};
use tower::Service;

/// The call that is a stream of batches.
const DO_PUT: &str = "/arrow.flight.protocol.FlightService/DoPut";

/// A batch that passed all checks of the wire.
#[derive(Debug)]
pub struct IncomingBatch {
    /// Its name.
    pub id: BatchId,
    /// For which table.
    pub kind: Kind,
    /// Columns of the wire schema, a subset.
    pub batch: RecordBatch,
    /// Events that it stands for, as the sender counts them.
    pub weight: u64,
    /// Its size on the wire.
    pub bytes: usize,
}

/// The right of one process to send for its host, for as long as this lives.
pub struct Claim {
    /// Becomes true when another process of the host has taken over: the stream is to end.
    pub lost: watch::Receiver<bool>,
    /// Dropped when the stream has ended.
    pub held: Box<dyn std::any::Any + Send + Sync>,
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("lost", &*self.lost.borrow()).finish_non_exhaustive()
    }
}

/// Where batches go.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// The number up to which this stream is committed; the sender goes on behind it.
    async fn resume(&self, stream: StreamId) -> Result<Seq, Refusal>;
    /// Takes a batch, waiting while there is no room. One that is there already changes nothing and is well.
    /// Numbers of a stream come in order, but some may be missing.
    async fn accept(&self, peer: &Peer, batch: IncomingBatch) -> Result<(), Refusal>;
    /// Changes when marks may have moved.
    fn commits(&self) -> watch::Receiver<u64>;
    /// The number up to which this stream is committed now.
    fn committed(&self, stream: &StreamId) -> Seq;
    /// What a sender says of itself, as it has just come with a batch.
    fn told(&self, peer: &Peer, told: Told);
}

/// Who is let in.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Whether this host may send, and the name that it has now. Asked at connect and every minute while a stream is
    /// open.
    async fn admit(&self, peer: &Peer) -> Result<String, Refusal>;
    /// Whether this process may send for its host, while another one may hold the same key. Asked once a stream.
    fn claim(&self, peer: &Peer, speaker: Speaker) -> Result<Claim, Refusal>;
    /// The time in which hosts are to come back should this server be gone, as `spread_of` has it.
    fn spread(&self) -> Duration;
    /// A new host with a token.
    async fn enrol(&self, from: SocketAddr, enrolment: Enrolment) -> Result<Enrolled, Refusal>;
    /// A new certificate for the key of an enrolled host, whose old one may be over. `request` (PKCS#10, DER) must be
    /// for that key.
    async fn renew(&self, peer: &Peer, request: Vec<u8>, agent_version: String) -> Result<Enrolled, Refusal>;
    /// Something that came with a host's certificate was not taken.
    fn refused(&self, peer: &Peer, offence: Offence, why: &str);
    /// Changes when what is offered to hosts may have changed; `None` where nothing ever is.
    fn offers(&self) -> Option<watch::Receiver<u64>> {
        None
    }
    /// The configuration that counts for a host now.
    fn offer(&self, _peer: &Peer) -> Offer {
        Offer::default()
    }
    /// What a host says of it.
    fn configured(&self, _peer: &Peer, _configured: Configured) {}
}

/// The service of the agents' port: batches and renewal. Needs a [`Connection`] with a peer.
///
/// `admit_every` is for tests; it is a minute if `None`.
pub fn agent_service<S: Sink, A: Admission>(
    sink: Arc<S>,
    admission: Arc<A>,
    limits: Limits,
    admit_every: Option<Duration>,
    stop: watch::Receiver<bool>,
) -> Routes {
    let memory = Arc::new(Semaphore::new(limits.decoding_bytes / 1024));
    let agents = Arc::new(Agents { sink, admission, limits, memory, stop, admit_every });
    let others = FlightServiceServer::from_arc(Arc::clone(&agents)).max_decoding_message_size(AROUND);
    Routes::new(AgentsPort { agents, others })
}

/// Bytes around a batch in its message, and of a whole message that is no batch.
const AROUND: usize = 64 << 10;

/// What agents ask: streams of batches are read here, everything else by the library.
struct AgentsPort<S, A> {
    agents: Arc<Agents<S, A>>,
    others: FlightServiceServer<Agents<S, A>>,
}

impl<S, A> Clone for AgentsPort<S, A> {
    fn clone(&self) -> Self {
        Self { agents: Arc::clone(&self.agents), others: self.others.clone() }
    }
}

impl<S, A> NamedService for AgentsPort<S, A> {
    const NAME: &'static str = "arrow.flight.protocol.FlightService";
}

impl<S: Sink, A: Admission> Service<http::Request<Body>> for AgentsPort<S, A> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != DO_PUT {
            return self.others.call(request);
        }
        let agents = Arc::clone(&self.agents);
        Box::pin(async move { Ok(put(&agents, request).await.unwrap_or_else(Status::into_http)) })
    }
}

/// What hosts ask of the front port: enrolment, an action. One port has one Flight service, so whoever serves Flight
/// there hands on what is not for itself.
pub const fn front_service<A: Admission>(admission: Arc<A>) -> Front<A> {
    Front { admission }
}

struct Agents<S, A> {
    sink: Arc<S>,
    admission: Arc<A>,
    limits: Limits,
    memory: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
    admit_every: Option<Duration>,
}

/// Answers hosts that join.
pub struct Front<A> {
    admission: Arc<A>,
}

impl<A> std::fmt::Debug for Front<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").finish_non_exhaustive()
    }
}

fn connection(about: &http::Extensions) -> Result<Connection, Status> {
    about.get().cloned().ok_or_else(|| Status::internal("no connection is known"))
}

fn peer(about: &http::Extensions) -> Result<Peer, Status> {
    connection(about)?.peer.ok_or_else(|| Status::permission_denied("a client certificate is needed"))
}

fn one<T: Send + 'static>(item: T) -> BoxStream<'static, Result<T, Status>> {
    Box::pin(futures::stream::once(std::future::ready(Ok(item))))
}

fn request_der(theirs: Versions, base64: &str) -> Result<Vec<u8>, Status> {
    theirs.common(Versions::OURS).map_err(|why| Refusal::permanent(why).status())?;
    data_encoding::BASE64
        .decode(base64.as_bytes())
        .map_err(|_| Refusal::permanent("the certificate request cannot be read").status())
}

async fn put<S: Sink, A: Admission>(
    agents: &Agents<S, A>,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, Status> {
    let peer = peer(request.extensions())?;
    let name = agents.admission.admit(&peer).await.map_err(|refusal| {
        if refusal.kind != RefusalKind::Retry {
            agents.admission.refused(&peer, Offence::Standing, &refusal.reason);
        }
        refusal.status()
    })?;
    // The label is the server's to give; the certificate has the one of its day.
    let peer = Peer { name, ..peer };
    let (out, answers) = mpsc::channel(8);
    let dialogue = Dialogue {
        sink: Arc::clone(&agents.sink),
        admission: Arc::clone(&agents.admission),
        peer,
        limits: agents.limits,
        memory: Arc::clone(&agents.memory),
        stop: agents.stop.clone(),
        admit_every: agents.admit_every,
    };
    let inbound = Inbound::new(request.into_body(), agents.limits.message_bytes + AROUND);
    tokio::spawn(dialogue.run(inbound, out));
    Ok(response(answers, agents.admission.spread()))
}

async fn renew<S: Sink, A: Admission>(
    agents: &Agents<S, A>,
    request: Request<Action>,
) -> Result<Enrolled, Status> {
    let peer = peer(request.extensions())?;
    let action = request.into_inner();
    if action.r#type != "renew" {
        return Err(Status::unimplemented("this port knows only the action `renew`"));
    }
    let call: RenewCall =
        from_json("the request", &action.body).map_err(|e| Refusal::permanent(e).status())?;
    let request = request_der(Versions { newest: call.version, oldest: call.oldest }, &call.request)?;
    let agent = crate::error::printable(&call.agent).chars().take(64).collect();
    agents.admission.renew(&peer, request, agent).await.map_err(|r| r.status())
}

async fn enrol<A: Admission>(front: &Front<A>, request: Request<Action>) -> Result<Enrolled, Status> {
    let from = connection(request.extensions())?.address;
    let action = request.into_inner();
    if action.r#type != "enrol" {
        return Err(Status::unimplemented("this port knows only the action `enrol`"));
    }
    let call: EnrolCall =
        from_json("the request", &action.body).map_err(|e| Refusal::permanent(e).status())?;
    let request = request_der(Versions { newest: call.version, oldest: call.oldest }, &call.request)?;
    let token =
        bartizan_pki::Secret::parse(&call.token).map_err(|e| Refusal::denied(e.to_string()).status())?.hash();
    let enrolment =
        Enrolment { token, request, name: call.name, agent_version: call.agent, replace: call.replace };
    front.admission.enrol(from, enrolment).await.map_err(|r| r.status())
}

fn answer(enrolled: &Enrolled) -> Response<BoxStream<'static, Result<arrow_flight::Result, Status>>> {
    Response::new(one(arrow_flight::Result { body: to_json(enrolled) }))
}

/// A Flight service of which only some calls exist.
macro_rules! flight_service {
    ($(<$($param:ident: $bound:ident),+>)? for $service:ty, action: |$act_self:ident, $act:ident| $do_action:expr) => {
        #[async_trait]
        impl<$($($param: $bound),+)?> FlightService for $service {
            type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
            type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
            type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
            type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
            type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
            type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
            type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;

            async fn do_action(&self, $act: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
                let $act_self = self;
                $do_action
            }

            async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
                Err(not_here())
            }
            async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Result<Response<Self::HandshakeStream>, Status> {
                Err(not_here())
            }
            async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
                Err(not_here())
            }
            async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
                Err(not_here())
            }
            async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
                Err(not_here())
            }
            async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
                Err(not_here())
            }
            async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
                Err(not_here())
            }
            async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
                Err(not_here())
            }
            async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
                Err(not_here())
            }
        }
    };
}

fn not_here() -> Status {
    Status::unimplemented("this port does not offer that")
}

flight_service!(<S: Sink, A: Admission> for Agents<S, A>,
    action: |service, request| renew(service, request).await.map(|e| answer(&e)));

flight_service!(<A: Admission> for Front<A>,
    action: |service, request| enrol(service, request).await.map(|e| answer(&e)));
