//! Any text is a question in SQL or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| bartizan_fuzz::sql::text(data));
