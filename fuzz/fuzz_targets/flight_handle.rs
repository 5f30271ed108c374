//! What a client of Flight SQL sends is a handle, a ticket, parameters or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| bartizan_fuzz::sql::handle(data));
