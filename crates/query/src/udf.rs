//! Tests of our own inside a plan, as scalar functions from columns to truth.
//!
//! They stand where an expression tree would be slow, or could differ from the live matcher: text, long
//! lists of values, and filters so long that planning a tree of them would cost too much.

use arrow_array::{ArrayRef, BooleanArray};
use arrow_schema::DataType;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Columns of equal length to one truth value per row; null counts as false.
pub(crate) type Test = Arc<dyn Fn(&[ArrayRef]) -> DfResult<BooleanArray> + Send + Sync>;

/// A test as a function. Two are equal if their keys are.
struct TestUdf {
    name: String,
    key: String,
    signature: Signature,
    test: Test,
}

/// `test(columns…)`. `key` says all that the answer depends on: equal keys must mean equal answers.
pub(crate) fn call(key: String, columns: Vec<(Expr, DataType)>, test: Test) -> Expr {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let name = format!("test_{:016x}", hasher.finish());
    let (columns, types): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let signature = Signature::exact(types, Volatility::Immutable);
    ScalarUDF::from(TestUdf { name, key, signature, test }).call(columns)
}

impl ScalarUDFImpl for TestUdf {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let arrays: Vec<ArrayRef> =
            args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<DfResult<_>>()?;
        Ok(ColumnarValue::Array(Arc::new((self.test)(&arrays)?)))
    }
}

impl PartialEq for TestUdf {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for TestUdf {}

impl Hash for TestUdf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Debug for TestUdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
