//! Addresses in expressions: 16 bytes for the engine, and what a person writes for who asks.
//!
//! - An address compared with a text is compared with the address that the text says, or the question is wrong. As
//!   bytes they would never be equal, and nobody would be told.
//! - An address that is made text, or searched like one, is the text that is shown.
//!
//! The same walk bounds what `||` puts together ([`growth`]).

use crate::functions::{ADDRESS, addr_text_of, parse_ip};
use crate::growth;
use arrow_schema::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::expr::{Between, InList, Like};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Operator, TryCast, lit};
use datafusion::optimizer::AnalyzerRule;
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// What has to be done before the types of an expression are looked at: texts beside an address.
#[derive(Debug)]
pub(crate) struct Texts;

impl ExprPlanner for Texts {
    fn plan_binary_op(
        &self,
        mut expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> DfResult<PlannerResult<RawBinaryExpr>> {
        if expr.op == BinaryOperator::StringConcat {
            for side in [&mut expr.left, &mut expr.right] {
                if side.get_type(schema).is_ok_and(|kind| kind == ADDRESS) {
                    *side = addr_text_of().call(vec![std::mem::take(side)]);
                }
            }
        }
        use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        if matches!(expr.op, Eq | NotEq | Lt | LtEq | Gt | GtEq) {
            let [left, right] =
                [&expr.left, &expr.right].map(|side| side.get_type(schema).is_ok_and(|kind| kind == ADDRESS));
            if left && matches!(expr.right, Expr::Literal(..)) {
                expr.right = literal(expr.right, schema)?;
            } else if right && matches!(expr.left, Expr::Literal(..)) {
                expr.left = literal(expr.left, schema)?;
            }
        }
        Ok(PlannerResult::Original(expr))
    }
}

/// Goes before the engine's own rules.
#[derive(Debug)]
pub(crate) struct Addresses;

impl AnalyzerRule for Addresses {
    fn name(&self) -> &str {
        "addresses"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(node)?.data)
    }
}

fn node(plan: LogicalPlan) -> DfResult<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(expr.transform_up(|expr| one(expr, &schema))?.update_data(|expr| name.restore(expr)))
    })?
    .map_data(LogicalPlan::recompute_schema)
}

fn one(expr: Expr, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    let is_address = |expr: &Expr| expr.get_type(schema).is_ok_and(|kind| kind == ADDRESS);
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
            let side = |side: Expr| Box::new(growth::limited().call(vec![side]));
            Ok(Transformed::yes(binary(side(*left), Operator::StringConcat, side(*right))))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => {
            let (a, b) = (is_address(&left), is_address(&right));
            match (a, b) {
                (true, false) => {
                    let right = literal(*right, schema)?;
                    Ok(Transformed::yes(binary(left, op, Box::new(right))))
                }
                (false, true) => {
                    let left = literal(*left, schema)?;
                    Ok(Transformed::yes(binary(Box::new(left), op, right)))
                }
                _ => Ok(Transformed::no(binary(left, op, right))),
            }
        }
        Expr::InList(InList { expr, list, negated }) if is_address(&expr) => {
            let list = list.into_iter().map(|item| literal(item, schema)).collect::<DfResult<_>>()?;
            Ok(Transformed::yes(Expr::InList(InList { expr, list, negated })))
        }
        Expr::Between(Between { expr, negated, low, high }) if is_address(&expr) => {
            let (low, high) = (Box::new(literal(*low, schema)?), Box::new(literal(*high, schema)?));
            Ok(Transformed::yes(Expr::Between(Between { expr, negated, low, high })))
        }
        Expr::Like(like) if is_address(&like.expr) => {
            let expr = Box::new(addr_text_of().call(vec![*like.expr]));
            Ok(Transformed::yes(Expr::Like(Like { expr, ..like })))
        }
        Expr::Cast(cast) if is_text(cast.field.data_type()) && is_address(&cast.expr) => {
            let expr = Box::new(addr_text_of().call(vec![*cast.expr]));
            Ok(Transformed::yes(Expr::Cast(Cast { expr, ..cast })))
        }
        Expr::TryCast(cast) if is_text(cast.field.data_type()) && is_address(&cast.expr) => {
            let expr = Box::new(addr_text_of().call(vec![*cast.expr]));
            Ok(Transformed::yes(Expr::TryCast(TryCast { expr, ..cast })))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn binary(left: Box<Expr>, op: Operator, right: Box<Expr>) -> Expr {
    Expr::BinaryExpr(BinaryExpr { left, op, right })
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// What stands beside an address, as an address.
fn literal(expr: Expr, schema: &DFSchema) -> DfResult<Expr> {
    if let Expr::Literal(value, _) = &expr {
        return match value.try_as_str() {
            Some(Some(text)) => Ok(lit(ScalarValue::FixedSizeBinary(16, Some(parse_ip(text)?.to_vec())))),
            _ if value.is_null() => Ok(lit(ScalarValue::FixedSizeBinary(16, None))),
            _ => Ok(expr),
        };
    }
    match expr.get_type(schema) {
        Ok(kind) if is_text(&kind) => Err(DataFusionError::Plan(format!(
            "`{expr}` is text, and addresses are compared with addresses: write addr_text(…) on the other side"
        ))),
        _ => Ok(expr),
    }
}
