//! osbackend-client-wasm
