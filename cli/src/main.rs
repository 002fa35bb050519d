//! `personalizer`: checks, explains and rolls out rule dictionaries.

fn main() {}
