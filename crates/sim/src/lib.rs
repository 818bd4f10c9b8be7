//! A whole cluster in one process: the real store, registry, engine, agent and wiring of fleetd, machines whose systemd
//! is in memory, and a clock that moves on when nothing else is to be done. Everything that happens comes from a
//! seed: who asks for what, what goes wrong, where, when and for how long. After every step the promises are
//! checked that hold at any moment, and after every quiet hour those of what a cluster comes to.
//!
//! A seed repeats a run exactly, to the last record: see [`entropy`] for where chance comes from. It takes:
//! a process of its own ([`one`] says why); one thread, whose randomness is the seed's; a runtime of that thread alone, with its own time; the
//! agent writing its files on that thread ([`agent`] does so on a runtime of one thread); and no sockets. What is
//! not simulated: raft among several stores, the store's disk (what it has written outlives it in memory), the clocks of the fleetds, which
//! all run as the store's does (those of the machines' systemds do not), and a frozen fleetd keeps its timers (what it does by them is held back until
//! it goes on).

mod chance;
mod connection;
mod entropy;
mod faults;
mod gate;
mod held;
mod host;
mod ledger;
mod link;
pub mod many;
mod mass;
pub mod one;
mod run;
mod server;
mod settled;
mod strike;
mod trace;
mod units;
mod wishes;
mod witness;
mod world;

pub use chance::Chance;
pub use run::{Options, Outcome, run};
pub use world::Figures;
