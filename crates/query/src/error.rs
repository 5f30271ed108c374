use crate::files::LeftOut;
use arrow_schema::ArrowError;
use datafusion::error::DataFusionError;

/// What went wrong with a question.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A column that the table does not have.
    #[error("table {table} has no column `{column}`")]
    NoColumn {
        /// The table asked.
        table: &'static str,
        /// The name as given.
        column: String,
    },
    /// A column that whoever asks may not see.
    #[error("`{column}` holds what packets and lines say: you have no permission to see that")]
    Hidden {
        /// Its name.
        column: &'static str,
    },
    /// A field that stands for several columns cannot be a group.
    #[error("`{field}` is either of {columns}: group by one of them")]
    Ambiguous {
        /// The field as given.
        field: &'static str,
        /// The columns that it covers.
        columns: String,
    },
    /// No column to group by, or too many.
    #[error("group by 1 to {max} columns, not {given}")]
    Groups {
        /// How many were given.
        given: usize,
        /// How many are allowed.
        max: usize,
    },
    /// What SQL says is wrong, or cannot be done with the values that there are.
    #[error("{0}")]
    Sql(String),
    /// The question needs more memory than one question may have.
    #[error("the question needs more than its share of memory: narrow the time or the filter")]
    TooLarge(#[source] Box<DataFusionError>),
    /// The question went over a limit of its own.
    #[error("the question went over its limit of {what}: narrow the time or the filter")]
    Limit {
        /// Of what.
        what: &'static str,
    },
    /// It was cancelled.
    #[error("the question was cancelled")]
    Cancelled,
    /// The answer is right but for the rows of files that cannot be read; it comes after all others.
    #[error("{} of the lake cannot be read, and its rows are missing: {}", files(.0), first(.0))]
    LeftOut(Vec<LeftOut>),
    /// The engine or a file failed.
    #[error("the query failed")]
    Engine(#[source] Box<DataFusionError>),
    /// A batch that does not have its table's schema.
    #[error("the batch is not of table {table}: column `{column}`")]
    Schema {
        /// The table asked.
        table: &'static str,
        /// The first column that differs.
        column: String,
    },
}

/// What the asker can do about a [`QueryError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The question is wrong; ask another one.
    Question,
    /// Nothing; it is not theirs to see.
    Hidden,
    /// The question is too large; narrow it.
    TooLarge,
    /// Nothing; somebody wanted it to end.
    Cancelled,
    /// Nothing; the operator must look. What was answered is right, and not all.
    Incomplete,
    /// Nothing; the operator must look.
    Internal,
}

impl QueryError {
    /// What the asker can do.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NoColumn { .. } | Self::Ambiguous { .. } | Self::Groups { .. } | Self::Sql(_) => {
                ErrorKind::Question
            }
            Self::Hidden { .. } => ErrorKind::Hidden,
            Self::TooLarge(_) | Self::Limit { .. } => ErrorKind::TooLarge,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::LeftOut(_) => ErrorKind::Incomplete,
            Self::Engine(_) | Self::Schema { .. } => ErrorKind::Internal,
        }
    }
}

/// How DataFusion says that the temporary files of a question have grown to their limit: it has no kind for it.
const SPILLED_TOO_MUCH: &str = "The used disk space during the spilling process has exceeded";

/// Whether memory or the disk for sorting was too small; what other crates wrap is unwrapped.
fn is_exhausted(e: &DataFusionError) -> bool {
    if let DataFusionError::ResourcesExhausted(_) = e.find_root() {
        return true;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(e);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.to_string().starts_with(SPILLED_TOO_MUCH)) {
            return true;
        }
        let inner = io.and_then(std::io::Error::get_ref);
        let found = inner.and_then(|inner| inner.downcast_ref::<DataFusionError>());
        if found.is_some_and(|inner| matches!(inner.find_root(), DataFusionError::ResourcesExhausted(_))) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn files(left_out: &[LeftOut]) -> String {
    match left_out.len() {
        1 => "a file".to_owned(),
        n => format!("{n} files"),
    }
}

/// The first few of them.
fn first(left_out: &[LeftOut]) -> String {
    const SHOWN: usize = 3;
    let mut text = left_out.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if left_out.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

impl QueryError {
    /// Of a question that came as SQL: what its author did wrong is told in words, anything else is as it always is.
    #[must_use]
    pub fn of_sql(error: DataFusionError) -> Self {
        match root(&error) {
            DataFusionError::Plan(text) | DataFusionError::NotImplemented(text) => Self::Sql(text.clone()),
            DataFusionError::SQL(cause, _) => Self::Sql(cause.to_string()),
            DataFusionError::SchemaError(cause, _) => Self::Sql(cause.to_string()),
            DataFusionError::ArrowError(cause, _) => match cause.as_ref() {
                ArrowError::CastError(text) | ArrowError::ParseError(text) => Self::Sql(text.clone()),
                ArrowError::DivideByZero | ArrowError::ArithmeticOverflow(_) => Self::Sql(cause.to_string()),
                _ => error.into(),
            },
            _ => error.into(),
        }
    }
}

/// The error behind what was added to it on its way.
fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(error, root),
        DataFusionError::ArrowError(cause, _) => match cause.as_ref() {
            ArrowError::ExternalError(inner) => inner.downcast_ref().map_or(error, root),
            _ => error,
        },
        DataFusionError::External(inner) => inner.downcast_ref().map_or(error, root),
        other => other,
    }
}

impl From<DataFusionError> for QueryError {
    fn from(e: DataFusionError) -> Self {
        if is_exhausted(&e) { Self::TooLarge(Box::new(e)) } else { Self::Engine(Box::new(e)) }
    }
}
