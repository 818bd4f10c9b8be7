//! fleetd from outside: its configuration, its API, whole daemons.
#![allow(clippy::unwrap_used)]

mod api;
mod asked;
mod cli;
mod cluster;
mod config;
mod events;
mod fenced;
mod handover;
mod http;
mod scenario;
mod watch;
