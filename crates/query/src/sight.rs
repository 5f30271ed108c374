//! What whoever asks may see.
//!
//! - **No question without it.** What lowers a filter, chooses counts or reads rows takes a [`Scoped`], and that is made
//!   only here, of a filter and of the scope of who asks. So the compiler finds whoever forgets.
//! - **A scope is denied where it says nothing**: a table that lacks a field of it has no rows for whoever is bound to it.
//! - Who may not see contents does not see columns that hold them ([`is_content`]), and cannot ask for them either: the
//!   answer to `raw:*secret*` would tell of them.

use crate::QueryError;
use bartizan_filter::{Expr, Filter};
use bartizan_model::Kind;
use bartizan_schema::{is_content, table_columns};
use std::borrow::Cow;
use std::ops::Deref;

/// What somebody may see. The default is everything, as the server itself does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    scope: Filter,
    contents: bool,
}

impl Default for Sight {
    fn default() -> Self {
        Self { scope: Filter::all(), contents: true }
    }
}

impl Sight {
    /// Only rows that pass a filter, whatever is asked; and what packets and lines say, if `contents`.
    #[must_use]
    pub const fn new(scope: Filter, contents: bool) -> Self {
        Self { scope, contents }
    }

    /// Which rows.
    #[must_use]
    pub const fn scope(&self) -> &Filter {
        &self.scope
    }

    /// Whether all rows.
    #[must_use]
    pub const fn is_unbounded(&self) -> bool {
        matches!(self.scope.expr(), Expr::All)
    }

    /// Whether what packets and lines say.
    #[must_use]
    pub const fn contents(&self) -> bool {
        self.contents
    }

    /// Of a filter what is in sight.
    ///
    /// # Errors
    /// [`QueryError::Hidden`] if the filter asks for a column that is not.
    pub fn scoped<'a>(&self, kind: Kind, filter: &'a Filter) -> Result<Scoped<'a>, QueryError> {
        if !self.contents {
            filter.columns().into_iter().try_for_each(|column| self.show(column).map(drop))?;
        }
        Ok(Scoped(match self.scope.expr() {
            Expr::All => Cow::Borrowed(filter),
            scope if lacks(kind, scope) => Cow::Owned(Filter::from(Expr::Not(Box::new(Expr::All)))),
            _ => Cow::Owned(self.scope.clone().and(filter.clone())),
        }))
    }

    /// Nothing, if a column is in sight.
    pub(crate) const fn show(&self, column: &'static str) -> Result<&'static str, QueryError> {
        if self.contents || !is_content(column) { Ok(column) } else { Err(QueryError::Hidden { column }) }
    }

    /// The columns of a table that are in sight, if not all are.
    pub(crate) fn columns(&self, kind: Kind) -> Option<Vec<&'static str>> {
        let all = table_columns(kind);
        let seen: Vec<_> = all.iter().map(|c| c.name).filter(|name| self.show(name).is_ok()).collect();
        (seen.len() < all.len()).then_some(seen)
    }
}

/// A filter within the scope of who asks.
#[derive(Clone, Debug)]
pub struct Scoped<'a>(Cow<'a, Filter>);

impl Scoped<'_> {
    /// The same, for longer.
    #[must_use]
    pub fn into_owned(self) -> Scoped<'static> {
        Scoped(Cow::Owned(self.0.into_owned()))
    }
}

impl Deref for Scoped<'_> {
    type Target = Filter;

    fn deref(&self) -> &Filter {
        &self.0
    }
}

fn lacks(kind: Kind, tree: &Expr) -> bool {
    match tree {
        Expr::All => false,
        Expr::And(parts) | Expr::Or(parts) => parts.iter().any(|part| lacks(kind, part)),
        Expr::Not(inner) => lacks(kind, inner),
        Expr::Term(term) => term.field.columns_in(kind).next().is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_filter::Context;

    fn filter(text: &str) -> Filter {
        Filter::parse(text, &Context::default()).unwrap()
    }

    #[test]
    fn a_filter_is_within_the_scope_and_everything_is_in_sight_of_the_server() {
        let sight = Sight::new(filter("host:db*"), true);
        let asked = filter("dport:22 OR host:web");
        assert_eq!(
            sight.scoped(Kind::Events, &asked).unwrap().to_string(),
            "host:db* (dport:22 OR host:web)"
        );
        assert_eq!(*Sight::default().scoped(Kind::Events, &asked).unwrap(), asked);
        assert!(Sight::default().is_unbounded() && !sight.is_unbounded());
    }

    #[test]
    fn a_table_that_a_scope_says_nothing_about_is_empty() {
        let sight = Sight::new(filter("host:db dport:22"), true);
        let all = Filter::all();
        let scoped = sight.scoped(Kind::Losses, &all).unwrap();
        assert_eq!(*scoped.expr(), Expr::Not(Box::new(Expr::All)));
    }

    #[test]
    fn what_is_not_seen_cannot_be_asked_for() {
        let sight = Sight::new(Filter::all(), false);
        for text in ["raw:*x*", "dport:22 OR -raw:x"] {
            let asked = filter(text);
            assert!(matches!(sight.scoped(Kind::Events, &asked), Err(QueryError::Hidden { column: "raw" })));
            assert!(Sight::default().scoped(Kind::Events, &asked).is_ok());
        }
        let seen = sight.columns(Kind::Events).unwrap();
        assert!(seen.contains(&"src") && !seen.contains(&"raw") && !seen.contains(&"payload"));
        assert_eq!(sight.columns(Kind::Losses), None);
        assert_eq!(Sight::default().columns(Kind::Events), None);
    }
}
