//! Fuzzes `src/rules.rs`.

#![no_main]

#[path = "../src/rules.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
