//! The sender: one connection to the server, one stream a lane, everything resent that was not acknowledged.
//!
//! A batch that the server refuses for good must neither stop its lane nor vanish: its place in the stream is
//! taken by a batch of losses that says how many events it held ([`Lanes::refuse`]), and a copy is put aside.

use crate::board::Board;
use crate::central::Central;
use crate::identity::{AGENT_PORT, Identity};
use crate::recorder::Shared;
use anyhow::Context as _;
use bartizan_model::{Epoch, IN_FLIGHT, Lane, Micros, Seq};
use bartizan_pki::CertInfo;
use bartizan_wire::{
    Ack, Client, ClientSettings, Configured, Endpoint, ErrorKind, PutAcks, PutSender, Reconnect, Speaker,
    Told, WireError,
};
use rand::Rng as _;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bytes of one lane that may be on their way.
const IN_FLIGHT_BYTES: usize = 8 << 20;
/// Between attempts to renew a certificate that is still good: a part of its life, within these.
const RENEWAL_PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(6 * 3600));
/// A clock that is off by more is worth a word.
const CLOCK_OFF: i64 = 60_000_000;
/// A look at the lanes even without news: nothing waits for ever, whatever wake-up was lost (fault F14).
const LOOK: Duration = Duration::from_millis(500);

/// Sends for ever.
pub(crate) struct Sender {
    pub(crate) shared: Shared,
    pub(crate) identity: Identity,
    /// The server as configured; otherwise as enrolment told. It may change.
    pub(crate) server: watch::Receiver<Option<String>>,
    pub(crate) board: Board,
    /// What the server says of the configuration, and what became of it.
    pub(crate) central: Central,
    /// When the certificate was last renewed, by a clock that nobody sets.
    pub(crate) renewed: Option<Instant>,
}

impl Sender {
    /// Connects, sends until the connection is lost, pauses, and again.
    pub(crate) async fn run(mut self) {
        let mut reconnect = Reconnect::default();
        // Whether the server wants the certificate renewed, whatever our clock says.
        let mut over = false;
        loop {
            let mut met = None;
            let error = match self.session(&mut met, over).await {
                Ok(()) => {
                    self.board.disconnected(None);
                    reconnect.reset();
                    over = false;
                    continue;
                }
                Err(error) => error,
            };
            self.board.disconnected(Some(format!("{error:#}")));
            let kind = error.downcast_ref::<WireError>().map(WireError::kind);
            over = kind == Some(ErrorKind::Expired);
            let met = met.map(|(since, client): (Instant, Client)| (since.elapsed(), client.spread()));
            let pause = reconnect.pause(kind, met, &mut rand::rng());
            match kind {
                Some(ErrorKind::Denied | ErrorKind::OtherFleet) => tracing::error!(
                    error = format!("{error:#}"),
                    "the server does not take this host; rows are kept"
                ),
                _ => tracing::warn!(error = format!("{error:#}"), ?pause, "not connected; rows are kept"),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // another server may be there
                Ok(()) = self.server.changed() => reconnect.reset(),
            }
        }
    }

