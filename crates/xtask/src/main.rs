//! the developer's commands: demo, test, ci, bench, lab.

fn main() {}
