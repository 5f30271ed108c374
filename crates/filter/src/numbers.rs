//! Values of port, protocol and number fields.

use crate::{
    Context, NumRange,
    error::{Fault, shown},
    names, suggest,
};
use bartizan_schema::{Field, FieldKind};
use std::ops::Range;

/// The largest value that a field can hold; the smallest is always 0.
pub(crate) fn max_of(field: &Field) -> i64 {
    match (field.kind, field.name) {
        (FieldKind::Port, _) => 65_535,
        (FieldKind::Proto, _) | (_, "ttl" | "tos" | "type" | "code") => 255,
        (_, "vlan") => 4095,
        (_, "len") => i32::MAX as i64,
        _ => u32::MAX as i64,
    }
}

/// Reads one value into ranges: a service may have several ports.
pub(crate) fn read(
    field: &'static Field,
    text: &str,
    span: Range<usize>,
    context: &Context,
    into: &mut Vec<NumRange>,
) -> Result<(), Fault> {
    let max = max_of(field);
    let lower = text.to_lowercase();
    let numbers;
    let text = if field.kind == FieldKind::Asn {
        numbers = without_sign(&lower);
        numbers.as_str()
    } else {
        text
    };
    match field.kind {
        FieldKind::Port => {
            let ports = context.service(&lower);
            if !ports.is_empty() {
                into.extend(ports.iter().map(|p| NumRange { first: i64::from(*p), last: i64::from(*p) }));
                return Ok(());
            }
        }
        FieldKind::Proto => {
            if let Some(n) = names::protocol(&lower) {
                into.push(NumRange { first: n, last: n });
                return Ok(());
            }
        }
        _ => {}
    }
    if let Some((operator, rest)) = comparison(text) {
        into.push(compared(field, operator, rest, text, span)?);
        return Ok(());
    }
    if let Some(n) = integer(text) {
        if n > max {
            return Err(too_large(field, text, span));
        }
        into.push(NumRange { first: n, last: n });
        return Ok(());
    }
    if let Some((first, last)) = text.split_once('-')
        && let (Some(first), Some(last)) = (integer(first), integer(last))
    {
        if first > last {
            let fault = Fault::new(span, format!("the range `{}` ends before it starts", shown(text)));
            return Err(if first <= max { fault.instead(format!("{last}-{first}")) } else { fault });
        }
        if last > max {
            let fault = Fault::new(span, format!("`{}` ends at {max}, not at {last}", field.name));
            return Err(if first <= max { fault.instead(format!("{first}-{max}")) } else { fault });
        }
        into.push(NumRange { first, last });
        return Ok(());
    }
    Err(unknown(field, text, span, context))
}

/// `as64500-as64510` and `>as64500` without the letters.
fn without_sign(text: &str) -> String {
    let plain = |part: &str| {
        let (operator, number) = comparison(part).unwrap_or(("", part));
        let digits = number.strip_prefix("as").filter(|rest| integer(rest).is_some());
        format!("{operator}{}", digits.unwrap_or(number))
    };
    text.split('-').map(plain).collect::<Vec<_>>().join("-")
}

/// Splits a comparison: the operator and what follows.
pub(crate) fn comparison(text: &str) -> Option<(&'static str, &str)> {
    [">=", "<=", ">", "<"].into_iter().find_map(|op| text.strip_prefix(op).map(|rest| (op, rest)))
}

fn compared(
    field: &Field,
    operator: &str,
    number: &str,
    text: &str,
    span: Range<usize>,
) -> Result<NumRange, Fault> {
    let max = max_of(field);
    let Some(n) = integer(number) else {
        let what =
            if number.is_empty() { "a number is missing after" } else { "this is not a number, after" };
        let fault = Fault::new(span, format!("{what} `{operator}`"));
        // `dport:=>80`, `dport:>>80`
        let digits = number.trim_start_matches(['=', '>', '<']);
        return Err(match integer(digits) {
            Some(_) if digits.len() < number.len() => fault.instead(format!("{operator}{digits}")),
            _ => fault,
        });
    };
    let range = match operator {
        ">" => NumRange { first: n.saturating_add(1), last: max },
        ">=" => NumRange { first: n, last: max },
        "<" => NumRange { first: 0, last: n - 1 },
        _ => NumRange { first: 0, last: n },
    };
    if range.first > max || range.last > max {
        // Whatever the operator says, the number is beyond the field.
        return Err(too_large(field, text, span));
    }
    if range.first > range.last {
        return Err(Fault::new(span, format!("no value of `{}` is below 0", field.name)));
    }
    Ok(range)
}

