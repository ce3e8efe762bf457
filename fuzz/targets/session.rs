//! libFuzzer's way into the session machine.
#![no_main]

#[path = "../../server/tests/fuzz/session.rs"]
mod session;

libfuzzer_sys::fuzz_target!(|data: &[u8]| session::run(data));
