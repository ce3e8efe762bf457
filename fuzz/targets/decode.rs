//! libFuzzer's way into the frame decoder.
#![no_main]

#[path = "../../server/tests/fuzz/decode.rs"]
mod decode;

libfuzzer_sys::fuzz_target!(|data: &[u8]| decode::run(data));
