//! What a line looks like: the same for lines that differ only in their values.
//!
//! What stands before the message (stamp, host) is left out; addresses, hardware addresses, names of interfaces and
//! numbers become `<ip>`, `<mac>`, `<if>` and `<n>`. Any bytes give a text of at most [`MAX`] characters.

use bartizan_decode::text::Envelope;
use std::net::IpAddr;

/// Characters of a shape.
pub const MAX: usize = 400;
/// Keys whose values are names of interfaces.
const INTERFACES: [&str; 4] = ["IN", "OUT", "PHYSIN", "PHYSOUT"];

/// The shape of a line.
#[must_use]
pub fn shape(line: &[u8]) -> String {
    let message = &line[Envelope::parse(line).1..];
    // no value is so long that more of it could matter
    let text = String::from_utf8_lossy(&message[..message.len().min(4 * MAX)]);
    let mut shape = String::with_capacity(128);
    for (n, word) in text.split(|c: char| c == ' ' || c.is_control()).filter(|w| !w.is_empty()).enumerate() {
        if n > 0 {
            shape.push(' ');
        }
        match word.split_once('=') {
            Some((key, "")) => {
                shape.push_str(key);
                shape.push('=');
            }
            Some((key, value)) => {
                put(key, &mut shape);
                shape.push('=');
                let interface = INTERFACES.iter().any(|name| key.ends_with(name));
                if interface { shape.push_str("<if>") } else { put(value, &mut shape) }
            }
            None => put(word, &mut shape),
        }
    }
    match shape.char_indices().nth(MAX) {
        Some((at, _)) => shape[..at].to_owned(),
        None => shape,
    }
}

/// A word, or what it is one of.
fn put(word: &str, out: &mut String) {
    let bare = word.trim_matches(|c: char| matches!(c, '[' | ']' | '(' | ')' | ',' | ';'));
    let what = if bare.is_empty() {
        None
    } else if bare.parse::<IpAddr>().is_ok() {
        Some("<ip>")
    } else if is_mac(bare) {
        Some("<mac>")
    } else if bare
        .strip_prefix("0x")
        .is_some_and(|hex| !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        Some("<n>")
    } else {
        None
    };
    match what.and_then(|what| Some((what, word.find(bare)?))) {
        Some((what, at)) => {
            out.push_str(&word[..at]);
            out.push_str(what);
            out.push_str(&word[at + bare.len()..]);
        }
        None => numbers(word, out),
    }
}

/// Pairs of hexadecimal digits with colons between them, as many as a hardware header has or more.
fn is_mac(word: &str) -> bool {
    let pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
    word.len() >= 17 && word.split(':').all(pair)
}

/// A word with its digits as one placeholder each run.
fn numbers(word: &str, out: &mut String) {
    let mut digits = false;
    for c in word.chars() {
        if c.is_ascii_digit() {
            if !digits {
                out.push_str("<n>");
            }
            digits = true;
        } else {
            digits = false;
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_that_differ_in_values_have_one_shape() {
        let lines = [
            "Jan  8 03:37:09 gw kernel: [12.5] DROP IN=eth0 OUT= MAC=00:11:22:33:44:55:66:77:88:99:aa:bb:08:00 SRC=1.2.3.4 DST=fe80::1 LEN=4x TTL=64 MARK=0x1f [",
            "<4>2026-01-01T00:00:00Z web kernel: DROP IN=wan OUT= MAC=aa:11:22:33:44:55:66:77:88:99:aa:bb:08:00 SRC=9.9.9.9 DST=::1 LEN=512x TTL=1 MARK=0x0 [",
        ];
        for line in lines {
            assert_eq!(
                shape(line.as_bytes()),
                "DROP IN=<if> OUT= MAC=<mac> SRC=<ip> DST=<ip> LEN=<n>x TTL=<n> MARK=<n> ["
            );
        }
        assert_eq!(shape(b"x-D]IN=br0 [10.0.0.1] RULE 4 -- DENY"), "x-D]IN=<if> [<ip>] RULE <n> -- DENY");
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_shape(line in proptest::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert!(shape(&line).chars().count() <= MAX);
        }
    }
}
