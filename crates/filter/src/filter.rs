use crate::{Context, Expr, FilterError, parse, print, recognise};
use bartizan_model::Kind;
use std::{collections::BTreeSet, fmt};

/// Longest filter, in bytes, as written and as printed.
pub const MAX_LEN: usize = 8 * 1024;
/// Deepest nesting of parentheses, as written and as printed.
pub const MAX_DEPTH: usize = 64;
/// Most values in one list; more belong into a set.
pub const MAX_LIST: usize = 10_000;
/// Most regular expressions in one filter.
pub const MAX_REGEXES: usize = 32;

/// A filter that was parsed and type-checked.
///
/// `Display` prints the canonical form: stable, and fit for cache keys, addresses of pages and audit logs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filter {
    expr: Expr,
}

impl Filter {
    /// The filter that every event passes; it prints as the empty text.
    #[must_use]
    pub const fn all() -> Self {
        Self { expr: Expr::All }
    }

    /// The filter of events that a text stands for.
    ///
    /// # Errors
    /// What is wrong, where, and what was probably meant.
    pub fn parse(text: &str, context: &Context) -> Result<Self, FilterError> {
        Self::parse_for(Kind::Events, text, context)
    }

    /// The filter of rows of a table that a text stands for. A field that the table does not have is an error.
    ///
    /// # Errors
    /// As [`Filter::parse`].
    pub fn parse_for(kind: Kind, text: &str, context: &Context) -> Result<Self, FilterError> {
        let (result, _) = parse::parse(kind, text, context);
        result.map(|expr| Self { expr }).map_err(|fault| {
            let pasted = recognise::pasted_line(text).filter(|f| parse::parse(kind, f, context).0.is_ok());
            match pasted {
                Some(filter) => pasted_error(text, filter),
                None => fault.into_error(text),
            }
        })
    }

    /// As [`Filter::parse`], with the number of characters that the parser looked at. For tests.
    #[doc(hidden)]
    pub fn parse_counting(text: &str, context: &Context) -> (Result<Self, FilterError>, usize) {
        (Self::parse_for(Kind::Events, text, context), parse::parse(Kind::Events, text, context).1)
    }

    /// Its tree.
    #[must_use]
    pub const fn expr(&self) -> &Expr {
        &self.expr
    }

    /// What passes both, as for a scope that is added to every query. The result may be longer or deeper
    /// than a text may be; it is for evaluation.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { expr: Expr::and(vec![self.expr, other.expr]) }
    }

    /// The columns that it looks at, of whatever table.
    #[must_use]
    pub fn columns(&self) -> BTreeSet<&'static str> {
        fn visit(expr: &Expr, into: &mut BTreeSet<&'static str>) {
            match expr {
                Expr::All => {}
                Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| visit(part, into)),
                Expr::Not(inner) => visit(inner, into),
                Expr::Term(term) => into.extend(term.field.columns),
            }
        }
        let mut columns = BTreeSet::new();
        visit(&self.expr, &mut columns);
        columns
    }
}

fn pasted_error(text: &str, filter: String) -> FilterError {
    FilterError {
        span: 0..text.len(),
        message: "this is something pasted and not a filter".to_owned(),
        proposal: Some(filter),
        unknown_name: false,
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::all()
    }
}

/// Takes a tree as it is; one that was not made by the constructors of [`Expr`] may print as another.
impl From<Expr> for Filter {
    fn from(expr: Expr) -> Self {
        Self { expr }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print::filter(&self.expr, f)
    }
}
