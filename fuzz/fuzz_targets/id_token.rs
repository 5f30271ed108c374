//! Keys and a token of a provider, or of whoever says that he is one: claims or why not.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| bartizan_fuzz::oidc::id_token(data));
