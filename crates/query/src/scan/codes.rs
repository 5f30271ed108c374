//! Values as small numbers, so that sets of them are small and quick.
//!
//! A code is 32 bits in one of three spaces: a value that is a number of 32 bits itself (ports, protocols, IPv4
//! addresses) stands for itself; others have the number under which they were seen first; and one code is for no
//! value. So codes of one [`Coder`] are equal if and only if the values are.

use crate::QueryError;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::MemoryReservation;
use hashbrown::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A value in the space that is the upper 32 bits: [`DIRECT`], [`NAMED`] or [`NULL`].
pub(crate) type Code = u64;

pub(crate) const DIRECT: u64 = 0;
pub(crate) const NAMED: u64 = 1;
/// There is one code here.
pub(crate) const NULL: u64 = 2;

pub(crate) const fn space(code: Code) -> u64 {
    code >> 32
}

const NO_VALUE: Code = NULL << 32;
const V4: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// A value again. The order of values is that of answers: by number, or by bytes; none last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    Number(i64),
    Bytes(Vec<u8>),
    None,
}

/// The codes of one column.
pub(crate) struct Coder {
    named: Mutex<Named>,
    memory: MemoryReservation,
}

#[derive(Default)]
struct Named {
    codes: HashMap<Arc<[u8]>, u32, foldhash::fast::RandomState>,
    values: Vec<Arc<[u8]>>,
    numbers: bool,
}

/// What a reader of one column remembers from batch to batch.
#[derive(Default)]
pub(crate) struct Remembered {
    dictionary: Option<ArrayRef>,
    codes: Vec<Code>,
    last: Option<(Vec<u8>, Code)>,
}

impl Coder {
    pub(crate) fn new(memory: MemoryReservation) -> Self {
        Self { named: Mutex::default(), memory }
    }

    fn named(&self) -> MutexGuard<'_, Named> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, value: &[u8]) -> Result<Code, QueryError> {
        let mut named = self.named();
        if let Some(code) = named.codes.get(value) {
            return Ok(NAMED << 32 | u64::from(*code));
        }
        self.memory.try_grow(value.len() + 96)?;
        let code = u32::try_from(named.values.len())
            .map_err(|_| DataFusionError::ResourcesExhausted("more than 2^32 values".to_owned()))?;
        let value: Arc<[u8]> = value.into();
        named.codes.insert(Arc::clone(&value), code);
        named.values.push(value);
        Ok(NAMED << 32 | u64::from(code))
    }

    fn number(&self, n: i64) -> Result<Code, QueryError> {
        match u32::try_from(n) {
            Ok(n) => Ok(u64::from(n)),
            Err(_) => {
                self.named().numbers = true;
                self.name(&n.to_le_bytes())
            }
        }
    }

    /// The codes of the rows of an array.
    pub(crate) fn codes(
        &self,
        array: &ArrayRef,
        remembered: &mut Remembered,
        out: &mut Vec<Code>,
    ) -> Result<(), QueryError> {
        out.clear();
        match array.data_type() {
            DataType::Int16 => {
                let values = array.as_primitive::<Int16Type>();
                self.numbers(array, |row| i64::from(values.value(row)), out)
            }
            DataType::Int32 => {
                let values = array.as_primitive::<Int32Type>();
                self.numbers(array, |row| i64::from(values.value(row)), out)
            }
            DataType::Int64 => {
                let values = array.as_primitive::<Int64Type>();
                self.numbers(array, |row| values.value(row), out)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                let values = array.as_primitive::<TimestampMicrosecondType>();
                self.numbers(array, |row| values.value(row), out)
            }
            DataType::FixedSizeBinary(16) => {
                let values = array.as_fixed_size_binary();
                self.bytes(array, |row| values.value(row), true, remembered, out)
            }
            DataType::Binary => {
                let values = array.as_binary::<i32>();
                self.bytes(array, |row| values.value(row), false, remembered, out)
            }
            DataType::Utf8View => {
                let values = array.as_string_view();
                self.bytes(array, |row| values.value(row).as_bytes(), false, remembered, out)
            }
            DataType::Dictionary(..) => self.dictionary(array, remembered, out),
            DataType::Null => {
                out.resize(array.len(), NO_VALUE);
                Ok(())
            }
            other => Err(DataFusionError::Internal(format!("codes of {other}")).into()),
        }
    }

    fn numbers(
        &self,
        array: &ArrayRef,
        value: impl Fn(usize) -> i64,
        out: &mut Vec<Code>,
    ) -> Result<(), QueryError> {
        for row in 0..array.len() {
            out.push(if array.is_valid(row) { self.number(value(row))? } else { NO_VALUE });
        }
        Ok(())
    }

    fn bytes<'a>(
        &self,
        array: &ArrayRef,
        value: impl Fn(usize) -> &'a [u8],
        address: bool,
        remembered: &mut Remembered,
        out: &mut Vec<Code>,
    ) -> Result<(), QueryError> {
        for row in 0..array.len() {
            if array.is_null(row) {
                out.push(NO_VALUE);
                continue;
            }
            let value = value(row);
            out.push(match value.strip_prefix(&V4).and_then(|v4| <[u8; 4]>::try_from(v4).ok()) {
                Some(v4) if address => u64::from(u32::from_be_bytes(v4)),
                _ => match &remembered.last {
                    Some((last, code)) if last == value => *code,
                    _ => {
                        let code = self.name(value)?;
                        remembered.last = Some((value.to_vec(), code));
                        code
                    }
                },
            });
        }
        Ok(())
    }

    fn dictionary(
        &self,
        array: &ArrayRef,
        remembered: &mut Remembered,
        out: &mut Vec<Code>,
    ) -> Result<(), QueryError> {
        let wrong = || QueryError::from(DataFusionError::Internal("a dictionary of another type".to_owned()));
        let array = array.as_dictionary_opt::<Int32Type>().ok_or_else(wrong)?;
        let values = array.values();
        if !remembered.dictionary.as_ref().is_some_and(|known| Arc::ptr_eq(known, values)) {
            let texts = values.as_string_opt::<i32>().ok_or_else(wrong)?;
            remembered.codes = (0..texts.len())
                .map(|i| if texts.is_valid(i) { self.name(texts.value(i).as_bytes()) } else { Ok(NO_VALUE) })
                .collect::<Result<_, _>>()?;
            remembered.dictionary = Some(Arc::clone(values));
        }
        let keys = array.keys();
        for row in 0..keys.len() {
            let code = usize::try_from(keys.value(row)).ok().and_then(|key| remembered.codes.get(key));
            out.push(if keys.is_valid(row) { code.copied().unwrap_or(NO_VALUE) } else { NO_VALUE });
        }
        Ok(())
    }

    /// The value of a code; `address` says that those that stand for themselves are IPv4 addresses.
    pub(crate) fn value(&self, code: Code, address: bool) -> Value {
        let low = (code & u64::from(u32::MAX)) as u32;
        match space(code) {
            DIRECT if address => Value::Bytes([&V4[..], &low.to_be_bytes()].concat()),
            DIRECT => Value::Number(i64::from(low)),
            NAMED => {
                let named = self.named();
                match named.values.get(low as usize) {
                    Some(bytes) if named.numbers => <[u8; 8]>::try_from(&bytes[..])
                        .map_or(Value::None, |n| Value::Number(i64::from_le_bytes(n))),
                    Some(bytes) => Value::Bytes(bytes.to_vec()),
                    None => Value::None,
                }
            }
            _ => Value::None,
        }
    }
}
