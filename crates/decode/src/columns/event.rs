use super::row::{Row, put};
use super::words::{family_word, hook_word};
use super::{At, EventColumns, Full, MAX_PREFIX};
use crate::event::Event;

impl EventColumns {
    /// Adds a packet that a record of another format tells, and that came from `source`, a word of the `source`
    /// column.
    ///
    /// # Errors
    /// When the builder is full, or its rows come from another source; the packet was not added.
    pub fn push_event(&mut self, event: &Event<'_>, source: &'static str) -> Result<(), Full> {
        let rows = self.start_text_row(source)?;
        let mut row = Row::new(&mut self.columns, rows);
        row.time(event.time);
        if let Some(netns) = &self.netns {
            row.netns(netns);
        }
        row.told(event);
        row.names([event.in_if, event.out_if, event.phys_in, event.phys_out], &mut self.names);
        row.link(&event.link);
        row.headers(&event.headers);
        if !event.raw.is_empty() {
            self.names.texts += row.raw(event.raw);
        }
        if !event.extra.is_empty() {
            put!(row, extra, event.extra.as_bytes());
            self.names.texts += event.extra.len();
        }
        let present = row.present();
        self.end_text_row(present, event.packets.max(1));
        Ok(())
    }
}

impl Row<'_> {
    /// What stands in the event itself.
    fn told(&mut self, event: &Event<'_>) {
        put!(self, family, u64::from(event.family), |text| text.push_str(family_word(event.family)));
        if let Some(hook) = event.hook
            && let Some(word) = hook_word(event.family, hook)
        {
            put!(self, hook, u64::from(event.family) << 8 | u64::from(hook), |text| text.push_str(word));
        }
        if !event.prefix.is_empty() {
            put!(self, prefix, &event.prefix[..event.prefix.len().min(MAX_PREFIX)]);
        }
        if let Some(action) = event.action {
            put!(self, action, action as u64, |text| text.push_str(action.as_str()));
        }
        if event.mark != 0 {
            put!(self, mark, i64::from(event.mark));
        }
        if let Some(uid) = event.uid {
            put!(self, uid, i64::from(uid));
        }
        if let Some(gid) = event.gid {
            put!(self, gid, i64::from(gid));
        }
    }
}
