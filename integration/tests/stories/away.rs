//! Units that wait for their machine: because they ask to, or because too many machines were lost at once.

use anyhow::{Context, Result, ensure};
use integration::{Cluster, Row, wait_for};

use crate::told::{SLEEP, TTL, stories, wait_elsewhere, witnesses};

/// What `why` says of a unit, once it waits for its machine.
fn waits(cluster: &Cluster, unit: &str, why: &str) -> Result<()> {
    wait_for(&format!("{unit} to wait"), TTL * 4, || {
        let said = cluster.fleetctl(&format!("why {unit}"));
        let said = said.map_err(|error| format!("{error:#}"))?;
        match said.contains("is away") && said.contains(why) {
            true => Ok(()),
            false => Err(said),
        }
    })
}

stories! {
    most_machines_vanish_at_once(3)
    fn story(cluster: &mut Cluster) -> Result<()> {
        cluster.write_unit("job@.service", &format!("{SLEEP}[X-Fleet]\nAvoidUnits=job@*.service\n"))?;
        cluster.fleetctl("start $(seq -f job@%g 1 6)")?;
        let before = witnesses(cluster)?;
        let on = |machine: &str| before.iter().find(|(_, (home, _))| home == machine).map(|(unit, _)| unit.clone());
        let (second, third) = (on("m2").context("nothing on m2")?, on("m3").context("nothing on m3")?);

        cluster.machine("m2")?.cut()?;
        cluster.machine("m3")?.cut()?;
        waits(cluster, &second, "so many machines were lost at once")?;
        waits(cluster, &third, "so many machines were lost at once")?;
        let listed = cluster.try_fleetctl("list-machines --no-legend")?;
        let complaint = String::from_utf8_lossy(&listed.stderr).into_owned();
        ensure!(complaint.matches("is away and 2 units wait for it, as too many machines were lost at once").count() == 2, "{complaint}");

        // they are back: nobody has been touched
        cluster.machine("m2")?.heal()?;
        cluster.machine("m3")?.heal()?;
        cluster.wait_for_members(3)?;
        ensure!(witnesses(cluster)? == before, "{before:?} became {:?}", witnesses(cluster)?);

        // this time they are gone for good
        cluster.machine("m2")?.kill()?;
        cluster.machine("m3")?.kill()?;
        waits(cluster, &second, "so many machines were lost at once")?;
        waits(cluster, &third, "so many machines were lost at once")?;
        let ids = [cluster.machine("m2")?.id().to_owned(), cluster.machine("m3")?.id().to_owned()];
        let said = cluster.fleetctl(&format!("forget {} {}", &ids[0][..8], &ids[1][..8]))?;
        ensure!(said.matches("is given up: the 2 units that wait for it move").count() == 2, "{said}");
        for unit in before.keys() {
            ensure!(cluster.wait_active(unit)? == "m1");
        }
        let again = cluster.try_fleetctl(&format!("forget {}", ids[0]))?;
        ensure!(!again.status.success(), "nobody is away any more");
        Ok(())
    }

    a_sticky_unit_waits_for_its_machine_and_others_move(3)
    fn story(cluster: &mut Cluster) -> Result<()> {
        // the store may be on m1
        cluster.start("db.service", &format!("{SLEEP}[X-Fleet]\nSticky=yes\nConstraint=name!=m1\n"))?;
        let home = cluster.wait_active("db.service")?;
        cluster.start("web.service", &format!("{SLEEP}[X-Fleet]\nMachineOf=db.service\n"))?;
        cluster.start("other.service", &format!("{SLEEP}[X-Fleet]\nPrefer=name={home}\n"))?;
        ensure!(cluster.wait_active("other.service")? == home);
        ensure!(cluster.wait_active("web.service")? == home);

        cluster.machine(&home)?.kill()?;
        waits(cluster, "db.service", "it waits for it (Sticky=)")?;
        wait_elsewhere(cluster, "other.service", &home)?;
        cluster.machine(&home)?.boot()?;
        ensure!(cluster.wait_active("db.service")? == home);
        ensure!(cluster.wait_active("web.service")? == home);

        // a reboot in good order is an absence, too
        cluster.machine(&home)?.poweroff()?;
        waits(cluster, "db.service", "it waits for it (Sticky=)")?;
        let id = cluster.machine(&home)?.id().to_owned();
        cluster.fleetctl(&format!("forget {id}"))?;
        wait_elsewhere(cluster, "db.service", &home).map(drop)
    }

    /// It wakes with a membership that has ended, while its schedule stands because a unit waits for it.
    who_does_not_know_that_it_was_missed_touches_nothing(3)
    fn story(cluster: &mut Cluster) -> Result<()> {
        // the store may be on m1
        cluster.start("db.service", &format!("{SLEEP}[X-Fleet]\nSticky=yes\nConstraint=name!=m1\n"))?;
        let home = cluster.wait_active("db.service")?;
        cluster.start("web.service", &format!("{SLEEP}[X-Fleet]\nMachineOf=db.service\n"))?;
        cluster.start("log.service", &format!("{SLEEP}[X-Fleet]\nGlobal=true\n"))?;
        let everywhere = |rows: &[Row]| (rows.len() == 3 && rows.iter().all(|row| row.active == "active")).then_some(());
        cluster.wait_where("log.service", "runs everywhere", everywhere)?;
        cluster.wait_active("web.service")?;
        let units = ["db.service", "web.service", "log.service"];
        let pids = |cluster: &Cluster| units.map(|unit| cluster.machine(&home)?.main_pid(unit)).into_iter().collect::<Result<Vec<_>>>();
        let before = pids(cluster)?;

        for fault in ["frozen", "cut"] {
            match fault {
                "frozen" => drop(cluster.machine(&home)?.freeze("fleetd")?),
                _ => cluster.machine(&home)?.cut()?,
            }
            waits(cluster, "db.service", "it waits for it (Sticky=)")?;
            match fault {
                "frozen" => drop(cluster.machine(&home)?.thaw("fleetd")?),
                _ => cluster.machine(&home)?.heal()?,
            }
            // what has to be stopped is stopped when its schedule has been decided anew
            cluster.start("last.service", &format!("{SLEEP}[X-Fleet]\nMachineOf=db.service\n"))?;
            cluster.wait_active("last.service")?;
            cluster.fleetctl("destroy last")?;
            let after = pids(cluster)?;
            ensure!(after == before, "{fault}: {before:?} became {after:?}");
        }
        Ok(())
    }

    an_announced_reboot_moves_nothing(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        // the store may be on m1
        cluster.start("db.service", &format!("{SLEEP}[X-Fleet]\nConstraint=name!=m1\n"))?;
        ensure!(cluster.wait_active("db.service")? == "m2");
        cluster.start("web.service", &format!("{SLEEP}[X-Fleet]\nMachineOf=db.service\n"))?;
        cluster.start("free.service", &format!("{SLEEP}[X-Fleet]\nPrefer=name=m2\n"))?;
        ensure!(cluster.wait_active("free.service")? == "m2");
        let m2 = cluster.machine("m2")?.id().to_owned();
        let said = cluster.fleetctl(&format!("cordon {} --grace 2min --reason 'new kernel'", &m2[..8]))?;
        ensure!(said.contains("its units wait 2min for it when it is away"), "{said}");
        let state = cluster.fleetctl("list-machines --fields=ip,state --no-legend")?;
        ensure!(state.contains("10.99.0.12\tcordoned, with 2min of grace: new kernel"), "{state}");

        // in good order, and without any
        cluster.machine("m2")?.poweroff()?;
        waits(cluster, "free.service", "(its machine's absence was announced)")?;
        let state = cluster.fleetctl("list-machines --fields=machine,state --no-legend")?;
        ensure!(state.contains("away and 3 units wait for it; cordoned, with 2min of grace, 1min ") && state.contains(" of it left: new kernel"), "{state}");
        std::thread::sleep(TTL * 2);
        cluster.machine("m2")?.boot()?;
        ensure!(cluster.wait_active("free.service")? == "m2");
        cluster.machine("m2")?.kill()?;
        waits(cluster, "free.service", "(its machine's absence was announced)")?;
        cluster.fleetctl(&format!("uncordon {}", &m2[..8]))?;
        wait_elsewhere(cluster, "free.service", "m2").map(drop)
    }

    units_reserve_memory(2)
    fn story(cluster: &mut Cluster) -> Result<()> {
        let kib = cluster.machine("m1")?.read(["sed", "-n", "s/^MemTotal: *\\([0-9]*\\) kB/\\1/p", "/proc/meminfo"])?;
        let kib: u64 = kib.trim().parse()?;
        cluster.write_unit("big@.service", &format!("{SLEEP}[X-Fleet]\nMemoryReservation={}K\n", kib * 3 / 5))?;
        cluster.fleetctl("start big@1 big@2")?;
        ensure!(cluster.wait_active("big@1.service")? != cluster.wait_active("big@2.service")?);
        let third = cluster.try_fleetctl("start --block-attempts=1 big@3")?;
        ensure!(!third.status.success(), "there is no room for it");
        let why = cluster.fleetctl("why big@3")?;
        ensure!(why.contains("2 machines have no room for"), "{why}");
        cluster.fleetctl("destroy big@1")?;
        cluster.wait_active("big@3.service").map(drop)
    }
}
