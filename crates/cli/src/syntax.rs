//! The check of a filter before anything is sent.

use crate::failure::Failure;
use bartizan_filter::{Context, Filter};
use bartizan_model::Kind;
use std::{fs::File, io::Read as _};

/// Services of this machine; the usual ones are known without.
const SERVICES: &str = "/etc/services";
/// A file of services that is longer is none; bytes.
const SERVICES_LIMIT: u64 = 1 << 20;

/// The filter of a table's rows that a text stands for, as far as this machine can tell.
pub(crate) fn check(kind: Kind, text: &str) -> Result<Filter, Failure> {
    Filter::parse_for(kind, text, &context()).map_err(|error| Failure::Filter { text: text.into(), error })
}

/// As [`check`], for a filter that a server will read, which knows more names: its sets, groups, services and fleet.
pub(crate) fn check_before_asking(kind: Kind, text: &str) -> Result<(), Failure> {
    match check(kind, text) {
        Err(Failure::Filter { error, .. }) if error.unknown_name => Ok(()),
        other => other.map(drop),
    }
}

/// What a filter may name on this machine.
fn context() -> Context {
    let mut text = String::new();
    let read = File::open(SERVICES).and_then(|file| file.take(SERVICES_LIMIT).read_to_string(&mut text));
    match read {
        Ok(_) => Context::default().with_services(&text),
        Err(_) => Context::default(),
    }
}

/// Fills the filter's text into a failure that the server found in it.
pub(crate) fn with_text(failure: Failure, text: &str) -> Failure {
    match failure {
        Failure::Filter { error, .. } => Failure::Filter { text: text.into(), error },
        other => other,
    }
}
