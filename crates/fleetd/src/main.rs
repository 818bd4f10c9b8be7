//! the daemon: configuration, HTTP API, wiring, shutdown.

fn main() {}
