//! Fuzzes `src/json.rs`.

#![no_main]

#[path = "../src/json.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|body: &[u8]| target::run(body));