    /// One connection; ends well when it has to be made anew with a new certificate. Tells which there was, and since
    /// when.
    async fn session(&mut self, met: &mut Option<(Instant, Client)>, over: bool) -> anyhow::Result<()> {
        let (tls, info) = self.identity.tls()?;
        let configured = self.server.borrow_and_update().clone();
        let server = match configured {
            Some(server) => server,
            None => self.identity.server()?,
        };
        let endpoint = Endpoint::parse(&server, AGENT_PORT).map_err(anyhow::Error::msg)?;
        let client = Client::connect(&endpoint, &tls, ClientSettings::default()).await?;
        // Where this machine's clock is far ahead every certificate seems old; the server's word counts, and rows go on.
        let rest = pause_of(&info).saturating_sub(self.renewed.map_or(Duration::MAX, |at| at.elapsed()));
        let mut renewal =
            Identity::renewal(&info, rand::rng().random()).max(later(bartizan_clock::now(), rest));
        if over || (rest.is_zero() && info.not_after <= bartizan_clock::now()) {
            // Nothing else is heard of a host whose certificate is over, and this it may ask at any time.
            if over && info.not_after > bartizan_clock::now() {
                tracing::warn!(
                    "the server says that this host's certificate is over, this host's clock that it is not"
                );
            }
            self.renew(&client).await?;
            return Ok(());
        }
        tracing::info!(server, host = info.name, "connected");
        *met = Some((Instant::now(), client.clone()));
        self.board.connected(&server, &info.name, info.not_after);
        self.shared.lanes().connected(Instant::now());
        let mut lanes = JoinSet::new();
        for lane in Lane::DISK.into_iter().chain([Lane::MEMORY]) {
            let speaker = self.identity.speaker().clone();
            let central = self.central.clone();
            lanes.spawn(send_lane(self.shared.clone(), client.clone(), lane, speaker, central));
        }
        loop {
            let wait = Duration::from_micros(u64::try_from(renewal.0 - bartizan_clock::now().0).unwrap_or(0));
            tokio::select! {
                () = tokio::time::sleep(wait.min(Duration::from_secs(60))) => {}
                Ok(()) = self.server.changed() => {
                    tracing::info!("another server is configured");
                    return Ok(());
                }
                ended = lanes.join_next() => match ended {
                    Some(Ok(Err(error))) => return Err(error),
                    Some(Err(panic)) => return Err(panic).context("a lane's sender ended"),
                    Some(Ok(Ok(()))) | None => return Ok(()),
                },
            }
            let now = bartizan_clock::now();
            if now >= renewal {
                match self.renew(&client).await {
                    Ok(()) => return Ok(()),
                    // It is good for a while yet, and rows go on meanwhile.
                    Err(error) => {
                        let pause = pause_of(&info).mul_f64(rand::rng().random_range(0.75..1.25));
                        tracing::warn!(
                            error = format!("{error:#}"),
                            ?pause,
                            "cannot renew the certificate yet"
                        );
                        renewal = later(now, pause);
                    }
                }
            }
        }
    }

    /// Asks for a new certificate, and says so if the two clocks differ.
    async fn renew(&mut self, client: &Client) -> anyhow::Result<()> {
        let server_time = self.identity.renew(client).await.context("cannot renew the certificate")?;
        self.renewed = Some(Instant::now());
        tracing::info!("certificate renewed");
        let ahead = bartizan_clock::now().0.saturating_sub(server_time.0);
        if ahead.saturating_abs() > CLOCK_OFF {
            let (seconds, which) =
                (ahead.saturating_abs() / 1_000_000, if ahead > 0 { "ahead of" } else { "behind" });
            tracing::warn!(
                "this machine's clock is {seconds} seconds {which} the server's; one of the two is wrong"
            );
        }
        Ok(())
    }
}

/// Between two attempts to renew a certificate: a part of its life, which is six hours of a week.
fn pause_of(info: &CertInfo) -> Duration {
    let life = info.not_after.0.saturating_sub(info.not_before.0);
    let part = Duration::from_micros(u64::try_from(life / 28).unwrap_or(0));
    part.clamp(RENEWAL_PAUSES.0, RENEWAL_PAUSES.1)
}

fn later(now: Micros, pause: Duration) -> Micros {
    Micros(now.0.saturating_add(i64::try_from(pause.as_micros()).unwrap_or(i64::MAX)))
}

/// Sends one lane for as long as the connection lasts.
async fn send_lane(
    shared: Shared,
    client: Client,
    lane: Lane,
    speaker: Speaker,
    central: Central,
) -> anyhow::Result<()> {
    let mut told = central.told();
    // where another stream is to go on at once, whether there is something to send or not
    let mut again = None;
    loop {
        // the epoch of the next batch says which stream it belongs to
        let first = match again.take() {
            Some(epoch) => epoch,
            None => wait_for(&shared, lane).await?,
        };
        let configured = told.borrow_and_update().clone();
        let configuring = central.is_enabled().then(|| (configured.clone(), central.offers().clone()));
        let (sender, acks, committed) = client.put_configured(lane, first, &speaker, configuring).await?;
        central.answered(&configured.versions);
        shared.lanes().acknowledge(lane, first, committed);
        let mut stream = LaneStream::new(&shared, lane, first, sender, acks);
        again = stream.run(&mut told).await?.then_some(first);
    }
}

/// Waits until a lane has something to send; tells its epoch.
async fn wait_for(shared: &Shared, lane: Lane) -> anyhow::Result<Epoch> {
    loop {
        let news = shared.news.notified();
        {
            let mut lanes = shared.lanes();
            let after = lanes.acknowledged(lane);
            if let Some(parcel) = lanes.next(lane, after, bartizan_clock::now())? {
                return Ok(parcel.epoch);
            }
        }
        drop(tokio::time::timeout(LOOK, news).await);
    }
}

