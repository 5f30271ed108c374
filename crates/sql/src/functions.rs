//! Our functions, and which of the engine's there are.
//!
//! | function | gives |
//! |---|---|
//! | `ip('192.0.2.7')` | an address |
//! | `in_cidr(a, '10.0.0.0/8')` | whether an address is inside; a range of addresses for the planner, so that it prunes |
//! | `cidr(a, 24)`, `cidr(a, 24, 48)` | the network of an address as text: so many bits of IPv4, so many of IPv6 (64) |
//! | `addr_text(a)` | an address as text |
//! | `ip_number(a)` | an IPv4 address as a number, null for others |
//! | `inet_aton('192.0.2.7')`, `inet_ntoa(n)` | the same from and to text, as MySQL has them |
//! | `service(port)` | the name of a port, as filters know it |
//! | `host_in(host, 'db')` | whether a host is in a group |
//! | `proto_name(n)`, `flags_text(n)` | protocol and TCP flags as they are shown |
//!
//! Everything else is a list of names: a function that a newer engine brings is not there before somebody looked at
//! what it may do.

use crate::growth;
use arrow_array::builder::{FixedSizeBinaryBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, StringArray};
use arrow_schema::DataType;
use bartizan_filter::{Context, fold};
use bartizan_model::{addr_from_ip, addr_to_ip};
use bartizan_query::render::{addr_text, flags_text, proto_text};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
    lit,
};
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The type of an address.
pub(crate) const ADDRESS: DataType = DataType::FixedSizeBinary(16);

/// The engine's functions that a question may call.
const ALLOWED: &[&str] = &[
    "abs",
    "arrow_typeof",
    "ascii",
    "bit_length",
    "btrim",
    "ceil",
    "character_length",
    "chr",
    "coalesce",
    "concat",
    "concat_ws",
    "contains",
    "current_date",
    "current_time",
    "date_bin",
    "date_part",
    "date_trunc",
    "ends_with",
    "exp",
    "floor",
    "from_unixtime",
    "greatest",
    "initcap",
    "least",
    "left",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "make_date",
    "nanvl",
    "now",
    "nullif",
    "nvl",
    "nvl2",
    "octet_length",
    "overlay",
    "power",
    "random",
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "regexp_replace",
    "replace",
    "reverse",
    "right",
    "round",
    "rtrim",
    "signum",
    "split_part",
    "sqrt",
    "starts_with",
    "strpos",
    "substr",
    "substr_index",
    "to_date",
    "to_hex",
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_seconds",
    "to_unixtime",
    "translate",
    "trunc",
    "upper",
];

/// All that may be called.
pub(crate) fn all(names: &Arc<Context>) -> Vec<Arc<ScalarUDF>> {
    let engines = datafusion::functions::all_default_functions();
    let engines = engines.into_iter().filter(|f| ALLOWED.contains(&f.name())).map(growth::bounded);
    engines.chain(ours(names)).collect()
}

fn ours(names: &Arc<Context>) -> impl Iterator<Item = Arc<ScalarUDF>> + use<> {
    let (names, groups) = (Arc::clone(names), Arc::clone(names));
    [
        function("ip", vec![vec![DataType::Utf8]], ADDRESS, |args| {
            let texts = args[0].as_string::<i32>();
            addresses(texts.iter().map(|text| text.map(parse_ip).transpose()))
        }),
        in_cidr(),
        function(
            "cidr",
            vec![vec![ADDRESS, DataType::Int64], vec![ADDRESS, DataType::Int64, DataType::Int64]],
            DataType::Utf8,
            cidr,
        ),
        addr_text_of(),
        function("ip_number", vec![vec![ADDRESS]], DataType::Int64, |args| {
            let number = |bytes: &[u8]| ipv4(bytes).map(|ip| i64::from(u32::from(ip)));
            let numbers = args[0].as_fixed_size_binary().iter().map(|a| a.and_then(number));
            Ok(Arc::new(numbers.collect::<Int64Array>()))
        }),
        function("inet_aton", vec![vec![DataType::Utf8]], DataType::Int64, |args| {
            let number = |text: &str| text.parse::<Ipv4Addr>().ok().map(|ip| i64::from(u32::from(ip)));
            let numbers = args[0].as_string::<i32>().iter().map(|text| text.and_then(number));
            Ok(Arc::new(numbers.collect::<Int64Array>()))
        }),
        function("inet_ntoa", vec![vec![DataType::Int64]], DataType::Utf8, |args| {
            let text = |n: i64| u32::try_from(n).ok().map(|n| Ipv4Addr::from(n).to_string());
            Ok(texts(args[0].as_primitive::<Int64Type>().iter().map(|n| n.and_then(text))))
        }),
        function("service", vec![vec![DataType::Int64]], DataType::Utf8, move |args| {
            let name = |port: i64| u16::try_from(port).ok().and_then(|port| names.service_of(port));
            Ok(texts(args[0].as_primitive::<Int64Type>().iter().map(|port| port.and_then(name))))
        }),
        function("host_in", vec![vec![DataType::Utf8, DataType::Utf8]], DataType::Boolean, move |args| {
            let pairs = args[0].as_string::<i32>().iter().zip(args[1].as_string::<i32>().iter());
            let inside = pairs.map(|pair| match pair {
                (Some(host), Some(group)) => host_in(&groups, host, group).map(Some),
                _ => Ok(None),
            });
            Ok(Arc::new(inside.collect::<DfResult<BooleanArray>>()?))
        }),
        function("proto_name", vec![vec![DataType::Int64]], DataType::Utf8, |args| {
            Ok(texts(small(&args[0]).map(|n| n.map(proto_text))))
        }),
        function("flags_text", vec![vec![DataType::Int64]], DataType::Utf8, |args| {
            Ok(texts(small(&args[0]).map(|n| n.map(flags_text))))
        }),
    ]
    .into_iter()
}

