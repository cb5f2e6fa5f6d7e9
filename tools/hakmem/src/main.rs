//! The hakmem command.
fn main() {}
