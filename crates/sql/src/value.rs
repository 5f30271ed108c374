//! What a parameter stands for. Nothing of the engine is in it, so that whoever reads parameters can be tested alone.

/// What a parameter stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text, or what is written as one: an address, a time.
    Text(String),
    /// A time, in microseconds since 1970.
    Time(i64),
}
