//! Decides what one machine's systemd must be told.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use unitfile::{Hash, UnitName};

use crate::{Assignment, DesiredState};

/// What this machine has of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalUnit {
    /// The unit file of ours in the unit directory; none if there is none.
    pub file: Option<Hash>,
    /// Whether systemd has been asked to start it since the machine booted and its file was written, and not to stop
    /// it since.
    pub launched: bool,
    /// Whether it runs, or is on its way up or down, by systemd's word.
    pub active: bool,
    /// An order for it is under way: leave it alone until that ends.
    pub busy: bool,
    /// It goes on here although it is to be elsewhere, until it is up there.
    pub kept: bool,
    /// What went wrong at the last attempt with this very assignment: not tried again until it changes.
    pub failed: Option<Assignment>,
}

/// One order for one unit. Each unit's orders are carried out in sequence, different units' side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Stop it and wait for the end of the stop job.
    Stop,
    /// Take its links and its file away.
    Remove,
    /// Write its file and make its `[Install]` links.
    Write(Hash),
    /// Ask systemd to start it.
    Start,
}

/// The orders for every unit that differs, each unit's in sequence.
pub type Steps = BTreeMap<UnitName, Vec<Step>>;

/// What must be done so that `local` becomes `assigned`. While the machine is not `admitted`, nothing is
/// stopped or removed: its schedule has not been decided for its present membership yet. For the same reason
/// a changed file waits, since it would stop what runs.
pub fn steps<N: Borrow<UnitName> + Ord>(
    assigned: &BTreeMap<UnitName, Assignment>,
    local: &BTreeMap<N, LocalUnit>,
    admitted: bool,
) -> Steps {
    let nothing = LocalUnit::default();
    let here = local.iter().map(|(name, local)| (name.borrow(), local));
    let not_here = assigned.keys().filter(|name| !local.contains_key(*name));
    let mut steps = Steps::new();
    for (name, local) in here.chain(not_here.map(|name| (name, &nothing))) {
        let orders = unit_steps(assigned.get(name), local);
        if !orders.is_empty() && (admitted || orders.iter().all(|step| step.is_harmless(local))) {
            steps.insert(name.clone(), orders);
        }
    }
    steps
}

fn unit_steps(assigned: Option<&Assignment>, local: &LocalUnit) -> Vec<Step> {
    if local.busy {
        return Vec::new();
    }
    match assigned {
        None if local.kept => Vec::new(),
        None if local.file.is_some() => stop_first(local, &[Step::Remove]),
        None => Vec::new(),
        Some(failed) if local.failed.as_ref() == Some(failed) => Vec::new(),
        Some(assigned) => assigned_steps(assigned, local),
    }
}

fn assigned_steps(assigned: &Assignment, local: &LocalUnit) -> Vec<Step> {
    let launch = assigned.desired == DesiredState::Launched;
    let write = [Step::Write(assigned.hash), Step::Start];
    let write = if launch { &write[..] } else { &write[..1] };
    match local.file {
        None => write.to_vec(),
        Some(hash) if hash != assigned.hash => stop_first(local, write),
        Some(_) if launch && !local.launched => vec![Step::Start],
        // what its socket or timer started is left alone
        Some(_) if !launch && local.launched => vec![Step::Stop],
        Some(_) => Vec::new(),
    }
}

fn stop_first(local: &LocalUnit, steps: &[Step]) -> Vec<Step> {
    let stop = local.active.then_some(Step::Stop);
    stop.into_iter().chain(steps.iter().copied()).collect()
}

impl Step {
    /// Whether it may be done by a schedule that was decided for an earlier membership: it takes nothing away.
    fn is_harmless(self, local: &LocalUnit) -> bool {
        match self {
            Step::Stop | Step::Remove => false,
            Step::Write(_) => local.file.is_none(),
            Step::Start => true,
        }
    }
}
