//! The calls of Flight, each with the token first.

use super::handle::Handle;
use super::status::{only_reads, wrong};
use super::{Flight, Results, Rows, command, outside_transactions, rows};
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Command, DoPutPreparedStatementResult, ProstMessageExt,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, Criteria, Empty,
    FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, PollInfo,
    PutResult, SchemaResult, Ticket,
};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use prost::Message;
use tonic::{Request, Response, Status, Streaming};

/// `CancelResult` of FlightSql.proto, which `arrow_flight` does not name: it ended.
const CANCELLED: i32 = 1;
/// It does not run.
const NOT_CANCELLABLE: i32 = 3;

/// The actions that are answered here, with what each is for.
const ACTIONS: &[(&str, &str)] = &[
    ("CreatePreparedStatement", "a handle for a statement"),
    ("ClosePreparedStatement", "nothing is kept for a handle: this does nothing"),
    ("CancelQuery", "ends an answer that is being given"),
    ("CancelFlightInfo", "ends an answer that is being given"),
];
/// Actions of Flight SQL that would write.
const WRITING: &[&str] = &["BeginTransaction", "EndTransaction", "BeginSavepoint", "EndSavepoint"];

#[tonic::async_trait]
impl<F> FlightService for Flight<F>
where
    F: FlightService<DoActionStream = Results>,
{
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = Rows;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoActionStream = Results;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type DoExchangeStream = Rows;

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let asker = self.asker(request.metadata(), request.extensions())?;
        let descriptor = request.into_inner();
        let (columns, ticket) = self.ticket(&descriptor.cmd, &asker).await?;
        let endpoint = FlightEndpoint::new().with_ticket(Ticket { ticket: ticket.into() });
        let info = FlightInfo::new().with_endpoint(endpoint).with_descriptor(descriptor);
        Ok(Response::new(FlightInfo { schema: rows::ipc(&columns)?, ..info }))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let asker = self.asker(request.metadata(), request.extensions())?;
        let (columns, _) = self.ticket(&request.get_ref().cmd, &asker).await?;
        Ok(Response::new(SchemaResult { schema: rows::ipc(&columns)? }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Rows>, Status> {
        let asker = self.asker(request.metadata(), request.extensions())?;
        self.rows(&request.get_ref().ticket, &asker).await.map(Response::new)
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        self.asker(request.metadata(), request.extensions())?;
        let handle = self.bound(request.into_inner()).await?.encode();
        let result = DoPutPreparedStatementResult { prepared_statement_handle: Some(handle.into()) };
        let result = PutResult { app_metadata: result.encode_to_vec().into() };
        Ok(Response::new(futures::stream::iter([Ok(result)]).boxed()))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Results>, Status> {
        let kind = request.get_ref().r#type.as_str();
        if WRITING.contains(&kind) {
            self.asker(request.metadata(), request.extensions())?;
            return Err(only_reads());
        }
        if ACTIONS.iter().all(|(name, _)| *name != kind) {
            return self.others.do_action(request).await;
        }
        let asker = self.asker(request.metadata(), request.extensions())?;
        let Action { r#type: kind, body } = request.into_inner();
        let result = match kind.as_str() {
            "CreatePreparedStatement" => {
                let Command::ActionCreatePreparedStatementRequest(ActionCreatePreparedStatementRequest {
                    query,
                    transaction_id,
                }) = command(&body)?
                else {
                    return Err(unlike(&kind));
                };
                outside_transactions(transaction_id.as_ref())?;
                let handle = Handle::new(query)?;
                let known = self.described(&handle, &asker).await?;
                let result = ActionCreatePreparedStatementResult {
                    prepared_statement_handle: handle.encode().into(),
                    dataset_schema: rows::ipc(&rows::columns(&known.columns))?,
                    parameter_schema: rows::ipc(&rows::parameters(&known.parameters))?,
                };
                Some(result.as_any().encode_to_vec())
            }
            "CancelQuery" => {
                let Command::ActionCancelQueryRequest(ActionCancelQueryRequest { info }) = command(&body)?
                else {
                    return Err(unlike(&kind));
                };
                let info = FlightInfo::decode(info).map_err(|_| unlike(&kind))?;
                let result = if self.cancel(&info, &asker) { CANCELLED } else { NOT_CANCELLABLE };
                Some(ActionCancelQueryResult { result }.as_any().encode_to_vec())
            }
            "CancelFlightInfo" => {
                let info = CancelFlightInfoRequest::decode(body).ok().and_then(|cancel| cancel.info);
                let info = info.ok_or_else(|| unlike(&kind))?;
                let status = match self.cancel(&info, &asker) {
                    true => CancelStatus::Cancelled,
                    false => CancelStatus::NotCancellable,
                };
                Some(CancelFlightInfoResult::new(status).encode_to_vec())
            }
            // There is nothing to close.
            _ => None,
        };
        let results = result.map(|body| Ok(arrow_flight::Result { body: Bytes::from(body) }));
        Ok(Response::new(futures::stream::iter(results).boxed()))
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        self.asker(request.metadata(), request.extensions())?;
        let action = |(name, what): &(&str, &str)| {
            Ok(ActionType { r#type: (*name).to_owned(), description: (*what).to_owned() })
        };
        Ok(Response::new(futures::stream::iter(ACTIONS.iter().map(action)).boxed()))
    }

    /// There is nothing to shake hands about: every call has its token.
    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(Status::unauthenticated(
            "names and passwords are not known here: every call needs a bearer token",
        ))
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Err(not_here())
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(not_here())
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(not_here())
    }
}

fn not_here() -> Status {
    Status::unimplemented("this port does not offer that")
}

fn unlike(kind: &str) -> Status {
    wrong(format!("the body is none of `{kind}`"))
}
