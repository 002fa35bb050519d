//! Fuzzes `src/media.rs`.

#![no_main]

#[path = "../src/media.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
