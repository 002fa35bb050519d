//! Fuzzes `src/html.rs`.

#![no_main]

#[path = "../src/html.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
