use crate::Rows;
use crate::json::Extra;
use crate::ulogd::{Told, Value};
use bartizan_decode::Event;
use bartizan_decode::columns::Full;

/// Keeps what could not be read: an event of nothing but `raw`, with why in `extra`.
pub(crate) fn unread(text: &[u8], why: &str, rows: &mut Rows, told: &Told<'_>) -> Result<(), Full> {
    let mut extra = Extra::default();
    extra.put(b"unparsed", &Value::Text(why.as_bytes()));
    let event = Event { time: told.received, raw: text, extra: extra.finish(), ..Event::default() };
    rows.event(&event, told.source, told.whose)
}
