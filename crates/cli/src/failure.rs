//! How a command ends when it does not end well.

use crate::escape::for_terminal;
use bartizan_filter::FilterError;
use std::io;

/// Why a command failed; each kind has its exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody reads stdout any more. No failure to anyone: `bartizan search | head`.
    ClosedPipe,
    /// 1: anything else.
    Error(anyhow::Error),
    /// 2: what was asked for does not exist or makes no sense.
    Usage(String),
    /// 2: a filter that is none.
    Filter {
        /// The filter.
        text: String,
        /// What is wrong, and where.
        error: FilterError,
    },
    /// 4: not logged in, or not allowed.
    NotPermitted(String),
    /// 5: no such thing.
    NotFound(String),
    /// 6: things are not as they were thought to be.
    Conflict {
        /// What kind of conflict, as the server's problem documents have it.
        kind: String,
        /// In words.
        text: String,
    },
    /// 130: stopped by Ctrl-C.
    Stopped(String),
    /// 7: no server there, or none that answers.
    Unreachable(String),
    /// 8: some of the result is missing.
    Partial(String),
}

impl Failure {
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::ClosedPipe => 0,
            Self::Error(_) => 1,
            Self::Usage(_) | Self::Filter { .. } => 2,
            Self::NotPermitted(_) => 4,
            Self::NotFound(_) => 5,
            Self::Conflict { .. } => 6,
            Self::Stopped(_) => 130,
            Self::Unreachable(_) => 7,
            Self::Partial(_) => 8,
        }
    }

    /// What went wrong, as it was said: not escaped.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::ClosedPipe => String::new(),
            Self::Error(error) => format!("{error:#}"),
            Self::Usage(text)
            | Self::NotPermitted(text)
            | Self::NotFound(text)
            | Self::Conflict { text, .. }
            | Self::Stopped(text)
            | Self::Unreachable(text)
            | Self::Partial(text) => text.clone(),
            Self::Filter { error, .. } => error.message.clone(),
        }
    }

    /// Tells the person on stderr.
    pub(crate) fn print(&self, colour: bool) {
        match self {
            Self::ClosedPipe => return,
            Self::Filter { text, error } => return talk(error.render(text, colour).trim_end()),
            _ => {}
        }
        let text = self.text();
        let lines: Vec<_> = text.lines().map(for_terminal).collect();
        talk(&error_word(colour, &lines.join("\n")));
    }
}

fn error_word(colour: bool, text: &str) -> String {
    if colour { format!("\x1b[1;31merror:\x1b[0m {text}") } else { format!("error: {text}") }
}

/// One line on stderr. Nobody listening there is no reason to fail. `text` is escaped by the caller.
pub(crate) fn talk(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(io::stderr(), "{text}");
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::Error(error.into()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Error(error)
    }
}

impl From<crate::when::WhenError> for Failure {
    fn from(error: crate::when::WhenError) -> Self {
        Self::Usage(error.to_string())
    }
}
