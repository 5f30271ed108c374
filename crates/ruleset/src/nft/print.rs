//! A rule of nft's JSON as text, near enough to what nft prints for people to recognise it. Used where nft's own
//! text is not there.

use serde_json::Value;
use std::fmt::Write as _;

/// Deeper expressions are not unfolded.
const DEPTH: usize = 16;

/// The text of a rule.
pub(super) fn rule(rule: &Value) -> String {
    let list = rule["expr"].as_array().map_or(&[][..], Vec::as_slice);
    let mut out = list.iter().map(statement).filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" ");
    if let Some(comment) = rule["comment"].as_str() {
        let _ = write!(out, " comment \"{comment}\"");
    }
    out
}

fn statement(value: &Value) -> String {
    let Some((kind, body)) = value.as_object().and_then(|o| o.iter().next()) else {
        return plain(value);
    };
    match kind.as_str() {
        "match" => comparison(body),
        "log" => log(body),
        "counter" => {
            body.as_str().map_or_else(|| "counter".into(), |name| format!("counter name \"{name}\""))
        }
        "quota" | "limit" if body.is_string() => format!("{kind} name \"{}\"", plain(body)),
        "limit" => limit(body),
        "jump" | "goto" => format!("{kind} {}", plain(&body["target"])),
        "vmap" => format!("{} vmap {}", expression(&body["key"], 0), expression(&body["data"], 0)),
        "mangle" => format!("{} set {}", expression(&body["key"], 0), expression(&body["value"], 0)),
        "reject" => reject(body),
        "set" => {
            let (op, set) = (plain(&body["op"]), plain(&body["set"]));
            format!("{op} {set} {{ {} }}", expression(&body["elem"], 0))
        }
        "xt" => format!("xt {} \"{}\"", plain(&body["type"]), plain(&body["name"])),
        _ if body.is_null() => kind.clone(),
        _ => format!("{kind} {}", plain(body)),
    }
}

fn comparison(body: &Value) -> String {
    let (left, right) = (expression(&body["left"], 0), flags(&body["right"]));
    match body["op"].as_str() {
        None | Some("==" | "in") => format!("{left} {right}"),
        Some(op) => format!("{left} {op} {right}"),
    }
}

/// A list of flags is joined by commas.
fn flags(value: &Value) -> String {
    match value.as_array() {
        Some(list) => join(list, ",", 0),
        None => expression(value, 0),
    }
}

fn log(body: &Value) -> String {
    let mut out = String::from("log");
    if let Some(prefix) = body["prefix"].as_str() {
        let _ = write!(out, " prefix \"{prefix}\"");
    }
    for key in ["level", "group", "snaplen", "queue-threshold"] {
        if !body[key].is_null() {
            let _ = write!(out, " {key} {}", plain(&body[key]));
        }
    }
    if !body["flags"].is_null() {
        let _ = write!(out, " flags {}", flags(&body["flags"]));
    }
    out
}

fn limit(body: &Value) -> String {
    let over = if body["inv"] == true { "over " } else { "" };
    let unit = body["rate_unit"].as_str().filter(|u| *u != "packets").map(|u| format!(" {u}"));
    let rate = format!(
        "limit rate {over}{}{}/{}",
        plain(&body["rate"]),
        unit.unwrap_or_default(),
        plain(&body["per"])
    );
    match body["burst"].as_u64() {
        Some(burst) if burst != 5 && burst != 0 => format!("{rate} burst {burst} packets"),
        _ => rate,
    }
}

fn reject(body: &Value) -> String {
    match (body["type"].as_str(), body["expr"].as_str()) {
        (Some("icmpx"), Some("port-unreachable")) | (None, _) => "reject".into(),
        (Some(kind), Some(code)) => format!("reject with {kind} {code}"),
        (Some(kind), None) => format!("reject with {kind}"),
    }
}

fn join(list: &[Value], with: &str, depth: usize) -> String {
    list.iter().map(|v| expression(v, depth + 1)).collect::<Vec<_>>().join(with)
}

fn expression(value: &Value, depth: usize) -> String {
    if depth > DEPTH {
        return value.to_string();
    }
    let Some((kind, body)) = value.as_object().and_then(|o| o.iter().next()) else {
        return match value.as_array() {
            Some(list) => format!("({})", join(list, " | ", depth)),
            None => plain(value),
        };
    };
    let list = body.as_array().map_or(&[][..], Vec::as_slice);
    match kind.as_str() {
        "payload" if body["base"].is_null() => {
            format!("{} {}", plain(&body["protocol"]), plain(&body["field"]))
        }
        "meta" => match body["key"].as_str() {
            Some(key @ ("iif" | "iifname" | "oif" | "oifname" | "iifgroup" | "oifgroup")) => key.to_owned(),
            Some(key) => format!("meta {key}"),
            None => format!("meta {}", plain(body)),
        },
        "ct" | "rt" | "socket" => {
            let dir = body["dir"].as_str().map(|d| format!("{d} ")).unwrap_or_default();
            let family = body["family"].as_str().map(|f| format!("{f} ")).unwrap_or_default();
            format!("{kind} {dir}{family}{}", plain(&body["key"]))
        }
        "set" => {
            let entries: Vec<String> = list.iter().map(|v| entry(v, depth + 1)).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        "concat" => join(list, " . ", depth),
        "range" => join(list, "-", depth),
        "prefix" => format!("{}/{}", expression(&body["addr"], depth + 1), plain(&body["len"])),
        "elem" => expression(&body["val"], depth + 1),
        "&" | "|" | "^" | "<<" | ">>" => join(list, &format!(" {kind} "), depth),
        "map" => {
            format!("{} map {}", expression(&body["key"], depth + 1), expression(&body["data"], depth + 1))
        }
        "fib" => {
            let flags = body["flags"].as_array().map_or(&[][..], Vec::as_slice);
            format!("fib {} {}", join(flags, " . ", depth), plain(&body["result"]))
        }
        _ if body.is_null() => kind.clone(),
        _ => format!("{kind} {}", plain(body)),
    }
}

/// An element of a set, or an entry of a map.
fn entry(value: &Value, depth: usize) -> String {
    match value.as_array().map(Vec::as_slice) {
        Some([key, data]) => {
            let data = if data.is_object() { statement(data) } else { expression(data, depth) };
            format!("{} : {data}", expression(key, depth))
        }
        _ => expression(value, depth),
    }
}

/// Words and numbers as they are, anything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
