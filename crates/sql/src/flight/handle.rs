//! What a client carries from one call to the next: the server keeps nothing, so that any server can go on.
//!
//! ```text
//! handle     version 1 | text | number of parameters, 2 bytes | parameters
//! text       length, 4 bytes | UTF-8
//! parameter  0 null | 1 false | 2 true | 3 whole number, 8 bytes | 4 number, 8 bytes | 5 text | 6 microseconds, 8 bytes
//! ticket     16 bytes that name this run of it, for cancelling | handle
//! ```
//!
//! Numbers are little endian. A handle is no secret and proves nothing: whoever has one still needs a token, and sees
//! what that may see. Its bytes may be anybody's: reading them is total, takes linear time and no more memory than they
//! have. What is read is written as the same bytes.

use crate::statement::MAX_TEXT;
use crate::value::Value;

const VERSION: u8 = 1;
/// Bytes of the parameters of one statement, as they stand in a handle.
pub(super) const MAX_VALUES: usize = 64 << 10;

/// A statement with what its parameters stand for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Handle {
    text: String,
    values: Vec<Value>,
}

/// Why there is no handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandleError {
    /// The bytes are none.
    Unknown,
    /// The text is too long.
    Text,
    /// The parameters are too long, or too many.
    Values,
}

impl std::fmt::Display for HandleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => f.write_str("the handle is none of this server's: prepare the statement again"),
            Self::Text => write!(f, "a question is at most {MAX_TEXT} bytes"),
            Self::Values => write!(f, "the parameters of a question are at most {MAX_VALUES} bytes"),
        }
    }
}

impl Handle {
    pub(super) fn new(text: String) -> Result<Self, HandleError> {
        if text.len() > MAX_TEXT {
            return Err(HandleError::Text);
        }
        Ok(Self { text, values: Vec::new() })
    }

    /// The same statement, with these for its parameters.
    pub(super) fn bind(self, values: Vec<Value>) -> Result<Self, HandleError> {
        let bytes: usize = values.iter().map(size).sum();
        if bytes > MAX_VALUES || values.len() > usize::from(u16::MAX) {
            return Err(HandleError::Values);
        }
        Ok(Self { values, ..self })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put_text(&mut bytes, &self.text);
        // `bind` saw to it that there are no more.
        bytes.extend_from_slice(&u16::try_from(self.values.len()).unwrap_or(u16::MAX).to_le_bytes());
        for value in &self.values {
            match value {
                Value::Null => bytes.push(0),
                Value::Bool(false) => bytes.push(1),
                Value::Bool(true) => bytes.push(2),
                Value::Int(n) => put(&mut bytes, 3, n.to_le_bytes()),
                Value::Float(n) => put(&mut bytes, 4, n.to_le_bytes()),
                Value::Text(text) => {
                    bytes.push(5);
                    put_text(&mut bytes, text);
                }
                Value::Time(micros) => put(&mut bytes, 6, micros.to_le_bytes()),
            }
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HandleError> {
        let mut rest = Rest(bytes);
        if rest.byte() != Some(VERSION) {
            return Err(HandleError::Unknown);
        }
        let text = rest.text().ok_or(HandleError::Unknown)?;
        let handle = Self::new(text.to_owned())?;
        let count = rest.take::<2>().map(u16::from_le_bytes).ok_or(HandleError::Unknown)?;
        if rest.0.len() > MAX_VALUES {
            return Err(HandleError::Values);
        }
        let values = (0..count).map(|_| rest.value()).collect::<Option<Vec<_>>>();
        let values = values.filter(|_| rest.0.is_empty()).ok_or(HandleError::Unknown)?;
        Ok(Self { values, ..handle })
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Int(_) | Value::Float(_) | Value::Time(_) => 9,
        Value::Text(text) => 5 + text.len(),
    }
}

fn put(bytes: &mut Vec<u8>, tag: u8, number: [u8; 8]) {
    bytes.push(tag);
    bytes.extend_from_slice(&number);
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    // Texts are bounded far below.
    bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(u32::from_le_bytes(self.take()?)).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn value(&mut self) -> Option<Value> {
        Some(match self.byte()? {
            0 => Value::Null,
            1 => Value::Bool(false),
            2 => Value::Bool(true),
            3 => Value::Int(i64::from_le_bytes(self.take()?)),
            4 => Value::Float(f64::from_le_bytes(self.take()?)),
            5 => Value::Text(self.text()?.to_owned()),
            6 => Value::Time(i64::from_le_bytes(self.take()?)),
            _ => return None,
        })
    }
}

/// A handle, and the name of one run of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) name: [u8; 16],
    pub(super) handle: Handle,
}

impl Run {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.name.to_vec();
        bytes.extend(self.handle.encode());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HandleError> {
        let (name, handle) = bytes.split_first_chunk::<16>().ok_or(HandleError::Unknown)?;
        Ok(Self { name: *name, handle: Handle::decode(handle)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn handles_have_bounds() {
        assert_eq!(Handle::new("x".repeat(MAX_TEXT + 1)), Err(HandleError::Text));
        let handle = Handle::new("SELECT ?".to_owned()).unwrap();
        let long = |n| vec![Value::Text("x".repeat(n))];
        assert!(handle.clone().bind(long(MAX_VALUES - 5)).is_ok());
        assert_eq!(handle.clone().bind(long(MAX_VALUES - 4)), Err(HandleError::Values));
        assert_eq!(handle.clone().bind(vec![Value::Null; 1 << 16]), Err(HandleError::Values));
        // The same bounds for who makes one by hand.
        let mut bytes = handle.bind(long(MAX_VALUES - 5)).unwrap().encode();
        assert!(Handle::decode(&bytes).is_ok());
        bytes.push(0);
        assert_eq!(Handle::decode(&bytes), Err(HandleError::Values));
        // A length or a number of which there is nothing takes no memory.
        assert_eq!(Handle::decode(&[1, 0xff, 0xff, 0xff, 0xff, b'x']), Err(HandleError::Unknown));
        assert_eq!(Handle::decode(&[1, 1, 0, 0, 0, b'x', 0xff, 0xff]), Err(HandleError::Unknown));
    }

    fn values() -> impl Strategy<Value = Vec<Value>> {
        let value = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::Float),
            ".{0,20}".prop_map(Value::Text),
            any::<i64>().prop_map(Value::Time),
        ];
        proptest::collection::vec(value, 0..20)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in ".{0,50}", values in values(), name in any::<[u8; 16]>()) {
            let handle = Handle::new(text).unwrap().bind(values).unwrap();
            let run = Run { name, handle };
            let read = Run::decode(&run.encode()).unwrap();
            // Also for numbers that are not equal to themselves.
            prop_assert_eq!(read.encode(), run.encode());
            prop_assert_eq!(format!("{read:?}"), format!("{run:?}"));
        }

        #[test]
        fn any_bytes_are_a_handle_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for start in [&[][..], &[1, 3, 0, 0, 0, b'a', b'b', b'c'], &[1, 0, 0, 0, 0, 2, 0]] {
                let bytes = [start, bytes.as_slice()].concat();
                if let Ok(handle) = Handle::decode(&bytes) {
                    prop_assert_eq!(&handle.encode(), &bytes);
                }
                let _ = Run::decode(&bytes);
            }
        }
    }
}
