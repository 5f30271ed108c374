//! What a worker that was taken over may send to the opener, and an opener's replies: any bytes are a message
//! that writes back, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;

// by its file: the agent's own dependencies are many, and the codec needs none of them
#[path = "../../crates/agent/src/opener/protocol.rs"]
#[allow(dead_code, unreachable_pub, reason = "only the codec is used here")]
mod protocol;

use protocol::{Reply, Request};

fuzz_target!(|bytes: &[u8]| {
    if let Some(request) = Request::from_bytes(bytes) {
        assert_eq!(request.to_bytes(), bytes);
    }
    if let Some(reply) = Reply::from_bytes(bytes) {
        assert_eq!(Reply::from_bytes(&reply.to_bytes()), Some(reply));
    }
    if let Some(question) = bartizan_netfilter::Question::from_bytes(bytes) {
        assert_eq!(question.to_bytes(), bytes);
    }
});
