//! The check of a filter before anything is sent.

use crate::failure::Failure;
use bartizan_filter::{Context, Filter};
use bartizan_model::Kind;

/// The filter of a table's rows that a text stands for, as far as this machine can tell.
pub(crate) fn check(kind: Kind, text: &str) -> Result<Filter, Failure> {
    Filter::parse_for(kind, text, &Context::default())
        .map_err(|error| Failure::Filter { text: text.into(), error })
}

/// As [`check`], for a filter that a server will read, which knows more: its sets and its fleet.
pub(crate) fn check_before_asking(kind: Kind, text: &str) -> Result<(), Failure> {
    if text.contains('@') || text.contains("fleet") {
        return Ok(());
    }
    check(kind, text).map(drop)
}

/// Fills the filter's text into a failure that the server found in it.
pub(crate) fn with_text(failure: Failure, text: &str) -> Failure {
    match failure {
        Failure::Filter { error, .. } => Failure::Filter { text: text.into(), error },
        other => other,
    }
}
