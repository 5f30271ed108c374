//! What a server that was taken over may say of an agent's configuration: any texts are one, or are refused with a reason;
//! and what was read once is read again over itself.
#![no_main]

use bartizan_config::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let texts = String::from_utf8_lossy(bytes);
    let sources: Vec<Source> =
        texts.split('\0').map(|text| Source { name: "*".into(), text: text.into() }).collect();
    match bartizan_settings::read(&sources) {
        Ok(central) => {
            // Each alone is good, so every mixture is.
            assert!(sources.iter().rev().all(|source| bartizan_settings::check(source).is_ok()));
            assert!(!central.groups.is_empty());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
