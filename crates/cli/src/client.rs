//! The HTTP client: one request, one connection. The fleet's authority is the only one it trusts.

use crate::{connection::Connection, failure::Failure};
use anyhow::{Context as _, anyhow};
use bartizan_filter::FilterError;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde_json::Value;
use std::{error::Error, future::Future, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the server may think before it answers.
const ANSWER: Duration = Duration::from_secs(300);
/// No error document is longer; bytes.
const PROBLEM_LIMIT: usize = 64 << 10;
/// No list of hosts is longer; bytes.
const DOCUMENT_LIMIT: usize = 256 << 20;

/// Runs a client's work to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    Ok(runtime.block_on(work))
}

/// What a request holds.
#[derive(Clone, Debug)]
pub(crate) enum Body<'a> {
    /// A question.
    Json(&'a Value),
    /// Packed rows.
    Rows(Bytes),
}

/// Asks one server.
pub(crate) struct Client {
    connection: Connection,
    tls: Option<TlsConnector>,
}

impl Client {
    pub(crate) fn new(connection: Connection) -> Result<Self, Failure> {
        let tls = match &connection.ca {
            Some(pem) if connection.address.tls => {
                let mut config = bartizan_pki::pinned_client(pem)
                    .map_err(|e| Failure::Usage(format!("the authority's certificate is not usable: {e}")))?;
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                Some(TlsConnector::from(Arc::new(config)))
            }
            _ => None,
        };
        Ok(Self { connection, tls })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        document(self.send(Method::GET, path, None).await?).await
    }

    /// An answer that is no document.
    pub(crate) async fn text(&self, path: &str) -> Result<String, Failure> {
        let response = self.send(Method::GET, path, None).await?;
        let body = Limited::new(response.into_body(), DOCUMENT_LIMIT).collect().await;
        let bytes = body.map_err(|e| Failure::Partial(format!("the answer broke off: {e}")))?.to_bytes();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(crate) async fn post(&self, path: &str, question: &Value) -> Result<Value, Failure> {
        document(self.post_stream(path, question).await?).await
    }

    /// The answer's head; its body is still to be read.
    pub(crate) async fn post_stream(
        &self,
        path: &str,
        question: &Value,
    ) -> Result<Response<Incoming>, Failure> {
        self.send(Method::POST, path, Some(Body::Json(question))).await
    }

    /// Delivers rows, or asks for what has to do with them.
    pub(crate) async fn deliver(&self, path: &str, body: Body<'_>) -> Result<Value, Failure> {
        document(self.send(Method::POST, path, Some(body)).await?).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Body<'_>>,
    ) -> Result<Response<Incoming>, Failure> {
        let authority = self.connection.address.authority();
        let unreachable =
            |why: &str| Failure::Unreachable(format!("cannot reach the server at {authority}: {why}"));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &authority)
            .header(header::USER_AGENT, concat!("bartizan/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.connection.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if matches!(body, Some(Body::Json(_))) {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = match body {
            None => Bytes::new(),
            Some(Body::Json(question)) => Bytes::from(question.to_string()),
            Some(Body::Rows(bytes)) => bytes,
        };
        let request = request.body(Full::new(body)).map_err(|e| {
            Failure::Usage(format!("the request cannot be made (is the token one line?): {e}"))
        })?;

        let host = self.connection.address.host.as_str();
        let tcp = timeout(CONNECT, TcpStream::connect((host, self.connection.address.port)))
            .await
            .map_err(|_| unreachable("no answer"))?
            .map_err(|e| unreachable(&e.to_string()))?;
        let response = match &self.tls {
            None => timeout(ANSWER, exchange(tcp, request)).await,
            Some(tls) => {
                let name = ServerName::try_from(host.to_owned())
                    .map_err(|_| Failure::Usage(format!("{host:?} is not the name of a server")))?;
                let stream = timeout(CONNECT, tls.connect(name, tcp))
                    .await
                    .map_err(|_| unreachable("no answer to the TLS greeting"))?
                    .map_err(|e| unreachable(&e.to_string()))?;
                timeout(ANSWER, exchange(stream, request)).await
            }
        };
        let response =
            response.map_err(|_| unreachable("it does not answer"))?.map_err(|e| unreachable(&chain(&e)))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(match problem(response).await {
            Failure::NotPermitted(_) if self.connection.token.is_none() => {
                Failure::NotPermitted("the server wants a token: give --token-file".into())
            }
            failure => failure,
        })
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the response's body; its error shows there as well.
    tokio::spawn(connection);
    sender.send_request(request).await
}

async fn document(response: Response<Incoming>) -> Result<Value, Failure> {
    let bytes = Limited::new(response.into_body(), DOCUMENT_LIMIT)
        .collect()
        .await
        .map_err(|e| Failure::Partial(format!("the answer broke off: {e}")))?
        .to_bytes();
    serde_json::from_slice(&bytes).context("the server's answer is not JSON").map_err(Failure::Error)
}

/// An answer that is an error, as a failure.
async fn problem(response: Response<Incoming>) -> Failure {
    let status = response.status();
    let body = Limited::new(response.into_body(), PROBLEM_LIMIT).collect().await;
    let document: Value =
        body.ok().and_then(|b| serde_json::from_slice(&b.to_bytes()).ok()).unwrap_or_default();
    let text = |key: &str| document[key].as_str().map(str::to_owned);
    let detail =
        text("detail").or_else(|| text("title")).unwrap_or_else(|| format!("the server says {status}"));
    if let Some(span) = span(&document["span"]) {
        // The caller knows the filter's text and fills it in.
        let error = FilterError { span, message: detail, proposal: text("proposal"), unknown_name: false };
        return Failure::Filter { text: String::new(), error };
    }
    match status {
        StatusCode::CONFLICT => Failure::Conflict { kind: text("type").unwrap_or_default(), text: detail },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::NotPermitted(detail),
        StatusCode::NOT_FOUND => Failure::NotFound(detail),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Failure::Usage(detail),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Failure::Unreachable(detail)
        }
        _ => Failure::Error(anyhow!(detail)),
    }
}

fn span(value: &Value) -> Option<std::ops::Range<usize>> {
    let number = |key: &str| value[key].as_u64().and_then(|n| usize::try_from(n).ok());
    Some(number("start")?..number("end")?)
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
