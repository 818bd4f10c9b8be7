//! Decides which unit belongs on which machine.
//!
//! A plan starts from the schedule as it stands. What may not stay there leaves; then every unit that should
//! be on a machine and is not goes to the least loaded one that may run it. All is visited in order of names and
//! machine ids, so that one picture has one plan, and planning its outcome changes nothing.
//!
//! A machine whose lease has ended loses its units, unless they wait for it: see [`Hold`].
//!
//! Who gives way when two units cannot share a machine:
//! - a unit that is not there yet, to one that is;
//! - of two that are there, a global one to one that is not, else the one with the later name;
//! - a unit on a machine that is being drained, to the operator: a few at a time, and only where it fits elsewhere;
//! - with `Replaces=`, the replaced one, even if it was there first. Units that replace one another, be it
//!   through others or through those that follow them, are not kept apart.

mod absence;
mod away;
mod change;
mod diff;
mod draft;
mod drain;
mod failing;
mod fit;
mod hosts;
mod index;
mod obstacle;
mod patterns;
mod place;
mod places;
mod planner;
mod pools;
mod queue;
mod rebalance;
mod refusal;
mod replace;
mod shape;
mod standing;
mod stuck;
mod suppose;
mod survey;
mod sync;
mod units;

use crate::Cluster;
use crate::cluster::Touched;

pub use absence::{Hold, Terms, hold};
pub use change::{Change, Plan, Reason};
pub use obstacle::nearest;
pub use planner::Planner;
pub use rebalance::{Rebalance, rebalance};
pub use refusal::{Refusal, summary};
pub use suppose::{Supposition, suppose};
pub use survey::Survey;

/// Who runs where, what moves, who waits. Planning the outcome again changes nothing. Whoever plans again and again keeps a
/// [`Planner`].
pub fn plan(cluster: &Cluster, terms: &Terms) -> Plan {
    Planner::default().plan(cluster, &Touched::Everything, terms)
}
