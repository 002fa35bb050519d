//! Fuzzes `src/template.rs`.

#![no_main]

#[path = "../src/template.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|source: &str| target::run(source));
