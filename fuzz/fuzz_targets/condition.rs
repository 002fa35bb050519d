//! Fuzzes `src/condition.rs`.

#![no_main]

#[path = "../src/condition.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
