//! Stories told on real machines. They need root; `cargo xtask test` runs them.
#![allow(clippy::unwrap_used)]

mod lab;
mod setup;