/// One open stream of a lane's epoch.
struct LaneStream<'a> {
    shared: &'a Shared,
    lane: Lane,
    epoch: Epoch,
    sender: PutSender,
    acks: PutAcks,
    /// What was sent last.
    sent: Seq,
    /// Sent and not acknowledged, with their sizes.
    on_the_way: std::collections::VecDeque<(Seq, usize)>,
    bytes: usize,
}

/// What there is to send now.
enum Next {
    Sent,
    Nothing,
    OtherEpoch,
}

impl<'a> LaneStream<'a> {
    fn new(shared: &'a Shared, lane: Lane, epoch: Epoch, sender: PutSender, acks: PutAcks) -> Self {
        let sent = shared.lanes().acknowledged(lane);
        Self { shared, lane, epoch, sender, acks, sent, on_the_way: Default::default(), bytes: 0 }
    }

    /// Sends and listens until the lane goes on in another epoch, or a batch is refused; or until the server is to hear
    /// what became of a configuration, which is said when a stream is opened: true.
    async fn run(&mut self, told: &mut watch::Receiver<Configured>) -> anyhow::Result<bool> {
        loop {
            if told.has_changed().unwrap_or(false) {
                return Ok(true);
            }
            let news = self.shared.news.notified();
            let room = self.bytes < IN_FLIGHT_BYTES && (self.on_the_way.len() as u64) < IN_FLIGHT;
            if room {
                match self.send_next().await? {
                    Next::Sent => {}
                    Next::OtherEpoch if self.on_the_way.is_empty() => return Ok(false),
                    Next::OtherEpoch | Next::Nothing => {
                        tokio::select! {
                            _ = tokio::time::timeout(LOOK, news) => {}
                            Ok(()) = told.changed() => return Ok(true),
                            ack = self.acks.next() => if self.acknowledge(ack)? { return Ok(false) },
                        }
                        continue;
                    }
                }
                // what has come in the meantime, without waiting for it
                if let Some(ack) = futures::FutureExt::now_or_never(self.acks.next())
                    && self.acknowledge(ack)?
                {
                    return Ok(false);
                }
            } else {
                let ack = self.acks.next().await;
                if self.acknowledge(ack)? {
                    return Ok(false);
                }
            }
        }
    }

    async fn send_next(&mut self) -> anyhow::Result<Next> {
        let parcel = self.shared.lanes().next(self.lane, self.sent, bartizan_clock::now())?;
        let Some(parcel) = parcel else { return Ok(Next::Nothing) };
        if parcel.epoch != self.epoch {
            return Ok(Next::OtherEpoch);
        }
        let size = parcel.payload.len();
        let told = Told {
            clock: bartizan_clock::now(),
            waiting: Some(self.shared.lanes().waiting(self.lane, parcel.seq)),
        };
        match self.sender.send(parcel.kind, parcel.seq, parcel.weight, &parcel.payload.into(), told).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Refused => {
                // it cannot even be sent: the same as if the server had refused it
                self.shared.lanes().refuse(self.lane, parcel.seq, &error.to_string());
                return Ok(Next::Sent);
            }
            // the server's last word says more than that the stream has ended
            Err(error) => return Err(self.last_word().await.unwrap_or(error).into()),
        }
        self.sent = parcel.seq;
        self.on_the_way.push_back((parcel.seq, size));
        self.bytes += size;
        Ok(Next::Sent)
    }

    /// Takes the server's word; true when the stream has to be opened anew.
    fn acknowledge(&mut self, ack: Result<Option<Ack>, WireError>) -> anyhow::Result<bool> {
        match ack? {
            Some(Ack::Committed(seq)) => {
                while self.on_the_way.front().is_some_and(|(s, _)| *s <= seq) {
                    self.bytes -= self.on_the_way.pop_front().map_or(0, |(_, size)| size);
                }
                self.shared.lanes().acknowledge(self.lane, self.epoch, seq);
                Ok(false)
            }
            Some(Ack::Refused { seq, permanent: true, reason }) => {
                self.shared.lanes().refuse(self.lane, seq, &reason);
                Ok(true)
            }
            Some(Ack::Refused { reason, .. }) => Err(WireError::Retry(reason).into()),
            None => Err(WireError::Retry("the stream has ended".into()).into()),
        }
    }

    async fn last_word(&mut self) -> Option<WireError> {
        match tokio::time::timeout(Duration::from_secs(1), self.acks.next()).await {
            Ok(Err(error)) => Some(error),
            Ok(Ok(Some(Ack::Refused { seq, permanent: true, reason }))) => {
                self.shared.lanes().refuse(self.lane, seq, &reason);
                None
            }
            Ok(_) | Err(_) => None,
        }
    }
}
