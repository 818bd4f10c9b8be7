//! fleetd: the daemon of a machine of the cluster.
//!
//! `process` is the life of the program; `daemon` wires one machine's parts together and is what tests start,
//! several of them in one process.

pub mod api;
pub mod args;
pub mod config;
pub mod connect;
pub mod daemon;
pub mod embedded;
pub mod lock;
pub mod log;
pub mod machine;
mod member;
mod metrics;
mod mirror;
pub mod notify;
mod picture;
pub mod places;
pub mod process;
mod roles;
pub mod signals;
pub mod sockets;
mod supervise;
