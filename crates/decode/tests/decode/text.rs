//! Lines of text: by the format, against any mutation, and on material of other people.

mod corpus;
pub(crate) mod format;
mod oracle;
mod written;

use crate::columns::{Row, rows};
use bartizan_decode::columns::EventColumns;
use bartizan_decode::text::Line;
use bartizan_model::Micros;

/// The cells of the row that a line makes.
fn row_of(line: &Line<'_>) -> Row {
    let mut columns = EventColumns::new(1);
    columns.push_line(line, Micros(7), "text").expect("there is room for one row");
    let mut row = rows(&columns.finish()).pop().expect("there is one row");
    for constant in [("time", "7"), ("source", "text")] {
        assert_eq!(row.remove(constant.0).as_deref(), Some(constant.1));
    }
    row
}
