//! What went wrong, as gRPC says it.

use super::handle::HandleError;
use bartizan_query::{ErrorKind, QueryError};
use tonic::Status;

/// Bytes of a message: it stands in a header, and clients bound those.
const MAX_MESSAGE: usize = 2000;
/// Answers to whatever would write.
const ONLY_READS: &str =
    "nothing is written here, and there are no transactions: only questions are answered";

/// What went wrong, for who asked. Causes that are no concern of theirs go to the log.
pub(super) fn status(error: QueryError) -> Status {
    let text = bounded(error.to_string());
    match error.kind() {
        ErrorKind::Question => Status::invalid_argument(text),
        ErrorKind::Hidden => Status::permission_denied(text),
        ErrorKind::TooLarge => Status::resource_exhausted(text),
        ErrorKind::Cancelled => Status::cancelled(text),
        ErrorKind::Incomplete => Status::data_loss(text),
        ErrorKind::Internal => {
            tracing::error!(error = chain(&error), "a question failed");
            Status::internal("the query failed; the server's log says why")
        }
    }
}

/// Something that no question is.
pub(super) fn wrong(text: impl Into<String>) -> Status {
    Status::invalid_argument(bounded(text.into()))
}

/// It would write.
pub(super) fn only_reads() -> Status {
    Status::invalid_argument(ONLY_READS)
}

impl From<HandleError> for Status {
    fn from(error: HandleError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_MESSAGE {
        text.truncate(text.floor_char_boundary(MAX_MESSAGE));
        text.push('…');
    }
    text
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_short() {
        let said = status(QueryError::Sql("é".repeat(5_000)));
        assert!(said.message().len() < MAX_MESSAGE + 5 && said.message().ends_with("é…"));
        assert_eq!(wrong("as it is").message(), "as it is");
    }
}
