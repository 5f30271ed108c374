//! Names of columns, checked and as expressions.

use crate::id::{ID, ID_PARTS};
use crate::lower;
use crate::{QueryError, Sight};
use bartizan_model::Kind;
use datafusion::common::Column;
use datafusion::functions_aggregate::sum::sum;
use datafusion::logical_expr::Expr;

/// Most columns that one [`Engine::top`] groups by.
pub const MAX_GROUPS: usize = 8;

/// A reference to a column by its exact name.
pub(crate) fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The sums of columns, under their names.
pub(crate) fn sum_of<'a>(columns: &'a [&'static str]) -> impl Iterator<Item = Expr> + use<'a> {
    columns.iter().map(|name| sum(column(name)).alias(*name))
}

/// The columns of these names, each once; for [`ID`] those that it is made of.
pub(super) fn known_columns(
    kind: Kind,
    names: Vec<String>,
    sight: &Sight,
) -> Result<Vec<String>, QueryError> {
    let mut known: Vec<String> = Vec::with_capacity(names.len());
    let parts = |name: String| if name == ID { ID_PARTS.map(str::to_owned).to_vec() } else { vec![name] };
    for name in names.into_iter().flat_map(parts) {
        let name = sight.show(lower::single_column(kind, &name)?)?.to_owned();
        if !known.contains(&name) {
            known.push(name);
        }
    }
    Ok(known)
}

pub(super) fn group_columns<S: AsRef<str>>(
    kind: Kind,
    by: &[S],
    sight: &Sight,
) -> Result<Vec<&'static str>, QueryError> {
    if by.is_empty() || by.len() > MAX_GROUPS {
        return Err(QueryError::Groups { given: by.len(), max: MAX_GROUPS });
    }
    let mut columns = Vec::with_capacity(by.len());
    for name in by {
        let name = sight.show(lower::single_column(kind, name.as_ref())?)?;
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    Ok(columns)
}
