//! The agent's side.

use crate::{
    Configured, Limits, Offer, WireError,
    batch::messages,
    error::printable,
    message::{
        BatchMeta, EnrolCall, Enrolled, Hello, RenewCall, Reply, SPREAD_HEADER, Speaker, Told, Versions,
        from_json, to_json,
    },
};
use arrow_flight::{
    Action, FlightData, FlightDescriptor, PutResult, flight_service_client::FlightServiceClient,
};
use bartizan_model::{Epoch, Kind, Lane, Seq};
use bartizan_pki::{HostKey, PkiError, Secret, TlsFault};
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use std::{
    fmt, io,
    pin::Pin,
    str::FromStr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpSocket, TcpStream},
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming, transport::Channel};

/// Where a server is: `host:port`, `[::1]:port`, or without the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// DNS name or address, without brackets. The server's certificate must be for it.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// Reads `host`, `host:port`, `address`, `[v6]:port`.
    ///
    /// # Errors
    /// In words, if it is none of them.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, String> {
        let text = text.trim();
        let whole = |host: &str| Self { host: host.to_owned(), port: default_port };
        let made = if let Some(rest) = text.strip_prefix('[') {
            let (host, port) = rest.split_once(']').ok_or_else(|| format!("`{text}`: `]` is missing"))?;
            match port.strip_prefix(':') {
                Some(port) => Self { port: number(text, port)?, ..whole(host) },
                None if port.is_empty() => whole(host),
                None => return Err(format!("`{text}`: after `]` only a port can follow")),
            }
        } else if std::net::Ipv6Addr::from_str(text).is_ok() {
            whole(text)
        } else if let Some((host, port)) = text.rsplit_once(':') {
            Self { port: number(text, port)?, ..whole(host) }
        } else {
            whole(text)
        };
        match ServerName::try_from(made.host.as_str()) {
            Ok(_) => Ok(made),
            Err(_) => Err(format!("`{text}` is no host name or address")),
        }
    }
}

fn number(text: &str, port: &str) -> Result<u16, String> {
    port.parse().ok().filter(|p| *p > 0).ok_or_else(|| format!("`{text}`: `{port}` is no port"))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Times and limits of a client.
#[derive(Clone, Copy, Debug)]
pub struct ClientSettings {
    /// For TCP, TLS and the first answer, each.
    pub connect_timeout: Duration,
    /// Between pings, also while nothing is sent.
    pub ping_interval: Duration,
    /// For the answer to a ping; then the connection counts as lost.
    pub ping_timeout: Duration,
    /// As the server's: what is above is not sent.
    pub limits: Limits,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }
}

/// One connection to a server. When it is lost, every call fails, and a new client is made after a pause.
#[derive(Clone)]
pub struct Client {
    flight: FlightServiceClient<Channel>,
    endpoint: Endpoint,
    settings: ClientSettings,
    fault: Fault,
    spread: Arc<OnceLock<Duration>>,
}

