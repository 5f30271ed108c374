//! The threads on which questions work: few, their own, and behind those that take rows in.
//!
//! - What a question does happens in a task here; the one who asked gets it through a channel of two batches.
//! - Dropping the receiving end ends the task at its next batch or wait, and with it what it started.
//! - A task that waits for a slow reader holds no permit.

use super::{Gate, Question};
use crate::{Background, QueryError};
use datafusion::error::DataFusionError;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinHandle;

/// How much the threads stand back. The rows that come in, and the commits, go first (fault F50).
const NICE: i32 = 5;

/// Runs questions.
#[derive(Debug)]
pub(crate) struct Workers {
    threads: Background,
    gate: Arc<Gate>,
}

impl Workers {
    pub(crate) fn new(threads: usize, questions: usize) -> Result<Self, QueryError> {
        let threads = Background::new("query", threads, NICE).map_err(DataFusionError::from)?;
        Ok(Self { threads, gate: Gate::new(questions) })
    }

    /// Tasks that have not ended.
    pub(crate) fn tasks(&self) -> usize {
        self.threads.handle().metrics().num_alive_tasks()
    }

    /// The batches of a stream that is made and run here.
    pub(crate) fn run<F, T>(&self, question: &Arc<Question>, make: F) -> Running<T>
    where
        F: Future<Output = Result<BoxStream<'static, Result<T, QueryError>>, QueryError>> + Send + 'static,
        T: Send + 'static,
    {
        let (send, receive) = mpsc::channel(2);
        let (gate, question) = (Arc::clone(&self.gate), Arc::clone(question));
        let task = self.threads.handle().spawn(async move {
            let gave_up = tokio::select! {
                () = question.cancelled() => true,
                () = drive(make, &gate, &question, &send) => false,
            };
            if gave_up {
                // What it worked on is dropped by now, and its permit; who reads slowly finds this when it comes.
                let _ = send.send(Some(Err(QueryError::Cancelled))).await;
            }
        });
        Running { receive, ended: false, task }
    }

    /// One thing that is made here.
    pub(crate) async fn one<F, T>(&self, question: &Arc<Question>, make: F) -> Result<T, QueryError>
    where
        F: Future<Output = Result<T, QueryError>> + Send + 'static,
        T: Send + 'static,
    {
        let one = async move { Ok(futures::stream::once(make).boxed()) };
        match self.run(question, one).next().await {
            Some(done) => done,
            None => Err(stopped()),
        }
    }
}

/// A result, or the end of all.
type Sent<T> = Option<Result<T, QueryError>>;

fn stopped() -> QueryError {
    DataFusionError::Execution("the server stops".to_owned()).into()
}

async fn drive<F, T>(make: F, gate: &Arc<Gate>, question: &Question, send: &mpsc::Sender<Sent<T>>)
where
    F: Future<Output = Result<BoxStream<'static, Result<T, QueryError>>, QueryError>>,
{
    let mut permit = Some(gate.enter(question.asker()).await);
    let mut make = Some(make);
    let mut stream: Option<BoxStream<'static, Result<T, QueryError>>> = None;
    loop {
        let started = Instant::now();
        let work = async {
            if let Some(make) = make.take() {
                stream = Some(make.await?);
            }
            match &mut stream {
                Some(stream) => stream.next().await.transpose(),
                None => Ok(None),
            }
        };
        let work = tokio::time::timeout(question.time_left(), work);
        // Damaged bytes may make a decoder panic; that is this question's end and nobody else's.
        let next = match AssertUnwindSafe(work).catch_unwind().await {
            Ok(Ok(next)) => next,
            Ok(Err(_)) => Err(QueryError::Limit { what: "time" }),
            Err(panic) => Err(panicked(panic.as_ref())),
        };
        question.worked(started.elapsed());
        let item = next.transpose();
        let ends = !matches!(item, Some(Ok(_)));
        match send.try_send(item) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return,
            Err(TrySendError::Full(item)) => {
                drop(permit.take());
                if send.send(item).await.is_err() {
                    return;
                }
            }
        }
        if ends {
            return;
        }
        if permit.is_none() {
            permit = Some(gate.enter(question.asker()).await);
        }
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> QueryError {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    DataFusionError::Execution(format!("a panic while reading: {text}")).into()
}

/// What comes from a task. Dropping it ends the task.
#[derive(Debug)]
pub(crate) struct Running<T> {
    receive: mpsc::Receiver<Sent<T>>,
    ended: bool,
    task: JoinHandle<()>,
}

impl<T> Stream for Running<T> {
    type Item = Result<T, QueryError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let sent = std::task::ready!(self.receive.poll_recv(cx));
        self.ended = !matches!(sent, Some(Some(Ok(_))));
        // A task that ends without saying so was ended from outside; what came is not all.
        Poll::Ready(sent.unwrap_or_else(|| Some(Err(stopped()))))
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
