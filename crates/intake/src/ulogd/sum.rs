use super::take::Taker;
use super::{Key, Pushed, Record, Told};
use crate::{Counter, Rows};
use bartizan_decode::columns::Full;
use bartizan_model::Micros;
use std::collections::HashMap;

/// Counters of which the last reading is kept. Those beyond are rows without the time of the reading before.
const MAX_NAMES: usize = 1 << 16;

/// What counters showed last, by host and name.
///
/// ulogd's NFACCT zeroes the counters with each reading (`zerocounter=1`, its default), so that what it writes is what
/// they grew by. With `zerocounter=0` it writes totals, which no record tells from growth: see [`Sums::of_totals`].
#[derive(Debug, Default)]
pub struct Sums {
    totals: bool,
    last: HashMap<Box<str>, HashMap<Box<[u8]>, Reading>>,
    names: usize,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    time: Micros,
    packets: u64,
    bytes: u64,
}

impl Sums {
    /// For records that hold totals.
    #[must_use]
    pub fn of_totals() -> Self {
        Self { totals: true, ..Self::default() }
    }

    pub(super) fn push(
        &mut self,
        record: &Record<'_>,
        rows: &mut Rows,
        told: &Told<'_>,
    ) -> Result<Pushed, Full> {
        let take = &mut Taker::new(record);
        let time = record.time(take, told).unwrap_or(told.received);
        let Some(name) = take.text(Key::SumName) else { return Ok(Pushed::Nothing) };
        let (packets, bytes) = (take.number(Key::SumPackets), take.number(Key::SumBytes));
        let now = Reading { time, packets: packets.unwrap_or(0), bytes: bytes.unwrap_or(0) };
        let before = self.last.get(told.whose.host).and_then(|host| host.get(&*name)).copied();
        let (mut packets, mut bytes, mut reset) = (now.packets, now.bytes, false);
        if self.totals {
            match before {
                Some(before) if now.packets >= before.packets && now.bytes >= before.bytes => {
                    (packets, bytes) = (now.packets - before.packets, now.bytes - before.bytes);
                }
                _ => reset = true,
            }
        }
        let moved = packets != 0 || bytes != 0;
        if moved {
            let counter = Counter {
                time,
                from: before.map(|b| b.time).filter(|from| *from < time),
                source: "nfacct",
                name: String::from_utf8_lossy(&name).replace('\0', "\u{fffd}"),
                packets,
                bytes,
                reset,
            };
            rows.counter(counter, told.whose)?;
        }
        self.keep(told.whose.host, &name, now);
        Ok(if moved { Pushed::Counter } else { Pushed::Unmoved })
    }

    fn keep(&mut self, host: &str, name: &[u8], now: Reading) {
        if let Some(kept) = self.last.get_mut(host).and_then(|host| host.get_mut(name)) {
            *kept = now;
        } else if self.names < MAX_NAMES {
            self.names += 1;
            self.last.entry(host.into()).or_default().insert(name.into(), now);
        }
    }
}
