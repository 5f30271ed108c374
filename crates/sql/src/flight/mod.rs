//! Flight SQL: the same questions, for programs that speak it (ADBC, JDBC).
//!
//! ```text
//! GetFlightInfo  statement or prepared statement -> columns, and a ticket; what the server says of itself
//! GetSchema      the columns alone
//! DoGet          ticket -> rows; dropping the stream ends the work
//! DoAction       CreatePreparedStatement, ClosePreparedStatement, CancelQuery, CancelFlightInfo
//! DoPut          one row of parameters of a prepared statement -> another handle, that holds them
//! ```
//!
//! Invariants:
//! - **No call without a token**, but actions that are no question: they are passed on, to what hosts join with.
//! - **Nothing is kept between calls** but the list of what runs: handles and tickets hold the statement ([`handle`]).
//! - **What clients send is theirs**: every message has a bound, and what it may unpack to is its own size
//!   ([`parameters`]).
//! - **An answer is whole or ends with an error**: a stream that breaks off says so in its status.
//! - An answer has the columns that were announced; their types are such as every client knows ([`rows`]).

mod about;
mod handle;
mod parameters;
mod rows;
mod running;
mod service;
mod status;

use crate::catalog::described;
use crate::{Described, Question, ask, describe};
use arrow_array::RecordBatch;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::{Any, Command, CommandGetTables, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightData, FlightInfo};
use arrow_schema::{Schema, SchemaRef};
use bartizan_filter::Context;
use bartizan_query::{Engine, Inquiry, Sight, asked_by, asked_for};
use futures::stream::BoxStream;
use handle::{Handle, Run};
use parameters::Columns;
use prost::Message;
use running::Running;
use status::{only_reads, status, wrong};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tonic::Extensions;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Status, Streaming};

/// Bytes of a message that is taken. A cancellation is the largest: it has the columns, and a handle twice.
const MAX_MESSAGE: usize = 512 << 10;
/// Messages that parameters may come in: a schema, and few that hold no row.
const MAX_MESSAGES: usize = 8;
/// How long a row of parameters may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who may ask, what questions may name, and which are being answered.
#[tonic::async_trait]
pub trait Askers: Send + Sync + 'static {
    /// Who has this token; whoever has the connection put what he knows of it beside the request.
    fn asker(&self, token: &str, about: &Extensions) -> Result<Asker, Denied>;

    /// What functions know now.
    fn names(&self) -> Arc<Context>;

    /// Notes that a question begins. It has ended when nobody holds what is returned.
    async fn begin(&self, asker: &Asker, text: &str) -> Result<Arc<dyn Begun>, Denied>;
}

/// Why somebody may not ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Nobody has the token.
    Unknown,
    /// Whoever has it may not, in words.
    Forbidden(String),
    /// It cannot be noted now who asks.
    Unavailable,
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unknown => Self::unauthenticated("the token is not known"),
            Denied::Forbidden(text) => Self::permission_denied(text),
            Denied::Unavailable => Self::unavailable("the server's catalog does not answer; try again"),
        }
    }
}

/// Somebody who may ask.
#[derive(Clone, Debug)]
pub struct Asker {
    /// What he is called.
    pub who: String,
    /// From where.
    pub from: Option<IpAddr>,
    /// Tells askers apart where they take turns.
    pub id: u64,
    /// What they see.
    pub sight: Sight,
}

/// A question that is being answered.
pub trait Begun: Send + Sync + 'static {
    /// What it costs, and whether it is still wanted.
    fn inquiry(&self) -> &Arc<Inquiry>;

    /// Ends it.
    fn cancel(&self);
}

/// The service. `F` is asked what is no question.
pub struct Flight<F> {
    engine: Arc<Engine>,
    askers: Arc<dyn Askers>,
    running: Running,
    others: F,
}

impl<F> std::fmt::Debug for Flight<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flight").finish_non_exhaustive()
    }
}

type Rows = BoxStream<'static, Result<FlightData, Status>>;
type Results = BoxStream<'static, Result<arrow_flight::Result, Status>>;

/// What a command asks for.
enum Wanted {
    /// The answer to a statement.
    Statement(Handle),
    /// What is known without asking.
    Known(RecordBatch),
}

impl<F> Flight<F> {
    /// A service; actions that are no question go to `others`, with or without a token.
    pub fn new(engine: Arc<Engine>, askers: Arc<dyn Askers>, others: F) -> Self {
        Self { engine, askers, running: Running::default(), others }
    }

    /// The service as routes of a port.
    pub fn into_routes(self) -> Routes
    where
        Self: FlightService,
    {
        Routes::new(FlightServiceServer::new(self).max_decoding_message_size(MAX_MESSAGE))
    }

    fn asker(&self, metadata: &MetadataMap, about: &Extensions) -> Result<Asker, Status> {
        let missing = || Status::unauthenticated("a bearer token is needed: `authorization: Bearer TOKEN`");
        let token = bearer(metadata).ok_or_else(missing)?;
        Ok(self.askers.asker(token, about)?)
    }

    fn question(&self, handle: &Handle) -> Question {
        Question::new(handle.text(), self.askers.names()).with(handle.values().to_vec())
    }

    async fn described(&self, handle: &Handle, asker: &Asker) -> Result<Described, Status> {
        let question = self.question(handle);
        asked_by(asker.id, asker.sight.clone(), describe(&self.engine, question)).await.map_err(status)
    }

    async fn columns(&self, handle: &Handle, asker: &Asker) -> Result<SchemaRef, Status> {
        self.described(handle, asker).await.map(|described| rows::columns(&described.columns))
    }

