#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bartizan_fuzz::enrich::enrich_file(data));
