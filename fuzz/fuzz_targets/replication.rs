//! Fuzzes `src/replication.rs`.

#![no_main]

#[path = "../src/replication.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
