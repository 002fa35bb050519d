//! Fuzzes `src/identity.rs`.

#![no_main]

#[path = "../src/identity.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
