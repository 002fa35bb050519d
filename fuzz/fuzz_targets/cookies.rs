//! Fuzzes `src/cookies.rs`.

#![no_main]

#[path = "../src/cookies.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
