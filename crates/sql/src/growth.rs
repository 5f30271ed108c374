//! Functions of others that make longer texts than they get, each with a bound on what one call makes.
//!
//! What functions make is not counted against a question's memory, so that `concat(a, a)` of `concat(a, a)` and so
//! on would take all of the server's. Functions whose result a question can make as long as it likes from nothing,
//! such as `repeat`, are not there at all.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// Bytes that one call may make of one batch of rows.
const MAX_BYTES: usize = 64 << 20;

/// Those of these functions that are there, in their bounds.
pub(crate) fn bounded(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    let growth = match function.name() {
        "concat" => Growth::Sum,
        "concat_ws" => Growth::Joined,
        "replace" | "regexp_replace" | "overlay" => Growth::Replaced,
        _ => return function,
    };
    Arc::new(ScalarUDF::from(Bounded { inner: function, growth }))
}

/// The value as it is; an error if it is too long to be put together with another.
pub(crate) fn limited() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(Limited { signature: Signature::any(1, Volatility::Immutable) }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Growth {
    /// Of all arguments.
    Sum,
    /// Of all arguments, with the first between them.
    Joined,
    /// What replaces may stand before, between and after all characters.
    Replaced,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
}

/// The bytes of all texts of an argument, and of its longest.
fn size(value: &ColumnarValue, rows: usize) -> (usize, usize) {
    match value {
        ColumnarValue::Scalar(scalar) => {
            let one = scalar_size(scalar);
            (one.saturating_mul(rows), one)
        }
        ColumnarValue::Array(array) => array_size(array),
    }
}

fn scalar_size(scalar: &ScalarValue) -> usize {
    scalar.try_as_str().flatten().map_or(32, str::len)
}

fn array_size(array: &ArrayRef) -> (usize, usize) {
    let lengths = |lengths: &mut dyn Iterator<Item = usize>| {
        lengths.fold((0_usize, 0), |(sum, most), length| (sum.saturating_add(length), most.max(length)))
    };
    match array.data_type() {
        DataType::Utf8 => lengths(&mut array.as_string::<i32>().offsets().lengths()),
        DataType::LargeUtf8 => lengths(&mut array.as_string::<i64>().offsets().lengths()),
        DataType::Utf8View => lengths(&mut array.as_string_view().lengths().map(|n| n as usize)),
        _ => (array.len().saturating_mul(32), 32),
    }
}

fn too_long() -> DataFusionError {
    DataFusionError::ResourcesExhausted(format!("texts of more than {MAX_BYTES} bytes in one batch"))
}

impl Bounded {
    fn most(&self, args: &ScalarFunctionArgs) -> usize {
        let sizes: Vec<_> = args.args.iter().map(|arg| size(arg, args.number_rows)).collect();
        let sum = sizes.iter().fold(0_usize, |sum, (all, _)| sum.saturating_add(*all));
        let first = sizes.first().copied().unwrap_or_default();
        match self.growth {
            Growth::Sum => sum,
            Growth::Joined => sum.saturating_add(first.0.saturating_mul(sizes.len())),
            Growth::Replaced => {
                let with = sizes.get(2).or(sizes.get(1)).map_or(0, |(_, longest)| *longest);
                first.0.saturating_add(args.number_rows).saturating_mul(with.saturating_add(1))
            }
        }
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> DfResult<DataType> {
        self.inner.inner().return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DfResult<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> DfResult<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    // Not `simplify`: the inner function's would put itself in this one's place.

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        if self.most(&args) > MAX_BYTES {
            return Err(too_long());
        }
        self.inner.invoke_with_args(args)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Limited {
    signature: Signature,
}

impl ScalarUDFImpl for Limited {
    fn name(&self) -> &str {
        "limited"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> DfResult<DataType> {
        Ok(arg_types.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        match args.args.pop() {
            Some(value) if size(&value, args.number_rows).0 <= MAX_BYTES / 2 => Ok(value),
            _ => Err(too_long()),
        }
    }
}
