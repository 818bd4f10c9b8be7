//! What a cluster is, and what should happen next.
//!
//! Pure: no clock, no randomness, no I/O. Two functions carry the product:
//! [`schedule::plan`] decides which unit belongs on which machine, [`converge::steps`] what one
//! machine's systemd must be told.

pub mod cluster;
pub mod converge;
pub mod fence;
pub mod glob;
pub mod handover;
pub mod history;
pub mod machine;
pub mod requirements;
pub mod resources;
pub mod schedule;
pub mod unit;
pub mod v1;
pub mod v2;

pub use cluster::{Cluster, Event};
pub use machine::{Away, Cordon, Machine, MachineId};
pub use requirements::Requirements;
pub use resources::Resources;
pub use unit::{Assignment, DesiredState, FailedOn, Unit, UnitRecord, UnitState};
