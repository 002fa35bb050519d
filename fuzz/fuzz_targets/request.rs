//! Fuzzes `src/request.rs`.

#![no_main]

#[path = "../src/request.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