/// The TLS error that ended the connection. A server that does not take our certificate says so only
/// after our side of a TLS 1.3 handshake is done, in the middle of whatever call comes first.
type Fault = Arc<OnceLock<TlsFault>>;

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.endpoint)
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// If nobody answers, or without trust. That the server does not trust *us* shows with the first call.
    pub async fn connect(
        endpoint: &Endpoint,
        tls: &rustls::ClientConfig,
        settings: ClientSettings,
    ) -> Result<Self, WireError> {
        let address = endpoint.to_string();
        let unreachable = |source| WireError::Unreachable { address: address.clone(), source };
        let tcp = timeout(settings.connect_timeout, dial(endpoint))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(unreachable)?;
        let mut config = tls.clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(endpoint.host.clone())
            .map_err(|e| unreachable(io::Error::new(io::ErrorKind::InvalidInput, e)))?;
        let stream =
            timeout(settings.connect_timeout, TlsConnector::from(Arc::new(config)).connect(name, tcp))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                .map_err(|source| match tls_fault(&source) {
                    Some(source) => WireError::Tls { address: address.clone(), source },
                    None => unreachable(source),
                })?;
        let fault = Fault::default();
        let watched = Watched { inner: stream, fault: Arc::clone(&fault) };
        let channel = channel(watched, settings).await.map_err(|why| WireError::Retry(printable(&why)))?;
        let flight = FlightServiceClient::new(channel)
            .max_decoding_message_size(1 << 20)
            .max_encoding_message_size(settings.limits.message_bytes + (64 << 10));
        Ok(Self { flight, endpoint: endpoint.clone(), settings, fault, spread: Arc::default() })
    }

    /// The time in which the server wants its hosts to come back should it be gone; it says so with the first stream.
    #[must_use]
    pub fn spread(&self) -> Option<Duration> {
        self.spread.get().copied()
    }

    /// Asks to be let into the fleet. The connection must be one of `bartizan_pki::enrol_client`, so that
    /// the secret is shown to the right server only.
    ///
    /// # Errors
    /// If the token is not good any more, the name is taken, or the server is not reached.
    pub async fn enrol(
        &self,
        token: &Secret,
        key: &HostKey,
        name: &str,
        agent_version: &str,
        replace: bool,
    ) -> Result<Enrolled, WireError> {
        let call = EnrolCall {
            version: Versions::OURS.newest,
            oldest: Versions::OURS.oldest,
            token: token.reveal(),
            request: request_of(key)?,
            name: name.to_owned(),
            agent: agent_version.to_owned(),
            replace,
        };
        self.action("enrol", to_json(&call)).await
    }

    /// Asks for a new certificate for the same key.
    ///
    /// # Errors
    /// If the host is revoked, or the server is not reached.
    pub async fn renew(&self, key: &HostKey, agent_version: &str) -> Result<Enrolled, WireError> {
        let call = RenewCall {
            version: Versions::OURS.newest,
            oldest: Versions::OURS.oldest,
            request: request_of(key)?,
            agent: agent_version.to_owned(),
        };
        self.action("renew", to_json(&call)).await
    }

    /// Opens a stream of batches; the number up to which the server has them comes back with it.
    ///
    /// # Errors
    /// If the host is not let in, or the server is not reached.
    pub async fn put(
        &self,
        lane: Lane,
        epoch: Epoch,
        speaker: &Speaker,
    ) -> Result<(PutSender, PutAcks, Seq), WireError> {
        self.put_configured(lane, epoch, speaker, None).await
    }

    /// The same, of an agent that takes its configuration from the server, too: what it has of it is said, and what it
    /// is offered on the stream goes where it says.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub async fn put_configured(
        &self,
        lane: Lane,
        epoch: Epoch,
        speaker: &Speaker,
        configuring: Option<(Configured, watch::Sender<Option<Offer>>)>,
    ) -> Result<(PutSender, PutAcks, Seq), WireError> {
        let (configured, offers) = configuring.unzip();
        // A few messages: whatever is in here is sent again after a lost connection anyhow.
        let (sender, outbound) = mpsc::channel(4);
        let hello = FlightDescriptor::new_cmd(to_json(&Hello::new(lane, epoch, speaker, configured)));
        let hello = FlightData { flight_descriptor: Some(hello), ..FlightData::default() };
        sender.send(hello).await.map_err(|_| self.lost())?;
        let mut flight = self.flight.clone();
        let opening = async {
            let answer = flight.do_put(ReceiverStream::new(outbound)).await?;
            let spread = answer.metadata().get(SPREAD_HEADER).and_then(|ms| ms.to_str().ok()?.parse().ok());
            if let Some(millis) = spread {
                // Of several streams the first word counts.
                let _ = self.spread.set(Duration::from_millis(millis));
            }
            let mut acks = PutAcks { answers: answer.into_inner(), client: self.clone(), offers };
            Ok::<_, tonic::Status>((acks.answers.message().await?, acks))
        };
        let (first, acks) = timeout(self.settings.connect_timeout, opening)
            .await
            .map_err(|_| self.lost())?
            .map_err(|status| self.error(&status))?;
        match first.map(|f| read_reply(&f)).transpose()? {
            Some(Word::Ack(Ack::Committed(seq))) => {
                let sender = PutSender { sender, epoch, client: self.clone() };
                Ok((sender, acks, seq))
            }
            Some(Word::Ack(Ack::Refused { reason, .. })) => Err(WireError::Refused(reason)),
            Some(Word::Offer(_)) => Err(WireError::Protocol("a configuration before anything else".into())),
            None => Err(self.lost()),
        }
    }

    async fn action(&self, name: &str, body: Bytes) -> Result<Enrolled, WireError> {
        let action = Action { r#type: name.to_owned(), body };
        let mut flight = self.flight.clone();
        let calling = async {
            let mut answers = flight.do_action(Request::new(action)).await?.into_inner();
            answers.message().await
        };
        let answer = timeout(self.settings.connect_timeout, calling)
            .await
            .map_err(|_| self.lost())?
            .map_err(|status| self.error(&status))?
            .ok_or_else(|| WireError::Protocol("nothing".into()))?;
        from_json("the certificate", &answer.body).map_err(WireError::Protocol)
    }

    fn error(&self, status: &tonic::Status) -> WireError {
        match self.fault.get() {
            Some(fault) => WireError::Tls { address: self.endpoint.to_string(), source: fault.clone() },
            None => WireError::of_status(status),
        }
    }

    fn lost(&self) -> WireError {
        self.error(&tonic::Status::unavailable("the connection was lost"))
    }
}

fn request_of(key: &HostKey) -> Result<String, WireError> {
    let request = key.request().map_err(|e: PkiError| WireError::Refused(e.to_string()))?;
    Ok(data_encoding::BASE64.encode(&request))
}

/// The sending half of a stream. Dropped, it tells the server that nothing more comes.
#[derive(Debug)]
pub struct PutSender {
    sender: mpsc::Sender<FlightData>,
    epoch: Epoch,
    client: Client,
}

