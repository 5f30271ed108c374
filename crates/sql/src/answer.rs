//! The columns of an answer: each under a name of its own, addresses as text.

use crate::functions::{ADDRESS, addr_text_of};
use datafusion::common::Column;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use std::collections::HashSet;

/// Most columns of an answer.
const MAX_COLUMNS: usize = 2_000;

/// The plan with its columns as they are shown.
pub(crate) fn shown(plan: LogicalPlan) -> DfResult<LogicalPlan> {
    let mut taken = HashSet::new();
    let mut columns = Vec::with_capacity(plan.schema().fields().len());
    if plan.schema().fields().len() > MAX_COLUMNS {
        return datafusion::common::plan_err!("an answer has at most {MAX_COLUMNS} columns");
    }
    for (table, field) in plan.schema().iter() {
        let column = Expr::Column(Column::new(table.cloned(), field.name()));
        let column = if *field.data_type() == ADDRESS { addr_text_of().call(vec![column]) } else { column };
        let name = (1..)
            .map(|n| if n == 1 { field.name().clone() } else { format!("{}_{n}", field.name()) })
            .find(|name| !taken.contains(name))
            .unwrap_or_default();
        taken.insert(name.clone());
        columns.push(column.alias(name));
    }
    if columns.is_empty() {
        return Ok(plan);
    }
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}
