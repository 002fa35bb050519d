//! Fuzzes `src/splice.rs`.

#![no_main]

#[path = "../src/splice.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
