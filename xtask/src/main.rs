//! Generates what is derived from the code.
fn main() {}