/// `addr_text`, which also stands where an address is made text.
pub(crate) fn addr_text_of() -> Arc<ScalarUDF> {
    function("addr_text", vec![vec![ADDRESS]], DataType::Utf8, |args| {
        Ok(texts(args[0].as_fixed_size_binary().iter().map(|a| a.map(addr_text))))
    })
}

fn texts<T: AsRef<str>>(values: impl Iterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn small(array: &ArrayRef) -> impl Iterator<Item = Option<i16>> {
    array.as_primitive::<Int64Type>().iter().map(|n| n.and_then(|n| n.try_into().ok()))
}

fn addresses(values: impl Iterator<Item = DfResult<Option<[u8; 16]>>>) -> DfResult<ArrayRef> {
    let mut builder = FixedSizeBinaryBuilder::new(16);
    for value in values {
        match value? {
            Some(address) => builder.append_value(address)?,
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// What a person writes as an address, or why it is none.
pub(crate) fn parse_ip(text: &str) -> DfResult<[u8; 16]> {
    match text.trim().parse::<IpAddr>() {
        Ok(ip) => Ok(addr_from_ip(ip)),
        Err(_) => Err(wrong(text, "no address", "192.0.2.7 or 2001:db8::1")),
    }
}

fn wrong(text: &str, what: &str, such: &str) -> DataFusionError {
    let text: String = text.chars().take(80).collect();
    DataFusionError::Plan(format!("`{text}` is {what}, such as {such}"))
}

fn host_in(names: &Context, host: &str, group: &str) -> DfResult<bool> {
    let wanted = fold(group);
    match names.groups().find(|(name, _)| *name == wanted) {
        Some((_, hosts)) => Ok(hosts.iter().any(|pattern| pattern.is_match(host))),
        None => {
            let group: String = group.chars().take(80).collect();
            Err(DataFusionError::Plan(format!("there is no group `{group}`")))
        }
    }
}

/// The first and the last address of a network, or of one address.
fn parse_cidr(text: &str) -> DfResult<([u8; 16], [u8; 16])> {
    let bad = || wrong(text, "no network", "10.0.0.0/8 or 2001:db8::/32");
    let (address, bits) = match text.trim().split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| bad())?)),
        None => (text.trim(), None),
    };
    let ip = address.parse::<IpAddr>().map_err(|_| bad())?;
    let (most, before) = if ip.is_ipv4() { (32, 96) } else { (128, 0) };
    let bits = bits.unwrap_or(most);
    if bits > most {
        return Err(bad());
    }
    let address = u128::from_be_bytes(addr_from_ip(ip));
    let mask = mask(before + bits);
    Ok(((address & mask).to_be_bytes(), (address | !mask).to_be_bytes()))
}

fn mask(bits: u32) -> u128 {
    u128::MAX.checked_shl(128 - bits).unwrap_or(0)
}

fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    match addr_to_ip(bytes.try_into().ok()?) {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

fn cidr(args: &[ArrayRef]) -> DfResult<ArrayRef> {
    let addresses = args[0].as_fixed_size_binary();
    let bits = args[1].as_primitive::<Int64Type>();
    let bits6 = args.get(2).map(|bits| bits.as_primitive::<Int64Type>());
    let mut out = StringBuilder::new();
    for row in 0..addresses.len() {
        let address = addresses.is_valid(row).then(|| addresses.value(row));
        let four = address.is_some_and(|address| ipv4(address).is_some());
        let (given, most, before) = match (four, bits6) {
            (true, _) => (bits.is_valid(row).then(|| bits.value(row)), 32, 96),
            (false, Some(bits6)) => (bits6.is_valid(row).then(|| bits6.value(row)), 128, 0),
            (false, None) => (Some(64), 128, 0),
        };
        let (Some(address), Some(given)) = (address, given) else {
            out.append_null();
            continue;
        };
        let Some(bits) = u32::try_from(given).ok().filter(|bits| *bits <= most) else {
            return Err(DataFusionError::Plan(format!("cidr: {given} is not in 0..={most} bits")));
        };
        let address = u128::from_be_bytes(address.try_into().unwrap_or_default());
        let network = addr_to_ip((address & mask(before + bits)).to_be_bytes());
        out.append_value(format!("{network}/{bits}"));
    }
    Ok(Arc::new(out.finish()))
}

fn in_cidr() -> Arc<ScalarUDF> {
    let signature = Signature::exact(vec![ADDRESS, DataType::Utf8], Volatility::Immutable);
    let run = |args: &[ArrayRef]| -> DfResult<ArrayRef> {
        let (addresses, networks) = (args[0].as_fixed_size_binary(), args[1].as_string::<i32>());
        let inside = addresses.iter().zip(networks.iter()).map(|(address, network)| {
            let (Some(address), Some(network)) = (address, network) else { return Ok(None) };
            let (first, last) = parse_cidr(network)?;
            Ok(Some(address >= first.as_slice() && address <= last.as_slice()))
        });
        Ok(Arc::new(inside.collect::<DfResult<BooleanArray>>()?))
    };
    Arc::new(ScalarUDF::from(Function {
        name: "in_cidr",
        signature,
        returns: DataType::Boolean,
        run: Arc::new(run),
        simplify: Some(as_range),
    }))
}

/// `in_cidr(a, 'network')` as two comparisons, which prune files.
fn as_range(mut args: Vec<Expr>) -> DfResult<ExprSimplifyResult> {
    let network = match args.get(1) {
        Some(Expr::Literal(value, _)) => value.try_as_str().flatten().map(str::to_owned),
        _ => None,
    };
    let Some(network) = network else { return Ok(ExprSimplifyResult::Original(args)) };
    let (first, last) = parse_cidr(&network)?;
    let address = args.swap_remove(0);
    let literal = |bytes: [u8; 16]| lit(ScalarValue::FixedSizeBinary(16, Some(bytes.to_vec())));
    Ok(ExprSimplifyResult::Simplified(
        address.clone().gt_eq(literal(first)).and(address.lt_eq(literal(last))),
    ))
}

type Run = Arc<dyn Fn(&[ArrayRef]) -> DfResult<ArrayRef> + Send + Sync>;
type Simplify = fn(Vec<Expr>) -> DfResult<ExprSimplifyResult>;

/// A function of ours. Of one session, two with one name are one.
struct Function {
    name: &'static str,
    signature: Signature,
    returns: DataType,
    run: Run,
    simplify: Option<Simplify>,
}

fn function(
    name: &'static str,
    forms: Vec<Vec<DataType>>,
    returns: DataType,
    run: impl Fn(&[ArrayRef]) -> DfResult<ArrayRef> + Send + Sync + 'static,
) -> Arc<ScalarUDF> {
    let forms = forms.into_iter().map(TypeSignature::Exact).collect();
    let signature = Signature::one_of(forms, Volatility::Immutable);
    Arc::new(ScalarUDF::from(Function { name, signature, returns, run: Arc::new(run), simplify: None }))
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(self.returns.clone())
    }

    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> DfResult<ExprSimplifyResult> {
        match self.simplify {
            Some(simplify) => simplify(args),
            None => Ok(ExprSimplifyResult::Original(args)),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|arg| arg.to_array(rows)).collect::<DfResult<Vec<_>>>()?;
        let made = (self.run)(&arrays)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?));
        }
        Ok(ColumnarValue::Array(made))
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allowed_function_is_there() {
        let all = all(&Arc::default());
        for name in ALLOWED {
            assert!(all.iter().any(|f| f.name() == *name), "{name}");
        }
        for never in ["input_file_name", "repeat", "lpad", "rpad", "version", "to_char", "uuid"] {
            let there = all.iter().any(|f| f.name() == never || f.aliases().iter().any(|a| a == never));
            assert!(!there, "{never}");
        }
    }

    #[test]
    fn networks_are_ranges() {
        let range = |text: &str| parse_cidr(text).map(|(a, b)| (addr_text(&a), addr_text(&b))).ok();
        let some = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(range("10.1.2.3/8"), some("10.0.0.0", "10.255.255.255"));
        assert_eq!(range("0.0.0.0/0"), some("0.0.0.0", "255.255.255.255"));
        assert_eq!(range("192.0.2.7"), some("192.0.2.7", "192.0.2.7"));
        assert_eq!(range("2001:db8::/32"), some("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"));
        assert_eq!(range("::/0").unwrap().0, "::");
        for bad in ["10.0.0.0/33", "::/129", "10.0.0/8", "x", "", "/8", "10.0.0.0/", "10.0.0.0/-1"] {
            assert_eq!(range(bad), None, "{bad}");
        }
    }
}
