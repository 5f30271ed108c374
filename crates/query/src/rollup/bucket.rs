use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_schema::DataType;
use bartizan_model::Micros;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// Equal pieces of time, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bucket {
    width: i64,
    origin: i64,
}

impl Bucket {
    /// Pieces of so many microseconds, at least one, of which one begins at `origin`.
    #[must_use]
    pub fn new(width: i64, origin: Micros) -> Self {
        let width = width.max(1);
        Self { width, origin: origin.0.rem_euclid(width) }
    }

    /// Microseconds of one.
    #[must_use]
    pub const fn width(self) -> i64 {
        self.width
    }

    /// The first moment of the piece that a time is in.
    #[must_use]
    pub fn of(self, time: Micros) -> Micros {
        let since = time.0.checked_sub(self.origin);
        let start = since.and_then(|since| since.checked_sub(since.rem_euclid(self.width)));
        // What began before the first moment of all begins there.
        Micros(start.map_or(i64::MIN, |start| start + self.origin))
    }

    /// Whether each of its pieces is made of whole pieces of a width, of which one begins at 1970.
    pub(crate) const fn is_made_of(self, width: i64) -> bool {
        self.width % width == 0 && self.origin % width == 0
    }

    /// The first moment of the piece, of a column of times.
    pub(crate) fn call(self, time: Expr) -> Expr {
        let kind = DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, Some("UTC".into()));
        let signature = Signature::exact(vec![kind.clone()], Volatility::Immutable);
        ScalarUDF::from(BucketUdf { bucket: self, kind, signature }).call(vec![time])
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BucketUdf {
    bucket: Bucket,
    kind: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for BucketUdf {
    fn name(&self) -> &str {
        "bucket"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(self.kind.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let times = args.args[0].to_array(args.number_rows)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let starts = times.unary::<_, TimestampMicrosecondType>(|time| self.bucket.of(Micros(time)).0);
        Ok(ColumnarValue::Array(Arc::new(starts.with_timezone("UTC"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_piece_that_begins_before_it() {
        let minutes = Bucket::new(60, Micros(0));
        assert_eq!(minutes.of(Micros(119)), Micros(60));
        assert_eq!(minutes.of(Micros(-1)), Micros(-60));
        let shifted = Bucket::new(60, Micros(-10));
        assert_eq!((shifted.of(Micros(49)), shifted.of(Micros(50))), (Micros(-10), Micros(50)));
        for time in [i64::MIN, i64::MAX] {
            assert!(shifted.of(Micros(time)) <= Micros(time));
        }
        assert!(Bucket::new(300, Micros(-60)).is_made_of(60));
        assert!(!Bucket::new(300, Micros(-30)).is_made_of(60));
        assert!(!Bucket::new(90, Micros(0)).is_made_of(60));
    }
}
