//! The rules that log, in a datagram of nf_tables.
#![no_main]

use bartizan_decode::netlink::Messages;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for message in Messages::new(data).flatten() {
        for rule in bartizan_ruleset::log_rules(&message) {
            assert!(!rule.reconcilable || rule.counter.is_some());
        }
    }
});
