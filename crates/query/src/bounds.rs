//! What filters of a plan say about the time of the rows that they keep.

use crate::source::Window;
use bartizan_model::Micros;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// A window that holds every row for which all of these are true. What is not understood bounds nothing.
pub(crate) fn window(filters: &[Expr]) -> Window {
    filters.iter().map(one).fold(Window::ALL, both)
}

fn one(filter: &Expr) -> Window {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => both(one(left), one(right)),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (is_time(left), is_time(right)) {
            (true, false) => compared(*op, moment(right)),
            (false, true) => op.swap().map_or(Window::ALL, |op| compared(op, moment(left))),
            _ => Window::ALL,
        },
        Expr::Between(between) if !between.negated && is_time(&between.expr) => both(
            compared(Operator::GtEq, moment(&between.low)),
            compared(Operator::LtEq, moment(&between.high)),
        ),
        _ => Window::ALL,
    }
}

fn is_time(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == "time")
}

fn moment(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(micros, _), _) => *micros,
        _ => None,
    }
}

/// `time` compared with a moment.
fn compared(op: Operator, moment: Option<i64>) -> Window {
    let Some(moment) = moment else { return Window::ALL };
    // None after the last moment: that side has no bound then.
    let next = moment.checked_add(1).map(Micros);
    let this = Some(Micros(moment));
    match op {
        Operator::Eq => Window { since: this, until: next },
        Operator::GtEq => Window { since: this, until: None },
        Operator::Gt => Window { since: next, until: None },
        Operator::Lt => Window { since: None, until: this },
        Operator::LtEq => Window { since: None, until: next },
        _ => Window::ALL,
    }
}

fn both(a: Window, b: Window) -> Window {
    let earlier = |a: Option<Micros>, b: Option<Micros>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    // `None` is the least of all options, so that a bound wins over none.
    Window { since: a.since.max(b.since), until: earlier(a.until, b.until) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::column;
    use datafusion::logical_expr::lit;

    fn at(micros: i64) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
    }

    fn bounds(filters: &[Expr]) -> (Option<i64>, Option<i64>) {
        let window = window(filters);
        (window.since.map(|t| t.0), window.until.map(|t| t.0))
    }

    #[test]
    fn conjunctions_of_comparisons_bound_time() {
        let time = || column("time");
        let other = || column("received").gt(at(9));
        assert_eq!(bounds(&[]), (None, None));
        assert_eq!(bounds(&[time().gt_eq(at(1)), time().lt(at(5))]), (Some(1), Some(5)));
        assert_eq!(bounds(&[time().gt(at(1)).and(time().lt_eq(at(5)))]), (Some(2), Some(6)));
        assert_eq!(bounds(&[at(5).gt(time()).and(at(1).lt_eq(time()))]), (Some(1), Some(5)));
        assert_eq!(bounds(&[time().eq(at(3)), time().gt(at(1))]), (Some(3), Some(4)));
        assert_eq!(bounds(&[time().between(at(1), at(5)), other()]), (Some(1), Some(6)));
        assert_eq!(bounds(&[time().gt(at(i64::MAX))]), (None, None));
        assert_eq!(bounds(&[time().lt_eq(at(i64::MAX))]), (None, None));
    }

    #[test]
    fn what_may_keep_other_rows_bounds_nothing() {
        let time = || column("time");
        for filter in [
            time().gt(at(1)).or(column("dport").eq(lit(22))),
            time().not_between(at(1), at(5)),
            time().not_eq(at(1)),
            column("received").gt(at(1)),
            time().gt(column("received")),
            time().gt(lit(ScalarValue::TimestampMicrosecond(None, None))),
            !time().gt(at(1)),
        ] {
            assert_eq!(bounds(std::slice::from_ref(&filter)), (None, None), "{filter}");
        }
    }
}
