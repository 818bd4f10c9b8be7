//! How what goes wrong happens to a cluster, and how it ends.

use anyhow::{Context as _, Result};
use fleetd::daemon::Farewell;

use crate::faults::{Fault, Kind};
use crate::host::{Host, PREFIX};
use crate::link::Weather;
use crate::world::World;
use crate::{Chance, entropy};

/// In seconds.
const HOUR: i64 = 3_600;

impl Fault {
    /// Lets it happen.
    pub(crate) async fn begin(&self, world: &mut World) -> Result<()> {
        match self.kind {
            Kind::StoreAway => {
                each_link(world, |weather| cut(weather, true));
                Ok(())
            }
            Kind::StoreKilled => {
                world.server.kill().await;
                Ok(())
            }
            Kind::Compact | Kind::Depose if !world.server.runs() => Ok(()),
            Kind::Compact => compact(world).await,
            Kind::Depose => depose(world).await,
            Kind::SetClock => {
                let forward = world.chance.happens(0.5);
                entropy::set_clock(if forward { HOUR } else { -HOUR });
                Ok(())
            }
            Kind::PowerLoss => self.lose_power(world).await,
            Kind::Leave => self.leave(world).await,
            Kind::Metadata => self.change_metadata(world),
            kind => {
                let mut chance = world.chance.branch();
                begin_on(kind, self.host(world)?, &mut chance).await;
                Ok(())
            }
        }
    }

    /// Ends it.
    pub(crate) async fn heal(&self, world: &mut World) -> Result<()> {
        let reset = world.chance.happens(0.5);
        match self.kind {
            Kind::StoreAway => {
                each_link(world, |weather| cut(weather, false));
                return Ok(());
            }
            Kind::StoreKilled => return world.server.restart().await,
            _ => {}
        }
        let host = self.host(world)?;
        match self.kind {
            Kind::Cut | Kind::CutRequests | Kind::CutAnswers => {
                host.link.change(|weather| cut(weather, false));
                if reset {
                    host.link.reset();
                }
            }
            Kind::Slow => host.link.change(|weather| weather.delay = 0),
            Kind::Flaky => host.link.change(|weather| weather.flaky = 0.0),
            Kind::Freeze => host.freeze(false),
            Kind::SystemdAway => host.systemd().set_away(false),
            Kind::Kill | Kind::Leave | Kind::PowerLoss => host.keep_up().await,
            _ => {}
        }
        Ok(())
    }

    fn host<'a>(&self, world: &'a mut World) -> Result<&'a mut Host> {
        world
            .hosts
            .get_mut(&self.machine)
            .context("a machine of the cluster")
    }

    async fn lose_power(&self, world: &mut World) -> Result<()> {
        let link = world.new_link();
        world.witness.release(&self.machine);
        self.host(world)?.lose_power(link).await
    }

    async fn leave(&self, world: &mut World) -> Result<()> {
        let host = self.host(world)?;
        if host.frozen || !host.runs_fleetd() {
            return Ok(());
        }
        world.witness.release(&self.machine);
        self.host(world)?.stop(Farewell::Leave).await;
        Ok(())
    }

    fn change_metadata(&self, world: &mut World) -> Result<()> {
        let host = self.host(world)?;
        let had = host.metadata.remove("disk");
        if had.is_none() {
            host.metadata.insert("disk".to_owned(), "ssd".to_owned());
        }
        host.reload();
        Ok(())
    }
}

/// What happens to one machine, and is healed there.
async fn begin_on(kind: Kind, host: &mut Host, chance: &mut Chance) {
    match kind {
        Kind::Cut => host.link.change(|weather| cut(weather, true)),
        Kind::CutRequests => host.link.change(|weather| weather.no_requests = true),
        Kind::CutAnswers => host.link.change(|weather| weather.no_answers = true),
        Kind::Slow => {
            let delay = chance.within(5..=1_500);
            host.link.change(|weather| weather.delay = delay);
        }
        Kind::Flaky => host.link.change(|weather| weather.flaky = 0.05),
        Kind::Reset => host.link.reset(),
        Kind::Kill => host.stop(Farewell::Stay).await,
        Kind::Freeze if host.runs_fleetd() => host.freeze(true),
        Kind::SystemdAway => host.systemd().set_away(true),
        _ => {}
    }
}

fn cut(weather: &mut Weather, cut: bool) {
    (weather.no_requests, weather.no_answers) = (cut, cut);
}

fn each_link(world: &World, change: impl Fn(&mut Weather)) {
    world
        .hosts
        .values()
        .for_each(|host| host.link.change(&change));
}

/// Forgets all but the present, so that whoever is out of touch cannot catch up.
async fn compact(world: &mut World) -> Result<()> {
    let revision = world.ledger.revision();
    let compacted = world.client.compact(revision, None).await;
    // nothing was written since the last time
    let _ = compacted.is_err();
    Ok(())
}

async fn depose(world: &mut World) -> Result<()> {
    let leader = format!("{PREFIX}leader");
    world.client.delete(leader, None).await?;
    Ok(())
}