    async fn wanted(&self, command: Command, asker: &Asker) -> Result<Wanted, Status> {
        match command {
            Command::CommandStatementQuery(query) => {
                outside_transactions(query.transaction_id.as_ref())?;
                Ok(Wanted::Statement(Handle::new(query.query)?))
            }
            Command::CommandPreparedStatementQuery(query) => {
                Ok(Wanted::Statement(Handle::decode(&query.prepared_statement_handle)?))
            }
            Command::CommandGetTables(query) => self.tables(query, asker).await.map(Wanted::Known),
            other => about::known(other).map(Wanted::Known),
        }
    }

    /// The tables, with their columns where they are wanted.
    async fn tables(&self, query: CommandGetTables, asker: &Asker) -> Result<RecordBatch, Status> {
        let mut all = Vec::new();
        for (name, kind, _) in described() {
            let columns = match query.include_schema {
                true => self.columns(&Handle::new(format!("SELECT * FROM {name}"))?, asker).await?,
                false => Arc::new(Schema::empty()),
            };
            all.push((name, kind, columns));
        }
        about::tables(query, &all)
    }

    /// The columns of what is wanted, and the ticket that gives it.
    async fn ticket(&self, descriptor: &[u8], asker: &Asker) -> Result<(SchemaRef, Vec<u8>), Status> {
        match self.wanted(command(descriptor)?, asker).await? {
            Wanted::Known(rows) => Ok((rows.schema(), descriptor.to_vec())),
            Wanted::Statement(handle) => {
                let columns = self.columns(&handle, asker).await?;
                let statement_handle = Run { name: name()?, handle }.encode().into();
                Ok((columns, TicketStatementQuery { statement_handle }.as_any().encode_to_vec()))
            }
        }
    }

    async fn rows(&self, ticket: &[u8], asker: &Asker) -> Result<Rows, Status> {
        let run = match command(ticket)? {
            Command::TicketStatementQuery(query) => Run::decode(&query.statement_handle)?,
            other => match self.wanted(other, asker).await? {
                Wanted::Known(rows) => return Ok(rows::one(rows)),
                Wanted::Statement(handle) => Run { name: name()?, handle },
            },
        };
        let question = self.question(&run.handle);
        let begun = self.askers.begin(asker, run.handle.text()).await?;
        let inquiry = Arc::clone(begun.inquiry());
        let Some(entry) = self.running.enter(asker.id, run.name, begun) else {
            return Err(Status::resource_exhausted(
                "too many answers are being read: read them to their end, or cancel some",
            ));
        };
        let rows = asked_for(inquiry, ask(&self.engine, question)).await.map_err(status)?;
        Ok(rows::answer(rows, entry))
    }

    /// The handle of a prepared statement with the parameters that come for it.
    async fn bound(&self, mut sent: Streaming<FlightData>) -> Result<Handle, Status> {
        let mut statement = None;
        let mut columns: Option<Columns> = None;
        let mut values = None;
        for _ in 0..MAX_MESSAGES {
            let message = tokio::time::timeout(PATIENCE, sent.message()).await;
            let message = message.map_err(|_| Status::deadline_exceeded("the parameters do not come"))??;
            let Some(message) = message else {
                let statement: Handle = statement.ok_or_else(|| wrong("there is no statement"))?;
                let values = values.ok_or_else(|| wrong("there is no row of parameters"))?;
                return Ok(statement.bind(values)?);
            };
            if statement.is_none() {
                let descriptor = message.flight_descriptor.ok_or_else(|| wrong("there is no statement"))?;
                statement = Some(match command(&descriptor.cmd)? {
                    Command::CommandPreparedStatementQuery(query) => {
                        Handle::decode(&query.prepared_statement_handle)?
                    }
                    _ => return Err(only_reads()),
                });
            }
            if message.data_header.is_empty() {
                continue;
            }
            let Some(columns) = &columns else {
                columns = Some(Columns::read(&message.data_header).map_err(wrong)?);
                continue;
            };
            let row = columns.values(&message.data_header, &message.data_body).map_err(wrong)?;
            if row.is_some() && values.is_some() {
                return Err(wrong("a question has one row of parameters: ask once for each"));
            }
            values = row.or(values);
        }
        Err(wrong("a question has one row of parameters, in one message"))
    }

    /// Whether any of what these tickets stand for was running, and is told to end.
    fn cancel(&self, info: &FlightInfo, asker: &Asker) -> bool {
        let tickets = info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref());
        let run = |ticket: &[u8]| match command(ticket) {
            Ok(Command::TicketStatementQuery(query)) => Run::decode(&query.statement_handle).ok(),
            _ => None,
        };
        // All of them, not only up to the first.
        tickets
            .filter_map(|ticket| run(&ticket.ticket))
            .fold(false, |any, run| self.running.cancel(asker.id, run.name) | any)
    }
}

/// The token of the one `authorization`; several of them are none.
fn bearer(metadata: &MetadataMap) -> Option<&str> {
    let mut values = metadata.get_all("authorization").iter();
    let (scheme, token) = values.next()?.to_str().ok()?.split_once(' ')?;
    (values.next().is_none() && scheme.eq_ignore_ascii_case("bearer")).then(|| token.trim())
}

fn command(bytes: &[u8]) -> Result<Command, Status> {
    let any = Any::decode(bytes).map_err(|_| wrong("this is no command of Flight SQL"))?;
    Command::try_from(any).map_err(|_| wrong("this is no command of Flight SQL"))
}

fn outside_transactions(id: Option<&bytes::Bytes>) -> Result<(), Status> {
    if id.is_some_and(|id| !id.is_empty()) { Err(only_reads()) } else { Ok(()) }
}

/// A name that no other run has.
fn name() -> Result<[u8; 16], Status> {
    let mut name = [0; 16];
    getrandom::fill(&mut name).map_err(|_| Status::internal("the system gives no random numbers"))?;
    Ok(name)
}