impl PutSender {
    /// Sends a batch as `encode` made it; waits while the connection is full. Of the sender's clock the server knows
    /// how far it is off.
    ///
    /// # Errors
    /// If it is above the limits (then nothing was sent: split it), no IPC stream, or the stream has ended:
    /// [`PutAcks::next`] says why.
    pub async fn send(
        &self,
        kind: Kind,
        seq: Seq,
        weight: u64,
        ipc: &Bytes,
        told: impl Into<Told>,
    ) -> Result<(), WireError> {
        let limits = self.client.settings.limits;
        let parts = messages(ipc)?;
        let sizes = || parts.iter().map(|m| m.header.len() + m.body.len());
        let largest = sizes().max().unwrap_or(0);
        if largest > limits.message_bytes {
            return Err(WireError::TooLarge { bytes: largest, limit: limits.message_bytes });
        }
        if sizes().sum::<usize>() > limits.batch_bytes {
            return Err(WireError::TooLarge { bytes: sizes().sum(), limit: limits.batch_bytes });
        }
        let Told { clock, waiting } = told.into();
        let mut meta =
            to_json(&BatchMeta { kind, epoch: self.epoch, seq, weight, clock: Some(clock), waiting });
        for part in parts {
            let data = FlightData { app_metadata: std::mem::take(&mut meta), ..part.into() };
            self.sender.send(data).await.map_err(|_| self.client.lost())?;
        }
        Ok(())
    }
}

/// What the server says of what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ack {
    /// Everything up to this number is in the lake.
    Committed(Seq),
    /// This one was not taken, and the stream ends with it.
    Refused {
        /// Which.
        seq: Seq,
        /// Whether it will never be taken. If not, send it again later.
        permanent: bool,
        /// In words.
        reason: String,
    },
}

/// The receiving half of a stream.
#[derive(Debug)]
pub struct PutAcks {
    answers: Streaming<PutResult>,
    client: Client,
    /// Where offers go: only the latest matters.
    offers: Option<watch::Sender<Option<Offer>>>,
}

impl PutAcks {
    /// The next word of the server; `None` after a refusal, or when all that was sent is committed and the
    /// sender was dropped.
    ///
    /// # Errors
    /// If the connection was lost, or the host is not let in any more.
    pub async fn next(&mut self) -> Result<Option<Ack>, WireError> {
        loop {
            let answer = self.answers.message().await.map_err(|status| self.client.error(&status))?;
            match answer.map(|a| read_reply(&a)).transpose()? {
                None => return Ok(None),
                Some(Word::Ack(ack)) => return Ok(Some(ack)),
                Some(Word::Offer(offer)) => {
                    if let Some(offers) = &self.offers {
                        offers.send_replace(Some(offer));
                    }
                }
            }
        }
    }
}

/// What the server says on a stream.
enum Word {
    Ack(Ack),
    Offer(Offer),
}

fn read_reply(answer: &PutResult) -> Result<Word, WireError> {
    Ok(match from_json("an answer", &answer.app_metadata).map_err(WireError::Protocol)? {
        Reply::Committed(seq) => Word::Ack(Ack::Committed(seq)),
        Reply::Refused { seq, permanent, reason } => {
            Word::Ack(Ack::Refused { seq, permanent, reason: printable(&reason) })
        }
        Reply::Configuration(offer) => Word::Offer(offer),
    })
}

async fn dial(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await? {
        let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
        socket.set_keepalive(true)?;
        socket.set_nodelay(true)?;
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A channel over this one connection and no other: connecting anew is the caller's, with its pauses.
async fn channel(stream: Watched, settings: ClientSettings) -> Result<Channel, String> {
    let stream = Arc::new(Mutex::new(Some(stream)));
    let connector = tower::service_fn(move |_: http::Uri| {
        let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        std::future::ready(
            stream.map(TokioIo::new).ok_or_else(|| io::Error::other("the connection was lost")),
        )
    });
    tonic::transport::Endpoint::from_static("http://bartizan")
        .connect_timeout(settings.connect_timeout)
        .http2_keep_alive_interval(settings.ping_interval)
        .keep_alive_timeout(settings.ping_timeout)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1 << 20)
        .connect_with_connector(connector)
        .await
        .map_err(|e| e.to_string())
}

fn tls_fault(error: &io::Error) -> Option<TlsFault> {
    error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()).map(TlsFault::of)
}

/// Remembers the TLS error that ends the connection, which the layers above turn into text.
struct Watched {
    inner: TlsStream<TcpStream>,
    fault: Fault,
}

impl Watched {
    fn note<T>(&self, polled: &Poll<io::Result<T>>) {
        if let Poll::Ready(Err(error)) = polled
            && let Some(fault) = tls_fault(error)
        {
            drop(self.fault.set(fault)); // the first one is the cause
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.note(&polled);
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.note(&polled);
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.note(&polled);
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
