//! Flight SQL, by a client of its own, over a loopback connection.

use crate::{engine, lake, scoped, seen};
use arrow_array::cast::AsArray;
use arrow_array::{Array as _, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{
    CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt, SqlInfo,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightData, FlightDescriptor,
    FlightInfo, Ticket,
};
use arrow_schema::{DataType, Schema};
use bartizan_filter::Context;
use bartizan_model::Kind;
use bartizan_query::render::Rows;
use bartizan_query::{Engine, Inquiry, Limits, Sight};
use bartizan_schema::table_columns;
use bartizan_sql::{Asker, Askers, Begun, Denied, Flight};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Extensions;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

/// `all` sees everything, `db` one host.
struct Holders;

#[tonic::async_trait]
impl Askers for Holders {
    fn asker(&self, token: &str, _: &Extensions) -> Result<Asker, Denied> {
        match token {
            "all" => Ok(Asker { id: 1, who: "all".into(), from: None, sight: Sight::default() }),
            "db" => Ok(Asker { id: 2, who: "db".into(), from: None, sight: scoped("host:db-1") }),
            "viewer" => Err(Denied::Forbidden("this needs the role analyst".into())),
            _ => Err(Denied::Unknown),
        }
    }

    fn names(&self) -> Arc<Context> {
        Arc::default()
    }

    async fn begin(&self, asker: &Asker, _: &str) -> Result<Arc<dyn Begun>, Denied> {
        Ok(Arc::new(Run(Arc::new(Inquiry::of(asker.id, asker.sight.clone())))))
    }
}

struct Run(Arc<Inquiry>);

impl Begun for Run {
    fn inquiry(&self) -> &Arc<Inquiry> {
        &self.0
    }

    fn cancel(&self) {
        self.0.cancel();
    }
}

/// What is no question goes here.
struct Door;

#[tonic::async_trait]
impl FlightSqlService for Door {
    type FlightService = Self;

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<BoxStream<'static, Result<arrow_flight::Result, Status>>>, Status> {
        let body = request.into_inner().r#type.into();
        Ok(Response::new(futures::stream::iter([Ok(arrow_flight::Result { body })]).boxed()))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

type Client = FlightSqlServiceClient<Channel>;

/// A server over this engine, for as long as the test runs.
async fn serve(engine: &Arc<Engine>) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Flight::new(Arc::clone(engine), Arc::new(Holders), Door).into_routes();
    let serving = tonic::transport::Server::builder().add_routes(routes);
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
    Endpoint::new(format!("http://{address}")).unwrap()
}

async fn client(server: &Endpoint, token: &str) -> Client {
    let mut client = Client::new(server.connect().await.unwrap());
    client.set_token(token.to_owned());
    client
}

async fn fixture() -> (Arc<Engine>, Endpoint) {
    let engine = Arc::new(engine(&lake()));
    let server = serve(&engine).await;
    (engine, server)
}

fn ticket(info: &FlightInfo) -> Ticket {
    info.endpoint[0].ticket.clone().unwrap()
}

/// The rows of an answer as lines of JSON. They have the columns that were announced.
async fn read(client: &mut Client, info: FlightInfo) -> Result<String, FlightError> {
    let announced = info.clone().try_decode_schema().unwrap();
    let rows = client.do_get(ticket(&info)).await?;
    let rows: Vec<RecordBatch> = rows.try_collect().await?;
    let mut lines = Vec::new();
    for batch in &rows {
        assert_eq!(*batch.schema(), announced);
        let shown = Rows::plain(batch);
        for row in 0..shown.len() {
            let mut line = Vec::new();
            shown.write_json(row, &mut line);
            lines.push(String::from_utf8(line).unwrap());
        }
    }
    Ok(lines.join(" "))
}

async fn ask(client: &mut Client, text: &str) -> Result<String, FlightError> {
    let info = client.execute(text.to_owned(), None).await?;
    read(client, info).await
}

/// The status with which a call fails.
fn refused<T: std::fmt::Debug>(done: Result<T, FlightError>) -> (Code, String) {
    match done.unwrap_err() {
        FlightError::Tonic(status) => (status.code(), status.message().to_owned()),
        error => panic!("no status: {error:?}"),
    }
}

#[tokio::test]
async fn answers_are_those_of_every_other_way() {
    let (engine, server) = fixture().await;
    let mut all = client(&server, "all").await;
    let mut db = client(&server, "db").await;
    for text in [
        "SELECT count(*) AS n FROM events",
        "SELECT * FROM events ORDER BY time, src LIMIT 20",
        "SELECT src, dst, cidr(src, 24) AS net FROM events ORDER BY time LIMIT 20",
        "SELECT host, array_agg(DISTINCT dport ORDER BY dport) AS ports FROM events GROUP BY host ORDER BY host",
        "SELECT array_agg(DISTINCT host ORDER BY host) AS hosts FROM events",
        "SELECT * FROM ulog ORDER BY id, ip_saddr_str LIMIT 5",
        "SELECT avg(length) AS x, now() > max(time) AS late, NULL AS nothing FROM events",
        "SELECT time, date_trunc('hour', time) AS hour FROM events ORDER BY time LIMIT 3",
        "SELECT 1 AS one WHERE false",
        "SHOW TABLES",
        "DESCRIBE flows",
        "SELECT table_name FROM information_schema.tables ORDER BY table_name",
    ] {
        for (client, scope) in [(&mut all, ""), (&mut db, "host:db-1")] {
            let (expected, _) = seen(&engine, text, scoped(scope)).await.unwrap();
            assert_eq!(ask(client, text).await.unwrap(), expected, "{text} {scope}");
        }
    }
    assert!(ask(&mut all, "EXPLAIN SELECT * FROM events").await.unwrap().contains("plan"));
}

#[tokio::test]
async fn prepared_statements_take_parameters() {
    let (_, server) = fixture().await;
    let mut client = client(&server, "all").await;
    let mut plain = client.prepare("SELECT count(*) AS n FROM events".to_owned(), None).await.unwrap();
    assert_eq!(plain.parameter_schema().unwrap().fields().len(), 0);
    let info = plain.execute().await.unwrap();
    assert_eq!(read(&mut client, info).await.unwrap(), r#"{"n":400}"#);

    let text = "SELECT count(*) AS n, ? AS said FROM events WHERE dport = ? AND src = ? AND time > ?";
    let mut asked = client.prepare(text.to_owned(), None).await.unwrap();
    let kinds: Vec<_> =
        asked.parameter_schema().unwrap().fields().iter().map(|f| f.data_type().clone()).collect();
    assert_eq!(kinds[1..3], [DataType::Int32, DataType::Utf8], "an address is given as text");
    let unbound = asked.execute().await.unwrap();
    let (code, said) = refused(read(&mut client, unbound).await);
    assert!(code == Code::InvalidArgument && said.contains("4 parameters, and 0"), "{said}");
    let row = |said: ArrayRef, port: i64, address: &str, time: &str| {
        RecordBatch::try_from_iter([
            ("0", said),
            ("1", Arc::new(Int64Array::from(vec![port])) as ArrayRef),
            ("2", Arc::new(StringArray::from(vec![address])) as ArrayRef),
            ("3", Arc::new(StringArray::from(vec![time])) as ArrayRef),
        ])
        .unwrap()
    };
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    let words: ArrayRef = Arc::new(StringArray::from(vec!["'; DROP TABLE events"]));
    for (said, time, expected) in [
        (Arc::clone(&numbers), "2026-11-23T00:00:00Z", r#"{"n":5,"said":7}"#),
        (words, "2026-11-23T01:00:00Z", r#"{"n":0,"said":"'; DROP TABLE events"}"#),
    ] {
        asked.set_parameters(row(said, 22, "192.0.0.4", time)).unwrap();
        let info = asked.execute().await.unwrap();
        assert_eq!(read(&mut client, info).await.unwrap(), expected);
    }
    asked.set_parameters(row(numbers, 22, "nobody", "2026-11-23T00:00:00Z")).unwrap();
    let wrong = match asked.execute().await {
        Ok(info) => read(&mut client, info).await,
        Err(error) => Err(error),
    };
    assert!(refused(wrong).1.contains("nobody"));
    assert_eq!(refused(asked.execute_update().await).0, Code::InvalidArgument);
    asked.close().await.unwrap();
}

#[tokio::test]
async fn what_the_server_says_of_itself() {
    let (_, server) = fixture().await;
    let mut client = client(&server, "all").await;
    let info = client.get_catalogs().await.unwrap();
    assert_eq!(read(&mut client, info).await.unwrap(), r#"{"catalog_name":"bartizan"}"#);
    let info = client.get_db_schemas(CommandGetDbSchemas::default()).await.unwrap();
    assert!(read(&mut client, info).await.unwrap().contains("information_schema"));
    let info = client.get_table_types().await.unwrap();
    assert!(read(&mut client, info).await.unwrap().contains("BASE TABLE"));
    let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerName]).await.unwrap();
    assert_eq!(
        client.do_get(ticket(&info)).await.unwrap().try_collect::<Vec<_>>().await.unwrap()[0].num_rows(),
        1
    );
    let info = client.get_xdbc_type_info(CommandGetXdbcTypeInfo::default()).await.unwrap();
    assert!(read(&mut client, info).await.unwrap().contains("timestamp"));
    let keys = CommandGetPrimaryKeys { table: "events".to_owned(), ..Default::default() };
    let info = client.get_primary_keys(keys).await.unwrap();
    assert_eq!(read(&mut client, info).await.unwrap(), "");

    let query = CommandGetTables { include_schema: true, ..Default::default() };
    let info = client.get_tables(query).await.unwrap();
    let rows: Vec<RecordBatch> =
        client.do_get(ticket(&info)).await.unwrap().try_collect::<Vec<_>>().await.unwrap();
    let (names, schemas) = (rows[0].column(2).as_string::<i32>(), rows[0].column(4).as_binary::<i32>());
    assert_eq!(names.len(), Kind::ALL.len() + 1);
    for (name, schema) in names.iter().zip(schemas) {
        let schema = Schema::try_from(arrow_flight::IpcMessage(schema.unwrap().to_vec().into())).unwrap();
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| Some(kind.as_str()) == name) {
            let columns: Vec<_> = table_columns(kind).iter().map(|column| column.name).collect();
            assert_eq!(schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), columns);
        }
        let info = client.execute(format!("SELECT * FROM {} LIMIT 0", name.unwrap()), None).await.unwrap();
        assert_eq!(info.try_decode_schema().unwrap(), schema, "{name:?}");
    }
    let only = CommandGetTables { table_name_filter_pattern: Some("%ow%".to_owned()), ..Default::default() };
    let info = client.get_tables(only).await.unwrap();
    let found = read(&mut client, info).await.unwrap();
    assert!(found.contains("flows") && !found.contains("events"), "{found}");

    let cmd =
        CommandStatementQuery { query: "SELECT src, dport FROM events".to_owned(), transaction_id: None };
    let descriptor = FlightDescriptor::new_cmd(cmd.as_any().encode_to_vec());
    let mut request = Request::new(descriptor);
    request.metadata_mut().insert("authorization", "Bearer all".parse().unwrap());
    let schema = client.inner_mut().get_schema(request).await.unwrap().into_inner();
    assert_eq!(Schema::try_from(schema).unwrap().fields().len(), 2);
}

#[tokio::test]
async fn nobody_asks_without_a_token() {
    let (_, server) = fixture().await;
    for token in ["", "guess", "all all"] {
        let mut client = client(&server, token).await;
        assert_eq!(refused(client.execute("SELECT 1".to_owned(), None).await).0, Code::Unauthenticated);
        assert_eq!(
            refused(client.prepare("SELECT 1".to_owned(), None).await.map(|_| ())).0,
            Code::Unauthenticated
        );
        assert_eq!(refused(client.get_catalogs().await).0, Code::Unauthenticated);
        assert_eq!(refused(client.get_tables(CommandGetTables::default()).await).0, Code::Unauthenticated);
        assert_eq!(refused(client.execute_update("DELETE".to_owned(), None).await).0, Code::Unauthenticated);
        assert_eq!(refused(client.begin_transaction().await).0, Code::Unauthenticated);
        let get = client.do_get(Ticket { ticket: "x".into() }).await;
        assert_eq!(refused(get.map(|_| ())).0, Code::Unauthenticated);
    }
    // Two are none.
    let mut bare = Client::new(server.connect().await.unwrap());
    let mut request = Request::new(FlightDescriptor::default());
    for token in ["Bearer all", "Bearer all"] {
        request.metadata_mut().append("authorization", token.parse().unwrap());
    }
    assert_eq!(bare.inner_mut().get_flight_info(request).await.unwrap_err().code(), Code::Unauthenticated);
    let shaken = bare.handshake("anybody", "all").await.unwrap_err().to_string();
    assert!(shaken.contains("every call needs a bearer token"), "{shaken}");
    // What is no question is not for us.
    let action = Action { r#type: "enrol".to_owned(), body: "x".into() };
    let mut passed = bare.inner_mut().do_action(Request::new(action)).await.unwrap().into_inner();
    assert_eq!(passed.message().await.unwrap().unwrap().body, "enrol");
}

#[tokio::test]
async fn it_only_reads_and_says_what_is_wrong() {
    let (_, server) = fixture().await;
    let mut client = client(&server, "all").await;
    for (text, told) in [
        ("SELEC 1", "SELEC"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("INSERT INTO events VALUES (1)", "only questions"),
        ("COPY events TO '/tmp/x'", "only questions"),
        ("SET datafusion.execution.batch_size = 1", "only questions"),
        ("SELECT * FROM read_csv('/etc/passwd')", "read_csv"),
        ("SELECT * FROM '/etc/passwd'", "no table"),
        ("SELECT * FROM event", "did you mean `events`"),
        ("SELECT dprot FROM events", "dprot"),
        ("SELECT count(*) FROM events WHERE src = 'nobody'", "nobody"),
    ] {
        let (code, said) = refused(ask(&mut client, text).await);
        assert!(code == Code::InvalidArgument && said.contains(told), "{text}: {code} {said}");
        let prepared = client.prepare(text.to_owned(), None).await.map(|_| ());
        assert_eq!(refused(prepared), (code, said), "{text}");
    }
    for done in [
        client.execute_update("DELETE FROM events".to_owned(), None).await.map(|_| ()),
        client.begin_transaction().await.map(|_| ()),
        client.execute("SELECT 1".to_owned(), Some("t".into())).await.map(|_| ()),
    ] {
        let (code, said) = refused(done);
        assert!(code == Code::InvalidArgument && said.contains("nothing is written here"), "{said}");
    }
    assert!(refused(client.execute("x".repeat(65 << 10), None).await).1.contains("at most"));
    // More than a message may have.
    assert_eq!(refused(client.execute("x".repeat(1 << 20), None).await).0, Code::OutOfRange);
}

#[tokio::test]
async fn bytes_of_nobody_are_no_handle() {
    let (_, server) = fixture().await;
    let mut client = client(&server, "all").await;
    for handle in ["", "x", "\u{1}\u{ff}\u{ff}\u{ff}\u{ff}"] {
        let query = CommandPreparedStatementQuery { prepared_statement_handle: handle.into() };
        let bytes = query.as_any().encode_to_vec();
        for ticket in [bytes.clone(), bytes[..bytes.len() / 2].to_vec(), handle.into()] {
            let (code, _) = refused(client.do_get(Ticket { ticket: ticket.into() }).await.map(|_| ()));
            assert!(matches!(code, Code::InvalidArgument | Code::Unimplemented), "{code}");
        }
    }
    // Parameters in pieces, none, and more of them than one row.
    let prepared = client.prepare("SELECT ? AS a".to_owned(), None).await.unwrap();
    drop(prepared);
    let handle = {
        let mut bytes = vec![1, 13, 0, 0, 0];
        bytes.extend(b"SELECT ? AS a\0\0");
        bytes
    };
    let query = CommandPreparedStatementQuery { prepared_statement_handle: handle.into() };
    let descriptor = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
    let first = FlightData { flight_descriptor: Some(descriptor), ..FlightData::default() };
    for (rest, told) in [
        (vec![], "no row of parameters"),
        (vec![FlightData { data_header: "x".into(), ..FlightData::default() }], "cannot be read"),
        (vec![FlightData::default(); 20], "in one message"),
    ] {
        let sent = futures::stream::iter([vec![first.clone()], rest].concat());
        let (code, said) = refused(client.do_put(sent).await.map(|_| ()));
        assert!(code == Code::InvalidArgument && said.contains(told), "{said}");
    }
}

#[tokio::test]
async fn limits_are_those_of_every_question() {
    let lake = lake();
    let limits = Limits { question_memory: 256 << 10, ..Limits::default() };
    let poor = Arc::new(Engine::new(Arc::clone(&lake) as _, &limits).unwrap());
    let mut client = client(&serve(&poor).await, "all").await;
    let text = "SELECT array_agg(a.sport) FROM events a, events b, events c";
    let (code, said) = refused(ask(&mut client, text).await);
    assert!(code == Code::ResourceExhausted && said.contains("narrow"), "{code} {said}");
}

const ENDLESS: &str = "SELECT a.sport FROM events a, events b, events c, events d";

async fn idle(engine: &Engine) {
    for _ in 0..1000 {
        if engine.working() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} tasks still work", engine.working());
}

#[tokio::test]
async fn answers_can_be_cancelled_by_who_asked() {
    let (engine, server) = fixture().await;
    let mut client = client(&server, "all").await;
    let info = client.execute(ENDLESS.to_owned(), None).await.unwrap();
    let mut rows = client.do_get(ticket(&info)).await.unwrap();
    assert!(rows.next().await.unwrap().is_ok());
    let cancel = async |client: &mut Client| {
        let body = CancelFlightInfoRequest { info: Some(info.clone()) }.encode_to_vec();
        let action = Action { r#type: "CancelFlightInfo".to_owned(), body: body.into() };
        let mut results = client.do_action(Request::new(action)).await.unwrap();
        let result = results.message().await.unwrap().unwrap();
        CancelFlightInfoResult::decode(result.body).unwrap().status()
    };
    let mut other = self::client(&server, "db").await;
    assert_eq!(cancel(&mut other).await, CancelStatus::NotCancellable);
    assert_eq!(cancel(&mut client).await, CancelStatus::Cancelled);
    let ended = loop {
        match rows.next().await.expect("an answer that is cancelled does not end as a whole one") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(ended.to_string().contains("cancelled"), "{ended}");
    idle(&engine).await;
    assert_eq!(cancel(&mut client).await, CancelStatus::NotCancellable);
    // Whoever goes away ends it as well.
    let info = client.execute(ENDLESS.to_owned(), None).await.unwrap();
    let mut rows = client.do_get(ticket(&info)).await.unwrap();
    assert!(rows.next().await.unwrap().is_ok());
    assert!(engine.working() > 0);
    drop(rows);
    idle(&engine).await;
}
