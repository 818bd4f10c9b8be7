//! Most machines vanish at once: whatever the reason is, none of their units is moved, and all is as it was when they
//! are back.

use std::time::Duration;

use anyhow::Result;
use fleet::MachineId;
use tokio::time::{Instant, sleep};

use crate::faults::{Fault, Kind};
use crate::held::Held;
use crate::world::World;

/// How machines vanish together.
const WAYS: [Kind; 4] = [Kind::Cut, Kind::PowerLoss, Kind::Kill, Kind::Freeze];

impl World {
    /// More than half of the machines, two at least, vanish from a cluster in which all is well, and come back when all of
    /// their leases have ended: one that ends when most have been renewed already is that of one machine only. Nobody
    /// asks for anything meanwhile.
    pub(crate) async fn lose_most(&mut self) -> Result<()> {
        let machines = self.most_machines();
        self.held = Held::of(self.cluster(), &machines);
        self.trace.tell(format_args!("{machines:?} vanish at once"));
        self.figures.count("MassLoss");
        let ends = self.ttl + Duration::from_secs(2);
        let until = Instant::now() + ends + self.chance.while_of_any_kind();
        if let Some(&kind) = self.chance.pick(&WAYS) {
            for machine in machines {
                self.strike(until, Fault { kind, machine }).await?;
            }
        }
        while Instant::now() < until && self.trace.violated().is_none() {
            let pause = self.chance.millis(0..=5_000);
            sleep(pause).await;
            self.check().await;
        }
        self.heal_all().await?;
        self.settle().await;
        self.held = Held::default();
        Ok(())
    }

    fn most_machines(&mut self) -> Vec<MachineId> {
        let mut machines: Vec<MachineId> = self.hosts.keys().cloned().collect();
        let all = machines.len() as u64;
        let lost = self.chance.within((all / 2 + 1).max(2)..=all);
        while machines.len() as u64 > lost {
            let spared = self.chance.within(0..=machines.len() as u64 - 1);
            machines.remove(spared as usize);
        }
        machines
    }
}
