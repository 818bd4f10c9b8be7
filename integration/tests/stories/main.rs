//! Stories told on real machines. They need root; `cargo xtask test` runs them.
#![allow(clippy::unwrap_used)]

mod away;
mod bastion;
mod care;
mod conf;
mod conformance;
mod examples;
mod fenced;
mod handover;
mod kinds;
mod lab;
mod life;
mod loss;
mod moving;
mod odd;
mod operate;
mod placement;
mod remote;
mod setup;
mod systemd;
mod told;
mod types;
