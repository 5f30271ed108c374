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
    /// The question needs more memory than one question may have.
    #[error("the question needs more than its share of memory: narrow the time or the filter")]
    TooLarge(#[source] Box<DataFusionError>),
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
    /// The question is too large; narrow it.
    TooLarge,
    /// Nothing; the operator must look.
    Internal,
}

impl QueryError {
    /// What the asker can do.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NoColumn { .. } | Self::Ambiguous { .. } | Self::Groups { .. } => ErrorKind::Question,
            Self::TooLarge(_) => ErrorKind::TooLarge,
            Self::Engine(_) | Self::Schema { .. } => ErrorKind::Internal,
        }
    }
}

impl From<DataFusionError> for QueryError {
    fn from(e: DataFusionError) -> Self {
        match e.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::TooLarge(Box::new(e)),
            _ => Self::Engine(Box::new(e)),
        }
    }
}