fn too_large(field: &Field, text: &str, span: Range<usize>) -> Fault {
    let max = max_of(field);
    let fault =
        Fault::new(span, format!("`{}` goes from 0 to {max}; `{}` is beyond", field.name, shown(text)));
    if field.kind != FieldKind::Port {
        return fault;
    }
    // One digit too many is the usual slip.
    let digits = text.trim_start_matches(['<', '>', '=']);
    match digits.len().checked_sub(1).and_then(|cut| digits.get(..cut)).and_then(integer) {
        Some(n) if n <= max => {
            let operator = text.get(..text.len() - digits.len()).unwrap_or_default();
            fault.instead(format!("{operator}{n}"))
        }
        _ => fault,
    }
}

/// A number, decimal or `0x` hexadecimal; beyond 63 bits it is the largest. Signs are not taken.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None => (text, 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some(i64::from_str_radix(digits, radix).unwrap_or(i64::MAX))
}

/// A value that is nothing the field takes.
fn unknown(field: &'static Field, text: &str, span: Range<usize>, context: &Context) -> Fault {
    let name = field.name;
    for separator in ["..", ":", "–", "—"] {
        if let Some((first, last)) = text.split_once(separator) {
            let max = max_of(field);
            let fault = || Fault::new(span.clone(), format!("a range is written `{name}:1-9`"));
            match (integer(first), integer(last)) {
                (Some(_), Some(_)) => return fault().instead(format!("{first}-{last}")),
                (Some(n), None) if last.is_empty() && n <= max => {
                    return fault().instead(format!(">={first}"));
                }
                (None, Some(n)) if first.is_empty() && n <= max => {
                    return fault().instead(format!("<={last}"));
                }
                _ => {}
            }
        }
    }
    if let Some(n) = text.strip_suffix(['+', '-']).filter(|n| integer(n).is_some()) {
        return Fault::new(span, format!("`at least` is written `{name}:>=9`")).instead(format!(">={n}"));
    }
    if let Some(n) =
        text.strip_prefix('=').map(|t| t.trim_start_matches('=')).filter(|n| integer(n).is_some())
    {
        return Fault::new(span, "the colon already says `equal`").instead(n);
    }
    for (sign, operator) in [("=>", ">="), ("=<", "<=")] {
        if let Some(n) = text.strip_prefix(sign).filter(|n| integer(n).is_some_and(|n| n <= max_of(field))) {
            return Fault::new(span, format!("the comparison is written `{operator}`"))
                .instead(format!("{operator}{n}"));
        }
    }
    if let Some(n) = text.strip_prefix('-').filter(|n| integer(n).is_some()) {
        return Fault::new(span, format!("no value of `{name}` is below 0")).instead(n);
    }
    let list = text.replace([';', '|', '/'], ",");
    if list != text && list.split(',').all(|n| integer(n).is_some()) {
        return Fault::new(span, "values of a list are separated by commas").instead(list);
    }
    if text.contains(['*', '?']) {
        return Fault::new(
            span,
            format!("`{name}` is a number and takes no wildcards; use a range, as `{name}:80-89`"),
        );
    }
    let lower = text.to_lowercase();
    match field.kind {
        FieldKind::Port => {
            if let Some((port, proto)) = lower.split_once('/')
                && names::protocol(proto).is_some()
                && (integer(port).is_some() || !context.service(port).is_empty())
            {
                return Fault::new(span, "port and protocol are two terms")
                    .instead(format!("{port} proto:{proto}"));
            }
            if names::protocol(&lower).is_some() {
                return Fault::new(span, format!("`{lower}` is a protocol, not a port"));
            }
            let fault =
                Fault::new(span, format!("`{}` is not a port or a known service", shown(text))).of_a_name();
            near(fault, suggest::closest(&lower, context.service_names()))
        }
        FieldKind::Proto => {
            let fault = Fault::new(span, format!("`{}` is not a known protocol", shown(text)));
            let near_name = suggest::closest(&lower, names::protocol_names());
            if near_name.is_none() && !context.service(&lower).is_empty() {
                return Fault::new(
                    fault.span.clone(),
                    format!("`{}` is a service, not a protocol", shown(text)),
                );
            }
            near(fault, near_name)
        }
        _ => Fault::new(span, format!("`{name}` takes numbers; `{}` is none", shown(text))),
    }
}

fn near(fault: Fault, name: Option<&str>) -> Fault {
    match name {
        Some(name) => fault.instead(name),
        None => fault,
    }
}
