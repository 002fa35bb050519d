//! `cargo xtask`: serves, tests and measures the service.

fn main() {}
