//! One machine's loop: schedule in, systemd orders out, unit states back.
//!
//! [`Agent::run`] compares what the schedule assigns to this machine with what is there, has
//! [`fleet::converge::steps`] decide what differs, and carries the steps out: stops unit by unit, files in
//! batches with one daemon-reload at most, starts side by side. Whatever an order does to a unit comes back as
//! a change in systemd and is published. At its start it adopts before it acts: it reads what is there,
//! publishes that, and touches nothing that is right.

mod agent;
mod batch;
mod failing;
mod failure;
mod fence;
pub mod files;
mod handover;
mod local;
mod orders;
mod outbox;
mod round;
mod run;
mod story;
pub mod systemd;
mod turn;

pub use agent::{Agent, AgentError, Counters};
pub use files::{Directories, FileError};
